//! A certificate as it stands in its bytes.
//!
//! SPIFFE reads few fields of a certificate and reads them often, so this is a reader of its own: one pass over strict
//! DER, no copies, no allocation. It answers what is written there; whether that makes an X509-SVID or an authority is for
//! `plastron-svid` and [`X509Authority`](crate::X509Authority) to say. Spec: RFC 5280 §4.1, §4.2.

mod der;
mod error;
mod extension;
mod general_name;
mod key_usage;
mod time;

use std::fmt;
use std::time::Duration;

use pki_types::UnixTime;

pub use error::{CertificateError, ExtensionKind};
pub use general_name::{GeneralName, GeneralNames, NameConstraints, Subtrees};
pub use key_usage::{ExtendedKeyUsage, KeyUsage};

use der::{Reader, Span};
use extension::Extensions;

/// The most bytes of a certificate, header included.
///
/// A certificate with a SPIFFE ID of 2048 bytes and hundreds of other names stays below 16 KiB.
pub const MAX_CERTIFICATE_LEN: usize = der::MAX_LEN;

/// The most extensions of a certificate, so that looking for duplicates stays cheap. Usual ones have five to ten.
pub const MAX_EXTENSIONS: usize = 32;

/// A parsed certificate, which borrows its bytes.
///
/// What parsed is strict DER of version 3, its two signature algorithms are equal (X509-45), no extension comes twice
/// (X509-06), and those named here are well-formed. Bad DER that is common and harmless is let through: a `FALSE` written
/// out (X509-20), and serial numbers that are zero or negative.
#[derive(Clone, Copy)]
pub struct Certificate<'a> {
    der: &'a [u8],
    layout: Layout,
}

/// Where things are in the bytes of a certificate.
///
/// It is filled in place: each time it is handed up as a result costs as much as reading an extension.
#[derive(Clone, Copy, Default)]
pub(crate) struct Layout {
    tbs: Span,
    serial: Span,
    signature_algorithm: Span,
    issuer: Span,
    /// Seconds since 1970.
    not_before: u64,
    not_after: u64,
    subject: Span,
    spki: SpkiLayout,
    extensions: Extensions,
    signature: Span,
}

impl Layout {
    pub(crate) fn subject<'a>(&self, der: &'a [u8]) -> &'a [u8] {
        self.subject.of(der)
    }
}

#[derive(Clone, Copy, Default)]
struct SpkiLayout {
    whole: Span,
    algorithm: Span,
    key_bits: Span,
}

impl<'a> Certificate<'a> {
    /// Parses a certificate that fills `der`.
    ///
    /// # Errors
    ///
    /// The first thing in it that is not as [`Certificate`] says.
    #[inline]
    pub fn parse(der: &'a [u8]) -> Result<Self, CertificateError> {
        let mut certificate = Self {
            der,
            layout: Layout::default(),
        };
        certificate.layout.read(der)?;
        Ok(certificate)
    }

