//! Which rule of SPIFFE-ID a text breaks, and where.

use core::error::Error;
use core::fmt;

use crate::syntax::{MAX_SPIFFE_ID_LEN, MAX_TRUST_DOMAIN_LEN};

/// Why a text is no SPIFFE ID. Offsets are bytes from the start of the whole ID.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// The ID has more than [`MAX_SPIFFE_ID_LEN`] bytes (ID-30).
    TooLong {
        /// How many it has.
        len: usize,
    },
    /// The ID does not begin with `spiffe://`, in lower case (ID-01).
    Scheme,
    /// The trust domain name is not one.
    TrustDomain(TrustDomainError),
    /// A byte that no path segment may hold (ID-24). Queries (ID-03), fragments (ID-04), percent-encoding (ID-20) and what is
    /// not ASCII or cannot be seen (ID-05) end here.
    Character {
        /// Where it stands.
        at: usize,
        /// What it is.
        byte: u8,
    },
    /// A segment is empty (ID-21).
    EmptySegment {
        /// Where it starts.
        at: usize,
    },
    /// A segment is `.` or `..` (ID-22).
    DotSegment {
        /// Where it starts.
        at: usize,
    },
    /// The ID ends with a slash (ID-23).
    TrailingSlash,
    /// A path given to a builder is neither empty nor begins with a slash (ID-26).
    RelativePath,
}

impl SpiffeIdError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "ID-30",
            Self::Scheme => "ID-01",
            Self::TrustDomain(error) => error.rule(),
            Self::Character { byte: b'?', .. } => "ID-03",
            Self::Character { byte: b'#', .. } => "ID-04",
            Self::Character { byte: b'%', .. } => "ID-20",
            Self::Character { byte, .. } if !byte.is_ascii_graphic() => "ID-05",
            Self::Character { .. } => "ID-24",
            Self::EmptySegment { .. } => "ID-21",
            Self::DotSegment { .. } => "ID-22",
            Self::TrailingSlash => "ID-23",
            Self::RelativePath => "ID-26",
        }
    }
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
            Self::EmptySegment { at } => write!(f, "path segment at byte {at} is empty"),
            Self::DotSegment { at } => write!(f, "path segment at byte {at} is . or .."),
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
    /// The name is empty (ID-02).
    Empty,
    /// The name has more than [`MAX_TRUST_DOMAIN_LEN`] bytes (ID-14).
    TooLong {
        /// How many it has.
        len: usize,
    },
    /// A byte that no name may hold (ID-10). User names (ID-07), ports (ID-08), upper case (ID-09), percent-encoding (ID-11) and
    /// what is not ASCII or cannot be seen (ID-05) end here.
    Character {
        /// Where it stands.
        at: usize,
        /// What it is.
        byte: u8,
    },
}

impl TrustDomainError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Empty => "ID-02",
            Self::TooLong { .. } => "ID-14",
            Self::Character { byte: b'?', .. } => "ID-03",
            Self::Character { byte: b'#', .. } => "ID-04",
            Self::Character { byte: b'@', .. } => "ID-07",
            Self::Character { byte: b':', .. } => "ID-08",
            Self::Character { byte: b'%', .. } => "ID-11",
            Self::Character { byte, .. } if byte.is_ascii_uppercase() => "ID-09",
            Self::Character { byte, .. } if !byte.is_ascii_graphic() => "ID-05",
            Self::Character { .. } => "ID-10",
        }
    }
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
    use crate::SpiffeIdRef;

    #[test]
    fn errors_name_the_rule_that_was_broken() {
        for (rule, uri) in [
            ("ID-01", "https://td/a"),
            ("ID-02", "spiffe:///a"),
            ("ID-03", "spiffe://td?x"),
            ("ID-03", "spiffe://td/a?x"),
            ("ID-04", "spiffe://td#f"),
            ("ID-04", "spiffe://td/a#f"),
            ("ID-05", "spiffe://t\u{f0}d/a"),
            ("ID-05", "spiffe://td/a\n"),
            ("ID-07", "spiffe://user@td/a"),
            ("ID-08", "spiffe://td:80/a"),
            ("ID-09", "spiffe://TD/a"),
            ("ID-10", "spiffe://t!d/a"),
            ("ID-11", "spiffe://%74d/a"),
            ("ID-20", "spiffe://td/%61"),
            ("ID-21", "spiffe://td//a"),
            ("ID-22", "spiffe://td/a/../b"),
            ("ID-23", "spiffe://td/a/"),
            ("ID-24", "spiffe://td/a!"),
        ] {
            let broken = SpiffeIdRef::parse(uri).map_err(|error| error.rule());
            assert_eq!(broken, Err(rule), "{uri:?}");
        }
    }

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
