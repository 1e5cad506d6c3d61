//! Names: those a certificate is about, and those that an authority may speak for.
//!
//! Spec: RFC 5280 §4.2.1.6, §4.2.1.10.

use super::der::{self, Element, Reader};
use super::{CertificateError, ExtensionKind};

/// A name of one of the types that X.509 knows. Text is ASCII.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GeneralName<'a> {
    /// A mail address.
    Email(&'a [u8]),
    /// A DNS name.
    Dns(&'a [u8]),
    /// A distinguished name: DER, as that of [`subject`](super::Certificate::subject).
    Directory(&'a [u8]),
    /// A URI.
    Uri(&'a [u8]),
    /// An IP address; in a constraint also its mask.
    Ip(&'a [u8]),
    /// A name of another type: an `otherName`, an X.400 address, an EDI party, a registered object identifier.
    Other {
        /// The number of the type in `GeneralName`.
        number: u8,
        /// The content.
        content: &'a [u8],
    },
}

impl<'a> GeneralName<'a> {
    /// The bytes of the name, whatever its type.
    pub fn content(&self) -> &'a [u8] {
        match *self {
            Self::Email(content)
            | Self::Dns(content)
            | Self::Directory(content)
            | Self::Uri(content)
            | Self::Ip(content)
            | Self::Other { content, .. } => content,
        }
    }

    /// The number of its type in `GeneralName`, which is the same for all names of one type.
    pub fn number(&self) -> u8 {
        match self {
            Self::Email(_) => 1,
            Self::Dns(_) => 2,
            Self::Directory(_) => 4,
            Self::Uri(_) => 6,
            Self::Ip(_) => 7,
            Self::Other { number, .. } => *number,
        }
    }
}

/// Reads one name.
fn read<'a>(reader: &mut Reader<'a>) -> Result<GeneralName<'a>, CertificateError> {
    let element = read_element(reader)?;
    let content = element.content();
    Ok(match element.tag {
        EMAIL => GeneralName::Email(content),
        DNS => GeneralName::Dns(content),
        DIRECTORY => GeneralName::Directory(content),
        URI => GeneralName::Uri(content),
        IP => GeneralName::Ip(content),
        tag => GeneralName::Other {
            number: tag & 0x1f,
            content,
        },
    })
}

/// Reads one name as an element, and checks that it is well-formed.
#[inline]
pub(super) fn read_element<'a>(reader: &mut Reader<'a>) -> Result<Element<'a>, CertificateError> {
    let malformed = reader.malformed();
    let element = reader.next()?;
    match element.tag {
        URI | DNS | EMAIL if element.content().is_ascii() => Ok(element),
        DIRECTORY => {
            // The one name whose tag is explicit, since `Name` is a choice.
            let mut explicit = element.inside();
            explicit.expect(der::SEQUENCE)?;
            explicit.finish()?;
            Ok(element)
        }
        IP | OTHER_NAME | X400_ADDRESS | EDI_PARTY | REGISTERED_ID => Ok(element),
        _ => Err(malformed),
    }
}

pub(super) const URI: u8 = der::context(6);
const OTHER_NAME: u8 = der::context_constructed(0);
const EMAIL: u8 = der::context(1);
const DNS: u8 = der::context(2);
const X400_ADDRESS: u8 = der::context_constructed(3);
const DIRECTORY: u8 = der::context_constructed(4);
const EDI_PARTY: u8 = der::context_constructed(5);
const IP: u8 = der::context(7);
const REGISTERED_ID: u8 = der::context(8);

/// Names that follow one another; they are known to be well-formed.
#[derive(Clone, Debug)]
pub struct GeneralNames<'a> {
    reader: Option<Reader<'a>>,
}

impl<'a> GeneralNames<'a> {
    /// Takes elements that [`read_element`] has accepted, or nothing.
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(content).ok(),
        }
    }
}

impl<'a> Iterator for GeneralNames<'a> {
    type Item = GeneralName<'a>;

    fn next(&mut self) -> Option<GeneralName<'a>> {
        let reader = self.reader.as_mut()?;
        if reader.is_empty() {
            return None;
        }
        read(reader).ok()
    }
}

/// The names that certificates below an authority may carry.
#[derive(Clone, Copy, Debug)]
pub struct NameConstraints<'a> {
    permitted: &'a [u8],
    excluded: &'a [u8],
}

impl<'a> NameConstraints<'a> {
    /// Takes what [`check_constraints`] has accepted.
    pub(super) fn new(content: &'a [u8]) -> Self {
        let lists = Reader::new(content).and_then(read_constraints);
        let (permitted, excluded) = lists.unwrap_or_default();
        Self {
            permitted,
            excluded,
        }
    }

    /// Names of a type that occurs here must lie in one of these.
    pub fn permitted(&self) -> Subtrees<'a> {
        Subtrees {
            reader: Reader::new(self.permitted).ok(),
        }
    }

    /// No name may lie in one of these.
    pub fn excluded(&self) -> Subtrees<'a> {
        Subtrees {
            reader: Reader::new(self.excluded).ok(),
        }
    }
}

/// The bases of subtrees of names.
#[derive(Clone, Debug)]
pub struct Subtrees<'a> {
    reader: Option<Reader<'a>>,
}

impl<'a> Iterator for Subtrees<'a> {
    type Item = GeneralName<'a>;

    fn next(&mut self) -> Option<GeneralName<'a>> {
        let reader = self.reader.as_mut()?;
        if reader.is_empty() {
            return None;
        }
        read_subtree(reader).ok()
    }
}

/// Checks the content of the extension: one list at least, no empty ones, all subtrees well-formed.
pub(super) fn check_constraints(constraints: Reader<'_>) -> Result<(), CertificateError> {
    const MALFORMED: CertificateError = CertificateError::Extension(ExtensionKind::NameConstraints);
    let (permitted, excluded) = read_constraints(constraints)?;
    if permitted.is_empty() && excluded.is_empty() {
        return Err(MALFORMED);
    }
    for list in [permitted, excluded] {
        let mut subtrees = Reader::new(list)?;
        while !subtrees.is_empty() {
            read_subtree(&mut subtrees)?;
        }
    }
    Ok(())
}

/// `NameConstraints ::= SEQUENCE { [0] permittedSubtrees OPTIONAL, [1] excludedSubtrees OPTIONAL }`, of which this is
/// the inside.
fn read_constraints(mut reader: Reader<'_>) -> Result<(&[u8], &[u8]), CertificateError> {
    let mut list = |number| -> Result<&[u8], CertificateError> {
        match reader.optional(der::context_constructed(number))? {
            None => Ok(&[]),
            Some(element) if element.content().is_empty() => Err(reader.malformed()),
            Some(element) => Ok(element.content()),
        }
    };
    let lists = (list(0)?, list(1)?);
    reader.finish()?;
    Ok(lists)
}

/// `GeneralSubtree ::= SEQUENCE { base, minimum [0] DEFAULT 0, maximum [1] OPTIONAL }`, of which only the base may be
/// there. Spec: RFC 5280 §4.2.1.10 (X509-25).
fn read_subtree<'a>(reader: &mut Reader<'a>) -> Result<GeneralName<'a>, CertificateError> {
    let mut subtree = reader.enter(der::SEQUENCE)?;
    let base = read(&mut subtree)?;
    subtree.finish()?;
    Ok(base)
}
