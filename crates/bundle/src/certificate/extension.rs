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
    #[inline]
    pub(super) fn read(&mut self, mut explicit: Reader<'_>) -> Result<(), CertificateError> {
        let mut list = explicit.enter(der::SEQUENCE)?;
        explicit.finish()?;
        if list.is_empty() {
            return Err(list.malformed());
        }
        let all = list;
        let mut count = 0;
        while !list.is_empty() {
            count += 1;
            if count > MAX_EXTENSIONS {
                return Err(CertificateError::TooManyExtensions);
            }
            self.read_one(&mut list, all)?;
        }
        Ok(())
    }

    /// `Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING }`
    #[inline]
    fn read_one(&mut self, list: &mut Reader<'_>, all: Reader<'_>) -> Result<(), CertificateError> {
        let position = list.position();
        let mut extension = list.enter(der::SEQUENCE)?;
        if let Some(kind) = kind(&extension) {
            extension.skip(IDENTIFIER_LEN);
            let (critical, value) = read_critical_and_value(extension)?;
            let bit = 1 << kind as u8;
            if self.seen & bit != 0 {
                return Err(CertificateError::DuplicateExtension);
            }
            self.seen |= bit;
            return self
                .read_value(kind, critical, value)
                .ok_or(CertificateError::Extension(kind));
        }
        let oid = extension.expect(der::OID)?;
        if oid.content().is_empty() {
            // It would be taken for none.
            return Err(extension.malformed());
        }
        let (critical, _) = read_critical_and_value(extension)?;
        if is_among(all, position, oid.content())? {
            return Err(CertificateError::DuplicateExtension);
        }
        if critical && self.unknown_critical.is_empty() {
            self.unknown_critical = oid.content_span();
        }
        Ok(())
    }

    /// Which of its rules a value breaks is not told, so nothing but a flag is handed up.
    fn read_value(
        &mut self,
        kind: ExtensionKind,
        critical: bool,
        mut value: Reader<'_>,
    ) -> Option<()> {
        match kind {
            ExtensionKind::SubjectAltName => self.read_subject_alt_name(&mut value)?,
            ExtensionKind::BasicConstraints => {
                let mut constraints = value.enter(der::SEQUENCE).ok()?;
                self.is_ca = read_boolean(&mut constraints).ok()?;
                self.path_len = read_path_len(&mut constraints).ok()?;
                constraints.finish().ok()?;
            }
            ExtensionKind::KeyUsage => {
                self.key_usage = Some(KeyUsage::new(read_bits(&mut value).ok()?, critical));
            }
            ExtensionKind::ExtendedKeyUsage => {
                self.extended_key_usage = Some(read_purposes(&mut value, critical).ok()?);
            }
            ExtensionKind::NameConstraints => {
                let constraints = value.expect(der::SEQUENCE).ok()?;
                general_name::check_constraints(constraints.inside()).ok()?;
                self.name_constraints = constraints.content_span();
            }
            ExtensionKind::SubjectKeyIdentifier => {
                self.subject_key_id = value.expect(der::OCTET_STRING).ok()?.content_span();
            }
            ExtensionKind::AuthorityKeyIdentifier => {
                let mut identifier = value.enter(der::SEQUENCE).ok()?;
                if let Some(key_id) = identifier.optional(der::context(0)).ok()? {
                    self.authority_key_id = key_id.content_span();
                }
                // What follows, issuer and serial, is no help in finding the issuer.
                identifier.optional(der::context_constructed(1)).ok()?;
                identifier.optional(der::context(2)).ok()?;
                identifier.finish().ok()?;
            }
        }
        value.finish().ok()
    }

    #[inline]
    fn read_subject_alt_name(&mut self, value: &mut Reader<'_>) -> Option<()> {
        let names = value.expect(der::SEQUENCE).ok()?;
        let mut list = names.inside();
        if list.is_empty() {
            return None;
        }
        while !list.is_empty() {
            let name = general_name::read_element(&mut list).ok()?;
            if name.tag == general_name::URI {
                if self.uri_count == 0 {
                    self.first_uri = name.content_span();
                }
                // A certificate has room for less than 2^15 names of two bytes.
                self.uri_count += 1;
            }
        }
        self.subject_alt_names = names.content_span();
        Some(())
    }
}

/// Bytes of an identifier below id-ce, tag and length included.
const IDENTIFIER_LEN: usize = 5;

/// Which extension this is by its identifier, the first element of `extension`, if it is one that is read.
#[inline]
fn kind(extension: &Reader<'_>) -> Option<ExtensionKind> {
    // id-ce, 2.5.29
    let [der::OID, 3, 0x55, 0x1d, number, ..] = extension.rest() else {
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

/// What follows the identifier.
#[inline]
fn read_critical_and_value(
    mut extension: Reader<'_>,
) -> Result<(bool, Reader<'_>), CertificateError> {
    let critical = read_boolean(&mut extension)?;
    let value = extension.enter(der::OCTET_STRING)?;
    extension.finish()?;
    Ok((critical, value))
}

/// Whether an extension of this identifier stands before the position `end` in `all`.
fn is_among(mut all: Reader<'_>, end: usize, oid: &[u8]) -> Result<bool, CertificateError> {
    while all.position() != end {
        let earlier = all.enter(der::SEQUENCE)?.expect(der::OID)?;
        if earlier.content() == oid {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A BOOLEAN that defaults to FALSE. DER omits a default; one written out is tolerated (X509-20). One that is neither is left
/// where it is, and nothing else is expected there.
#[inline(always)]
fn read_boolean(reader: &mut Reader<'_>) -> Result<bool, CertificateError> {
    let value = match reader.rest() {
        [der::BOOLEAN, 1, 0x00, ..] => false,
        [der::BOOLEAN, 1, 0xff, ..] => true,
        _ => return Ok(false),
    };
    reader.skip(3);
    Ok(value)
}

/// A number of intermediates: not negative, and not beyond 32 bits (X509-21).
fn read_path_len(reader: &mut Reader<'_>) -> Result<Option<u32>, CertificateError> {
    let Some(element) = reader.optional(der::INTEGER)? else {
        return Ok(None);
    };
    let octets = match element.content() {
        [] | [0x80..=0xff, ..] | [0x00, 0x00..=0x7f, ..] => return Err(reader.malformed()),
        [0x00, octets @ ..] => octets,
        octets => octets,
    };
    if octets.len() > 4 {
        return Err(reader.malformed());
    }
    let number = octets
        .iter()
        .fold(0, |number, octet| number * 256 + u32::from(*octet));
    Ok(Some(number))
}

/// A named bit list. DER cuts off zero bits at its end; some issuers leave them, and nothing depends on it.
fn read_bits<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], CertificateError> {
    let content = reader.expect(der::BIT_STRING)?.content();
    match content {
        [unused @ 0..=7, .., last] if last.trailing_zeros() >= u32::from(*unused) => {
            Ok(&content[1..])
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
        match purposes.expect(der::OID)?.content() {
            SERVER_AUTH => usage.server_auth = true,
            CLIENT_AUTH => usage.client_auth = true,
            ANY => usage.any = true,
            _ => (),
        }
    }
    Ok(usage)
}
