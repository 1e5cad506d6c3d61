//! The rules that a leaf keeps whoever signed it. Spec: X509-SVID §5.2, Appendix A.

use pki_types::SignatureVerificationAlgorithm;
use plastron_bundle::certificate::{Certificate, ExtendedKeyUsage, Spki};
use plastron_id::SpiffeIdRef;

use super::{LeafError, PeerRole};

/// Whether a leaf may do without key usage (AMB-10).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyUsageRule {
    Required,
    MayBeMissing,
}

/// Checks all rules on the leaf that need neither time nor trust, and returns its SPIFFE ID.
///
/// URIs are counted before any is looked at (X509-02). Spec: X509-SVID §4.3, §5.2 (X509-62 to X509-65).
#[inline]
pub(crate) fn check_leaf<'c>(
    leaf: &Certificate<'c>,
    role: PeerRole,
    key_usage: KeyUsageRule,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Result<SpiffeIdRef<'c>, LeafError> {
    let count = leaf.uri_san_count();
    let uri = match leaf.uri_san() {
        Some(uri) if count == 1 => uri,
        _ => return Err(LeafError::UriSanCount { count }),
    };
    let id = SpiffeIdRef::parse_bytes(uri).map_err(LeafError::SpiffeId)?;
    if id.path().is_empty() {
        return Err(LeafError::NoPath);
    }
    if leaf.is_ca() {
        return Err(LeafError::Ca);
    }
    match leaf.key_usage() {
        Some(usage) if usage.key_cert_sign() || usage.crl_sign() => {
            return Err(LeafError::KeyUsageSigning);
        }
        Some(usage) if !usage.digital_signature() => {
            return Err(LeafError::KeyUsageDigitalSignature);
        }
        None if key_usage == KeyUsageRule::Required => return Err(LeafError::KeyUsageMissing),
        Some(_) | None => (),
    }
    if !role.is_allowed_by(leaf.extended_key_usage()) {
        return Err(LeafError::ExtendedKeyUsage { role });
    }
    if leaf.name_constraints().is_some() {
        return Err(LeafError::NameConstraints);
    }
    if leaf.unknown_critical_extension().is_some() {
        return Err(LeafError::UnknownCriticalExtension);
    }
    if !is_key_acceptable(&leaf.spki(), algorithms) {
        return Err(LeafError::Key);
    }
    Ok(id)
}

impl PeerRole {
    /// Whether extended key usage allows the role; absent allows everything (X509-37, X509-40, AMB-11).
    pub(super) fn is_allowed_by(self, usage: Option<ExtendedKeyUsage>) -> bool {
        usage.is_none_or(|usage| match self {
            Self::Client => usage.allows_client(),
            Self::Server => usage.allows_server(),
            Self::Any => usage.allows_client() && usage.allows_server(),
        })
    }
}

/// Whether some algorithm is for such keys and, for RSA, the modulus is neither weak nor so long that a signature takes
/// too much work (X509-48, X509-61).
pub(super) fn is_key_acceptable(
    spki: &Spki<'_>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> bool {
    let is_known = algorithms
        .iter()
        .any(|algorithm| algorithm.public_key_alg_id().as_ref() == spki.algorithm());
    let is_rsa = spki.algorithm() == pki_types::alg_id::RSA_ENCRYPTION.as_ref();
    is_known
        && (!is_rsa
            || spki
                .rsa_modulus_bits()
                .is_some_and(|bits| RSA_BITS.contains(&bits)))
}

/// From what NIST SP 800-131A allows to where a check takes a quarter of a millisecond.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
