//! What can be wrong with an order to mint.

use pki_types::UnixTime;
use plastron_bundle::certificate::CertificateError;
#[cfg(feature = "wit")]
use plastron_http_signature::HttpSignatureError;
use plastron_id::TrustDomain;
#[cfg(feature = "wit")]
use plastron_keys::PublicKeyKind;
use plastron_keys::{SignError, SignatureAlgorithm};

/// Why a certificate and a key are no issuer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The bytes are not a certificate.
    #[error("malformed certificate")]
    Certificate(#[from] CertificateError),
    /// Basic constraints or key usage do not let it sign certificates (X509-11).
    #[error("certificate may not sign certificates")]
    NotAnAuthority,
    /// Its subject names nobody, so what it signs would have no issuer (X509-44).
    #[error("certificate has an empty subject")]
    EmptySubject,
    /// The certificate is about another key.
    #[error("certificate is about another key")]
    WrongKey,
}

/// Why nothing was minted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The SPIFFE ID is that of a trust domain, not of a workload (X509-09, JWT-19).
    #[error("SPIFFE ID has no path")]
    NoPath,
    /// The authority does not speak for this trust domain (SVID-12).
    #[error("trust domain {asked} is not that of the authority")]
    ForeignTrustDomain {
        /// The trust domain of the SPIFFE ID.
        asked: TrustDomain,
    },
    /// A DNS name is not one (X509-05).
    #[error("DNS name {index} is malformed")]
    DnsName {
        /// Its place, counted from zero.
        index: usize,
    },
    /// The serial number is zero (X509-42).
    #[error("serial number is zero")]
    ZeroSerial,
    /// The lifetime is zero (X509-43, JWT-27).
    #[error("lifetime is zero")]
    NoLifetime,
    /// The authority, or the limit that was set, has ended already: nothing outlives them (X509-49, JWT-28).
    #[error("authority or limit ended at {}", .not_after.as_secs())]
    Expired {
        /// The end.
        not_after: UnixTime,
    },
    /// A time before 1970 or after 9999, or an end before its beginning (X509-43).
    #[error("time out of range")]
    TimeOutOfRange,
    /// The path length of the authority allows no further authority below it (X509-23).
    #[error("authority may not sign authorities")]
    PathLength,
    /// JWT-SVIDs may not be signed with it (JWT-05).
    #[error("JWT-SVIDs may not be signed with {0:?}")]
    JwtAlgorithm(SignatureAlgorithm),
    /// WIT-SVIDs and their proofs may not be signed with it (WIT-06).
    #[cfg(feature = "wit")]
    #[error("WIT-SVIDs and their proofs may not be signed with {0:?}")]
    WitAlgorithm(SignatureAlgorithm),
    /// No proof may be signed with a key of this kind, or not with the algorithm that was asked for (WIT-12, WIT-14).
    #[cfg(feature = "wit")]
    #[error("no such proof can be signed with a key of {0}")]
    ProofAlgorithm(PublicKeyKind),
    /// The key has no name (JWT-09, WIT-02).
    #[error("the key has no kid")]
    KeyId,
    /// The proof has no name (WIT-51).
    #[cfg(feature = "wit")]
    #[error("the proof has no jti")]
    TokenId,
    /// The request cannot be signed so that its receiver accepts it (WIT-53).
    #[cfg(feature = "wit")]
    #[error("HTTP request: {0}")]
    Request(#[from] HttpSignatureError),
    /// No audience, or an empty one (JWT-20, WIT-51).
    #[error("no audience, or an empty one")]
    Audience,
    /// The key could not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}
