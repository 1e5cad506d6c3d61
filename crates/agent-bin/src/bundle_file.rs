//! Bundles in files: a SPIFFE bundle document, certificates in PEM, or certificates in DER.

use plastron_bundle::{Bundle, BundleError, Parsed};
use plastron_id::TrustDomain;

/// Reads a bundle, whichever of its forms it has.
///
/// # Errors
///
/// As the form that it looks most like.
pub(crate) fn parse(trust_domain: TrustDomain, bytes: &[u8]) -> Result<Parsed, BundleError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.trim_start().starts_with('{') => Bundle::parse(trust_domain, bytes),
        Ok(text) => Bundle::from_pem(trust_domain, text),
        Err(_) => Bundle::from_der(trust_domain, bytes),
    }
}
