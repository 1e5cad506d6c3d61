//! SPIFFE IDs, owned and borrowed.

use alloc::boxed::Box;
use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::{self, FromStr};

use crate::error::SpiffeIdError;
use crate::syntax::{SCHEME, check_id, check_len};
use crate::trust_domain::TrustDomainRef;

/// A SPIFFE ID: a trust domain and, for a workload, a path in it.
///
/// Only allowed bytes get in, so equality is byte equality. Takes one allocation. Spec: SPIFFE-ID §2.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct SpiffeId {
    uri: Box<str>,
    /// Start of the path in `uri`: 9 bytes of scheme, then at most 255 of trust domain.
    path_at: u16,
}

impl SpiffeId {
    /// Puts an ID together from a trust domain and a path, which is empty or begins with a slash.
    ///
    /// # Errors
    ///
    /// The first rule of SPIFFE-ID §2 broken.
    pub fn new(trust_domain: TrustDomainRef<'_>, path: &str) -> Result<Self, SpiffeIdError> {
        if !path.is_empty() && !path.starts_with('/') {
            return Err(SpiffeIdError::RelativePath);
        }
        let mut uri = String::from(trust_domain.id().uri);
        check_len(uri.len() + path.len())?;
        uri.push_str(path);
        Self::from_string(uri)
    }

    /// Puts an ID together from a trust domain and path segments, without slashes. No segments: no path.
    ///
    /// # Errors
    ///
    /// The first rule of SPIFFE-ID §2 broken.
    pub fn from_segments(
        trust_domain: TrustDomainRef<'_>,
        segments: &[&str],
    ) -> Result<Self, SpiffeIdError> {
        let mut uri = String::from(trust_domain.id().uri);
        for segment in segments {
            push_segment(&mut uri, segment)?;
        }
        Self::from_string(uri)
    }

    /// This ID with one more path segment, without slashes.
    ///
    /// # Errors
    ///
    /// The segment breaks a rule of SPIFFE-ID §2.2, or the ID gets too long.
    pub fn join(&self, segment: &str) -> Result<Self, SpiffeIdError> {
        let mut uri = String::from(&*self.uri);
        push_segment(&mut uri, segment)?;
        Self::from_string(uri)
    }

    /// Parses an ID typed by a person: upper case in scheme and trust domain is folded to lower, in ASCII alone (ID-31).
    ///
    /// Not for what comes from the wire: there upper case is wrong (ID-09, AMB-01).
    ///
    /// # Errors
    ///
    /// The first rule of SPIFFE-ID §2 broken.
    pub fn parse_folding_case(uri: &str) -> Result<Self, SpiffeIdError> {
        check_len(uri.len())?;
        let mut folded = String::from(uri);
        let name_at = uri.len().min(SCHEME.len());
        let name = &uri.as_bytes()[name_at..];
        let path_at = name_at
            + name
                .iter()
                .position(|&byte| byte == b'/')
                .unwrap_or(name.len());
        if let Some(head) = folded.get_mut(..path_at) {
            head.make_ascii_lowercase();
        }
        Self::from_string(folded)
    }

    fn from_string(uri: String) -> Result<Self, SpiffeIdError> {
        let path_at = check_id(uri.as_bytes())?;
        Ok(Self {
            uri: uri.into(),
            path_at,
        })
    }

    /// An ID whose parts are known to be right.
    pub(crate) const fn checked(uri: Box<str>, path_at: u16) -> Self {
        Self { uri, path_at }
    }

    /// The whole ID, as a URI.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// The ID, borrowed.
    pub fn as_ref(&self) -> SpiffeIdRef<'_> {
        SpiffeIdRef {
            uri: &self.uri,
            path_at: self.path_at,
        }
    }

    /// The trust domain it belongs to.
    pub fn trust_domain(&self) -> TrustDomainRef<'_> {
        self.as_ref().trust_domain()
    }

    /// The path: empty for the trust domain itself, else it begins with a slash.
    pub fn path(&self) -> &str {
        self.as_ref().path()
    }

    /// Whether it belongs to this trust domain.
    pub fn is_member_of(&self, trust_domain: TrustDomainRef<'_>) -> bool {
        self.trust_domain() == trust_domain
    }
}

