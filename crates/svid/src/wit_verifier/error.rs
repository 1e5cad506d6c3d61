//! Why a token is not a WIT-SVID, and why a proof is none.

use plastron_bundle::JsonError;
use plastron_http_signature::HttpSignatureError;
use plastron_id::{SpiffeIdError, TrustDomain};
use plastron_keys::PublicKeyError;

use crate::token::{Fault, SubjectFault};

/// Why a token is not a WIT-SVID at that time, or is not proven to be its presenter's.
///
/// Over HTTP the answer to any of these is 400: 401 would ask for `Authorization` (WIT-50).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WitError {
    /// The token has more bytes than [`MAX_WIT_LEN`](super::MAX_WIT_LEN) (JWT-40).
    #[error("token of {len} bytes")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// The token is not three parts with dots between (WIT-01).
    #[error("not a compact JWS")]
    NotCompact,
    /// A part is not base64url without padding, or too long (WIT-01).
    #[error("the {part} is not base64url")]
    Base64 {
        /// The part.
        part: &'static str,
    },
    /// The header is not a JSON object with different members (WIT-01).
    #[error("header: {0}")]
    Header(JsonError),
    /// `alg` is missing, or none of the nine (WIT-07).
    #[error("alg is not one that a WIT-SVID may have")]
    Algorithm,
    /// `typ` is not `wit+jwt` (WIT-05, AMB-26).
    #[error("typ is not wit+jwt")]
    Type,
    /// `crit` asks that something be understood (WIT-09).
    #[error("header with crit")]
    Critical,
    /// There is no `kid`, or an empty one (WIT-02).
    #[error("no kid")]
    KeyIdMissing,
    /// The payload is not a JSON object with different members (WIT-01).
    #[error("claims: {0}")]
    Claims(JsonError),
    /// `sub` is missing, or not a string (WIT-10).
    #[error("no sub")]
    SubjectMissing,
    /// `sub` is not a SPIFFE ID (WIT-10).
    #[error("sub is not a SPIFFE ID: {0}")]
    Subject(SpiffeIdError),
    /// `sub` is a SPIFFE ID without a path, which is no workload's (WIT-10, AMB-06).
    #[error("sub is a SPIFFE ID without a path")]
    SubjectWithoutPath,
    /// No bundle is known of the trust domain that `sub` names (WIT-41).
    #[error("no bundle of trust domain {0}")]
    UnknownTrustDomain(TrustDomain),
    /// The bundle of the trust domain that `sub` names has no WIT authorities (WIT-46).
    #[error("trust domain {0} has no WIT authorities")]
    NoAuthorities(TrustDomain),
    /// The trust domain has no WIT authority with that `kid` (WIT-41).
    #[error("no key with the kid {key_id:?}")]
    UnknownKey {
        /// The `kid` of the token.
        key_id: Box<str>,
    },
    /// `alg` is not for keys of this kind (WIT-01, JWT-07).
    #[error("alg does not suit the key")]
    WrongKey,
    /// None of the algorithms given is `alg` (RS-06).
    #[error("unsupported alg")]
    UnsupportedAlgorithm,
    /// The signature does not hold (WIT-41).
    #[error("invalid signature")]
    Signature,
    /// `exp` is missing, or not a number (WIT-17).
    #[error("no exp")]
    ExpiryMissing,
    /// `exp` has passed, leeway included (WIT-17).
    #[error("expired at {expires_at}, and it is {now}")]
    Expired {
        /// `exp`.
        expires_at: u64,
        /// The time it was judged at.
        now: u64,
    },
    /// `nbf` is not a number (WIT-20).
    #[error("nbf is not a number")]
    NotBefore,
    /// `nbf` has not come yet (WIT-20).
    #[error("not valid before {not_before}, and it is {now}")]
    NotYetValid {
        /// `nbf`.
        not_before: u64,
        /// The time it was judged at.
        now: u64,
    },
    /// It lives longer than the verifier allows (WIT-21).
    #[error("lives for {lifetime} s")]
    Lifetime {
        /// Seconds.
        lifetime: u64,
    },
    /// It has an `aud`, which is what the proof is for (WIT-27).
    #[error("a token with aud")]
    Audience,
    /// `cnf` is missing, or has not one key in `jwk` and no other (WIT-11).
    #[error("no key in cnf.jwk")]
    Confirmation,
    /// `cnf.jwk.alg` is missing, or none of the nine (WIT-12).
    #[error("cnf.jwk.alg is not one that a proof may have")]
    ConfirmationAlgorithm,
    /// `cnf.jwk` has members of a private or symmetric key (WIT-13).
    #[error("cnf.jwk has private members")]
    ConfirmationSecret,
    /// `cnf.jwk.kty` is missing, or neither EC nor RSA (WIT-13).
    #[error("cnf.jwk.kty is not one that a proof may have")]
    ConfirmationKeyType,
    /// `cnf.jwk` lacks a member of its `kty` (WIT-13).
    #[error("cnf.jwk without {member}")]
    ConfirmationMember {
        /// The member.
        member: &'static str,
    },
    /// `cnf.jwk` is not a usable key (WIT-13).
    #[error("cnf.jwk: {0}")]
    ConfirmationKey(PublicKeyError),
    /// `cnf.jwk.alg` is not for keys of this kind (WIT-14).
    #[error("cnf.jwk.alg does not suit its key")]
    ConfirmationMismatch,
    /// The token is good, and its key is not proven (WIT-33).
    #[error("proof of possession: {0}")]
    Proof(#[from] ProofError),
}