    /// Parses the certificate that `der` begins with, and returns what follows it.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_first(der: &'a [u8]) -> Result<(Self, &'a [u8]), CertificateError> {
        let len = len_of_first(der)?;
        let (first, rest) = der.split_at(len);
        Ok((Self::parse(first)?, rest))
    }

    /// A certificate that was parsed before.
    pub(crate) fn from_layout(der: &'a [u8], layout: Layout) -> Self {
        Self { der, layout }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The whole certificate.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The part that is signed.
    pub fn tbs(&self) -> &'a [u8] {
        self.layout.tbs.of(self.der)
    }

    /// The serial number, big-endian: the content of the INTEGER.
    pub fn serial(&self) -> &'a [u8] {
        self.layout.serial.of(self.der)
    }

    /// The algorithm it is signed with, as `rustls-pki-types` has them: without tag and length.
    pub fn signature_algorithm(&self) -> &'a [u8] {
        self.layout.signature_algorithm.of(self.der)
    }

    /// The signature.
    pub fn signature(&self) -> &'a [u8] {
        self.layout.signature.of(self.der)
    }

    /// The name of who signed it, as DER. Names are compared byte by byte.
    pub fn issuer(&self) -> &'a [u8] {
        self.layout.issuer.of(self.der)
    }

    /// The name of whom it is about, as DER. It carries no SPIFFE meaning.
    pub fn subject(&self) -> &'a [u8] {
        self.layout.subject.of(self.der)
    }

    /// Whether the subject names nobody, as that of most SVIDs does.
    pub fn subject_is_empty(&self) -> bool {
        self.subject().len() == 2
    }

    /// Whether issuer and subject are the same name. Spec: RFC 5280 §6.1.
    pub fn is_self_issued(&self) -> bool {
        self.issuer() == self.subject()
    }

    /// The first second at which it is valid.
    pub fn not_before(&self) -> UnixTime {
        unix_time(self.layout.not_before)
    }

    /// The last second at which it is valid.
    pub fn not_after(&self) -> UnixTime {
        unix_time(self.layout.not_after)
    }

    /// Whether `now` lies in its validity, both bounds included. Spec: RFC 5280 §4.1.2.5 (X509-53).
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        self.not_before() <= now && now <= self.not_after()
    }

    /// The key it is about.
    pub fn spki(&self) -> Spki<'a> {
        let layout = self.layout.spki;
        Spki {
            der: layout.whole.of(self.der),
            algorithm: layout.algorithm.of(self.der),
            key_bits: layout.key_bits.of(self.der),
        }
    }

    /// All subject alternative names, of whatever type.
    pub fn subject_alt_names(&self) -> GeneralNames<'a> {
        GeneralNames::new(self.layout.extensions.subject_alt_names.of(self.der))
    }

    /// How many subject alternative names are URIs, whatever they say.
    pub fn uri_san_count(&self) -> usize {
        usize::from(self.layout.extensions.uri_count)
    }

    /// The first subject alternative name that is a URI. It is ASCII, and not known to be a SPIFFE ID.
    pub fn uri_san(&self) -> Option<&'a [u8]> {
        let extensions = &self.layout.extensions;
        (extensions.uri_count > 0).then(|| extensions.first_uri.of(self.der))
    }

    /// What the key may be used for, where that is said.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.layout.extensions.key_usage
    }

    /// Which purposes the certificate may serve, where that is said.
    pub fn extended_key_usage(&self) -> Option<ExtendedKeyUsage> {
        self.layout.extensions.extended_key_usage
    }

    /// Whether basic constraints say that it may sign certificates; absent means no.
    pub fn is_ca(&self) -> bool {
        self.layout.extensions.is_ca
    }

    /// How many intermediates may stand below it, where that is limited.
    pub fn path_len(&self) -> Option<u32> {
        self.layout.extensions.path_len
    }

    /// Which names certificates below it may carry, where that is limited.
    pub fn name_constraints(&self) -> Option<NameConstraints<'a>> {
        let content = self.layout.extensions.name_constraints.of(self.der);
        (!content.is_empty()).then(|| NameConstraints::new(content))
    }

    /// The identifier of its key. A hint when looking for an issuer, never a proof.
    pub fn subject_key_id(&self) -> Option<&'a [u8]> {
        let id = self.layout.extensions.subject_key_id.of(self.der);
        (!id.is_empty()).then_some(id)
    }

    /// The identifier of its issuer's key, with the same caution.
    pub fn authority_key_id(&self) -> Option<&'a [u8]> {
        let id = self.layout.extensions.authority_key_id.of(self.der);
        (!id.is_empty()).then_some(id)
    }

    /// The object identifier (content of the DER) of the first critical extension that this reader does not know.
    pub fn unknown_critical_extension(&self) -> Option<&'a [u8]> {
        let oid = self.layout.extensions.unknown_critical.of(self.der);
        (!oid.is_empty()).then_some(oid)
    }
}

impl fmt::Debug for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("serial", &Hex(self.serial()))
            .field("uri_san", &self.uri_san().map(String::from_utf8_lossy))
            .field("is_ca", &self.is_ca())
            .field("not_after", &self.not_after().as_secs())
            .finish_non_exhaustive()
    }
}

/// Bytes, shown as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A `SubjectPublicKeyInfo`, borrowed. Its parts have not been checked beyond their frame.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Spki<'a> {
    der: &'a [u8],
    algorithm: &'a [u8],
    key_bits: &'a [u8],
}

impl<'a> Spki<'a> {
    /// All of it.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The algorithm, as `rustls-pki-types` has them: without tag and length.
    pub fn algorithm(&self) -> &'a [u8] {
        self.algorithm
    }

    /// The key: what `SignatureVerificationAlgorithm::verify_signature` takes.
    pub fn key_bits(&self) -> &'a [u8] {
        self.key_bits
    }

    /// The bits of the modulus, where this is an RSA key.
    pub fn rsa_modulus_bits(&self) -> Option<usize> {
        if self.algorithm != pki_types::alg_id::RSA_ENCRYPTION.as_ref() {
            return None;
        }
        let mut numbers = Reader::new(self.key_bits).ok()?.enter(der::SEQUENCE).ok()?;
        let bytes = numbers.expect(der::INTEGER).ok()?.content();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = &bytes[zeros..];
        let first = bytes.first()?;
        Some(bytes.len() * 8 - first.leading_zeros() as usize)
    }
}

impl fmt::Debug for Spki<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spki({:?})", Hex(self.der))
    }
}

