//! What tokens of all kinds have in common: their three parts, their header, their times, and what can be wrong with these.
//!
//! Which of it a kind of token asks for, and under which rule, is said where that kind is verified.

mod claims;
mod compact;
mod header;

use pki_types::SignatureVerificationAlgorithm;
use plastron_bundle::{JsonError, TokenAuthority, TokenUse};
use plastron_id::SpiffeIdError;
use plastron_keys::{JwsAlgorithm, PublicKey, VerifyError};

pub(crate) use claims::{Audience, SubjectPlace, TimeClaims, Times, subject};
pub(crate) use compact::Compact;
pub(crate) use header::Header;

/// What can be wrong with a token of any kind.
#[derive(Debug)]
pub(crate) enum Fault {
    TooLong { len: usize },
    NotCompact,
    Base64 { part: &'static str },
    Header(JsonError),
    Algorithm,
    Claims(JsonError),
    WrongKey,
    UnsupportedAlgorithm,
    Signature,
    ExpiryMissing,
    Expired { expires_at: u64, now: u64 },
    NotBefore,
    NotYetValid { not_before: u64, now: u64 },
}

/// What can be wrong with a subject.
#[derive(Debug)]
pub(crate) enum SubjectFault {
    Missing,
    Malformed(SpiffeIdError),
    WithoutPath,
}

/// The authority that a `kid` names. Case counts (JWT-10, WIT-03).
pub(crate) fn authority<'a, U: TokenUse>(
    authorities: &'a [TokenAuthority<U>],
    key_id: &str,
) -> Option<&'a TokenAuthority<U>> {
    authorities
        .iter()
        .find(|authority| authority.key_id() == key_id)
}

/// Checks a signature in the form of JWS.
pub(crate) fn check_signature(
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    algorithm: JwsAlgorithm,
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Fault> {
    plastron_keys::verify_jws(algorithms, algorithm, key, message, signature).map_err(|error| {
        match error {
            VerifyError::WrongKey => Fault::WrongKey,
            VerifyError::Unsupported => Fault::UnsupportedAlgorithm,
            _ => Fault::Signature,
        }
    })
}
