//! The bundle document: a JWK Set with what SPIFFE adds to it.
//!
//! Reading has two steps. [`BundleDocument`] takes the text apart, borrowing from it; what is wrong with the document as a
//! whole is refused there. Then each key is made an authority or is skipped, and whoever asked is told which and why, since
//! one key of tomorrow's must not cost today's (BUNDLE-19, BUNDLE-20, BUNDLE-33).
//!
//! Spec: Trust Domain and Bundle §4; RFC 7517.

mod key;
mod write;

use std::time::Duration;

use plastron_id::TrustDomain;
use serde::de::MapAccess;

use crate::json_object::{self, Faults, JsonError, Loose, Members};
use crate::{Bundle, TokenAuthority, TokenUse};

pub(crate) use key::Use;
#[cfg(feature = "wit")]
pub(crate) use key::WIT_SVID;
pub use key::{DocumentKey, SkipReason, Skipped};
pub(crate) use write::{write_document, write_jwks, write_map};

/// The most bytes of a document (BUNDLE-25): thousands of certificates, and what gRPC takes by default.
pub const MAX_DOCUMENT_LEN: usize = 4 * 1024 * 1024;

/// The most keys of a document, and certificates of a bundle in DER or PEM (BUNDLE-25).
pub const MAX_KEYS: usize = 4096;

/// A bundle document, taken apart.
#[derive(Clone, Debug)]
pub struct BundleDocument<'a> {
    keys: Vec<DocumentKey<'a>>,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

impl<'a> BundleDocument<'a> {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// What breaks a rule on the document as a whole; the keys may say what they like.
    pub fn parse(document: &'a [u8]) -> Result<Self, BundleError> {
        if document.len() > MAX_DOCUMENT_LEN {
            return Err(BundleError::TooLong {
                len: document.len(),
            });
        }
        let text =
            std::str::from_utf8(document).map_err(|_| BundleError::Json(JsonError::Syntax))?;
        let mut members = DocumentMembers::default();
        json_object::read(text, &mut members)?;
        members.finish()
    }

    /// The keys, in the order of the document.
    pub fn keys(&self) -> &[DocumentKey<'a>] {
        &self.keys
    }

    /// `spiffe_sequence`.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// `spiffe_refresh_hint`; a negative one counts as zero (BUNDLE-17).
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    /// Makes the bundle of `trust_domain` of it.
    ///
    /// # Errors
    ///
    /// Two keys for tokens of one kind under one `kid` (BUNDLE-24).
    pub(crate) fn to_bundle(&self, trust_domain: TrustDomain) -> Result<Parsed, BundleError> {
        let mut parsed = Parsed::new(trust_domain);
        parsed.bundle.set_sequence(self.sequence);
        parsed.bundle.set_refresh_hint(self.refresh_hint);
        let mut x509_authorities = Vec::new();
        for (index, key) in self.keys.iter().enumerate() {
            let added = match key.kind() {
                Ok(Use::X509) => key.x509_authority().map(|authority| {
                    x509_authorities.push(authority);
                }),
                Ok(Use::Jwt) => match key.token_authority() {
                    Ok(authority) => {
                        parsed.bundle.add_jwt_authority(authority)?;
                        Ok(())
                    }
                    Err(reason) => Err(reason),
                },
                #[cfg(feature = "wit")]
                Ok(Use::Wit) => continue,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = added {
                parsed.skipped.push(Skipped { index, reason });
            }
        }
        parsed.bundle.add_x509_authorities(x509_authorities);
        #[cfg(feature = "wit")]
        self.add_wit_authorities(&mut parsed)?;
        Ok(parsed)
    }

    /// Adds the WIT keys, after all others, so that none of those is lost for the sake of one: a `kid` that a JWT key has
    /// too is that key's (WIT-44).
    #[cfg(feature = "wit")]
    fn add_wit_authorities(&self, parsed: &mut Parsed) -> Result<(), BundleError> {
        for (index, key) in self.keys.iter().enumerate() {
            if key.kind() != Ok(Use::Wit) {
                continue;
            }
            let added = key
                .token_authority()
                .map(|authority| parsed.bundle.add_wit_authority(authority));
            let reason = match added {
                Ok(Ok(())) => continue,
                Ok(Err(BundleError::SharedKeyId { key_id })) => SkipReason::SharedKeyId(key_id),
                Ok(Err(error)) => return Err(error),
                Err(reason) => reason,
            };
            parsed.skipped.push(Skipped { index, reason });
        }
        parsed.skipped.sort_by_key(|skipped| skipped.index);
        Ok(())
    }

    /// Takes it as a plain set of keys for tokens of one kind, as the Workload API has them: they need not say what they are
    /// for. `add` puts one into a bundle.
    ///
    /// Spec: Workload API §6.2.2, §7.2.2 (WAPI-48, WAPI-49, WAPI-66, WAPI-67, AMB-32).
    pub(crate) fn to_token_bundle<U: TokenUse>(
        &self,
        trust_domain: TrustDomain,
        add: impl Fn(&mut Bundle, TokenAuthority<U>) -> Result<(), BundleError>,
    ) -> Result<Parsed, BundleError> {
        let mut parsed = Parsed::new(trust_domain);
        for (index, key) in self.keys.iter().enumerate() {
            let authority = key.check_use(U::USE).and_then(|()| key.token_authority());
            match authority {
                Ok(authority) => add(&mut parsed.bundle, authority)?,
                Err(reason) => parsed.skipped.push(Skipped { index, reason }),
            }
        }
        Ok(parsed)
    }
}

/// A bundle, and what was left out of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Parsed {
    /// What could be used.
    pub bundle: Bundle,
    /// What could not, in order.
    pub skipped: Vec<Skipped>,
}

