//! Certificates in PEM. Spec: RFC 7468.

use pem_rfc7468::LineEnding;

use crate::BundleError;
use crate::certificate::MAX_CERTIFICATE_LEN;

const LABEL: &str = "CERTIFICATE";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Every certificate of a text, in order. Other blocks and what stands between are left aside.
///
/// # Errors
///
/// No certificate, or one whose frame or base64 is broken.
pub fn certificates(text: &str) -> Result<Vec<Vec<u8>>, BundleError> {
    let mut certificates = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let block = &rest[begin..];
        let end = block.find(END).ok_or(BundleError::Pem)? + END.len();
        // base64 takes four bytes for three, and line ends come on top.
        if end > MAX_CERTIFICATE_LEN * 2 {
            return Err(BundleError::Pem);
        }
        let (label, der) =
            pem_rfc7468::decode_vec(&block.as_bytes()[..end]).map_err(|_| BundleError::Pem)?;
        if label != LABEL {
            return Err(BundleError::Pem);
        }
        certificates.push(der);
        rest = &block[end..];
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
