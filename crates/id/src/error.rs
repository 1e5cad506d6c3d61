//! Which rule of SPIFFE-ID a text breaks, and where.

use core::error::Error;
use core::fmt;

use crate::syntax::{MAX_SPIFFE_ID_LEN, MAX_TRUST_DOMAIN_LEN};

/// Why a text is no SPIFFE ID. Offsets are bytes from the start of the whole ID.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// The ID has more than [`MAX_SPIFFE_ID_LEN`] bytes.
    TooLong {
        /// How many it has.
        len: usize,
    },
    /// The ID does not begin with `spiffe://`, in lower case.
    Scheme,
    /// The trust domain name is not one.
    TrustDomain(TrustDomainError),
    /// A byte that no path segment may hold. Queries, fragments and percent-encoding end here.
    Character {
        /// Where it stands.
        at: usize,
        /// What it is.
        byte: u8,
    },
    /// A segment is empty, `.` or `..`.
    Segment {
        /// Where it starts.
        at: usize,
    },
    /// The ID ends with a slash.
    TrailingSlash,
    /// A path given to a builder is neither empty nor begins with a slash.
    RelativePath,
}

impl fmt::Display for SpiffeIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len } => write!(
                f,
                "{len} bytes are more than the {MAX_SPIFFE_ID_LEN} of a SPIFFE ID"
            ),
            Self::Scheme => f.write_str("SPIFFE ID does not begin with spiffe://"),
            Self::TrustDomain(error) => error.fmt(f),
            Self::Character { at, byte } => {
                write!(f, "{} at byte {at} is not allowed in a path", Shown(*byte))
            }
            Self::Segment { at } => {
                write!(f, "path segment at byte {at} is empty or consists of dots")
            }
            Self::TrailingSlash => f.write_str("path ends with a slash"),
            Self::RelativePath => f.write_str("path does not begin with a slash"),
        }
    }
}

impl Error for SpiffeIdError {}

impl From<TrustDomainError> for SpiffeIdError {
    fn from(error: TrustDomainError) -> Self {
        Self::TrustDomain(error)
    }
}

/// Why a text is no trust domain name. Offsets are bytes from the start of the name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TrustDomainError {
    /// The name is empty.
    Empty,
    /// The name has more than [`MAX_TRUST_DOMAIN_LEN`] bytes.
    TooLong {
        /// How many it has.
        len: usize,
    },
    /// A byte that no name may hold. Upper case, ports, user names and percent-encoding end here.
    Character {
        /// Where it stands.
        at: usize,
        /// What it is.
        byte: u8,
    },
}

impl fmt::Display for TrustDomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("trust domain name is empty"),
            Self::TooLong { len } => {
                write!(
                    f,
                    "{len} bytes are more than the {MAX_TRUST_DOMAIN_LEN} of a trust domain name"
                )
            }
            Self::Character { at, byte } => {
                write!(
                    f,
                    "{} at byte {at} is not allowed in a trust domain name",
                    Shown(*byte)
                )
            }
        }
    }
}

impl Error for TrustDomainError {}

/// A byte of a stranger's text, fit for a log.
struct Shown(u8);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii_graphic() {
            write!(f, "'{}'", char::from(self.0))
        } else {
            write!(f, "0x{:02x}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn errors_say_what_stands_where() {
        for (error, want) in [
            (
                SpiffeIdError::TooLong { len: 2049 },
                "2049 bytes are more than the 2048 of a SPIFFE ID",
            ),
            (
                SpiffeIdError::Character { at: 12, byte: b'?' },
                "'?' at byte 12 is not allowed in a path",
            ),
            (
                SpiffeIdError::Character {
                    at: 12,
                    byte: b'\n',
                },
                "0x0a at byte 12 is not allowed in a path",
            ),
            (
                TrustDomainError::Character { at: 0, byte: b'T' }.into(),
                "'T' at byte 0 is not allowed in a trust domain name",
            ),
            (
                TrustDomainError::TooLong { len: 256 }.into(),
                "256 bytes are more than the 255 of a trust domain name",
            ),
        ] {
            assert_eq!(error.to_string(), want);
        }
    }
}