impl Parsed {
    pub(crate) fn new(trust_domain: TrustDomain) -> Self {
        Self {
            bundle: Bundle::new(trust_domain),
            skipped: Vec::new(),
        }
    }
}

/// Why a document is refused as a whole.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It has more bytes than [`MAX_DOCUMENT_LEN`] (BUNDLE-25).
    #[error("bundle document of {len} bytes")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// It is not a JSON object with different members (BUNDLE-09, BUNDLE-23).
    #[error("unreadable bundle document")]
    Json(#[from] JsonError),
    /// It has no array `keys` (BUNDLE-18).
    #[error("bundle document without an array of keys")]
    Keys,
    /// It has more keys, or certificates, than [`MAX_KEYS`] (BUNDLE-25).
    #[error("bundle with too many keys")]
    TooManyKeys,
    /// `spiffe_sequence` is not an integer from 0 to 2⁶⁴−1 (BUNDLE-14).
    #[error("spiffe_sequence is not an integer of 64 bits")]
    Sequence,
    /// `spiffe_refresh_hint` is not an integer (BUNDLE-16).
    #[error("spiffe_refresh_hint is not an integer")]
    RefreshHint,
    /// Two different keys for tokens of one kind have this `kid` (BUNDLE-24, AMB-19).
    #[error("two different keys have the kid {key_id:?}")]
    ConflictingKeyId {
        /// The `kid`.
        key_id: Box<str>,
    },
    /// A JWT key and a WIT key have this `kid` (WIT-44).
    #[cfg(feature = "wit")]
    #[error("a JWT key and a WIT key have the kid {key_id:?}")]
    SharedKeyId {
        /// The `kid`.
        key_id: Box<str>,
    },
    /// The certificates do not follow one another with nothing between (RS-09).
    #[error("not a sequence of certificates")]
    Der,
    /// The text is not PEM, or has no certificate in it.
    #[error("not PEM certificates")]
    Pem,
}

impl BundleError {
    /// The number of the rule that was broken, in the project's list of requirements; none is about PEM.
    pub fn rule(&self) -> Option<&'static str> {
        Some(match self {
            Self::TooLong { .. } | Self::TooManyKeys => "BUNDLE-25",
            Self::Json(JsonError::DuplicateMember) => "BUNDLE-23",
            Self::Json(JsonError::TooDeep) => "BUNDLE-25",
            Self::Json(_) => "BUNDLE-09",
            Self::Keys => "BUNDLE-18",
            Self::Sequence => "BUNDLE-14",
            Self::RefreshHint => "BUNDLE-16",
            Self::ConflictingKeyId { .. } => "BUNDLE-24",
            #[cfg(feature = "wit")]
            Self::SharedKeyId { .. } => "WIT-44",
            Self::Der => "RS-09",
            Self::Pem => return None,
        })
    }
}

/// The members of a document as they come. What is wrong with one of them is kept for the end, since an earlier rule may
/// be broken further on.
#[derive(Default)]
pub(crate) struct DocumentMembers<'a> {
    keys: Option<Vec<DocumentKey<'a>>>,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
    fault: Option<BundleError>,
}

impl<'a> DocumentMembers<'a> {
    /// Judges them, once all have come.
    pub(crate) fn finish(self) -> Result<BundleDocument<'a>, BundleError> {
        match self {
            Self {
                fault: Some(fault), ..
            } => Err(fault),
            Self { keys: None, .. } => Err(BundleError::Keys),
            Self {
                keys: Some(keys),
                sequence,
                refresh_hint,
                ..
            } => Ok(BundleDocument {
                keys,
                sequence,
                refresh_hint,
            }),
        }
    }
}

impl<'de> Members<'de> for DocumentMembers<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        match name {
            "keys" => match value.next_value_seed(key::KeysSeed { faults })? {
                Some(keys) if keys.len() > MAX_KEYS => self.fault = Some(BundleError::TooManyKeys),
                Some(keys) => self.keys = Some(keys),
                None => self.fault = Some(BundleError::Keys),
            },
            "spiffe_sequence" => match Loose::next(value, faults)? {
                Loose::Unsigned(sequence) => self.sequence = Some(sequence),
                _ => self.fault = Some(BundleError::Sequence),
            },
            "spiffe_refresh_hint" => match Loose::next(value, faults)? {
                Loose::Unsigned(seconds) => self.refresh_hint = Some(Duration::from_secs(seconds)),
                Loose::Negative => self.refresh_hint = Some(Duration::ZERO),
                _ => self.fault = Some(BundleError::RefreshHint),
            },
            _ => json_object::skip(value, faults)?,
        }
        Ok(())
    }
}
