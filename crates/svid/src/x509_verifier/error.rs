//! Why a chain is not an X509-SVID.

use pki_types::UnixTime;
use plastron_bundle::certificate::CertificateError;
use plastron_id::{SpiffeIdError, TrustDomain};

use super::{NameConstraintError, PeerRole};

/// Why a chain is not an X509-SVID at that time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no certificate (X509-68).
    #[error("no certificate")]
    EmptyChain,
    /// There are more certificates than [`MAX_CHAIN_LEN`](super::MAX_CHAIN_LEN) (X509-61).
    #[error("chain of {len} certificates")]
    ChainTooLong {
        /// Certificates given.
        len: usize,
    },
    /// A certificate of the chain cannot be read.
    #[error("certificate {index} of the chain: {error}")]
    Certificate {
        /// Its place, the leaf being 0.
        index: usize,
        /// Why.
        error: CertificateError,
    },
    /// The leaf is not that of an X509-SVID.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// `now` is before the leaf's `notBefore` (X509-53).
    #[error("not valid before {}, and it is {}", not_before.as_secs(), now.as_secs())]
    NotYetValid {
        /// The first second at which it is valid.
        not_before: UnixTime,
        /// The time it was judged at.
        now: UnixTime,
    },
    /// `now` is after the leaf's `notAfter` (X509-53).
    #[error("expired at {}, and it is {}", not_after.as_secs(), now.as_secs())]
    Expired {
        /// The last second at which it was valid.
        not_after: UnixTime,
        /// The time it was judged at.
        now: UnixTime,
    },
    /// No bundle is known of the trust domain that the leaf names (X509-66).
    #[error("no bundle of trust domain {0}")]
    UnknownTrustDomain(TrustDomain),
    /// The bundle of the trust domain that the leaf names has no X.509 authorities (X509-67).
    #[error("trust domain {0} has no X.509 authorities")]
    NoAuthorities(TrustDomain),
    /// No path leads from the leaf to an authority of its trust domain.
    #[error("no path to an authority: {0}")]
    Untrusted(#[from] PathError),
}

impl VerifyError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::EmptyChain => "X509-68",
            Self::ChainTooLong { .. } => "X509-61",
            Self::Certificate { error, .. } => error.rule(),
            Self::Leaf(error) => error.rule(),
            Self::NotYetValid { .. } | Self::Expired { .. } => "X509-53",
            Self::UnknownTrustDomain(_) => "X509-66",
            Self::NoAuthorities(_) => "X509-67",
            Self::Untrusted(error) => error.rule(),
        }
    }
}

/// Why a certificate is not the leaf of an X509-SVID.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// An SVID has exactly one URI SAN, and this certificate has `count` (X509-02, X509-03).
    #[error("{count} URI names instead of one")]
    UriSanCount {
        /// How many there are.
        count: usize,
    },
    /// The URI is not a SPIFFE ID (X509-04).
    #[error("not a SPIFFE ID: {0}")]
    SpiffeId(SpiffeIdError),
    /// The SPIFFE ID has no path, so it is that of a trust domain (X509-10).
    #[error("SPIFFE ID without a path")]
    NoPath,
    /// Basic constraints say that it may sign certificates (X509-62).
    #[error("leaf is a CA")]
    Ca,
    /// Key usage allows signing certificates or CRLs (X509-63).
    #[error("leaf may sign certificates or CRLs")]
    KeyUsageSigning,
    /// Key usage does not allow digital signatures (X509-65).
    #[error("leaf may not make digital signatures")]
    KeyUsageDigitalSignature,
    /// There is no key usage (AMB-10).
    #[error("leaf without key usage")]
    KeyUsageMissing,
    /// Extended key usage does not allow the role of the peer (AMB-11), or both where it may be in either (X509-37).
    #[error("extended key usage does not allow {}", shown(*.role))]
    ExtendedKeyUsage {
        /// The role.
        role: PeerRole,
    },
    /// It has name constraints, which belong to CAs alone (X509-25).
    #[error("leaf with name constraints")]
    NameConstraints,
    /// It has a critical extension that nobody here knows (X509-58).
    #[error("unknown critical extension")]
    UnknownCriticalExtension,
    /// Its key is too weak, or none of the algorithms is for such keys (X509-48).
    #[error("unacceptable key")]
    Key,
}

