//! Names of trust domains.

use alloc::boxed::Box;
use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

use crate::error::{SpiffeIdError, TrustDomainError};
use crate::spiffe_id::{SpiffeId, SpiffeIdRef};
use crate::syntax::{SCHEME, check_name};

/// The name of a trust domain, such as `example.org`.
///
/// A name is compared whole, byte by byte: `a.example.org` is no part of `example.org`, and what looks like an address or
/// a DNS name is treated no differently. Spec: SPIFFE-ID §2.1.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// Takes a bare name, or the name out of a SPIFFE ID, as people write either.
    ///
    /// A text with `:/` in it is an ID, and must be a whole valid one.
    ///
    /// # Errors
    ///
    /// The first rule of SPIFFE-ID §2 broken.
    pub fn from_name_or_id(text: &str) -> Result<Self, SpiffeIdError> {
        if text.contains(":/") {
            Ok(SpiffeIdRef::parse(text)?.trust_domain().to_owned())
        } else {
            Ok(text.parse()?)
        }
    }

    /// Parses a bare name typed by a person: upper case is folded to lower, in ASCII alone (ID-31).
    ///
    /// Not for what comes from the wire: there a name in upper case is wrong (ID-09, AMB-01).
    ///
    /// # Errors
    ///
    /// The first rule of SPIFFE-ID §2.1 broken.
    pub fn parse_folding_case(name: &str) -> Result<Self, TrustDomainError> {
        name.to_ascii_lowercase().parse()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, borrowed.
    pub fn as_ref(&self) -> TrustDomainRef<'_> {
        TrustDomainRef(&self.0)
    }

    /// The SPIFFE ID of the trust domain itself, which has no path.
    pub fn id(&self) -> SpiffeId {
        self.as_ref().id()
    }
}

impl FromStr for TrustDomain {
    type Err = TrustDomainError;

    fn from_str(name: &str) -> Result<Self, TrustDomainError> {
        TrustDomainRef::parse(name).map(TrustDomainRef::to_owned)
    }
}

impl Borrow<str> for TrustDomain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The name of a trust domain, borrowed from wherever it was found.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TrustDomainRef<'a>(&'a str);

impl<'a> TrustDomainRef<'a> {
    /// Checks a bare name. Allocates nothing.
    ///
    /// # Errors
    ///
    /// The first rule of SPIFFE-ID §2.1 broken.
    pub fn parse(name: &'a str) -> Result<Self, TrustDomainError> {
        check_name(name.as_bytes())?;
        Ok(Self(name))
    }

    /// A name that is part of a checked ID.
    pub(crate) const fn checked(name: &'a str) -> Self {
        Self(name)
    }

    /// The name.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The name in memory of its own.
    pub fn to_owned(self) -> TrustDomain {
        TrustDomain(self.0.into())
    }

    /// The SPIFFE ID of the trust domain itself, which has no path.
    pub fn id(self) -> SpiffeId {
        let mut uri = String::with_capacity(SCHEME.len() + self.0.len());
        uri.push_str(SCHEME);
        uri.push_str(self.0);
        let path_at = u16::try_from(uri.len()).expect("a checked name has at most 255 bytes");
        SpiffeId::checked(uri.into(), path_at)
    }
}

impl PartialEq<TrustDomain> for TrustDomainRef<'_> {
    fn eq(&self, other: &TrustDomain) -> bool {
        self.0 == other.as_str()
    }
}

impl PartialEq<TrustDomainRef<'_>> for TrustDomain {
    fn eq(&self, other: &TrustDomainRef<'_>) -> bool {
        self.as_str() == other.0
    }
}

impl fmt::Display for TrustDomainRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for TrustDomainRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}