impl WitError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "JWT-40",
            Self::NotCompact | Self::Base64 { .. } | Self::Header(_) | Self::Claims(_) => "WIT-01",
            Self::Algorithm => "WIT-07",
            Self::Type => "WIT-05",
            Self::Critical => "WIT-09",
            Self::KeyIdMissing => "WIT-02",
            Self::SubjectMissing | Self::Subject(_) | Self::SubjectWithoutPath => "WIT-10",
            Self::UnknownTrustDomain(_) | Self::UnknownKey { .. } | Self::Signature => "WIT-41",
            Self::NoAuthorities(_) => "WIT-46",
            Self::WrongKey => "JWT-07",
            Self::UnsupportedAlgorithm => "RS-06",
            Self::ExpiryMissing | Self::Expired { .. } => "WIT-17",
            Self::NotBefore | Self::NotYetValid { .. } => "WIT-20",
            Self::Lifetime { .. } => "WIT-21",
            Self::Audience => "WIT-27",
            Self::Confirmation => "WIT-11",
            Self::ConfirmationAlgorithm => "WIT-12",
            Self::ConfirmationSecret
            | Self::ConfirmationKeyType
            | Self::ConfirmationMember { .. }
            | Self::ConfirmationKey(_) => "WIT-13",
            Self::ConfirmationMismatch => "WIT-14",
            Self::Proof(error) => error.rule(),
        }
    }
}

impl From<Fault> for WitError {
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

impl From<SubjectFault> for WitError {
    fn from(fault: SubjectFault) -> Self {
        match fault {
            SubjectFault::Missing => Self::SubjectMissing,
            SubjectFault::Malformed(error) => Self::Subject(error),
            SubjectFault::WithoutPath => Self::SubjectWithoutPath,
        }
    }
}

/// Why possession of the key of a WIT-SVID is not proven.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The caller named no audience that he is, or an empty one: a mistake of his, not of the proof (WIT-52).
    #[error("no expected audience given")]
    NoExpectedAudience,
    /// The proof has more bytes than [`MAX_PROOF_LEN`](super::MAX_PROOF_LEN) (WIT-52).
    #[error("proof of {len} bytes")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// It is not the compact JWS of an object by an object (WIT-52).
    #[error("malformed proof")]
    Malformed,
    /// Its `typ` is not `wpt+jwt` (WIT-52).
    #[error("typ is not wpt+jwt")]
    Type,
    /// `crit` asks that something be understood (JWT-14).
    #[error("header with crit")]
    Critical,
    /// Its `alg` is not that of `cnf.jwk` (WIT-52).
    #[error("alg is not that of cnf.jwk")]
    Algorithm,
    /// None of the algorithms given is `alg` (RS-06).
    #[error("unsupported alg")]
    UnsupportedAlgorithm,
    /// It is no signature under the key in `cnf` (WIT-33, WIT-34).
    #[error("invalid signature")]
    Signature,
    /// It has no `exp`, or one that is not a number (WIT-37).
    #[error("no exp")]
    ExpiryMissing,
    /// Its `exp` has passed, leeway included (WIT-52).
    #[error("expired at {expires_at}, and it is {now}")]
    Expired {
        /// `exp`.
        expires_at: u64,
        /// The time it was judged at.
        now: u64,
    },
    /// Its `nbf` is not a number, or has not come yet, leeway included (JWT-29).
    #[error("not valid yet")]
    NotYetValid,
    /// Its `exp` is further ahead than proofs may live (WIT-37).
    #[error("lives for another {lifetime} s")]
    Lifetime {
        /// Seconds from now.
        lifetime: u64,
    },
    /// None of the expected audiences is its `aud` (WIT-52).
    #[error("the proof is for another audience")]
    Audience,
    /// It has no `jti` (WIT-51).
    #[error("no jti")]
    IdMissing,
    /// Its `wth` is missing, or is not of this token (WIT-52).
    #[error("the proof is of another token")]
    OtherToken,
    /// The request is not signed as it has to be, or has no token (WIT-53).
    #[error(transparent)]
    Request(#[from] HttpSignatureError),
    /// Its sender takes no answer that is not signed, and there is none (WIT-53). Answer 400 or 501.
    #[error("the response would have to be signed")]
    SignedResponse,
    /// This claim is missing, is not of what was received beside the proof, or is of something that was not (WIT-39,
    /// WIT-52).
    #[error("{claim} does not agree with the request")]
    Bound {
        /// `ath`, `tth` or `oth`.
        claim: &'static str,
    },
}

impl ProofError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Critical => "JWT-14",
            Self::UnsupportedAlgorithm => "RS-06",
            Self::Signature => "WIT-34",
            Self::ExpiryMissing | Self::Lifetime { .. } => "WIT-37",
            Self::NotYetValid => "JWT-29",
            Self::IdMissing => "WIT-51",
            Self::Bound { .. } => "WIT-39",
            Self::Request(error) => error.rule(),
            Self::SignedResponse => "WIT-53",
            _ => "WIT-52",
        }
    }
}

impl From<Fault> for ProofError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLong { len } => Self::TooLong { len },
            Fault::NotCompact | Fault::Base64 { .. } | Fault::Header(_) | Fault::Claims(_) => {
                Self::Malformed
            }
            Fault::Algorithm | Fault::WrongKey => Self::Algorithm,
            Fault::UnsupportedAlgorithm => Self::UnsupportedAlgorithm,
            Fault::Signature => Self::Signature,
            Fault::ExpiryMissing => Self::ExpiryMissing,
            Fault::Expired { expires_at, now } => Self::Expired { expires_at, now },
            Fault::NotBefore | Fault::NotYetValid { .. } => Self::NotYetValid,
        }
    }
}