impl LeafError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::UriSanCount { count: 0 } => "X509-03",
            Self::UriSanCount { .. } => "X509-02",
            Self::SpiffeId(_) => "X509-04",
            Self::NoPath => "X509-10",
            Self::Ca => "X509-62",
            Self::KeyUsageSigning => "X509-63",
            Self::KeyUsageDigitalSignature => "X509-65",
            Self::KeyUsageMissing => "AMB-10",
            Self::ExtendedKeyUsage {
                role: PeerRole::Any,
            } => "X509-37",
            Self::ExtendedKeyUsage { .. } => "AMB-11",
            Self::NameConstraints => "X509-25",
            Self::UnknownCriticalExtension => "X509-58",
            Self::Key => "X509-48",
        }
    }
}

fn shown(role: PeerRole) -> &'static str {
    match role {
        PeerRole::Client => "clients",
        PeerRole::Server => "servers",
        PeerRole::Any => "both clients and servers",
    }
}

/// Why no path leads from a leaf to an authority.
///
/// Where several were tried, this is what stopped the likeliest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nobody here has the name of the issuer (X509-54).
    #[error("unknown issuer")]
    UnknownIssuer,
    /// A signature does not hold under the issuer's key (X509-52).
    #[error("invalid signature")]
    Signature,
    /// A signature has an algorithm that is not among those given, or not for the issuer's key (X509-47).
    #[error("unsupported signature algorithm")]
    UnsupportedAlgorithm,
    /// An issuer's key is too weak, or so long that checking a signature takes too much work (X509-48, X509-61).
    #[error("issuer with an unacceptable key")]
    Key,
    /// An intermediate is outside its validity (X509-53).
    #[error("intermediate is expired, or not yet valid")]
    IntermediateValidity,
    /// An authority is outside its validity (AMB-12).
    #[error("authority is expired, or not yet valid")]
    AuthorityValidity,
    /// An issuer's basic constraints do not say that it is a CA (X509-55).
    #[error("issuer is not a CA")]
    NotCa,
    /// An issuer's key usage lacks `keyCertSign` (X509-56).
    #[error("issuer may not sign certificates")]
    KeyUsage,
    /// An issuer's extended key usage does not allow the role of the peer (X509-38).
    #[error("extended key usage of the issuer does not allow the role")]
    ExtendedKeyUsage,
    /// An issuer has a critical extension that nobody here knows (X509-58).
    #[error("unknown critical extension")]
    UnknownCriticalExtension,
    /// More intermediates stand below an issuer than it allows (X509-23).
    #[error("path longer than the issuer allows")]
    PathLength,
    /// An issuer may not speak for a name below it (X509-26).
    #[error("name constraints: {0}")]
    NameConstraints(#[from] NameConstraintError),
    /// The path has more intermediates than [`MAX_INTERMEDIATES`](super::MAX_INTERMEDIATES) (X509-61).
    #[error("path with too many intermediates")]
    TooLong,
    /// Looking for a path took more signatures, steps or comparisons than are allowed (X509-61).
    #[error("too much work")]
    TooMuchWork,
}

impl PathError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::UnknownIssuer => "X509-54",
            Self::Signature => "X509-52",
            Self::UnsupportedAlgorithm => "X509-47",
            Self::Key => "X509-48",
            Self::IntermediateValidity => "X509-53",
            Self::AuthorityValidity => "AMB-12",
            Self::NotCa => "X509-55",
            Self::KeyUsage => "X509-56",
            Self::ExtendedKeyUsage => "X509-38",
            Self::UnknownCriticalExtension => "X509-58",
            Self::PathLength => "X509-23",
            Self::NameConstraints(NameConstraintError::IpHost) => "X509-27",
            Self::NameConstraints(_) => "X509-26",
            Self::TooLong | Self::TooMuchWork => "X509-61",
        }
    }
}
