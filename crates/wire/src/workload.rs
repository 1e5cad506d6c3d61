//! The SPIFFE Workload API (SPIFFE Workload API §3 to §7).

#![allow(missing_docs, unreachable_pub, clippy::all, rustdoc::all)]

use core::fmt;

include!("generated/workload.rs");

/// The compiled `proto/workload.proto` with what it imports, a `FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/workload.bin");

/// The name of the service: the first segment of the path of every call.
pub const SERVICE_NAME: &str = "SpiffeWorkloadAPI";

/// The metadata key that every call of the Workload API carries, with the value [`SECURITY_HEADER_VALUE`] (WEP-06).
pub const SECURITY_HEADER: &str = "workload.spiffe.io";

/// The one value of [`SECURITY_HEADER`].
pub const SECURITY_HEADER_VALUE: &str = "true";

// What follows replaces the `Debug` that would print private keys and tokens (RS-15).

impl fmt::Debug for X509svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509svid")
            .field("spiffe_id", &self.spiffe_id)
            .field("x509_svid", &self.x509_svid)
            .field("bundle", &self.bundle)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Jwtsvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwtsvid")
            .field("spiffe_id", &self.spiffe_id)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ValidateJwtsvidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidateJwtsvidRequest")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Witsvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witsvid")
            .field("spiffe_id", &self.spiffe_id)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_keys_and_tokens() {
        let x509 = X509svid {
            x509_svid_key: "se-cret".into(),
            ..Default::default()
        };
        let jwt = Jwtsvid {
            svid: "se-cret".into(),
            ..Default::default()
        };
        let validate = ValidateJwtsvidRequest {
            svid: "se-cret".into(),
            ..Default::default()
        };
        let wit = Witsvid {
            wit_svid: "se-cret".into(),
            wit_svid_key: "se-cret".into(),
            ..Default::default()
        };
        for shown in [
            format!("{x509:?}"),
            format!("{jwt:?}"),
            format!("{validate:?}"),
            format!("{wit:?}"),
        ] {
            assert!(!shown.contains("cret"), "RS-15 −: {shown}");
        }
    }
}
