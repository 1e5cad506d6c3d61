//! One key of a bundle document, before it is known to be of any use.
//!
//! Spec: Trust Domain and Bundle §4.2; RFC 7517 §4; X509-SVID §6; JWT-SVID §6.

use std::borrow::Cow;
use std::fmt;

use base64ct::{Base64, Encoding as _};
use plastron_keys::PublicKeyError;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::MAX_KEYS;
use crate::json_object::{self, Faults, Loose, Members, PerhapsObject, Skip, visit_scalars};
use crate::jwk_members::{JwkError, JwkMembers};
use crate::{TokenAuthority, TokenAuthorityError, TokenUse, X509Authority, X509AuthorityError};

/// One element of `keys`, borrowed from the document.
#[derive(Clone, Debug, Default)]
pub struct DocumentKey<'a> {
    is_object: bool,
    key_use: Option<Cow<'a, str>>,
    kid: Option<Cow<'a, str>>,
    x5c: X5c<'a>,
    key: JwkMembers<'a>,
}

/// The member `x5c`, of which only the first value counts (X509-81).
#[derive(Clone, Debug, Default)]
enum X5c<'a> {
    #[default]
    Absent,
    First(Cow<'a, str>),
    Malformed,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// `x509-svid`
    X509,
    /// `jwt-svid`
    Jwt,
    /// `wit-svid`
    #[cfg(feature = "wit")]
    Wit,
}

impl Use {
    const fn as_str(self) -> &'static str {
        match self {
            Self::X509 => X509_SVID,
            Self::Jwt => JWT_SVID,
            #[cfg(feature = "wit")]
            Self::Wit => WIT_SVID,
        }
    }
}

impl DocumentKey<'_> {
    /// `kty`, where it is a string.
    pub fn kty(&self) -> Option<&str> {
        self.key.kty()
    }

    /// `use`, where it is a string.
    pub fn key_use(&self) -> Option<&str> {
        self.key_use.as_deref()
    }

    /// `kid`, where it is a string.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What it is for, if that is known. `wit-svid` is not without the feature `wit` (AMB-25).
    pub(super) fn kind(&self) -> Result<Use, SkipReason> {
        if !self.is_object {
            return Err(SkipReason::NotAnObject);
        }
        match self.key_use() {
            Some(X509_SVID) => Ok(Use::X509),
            Some(JWT_SVID) => Ok(Use::Jwt),
            #[cfg(feature = "wit")]
            Some(WIT_SVID) => Ok(Use::Wit),
            other => Err(SkipReason::Use(other.map(Box::from))),
        }
    }

    /// Checks that it may be a key of this use where only such are expected (WAPI-49, WAPI-67).
    pub(super) fn check_use(&self, expected: Use) -> Result<(), SkipReason> {
        if self.is_object && self.key_use.is_none() {
            return Ok(());
        }
        match self.kind()? {
            key_use if key_use == expected => Ok(()),
            other => Err(SkipReason::Use(Some(other.as_str().into()))),
        }
    }

    /// The X.509 authority that it stands for (X509-80 to X509-83).
    pub(super) fn x509_authority(&self) -> Result<X509Authority, SkipReason> {
        let public_key = self.key.public_key()?;
        let der = match &self.x5c {
            X5c::Absent => return Err(SkipReason::Member("x5c")),
            X5c::Malformed => return Err(SkipReason::Certificate),
            X5c::First(first) => Base64::decode_vec(first).map_err(|_| SkipReason::Certificate)?,
        };
        let authority = X509Authority::parse(&der)?;
        if *authority.public_key() != public_key {
            return Err(SkipReason::OtherKey);
        }
        Ok(authority)
    }

    /// The authority for tokens that it stands for (JWT-48 to JWT-54, WIT-43, WIT-44).
    pub(super) fn token_authority<U: TokenUse>(&self) -> Result<TokenAuthority<U>, SkipReason> {
        let public_key = self.key.public_key()?;
        let kid = self.kid().unwrap_or_default();
        TokenAuthority::new(kid, public_key).map_err(U::SKIPPED)
    }
}

pub(super) const X509_SVID: &str = "x509-svid";
pub(super) const JWT_SVID: &str = "jwt-svid";
#[cfg(feature = "wit")]
pub(crate) const WIT_SVID: &str = "wit-svid";

/// An element of `keys`, or a certificate among others, that was left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// Its place, counted from zero.
    pub index: usize,
    /// Why.
    pub reason: SkipReason,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.index, self.reason)
    }
}

