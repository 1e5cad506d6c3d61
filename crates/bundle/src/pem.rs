//! Certificates in PEM. Spec: RFC 7468.

use base64ct::{Base64, Encoding as _};
use pem_rfc7468::LineEnding;

use crate::certificate::MAX_CERTIFICATE_LEN;
use crate::{BundleError, MAX_KEYS};

const LABEL: &str = "CERTIFICATE";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Every certificate of a text, in order. Other blocks and what stands between are left aside.
///
/// Lines may have any width, since tools differ; for everything else base64 is strict. Spec: RFC 7468 §3.
///
/// # Errors
///
/// No certificate, one whose frame or base64 is broken, or more than [`MAX_KEYS`] (BUNDLE-25).
pub fn certificates(text: &str) -> Result<Vec<Vec<u8>>, BundleError> {
    let mut certificates = Vec::new();
    let mut rest = text;
    while let Some((_, block)) = rest.split_once(BEGIN) {
        if certificates.len() == MAX_KEYS {
            return Err(BundleError::TooManyKeys);
        }
        let (body, behind) = block.split_once(END).ok_or(BundleError::Pem)?;
        // base64 takes four bytes for three, and line ends come on top.
        if body.len() > MAX_CERTIFICATE_LEN * 2 {
            return Err(BundleError::Pem);
        }
        let base64: String = body.split_ascii_whitespace().collect();
        certificates.push(Base64::decode_vec(&base64).map_err(|_| BundleError::Pem)?);
        rest = behind;
    }
    if certificates.is_empty() {
        return Err(BundleError::Pem);
    }
    Ok(certificates)
}

/// One certificate, with a line end at its end.
pub fn certificate(der: &[u8]) -> String {
    pem_rfc7468::encode_string(LABEL, LineEnding::LF, der)
        .expect("fails only where lengths overflow, and a certificate is short")
}
