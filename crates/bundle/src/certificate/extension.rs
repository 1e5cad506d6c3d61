//! Extensions: which are known, and what they say.

use super::der::{self, Reader, Span};
use super::general_name;
use super::{CertificateError, ExtendedKeyUsage, ExtensionKind, KeyUsage, MAX_EXTENSIONS};

/// What the known extensions of a certificate say.
#[derive(Clone, Copy, Default)]
pub(super) struct Extensions {
    /// Content of the SEQUENCE.
    pub(super) subject_alt_names: Span,
    pub(super) first_uri: Span,
    pub(super) uri_count: u16,
    pub(super) is_ca: bool,
    pub(super) path_len: Option<u32>,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) extended_key_usage: Option<ExtendedKeyUsage>,
    /// Content of the SEQUENCE.
    pub(super) name_constraints: Span,
    pub(super) subject_key_id: Span,
    pub(super) authority_key_id: Span,
    pub(super) unknown_critical: Span,
    /// One bit for each [`ExtensionKind`] that has been seen.
    seen: u8,
}

impl Extensions {
    /// `Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension`
    pub(super) fn read(mut explicit: Reader<'_>) -> Result<Self, CertificateError> {
        let mut list = explicit.enter(der::SEQUENCE)?;
        explicit.finish()?;
        if list.is_empty() {
            return Err(list.malformed());
        }
        let all = list;
        let mut extensions = Self::default();
        let mut count = 0;
        while !list.is_empty() {
            count += 1;
            if count > MAX_EXTENSIONS {
                return Err(CertificateError::TooManyExtensions);
            }
            extensions.read_one(&mut list, all)?;
        }
        Ok(extensions)
    }

    /// `Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING }`
    fn read_one(&mut self, list: &mut Reader<'_>, all: Reader<'_>) -> Result<(), CertificateError> {
        let before = list.rest();
        let mut extension = list.enter(der::SEQUENCE)?;
        let oid = extension.expect(der::OID)?.content;
        let critical = read_boolean(&mut extension)?;
        let content = extension.expect(der::OCTET_STRING)?.content;
        let value = extension.inside(content);
        extension.finish()?;

        let Some(kind) = kind(list.bytes(oid)) else {
            if is_among(all, before, list.bytes(oid))? {
                return Err(CertificateError::DuplicateExtension);
            }
            if critical && self.unknown_critical.is_empty() {
                self.unknown_critical = oid;
            }
            return Ok(());
        };
        let bit = 1 << kind as u8;
        if self.seen & bit != 0 {
            return Err(CertificateError::DuplicateExtension);
        }
        self.seen |= bit;
        self.read_value(kind, critical, value)
            .map_err(|_| CertificateError::Extension(kind))
    }

    fn read_value(
        &mut self,
        kind: ExtensionKind,
        critical: bool,
        mut value: Reader<'_>,
    ) -> Result<(), CertificateError> {
        match kind {
            ExtensionKind::SubjectAltName => self.read_subject_alt_name(&mut value)?,
            ExtensionKind::BasicConstraints => {
                let mut constraints = value.enter(der::SEQUENCE)?;
                self.is_ca = read_boolean(&mut constraints)?;
                self.path_len = read_path_len(&mut constraints)?;
                constraints.finish()?;
            }
            ExtensionKind::KeyUsage => {
                self.key_usage = Some(KeyUsage::new(read_bits(&mut value)?, critical));
            }
            ExtensionKind::ExtendedKeyUsage => {
                self.extended_key_usage = Some(read_purposes(&mut value, critical)?);
            }
            ExtensionKind::NameConstraints => {
                let constraints = value.expect(der::SEQUENCE)?.content;
                general_name::check_constraints(value.inside(constraints))?;
                self.name_constraints = constraints;
            }
            ExtensionKind::SubjectKeyIdentifier => {
                self.subject_key_id = value.expect(der::OCTET_STRING)?.content;
            }
            ExtensionKind::AuthorityKeyIdentifier => {
                let mut identifier = value.enter(der::SEQUENCE)?;
                if let Some(key_id) = identifier.optional(der::context(0))? {
                    self.authority_key_id = key_id.content;
                }
                // What follows, issuer and serial, is no help in finding the issuer.
                identifier.optional(der::context_constructed(1))?;
                identifier.optional(der::context(2))?;
                identifier.finish()?;
            }
        }
        value.finish()
    }