/// Why a key was left out of a bundle.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is not a JSON object (BUNDLE-33).
    #[error("not an object")]
    NotAnObject,
    /// `use` is missing, or names nothing known (BUNDLE-20, BUNDLE-30).
    #[error("{}", OrMissing("use", .0))]
    Use(Option<Box<str>>),
    /// `kty` is missing, or names nothing known (BUNDLE-19, BUNDLE-27).
    #[error("{}", OrMissing("kty", .0))]
    KeyType(Option<Box<str>>),
    /// This member is missing or has the wrong type (BUNDLE-33, X509-80).
    #[error("no member {0}")]
    Member(&'static str),
    /// It has members of a private or symmetric key (JWT-52).
    #[error("has private members")]
    Secret,
    /// Its members are not those of a usable key (BUNDLE-33, JWT-53).
    #[error(transparent)]
    PublicKey(#[from] PublicKeyError),
    /// The first value of `x5c` is not base64 (X509-79, X509-83).
    #[error("x5c is not base64")]
    Certificate,
    /// The certificate is no authority (X509-83, AMB-13).
    #[error("{}", Caused(.0))]
    X509Authority(#[from] X509AuthorityError),
    /// The certificate is about another key than the members (X509-79, X509-83).
    #[error("x5c is about another key")]
    OtherKey,
    /// It is no JWT authority (JWT-54).
    #[error(transparent)]
    JwtAuthority(TokenAuthorityError),
    /// It is no WIT authority (WIT-44).
    #[cfg(feature = "wit")]
    #[error(transparent)]
    WitAuthority(TokenAuthorityError),
    /// It is a WIT key whose `kid` is that of a JWT key too (WIT-44).
    #[cfg(feature = "wit")]
    #[error("a JWT key has its kid {0:?} too")]
    SharedKeyId(Box<str>),
}

impl From<JwkError> for SkipReason {
    fn from(error: JwkError) -> Self {
        match error {
            JwkError::KeyType(kty) => Self::KeyType(kty),
            JwkError::Member(name) => Self::Member(name),
            JwkError::Secret => Self::Secret,
            JwkError::PublicKey(error) => Self::PublicKey(error),
        }
    }
}

impl SkipReason {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::NotAnObject | Self::PublicKey(_) => "BUNDLE-33",
            Self::Use(_) => "BUNDLE-20",
            Self::KeyType(_) => "BUNDLE-19",
            Self::Member("x5c") => "X509-80",
            Self::Member(_) => "BUNDLE-33",
            Self::Secret => "JWT-52",
            Self::Certificate | Self::OtherKey => "X509-83",
            Self::X509Authority(error) => error.rule(),
            Self::JwtAuthority(TokenAuthorityError::KeyId) => "JWT-54",
            Self::JwtAuthority(TokenAuthorityError::Algorithm) => "JWT-05",
            #[cfg(feature = "wit")]
            Self::WitAuthority(TokenAuthorityError::Algorithm) => "WIT-06",
            #[cfg(feature = "wit")]
            Self::WitAuthority(_) | Self::SharedKeyId(_) => "WIT-44",
        }
    }
}

/// A member that has a value nobody knows, or none.
struct OrMissing<'a>(&'static str, &'a Option<Box<str>>);

impl fmt::Display for OrMissing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            None => write!(f, "no member {}", self.0),
            Some(value) => write!(f, "unknown {} {value:?}", self.0),
        }
    }
}

/// An error in one line with what caused it: a skipped key is reported, not handled.
struct Caused<'a>(&'a X509AuthorityError);

impl fmt::Display for Caused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match std::error::Error::source(self.0) {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

/// Reads the value of `keys`, which may turn out not to be a list.
pub(super) struct KeysSeed<'s> {
    pub(super) faults: &'s Faults,
}

impl<'de> DeserializeSeed<'de> for KeysSeed<'_> {
    type Value = Option<Vec<DocumentKey<'de>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeysSeed<'_> {
    type Value = Option<Vec<DocumentKey<'de>>>;

    visit_scalars!(None);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of keys")
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Skip::new(self.faults).visit_map(map)?;
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let faults = self.faults;
        // Usual bundles have a handful. Keys are read where they stay, since moving them costs as much as reading them.
        let mut keys = Vec::with_capacity(8);
        // One more than allowed tells that there are too many; the rest takes no memory.
        while keys.len() <= MAX_KEYS {
            keys.push(DocumentKey::default());
            let key = keys.last_mut().expect("just pushed");
            match list.next_element_seed(PerhapsObject::new(key, faults))? {
                Some(is_object) => key.is_object = is_object,
                None => {
                    keys.pop();
                    return Ok(Some(keys));
                }
            }
        }
        while list.next_element_seed(Skip::new(faults))?.is_some() {}
        Ok(Some(keys))
    }
}

impl<'de> Members<'de> for DocumentKey<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        let text = match name {
            "use" => &mut self.key_use,
            "kid" => &mut self.kid,
            "x5c" => {
                let mut first = None;
                let list = Loose::next_list(value, faults, |element| {
                    first.get_or_insert(element);
                })?;
                self.x5c = match (list, first) {
                    (Loose::List, None) => X5c::Absent,
                    (Loose::List, Some(Loose::Text(first))) => X5c::First(first),
                    _ => X5c::Malformed,
                };
                return Ok(());
            }
            _ if self.key.take(name, value, faults)? => return Ok(()),
            _ => return json_object::skip(value, faults),
        };
        *text = Loose::next(value, faults)?.text();
        Ok(())
    }
}
