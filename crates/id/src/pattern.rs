//! Patterns over SPIFFE IDs, for policies that say whom they mean.

use alloc::boxed::Box;
use alloc::string::String;
use core::error::Error;
use core::fmt;
use core::str::FromStr;

use crate::error::SpiffeIdError;
use crate::spiffe_id::{SpiffeId, SpiffeIdRef};
use crate::syntax::{SCHEME, check_id, check_len};
use crate::trust_domain::TrustDomainRef;

/// A pattern over SPIFFE IDs of one trust domain.
///
/// | pattern | matches |
/// | --- | --- |
/// | `spiffe://example.org/shop/cart` | that ID |
/// | `spiffe://example.org/shop/*` | IDs with one segment in the place of `*` |
/// | `spiffe://example.org/shop/**` | IDs with one segment or more in the place of `**`, which stands at the end |
/// | `spiffe://example.org/**` | every ID of the trust domain that has a path: all its workloads |
///
/// A wildcard is a whole segment. There is none in the name of a trust domain, none for a part of a segment, and no regular
/// expression: what a pattern lets in can be read off it, and deciding takes one pass and no allocation.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpiffeIdPattern {
    text: Box<str>,
    /// Start of the path in `text`, as in an ID.
    path_at: u16,
}

impl SpiffeIdPattern {
    /// The pattern for all workloads of a trust domain.
    pub fn member_of(trust_domain: TrustDomainRef<'_>) -> Self {
        let mut text = String::from(trust_domain.id().as_str());
        let path_at = u16::try_from(text.len()).expect("a checked name has at most 255 bytes");
        text.push_str("/**");
        Self {
            text: text.into(),
            path_at,
        }
    }

    /// Whether it means this ID. Allocates nothing.
    pub fn matches(&self, id: SpiffeIdRef<'_>) -> bool {
        if id.trust_domain() != self.trust_domain() {
            return false;
        }
        let mut has = segments(id.path());
        for wanted in segments(self.path()) {
            match (wanted, has.next()) {
                (REST, Some(_)) => return true,
                (ONE, Some(_)) => (),
                (wanted, Some(segment)) if wanted == segment => (),
                _ => return false,
            }
        }
        has.next().is_none()
    }

    /// The trust domain that all IDs it means belong to.
    pub fn trust_domain(&self) -> TrustDomainRef<'_> {
        TrustDomainRef::checked(&self.text[SCHEME.len()..usize::from(self.path_at)])
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn path(&self) -> &str {
        &self.text[usize::from(self.path_at)..]
    }
}

/// The segments of a path, none for an empty one.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

/// Stands for one segment.
const ONE: &str = "*";
/// Stands for one segment or more, at the end.
const REST: &str = "**";

impl FromStr for SpiffeIdPattern {
    type Err = SpiffeIdPatternError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdPatternError> {
        check_len(text.len()).map_err(SpiffeIdPatternError::SpiffeId)?;
        // With a plain segment of the same length in the place of each wildcard, the text has to be an ID.
        let mut plain = String::with_capacity(text.len());
        let mut rest_at = None;
        for (number, segment) in text.split('/').enumerate() {
            if number > 0 {
                plain.push('/');
            }
            if let Some(at) = rest_at {
                return Err(SpiffeIdPatternError::RestNotLast { at });
            }
            // Scheme and trust domain take three.
            match segment {
                ONE if number > 2 => plain.push('x'),
                REST if number > 2 => {
                    rest_at = Some(plain.len());
                    plain.push_str("xx");
                }
                segment => plain.push_str(segment),
            }
        }
        match check_id(plain.as_bytes()) {
            Ok(path_at) => Ok(Self {
                text: text.into(),
                path_at,
            }),
            Err(SpiffeIdError::Character { at, byte: b'*' }) => {
                Err(SpiffeIdPatternError::PartOfSegment { at })
            }
            Err(error) => Err(SpiffeIdPatternError::SpiffeId(error)),
        }
    }
}

impl From<SpiffeIdRef<'_>> for SpiffeIdPattern {
    /// The pattern that matches this ID alone.
    fn from(id: SpiffeIdRef<'_>) -> Self {
        let path_at = id.as_str().len() - id.path().len();
        Self {
            text: id.as_str().into(),
            path_at: u16::try_from(path_at).expect("an ID has at most 2048 bytes"),
        }
    }
}

impl From<&SpiffeId> for SpiffeIdPattern {
    /// The pattern that matches this ID alone.
    fn from(id: &SpiffeId) -> Self {
        id.as_ref().into()
    }
}

impl fmt::Display for SpiffeIdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for SpiffeIdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

/// Why a text is no pattern over SPIFFE IDs. Offsets are bytes from the start of the whole pattern.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SpiffeIdPatternError {
    /// Wildcards aside, it is no SPIFFE ID.
    SpiffeId(SpiffeIdError),
    /// A `*` is a part of a segment, where a wildcard is a whole one.
    PartOfSegment {
        /// Where it stands.
        at: usize,
    },
    /// Something follows `**`, which stands for all the rest.
    RestNotLast {
        /// Where `**` starts.
        at: usize,
    },
}

impl fmt::Display for SpiffeIdPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpiffeId(error) => error.fmt(f),
            Self::PartOfSegment { at } => {
                write!(f, "wildcard at byte {at} is not a whole segment, * or **")
            }
            Self::RestNotLast { at } => write!(f, "** at byte {at} is not at the end"),
        }
    }
}

impl Error for SpiffeIdPatternError {}
