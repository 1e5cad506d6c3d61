//! Why a token is not a JWT-SVID.

use plastron_bundle::JsonError;
use plastron_id::{SpiffeIdError, TrustDomain};

use crate::token::{Fault, SubjectFault};

/// Why a token is not a JWT-SVID for this audience at that time.
///
/// Nothing here holds the token, or a claim other than what the error is about.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// The caller named no audience that he is, or an empty one: a mistake of his, not of the token (JWT-23, AMB-23).
    #[error("no expected audience given")]
    NoExpectedAudience,
    /// The token has more bytes than [`MAX_TOKEN_LEN`](super::MAX_TOKEN_LEN) (JWT-40).
    #[error("token of {len} bytes")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// The token is not three parts with dots between (JWT-01).
    #[error("not a compact JWS")]
    NotCompact,
    /// A part is not base64url without padding, or too long (JWT-16).
    #[error("the {part} is not base64url")]
    Base64 {
        /// The part.
        part: &'static str,
    },
    /// The header is not a JSON object with different members (JWT-16).
    #[error("header: {0}")]
    Header(JsonError),
    /// `alg` is missing, or none of the nine (JWT-06).
    #[error("alg is not one that a JWT-SVID may have")]
    Algorithm,
    /// `typ` is neither `JWT` nor `JOSE` (JWT-13).
    #[error("typ is neither JWT nor JOSE")]
    Type,
    /// The header has a member that must not be there (JWT-14, JWT-15, AMB-22).
    #[error("header with {member}")]
    HeaderMember {
        /// The member.
        member: &'static str,
    },
    /// The header has a member beside `alg`, `kid` and `typ`, and the verifier is strict (JWT-04, AMB-22).
    #[error("header with other members than alg, kid and typ")]
    UnknownHeaderMember,
    /// There is no `kid` (AMB-20).
    #[error("no kid")]
    KeyIdMissing,
    /// The payload is not a JSON object with different members (JWT-36).
    #[error("claims: {0}")]
    Claims(JsonError),
    /// `sub` is missing, or not a string (JWT-18).
    #[error("no sub")]
    SubjectMissing,
    /// `sub` is not a SPIFFE ID (JWT-18).
    #[error("sub is not a SPIFFE ID: {0}")]
    Subject(SpiffeIdError),
    /// `sub` is a SPIFFE ID without a path (JWT-19, AMB-06).
    #[error("sub is a SPIFFE ID without a path")]
    SubjectWithoutPath,
    /// No bundle is known of the trust domain that `sub` names (JWT-38).
    #[error("no bundle of trust domain {0}")]
    UnknownTrustDomain(TrustDomain),
    /// The bundle of the trust domain that `sub` names has no JWT authorities (JWT-51).
    #[error("trust domain {0} has no JWT authorities")]
    NoAuthorities(TrustDomain),
    /// The trust domain has no JWT authority with that `kid` (JWT-10).
    #[error("no key with the kid {key_id:?}")]
    UnknownKey {
        /// The `kid` of the token.
        key_id: Box<str>,
    },
    /// `alg` is not for keys of this kind (JWT-07).
    #[error("alg does not suit the key")]
    WrongKey,
    /// None of the algorithms given is `alg` (RS-06).
    #[error("unsupported alg")]
    UnsupportedAlgorithm,
    /// The signature does not hold (JWT-37).
    #[error("invalid signature")]
    Signature,
    /// `exp` is missing, or not a number (JWT-26).
    #[error("no exp")]
    ExpiryMissing,
    /// `exp` has passed, leeway included (JWT-27).
    #[error("expired at {expires_at}, and it is {now}")]
    Expired {
        /// `exp`.
        expires_at: u64,
        /// The time it was judged at.
        now: u64,
    },
    /// `nbf` is not a number (JWT-30).
    #[error("nbf is not a number")]
    NotBefore,
    /// `nbf` has not come yet, leeway included (JWT-29).
    #[error("not valid before {not_before}, and it is {now}")]
    NotYetValid {
        /// `nbf`.
        not_before: u64,
        /// The time it was judged at.
        now: u64,
    },
    /// `aud` is missing, empty, or neither a string nor a list of strings (JWT-21).
    #[error("no aud")]
    AudienceMissing,
    /// None of the expected audiences is in `aud` (JWT-22).
    #[error("the token is for another audience")]
    Audience,
}

impl From<Fault> for JwtError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLong { len } => Self::TooLong { len },
            Fault::NotCompact => Self::NotCompact,
            Fault::Base64 { part } => Self::Base64 { part },
            Fault::Header(error) => Self::Header(error),
            Fault::Algorithm => Self::Algorithm,
            Fault::Claims(error) => Self::Claims(error),
            Fault::WrongKey => Self::WrongKey,
            Fault::UnsupportedAlgorithm => Self::UnsupportedAlgorithm,
            Fault::Signature => Self::Signature,
            Fault::ExpiryMissing => Self::ExpiryMissing,
            Fault::Expired { expires_at, now } => Self::Expired { expires_at, now },
            Fault::NotBefore => Self::NotBefore,
            Fault::NotYetValid { not_before, now } => Self::NotYetValid { not_before, now },
        }
    }
}

impl From<SubjectFault> for JwtError {
    fn from(fault: SubjectFault) -> Self {
        match fault {
            SubjectFault::Missing => Self::SubjectMissing,
            SubjectFault::Malformed(error) => Self::Subject(error),
            SubjectFault::WithoutPath => Self::SubjectWithoutPath,
        }
    }
}

impl JwtError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::NoExpectedAudience => "JWT-23",
            Self::TooLong { .. } => "JWT-40",
            Self::NotCompact => "JWT-01",
            Self::Base64 { .. } | Self::Header(_) => "JWT-16",
            Self::Algorithm => "JWT-06",
            Self::Type => "JWT-13",
            Self::HeaderMember { member: "crit" } => "JWT-14",
            Self::HeaderMember {
                member: "jwk" | "jku" | "x5c" | "x5u",
            } => "JWT-15",
            Self::HeaderMember { .. } => "AMB-22",
            Self::UnknownHeaderMember => "JWT-04",
            Self::KeyIdMissing => "AMB-20",
            Self::Claims(_) => "JWT-36",
            Self::SubjectMissing | Self::Subject(_) => "JWT-18",
            Self::SubjectWithoutPath => "JWT-19",
            Self::UnknownTrustDomain(_) => "JWT-38",
            Self::NoAuthorities(_) => "JWT-51",
            Self::UnknownKey { .. } => "JWT-10",
            Self::WrongKey => "JWT-07",
            Self::UnsupportedAlgorithm => "RS-06",
            Self::Signature => "JWT-37",
            Self::ExpiryMissing => "JWT-26",
            Self::Expired { .. } => "JWT-27",
            Self::NotBefore => "JWT-30",
            Self::NotYetValid { .. } => "JWT-29",
            Self::AudienceMissing => "JWT-21",
            Self::Audience => "JWT-22",
        }
    }
}