    fn read_subject_alt_name(&mut self, value: &mut Reader<'_>) -> Result<(), CertificateError> {
        let names = value.expect(der::SEQUENCE)?.content;
        let mut list = value.inside(names);
        if list.is_empty() {
            return Err(list.malformed());
        }
        while !list.is_empty() {
            let name = general_name::read_element(&mut list)?;
            if name.tag == general_name::URI {
                if self.uri_count == 0 {
                    self.first_uri = name.content;
                }
                // A certificate has room for less than 2^15 names of two bytes.
                self.uri_count += 1;
            }
        }
        self.subject_alt_names = names;
        Ok(())
    }
}

/// Which extension an object identifier stands for, if it is one that is read.
fn kind(oid: &[u8]) -> Option<ExtensionKind> {
    // id-ce, 2.5.29
    let &[0x55, 0x1d, number] = oid else {
        return None;
    };
    match number {
        14 => Some(ExtensionKind::SubjectKeyIdentifier),
        15 => Some(ExtensionKind::KeyUsage),
        17 => Some(ExtensionKind::SubjectAltName),
        19 => Some(ExtensionKind::BasicConstraints),
        30 => Some(ExtensionKind::NameConstraints),
        35 => Some(ExtensionKind::AuthorityKeyIdentifier),
        37 => Some(ExtensionKind::ExtendedKeyUsage),
        _ => None,
    }
}

/// Whether an extension of this identifier stands before `end` in `all`.
fn is_among(mut all: Reader<'_>, end: Span, oid: &[u8]) -> Result<bool, CertificateError> {
    while all.rest() != end {
        let earlier = all.enter(der::SEQUENCE)?.expect(der::OID)?.content;
        if all.bytes(earlier) == oid {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A BOOLEAN that defaults to FALSE. DER omits a default; one written out is tolerated (X509-20).
fn read_boolean(reader: &mut Reader<'_>) -> Result<bool, CertificateError> {
    match reader.optional(der::BOOLEAN)? {
        None => Ok(false),
        Some(element) => match reader.bytes(element.content) {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(reader.malformed()),
        },
    }
}

/// A number of intermediates: not negative, and not beyond 32 bits (X509-21).
fn read_path_len(reader: &mut Reader<'_>) -> Result<Option<u32>, CertificateError> {
    let Some(element) = reader.optional(der::INTEGER)? else {
        return Ok(None);
    };
    let octets = match reader.bytes(element.content) {
        [] | [0x80..=0xff, ..] | [0x00, 0x00..=0x7f, ..] => return Err(reader.malformed()),
        [0x00, octets @ ..] => octets,
        octets => octets,
    };
    if octets.len() > 4 {
        return Err(reader.malformed());
    }
    let number = octets
        .iter()
        .fold(0, |number, octet| number << 8 | u32::from(*octet));
    Ok(Some(number))
}

/// A named bit list. DER cuts off zero bits at its end; some issuers leave them, and nothing depends on it.
fn read_bits<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], CertificateError> {
    let content = reader.expect(der::BIT_STRING)?.content;
    match reader.bytes(content) {
        [unused @ 0..=7, bits @ .., last] if last.trailing_zeros() >= u32::from(*unused) => {
            Ok(&reader.bytes(content)[1..=bits.len() + 1])
        }
        _ => Err(reader.malformed()),
    }
}

/// `ExtKeyUsageSyntax ::= SEQUENCE SIZE (1..MAX) OF KeyPurposeId`
fn read_purposes(
    value: &mut Reader<'_>,
    critical: bool,
) -> Result<ExtendedKeyUsage, CertificateError> {
    const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
    const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
    const ANY: &[u8] = &[0x55, 0x1d, 37, 0];
    let mut purposes = value.enter(der::SEQUENCE)?;
    if purposes.is_empty() {
        return Err(purposes.malformed());
    }
    let mut usage = ExtendedKeyUsage {
        critical,
        ..ExtendedKeyUsage::default()
    };
    while !purposes.is_empty() {
        let purpose = purposes.expect(der::OID)?.content;
        match purposes.bytes(purpose) {
            SERVER_AUTH => usage.server_auth = true,
            CLIENT_AUTH => usage.client_auth = true,
            ANY => usage.any = true,
            _ => (),
        }
    }
    Ok(usage)
}