/// Parses certificates that follow one another with nothing between (RS-09).
///
/// Yields an error once and then nothing, where one of them is malformed or bytes are left over.
pub fn certificates(der: &[u8]) -> Certificates<'_> {
    Certificates { rest: der }
}

/// The iterator of [`certificates`].
#[derive(Clone, Debug)]
pub struct Certificates<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Certificates<'a> {
    type Item = Result<Certificate<'a>, CertificateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let first = Certificate::parse_first(std::mem::take(&mut self.rest));
        Some(first.map(|(certificate, rest)| {
            self.rest = rest;
            certificate
        }))
    }
}

/// The length of the element that `der` begins with.
pub(crate) fn len_of_first(der: &[u8]) -> Result<usize, CertificateError> {
    let len = match *der {
        [der::SEQUENCE, 0x82, high, low, ..] => 4 + usize::from(high) * 256 + usize::from(low),
        [der::SEQUENCE, 0x81, len, ..] => 3 + usize::from(len),
        [der::SEQUENCE, len @ 0..=0x7f, ..] => 2 + usize::from(len),
        _ => return Err(CertificateError::Der { at: 0 }),
    };
    if len > der.len() {
        return Err(CertificateError::Der { at: 0 });
    }
    Ok(len)
}

impl Layout {
    /// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }`
    fn read(&mut self, der: &[u8]) -> Result<(), CertificateError> {
        let mut outside = Reader::new(der)?;
        let mut certificate = outside.enter(der::SEQUENCE)?;
        if !outside.is_empty() {
            return Err(CertificateError::TrailingData);
        }
        let tbs = certificate.expect(der::SEQUENCE)?;
        let signature_algorithm = certificate.expect(der::SEQUENCE)?;
        self.tbs = tbs.whole_span();
        self.signature_algorithm = signature_algorithm.content_span();
        self.signature = certificate.bit_string()?;
        certificate.finish()?;
        self.read_tbs(tbs.inside(), signature_algorithm.whole)
    }

    /// `TBSCertificate ::= SEQUENCE { version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo,
    /// issuerUniqueID, subjectUniqueID, extensions }`
    fn read_tbs(
        &mut self,
        mut reader: Reader<'_>,
        signature_algorithm: &[u8],
    ) -> Result<(), CertificateError> {
        read_version(&mut reader)?;
        self.serial = read_serial(&mut reader)?;
        if reader.expect(der::SEQUENCE)?.whole != signature_algorithm {
            return Err(CertificateError::SignatureAlgorithms);
        }
        self.issuer = reader.expect(der::SEQUENCE)?.whole_span();
        let mut validity = reader.enter(der::SEQUENCE)?;
        self.not_before = read_time(&mut validity)?;
        self.not_after = read_time(&mut validity)?;
        validity.finish()?;
        self.subject = reader.expect(der::SEQUENCE)?.whole_span();
        self.spki = read_spki(&mut reader)?;

        // Unique identifiers are obsolete and mean nothing here.
        reader.optional(der::context(1))?;
        reader.optional(der::context(2))?;
        if let Some(explicit) = reader.optional(der::context_constructed(3))? {
            self.extensions.read(explicit.inside())?;
        }
        reader.finish()
    }
}

fn unix_time(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Version 3 it is, since none before has the extensions that SVIDs and their authorities need (X509-41).
#[inline]
fn read_version(reader: &mut Reader<'_>) -> Result<(), CertificateError> {
    const V3: &[u8] = &[der::INTEGER, 1, 2];
    match reader.optional(der::context_constructed(0))? {
        Some(version) if version.content() == V3 => Ok(()),
        _ => Err(CertificateError::Version),
    }
}

/// At most 20 octets, not counting one for the sign; zero and negative ones exist in the wild (X509-42).
#[inline]
fn read_serial(reader: &mut Reader<'_>) -> Result<Span, CertificateError> {
    let serial = reader.expect(der::INTEGER)?;
    let octets = match serial.content() {
        [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => return Err(reader.malformed()),
        [0x00, octets @ ..] => octets,
        octets => octets,
    };
    if octets.len() > 20 {
        return Err(CertificateError::SerialTooLong);
    }
    Ok(serial.content_span())
}

#[inline]
fn read_time(reader: &mut Reader<'_>) -> Result<u64, CertificateError> {
    let element = reader.next()?;
    time::read(element.tag, element.content()).ok_or(CertificateError::Time)
}

#[inline(always)]
fn read_spki(reader: &mut Reader<'_>) -> Result<SpkiLayout, CertificateError> {
    let whole = reader.expect(der::SEQUENCE)?;
    let mut inside = whole.inside();
    let algorithm = inside.expect(der::SEQUENCE)?.content_span();
    let key_bits = inside.bit_string()?;
    inside.finish()?;
    Ok(SpkiLayout {
        whole: whole.whole_span(),
        algorithm,
        key_bits,
    })
}