/// Adds a segment, which must not be able to add two, or none.
fn push_segment(uri: &mut String, segment: &str) -> Result<(), SpiffeIdError> {
    let start = uri.len() + 1;
    if segment.is_empty() {
        return Err(SpiffeIdError::EmptySegment { at: start });
    }
    if let Some(slash) = segment.find('/') {
        let at = start + slash;
        return Err(SpiffeIdError::Character { at, byte: b'/' });
    }
    check_len(start + segment.len())?;
    uri.push('/');
    uri.push_str(segment);
    Ok(())
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    #[inline]
    fn from_str(uri: &str) -> Result<Self, SpiffeIdError> {
        SpiffeIdRef::parse(uri).map(SpiffeIdRef::to_owned)
    }
}

/// A SPIFFE ID, borrowed from wherever it was found.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct SpiffeIdRef<'a> {
    uri: &'a str,
    path_at: u16,
}

impl<'a> SpiffeIdRef<'a> {
    /// Checks an ID. Allocates nothing.
    ///
    /// # Errors
    ///
    /// The first rule of SPIFFE-ID §2 broken.
    #[inline]
    pub fn parse(uri: &'a str) -> Result<Self, SpiffeIdError> {
        let path_at = check_id(uri.as_bytes())?;
        Ok(Self { uri, path_at })
    }

    /// Checks an ID that is not known to be text, such as a SAN. Allocates nothing.
    ///
    /// # Errors
    ///
    /// The first rule of SPIFFE-ID §2 broken.
    pub fn parse_bytes(uri: &'a [u8]) -> Result<Self, SpiffeIdError> {
        let path_at = check_id(uri)?;
        let uri = str::from_utf8(uri).expect("only ASCII passes the check");
        Ok(Self { uri, path_at })
    }

    /// The whole ID, as a URI.
    pub const fn as_str(self) -> &'a str {
        self.uri
    }

    /// The ID in memory of its own.
    #[inline]
    pub fn to_owned(self) -> SpiffeId {
        SpiffeId {
            uri: self.uri.into(),
            path_at: self.path_at,
        }
    }

    /// The trust domain it belongs to.
    pub fn trust_domain(self) -> TrustDomainRef<'a> {
        TrustDomainRef::checked(&self.uri[SCHEME.len()..usize::from(self.path_at)])
    }

    /// The path: empty for the trust domain itself, else it begins with a slash.
    pub fn path(self) -> &'a str {
        &self.uri[usize::from(self.path_at)..]
    }

    /// Whether it belongs to this trust domain.
    pub fn is_member_of(self, trust_domain: TrustDomainRef<'_>) -> bool {
        self.trust_domain() == trust_domain
    }
}

// The hash is that of the text, as `Borrow<str>` demands.
impl Hash for SpiffeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uri.hash(state);
    }
}

impl Hash for SpiffeIdRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uri.hash(state);
    }
}

impl Borrow<str> for SpiffeId {
    fn borrow(&self) -> &str {
        &self.uri
    }
}

impl PartialEq<SpiffeIdRef<'_>> for SpiffeId {
    fn eq(&self, other: &SpiffeIdRef<'_>) -> bool {
        *self.uri == *other.uri
    }
}

impl PartialEq<SpiffeId> for SpiffeIdRef<'_> {
    fn eq(&self, other: &SpiffeId) -> bool {
        *self.uri == *other.uri
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.uri)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.uri, f)
    }
}

impl fmt::Display for SpiffeIdRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.uri)
    }
}

impl fmt::Debug for SpiffeIdRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.uri, f)
    }
}
