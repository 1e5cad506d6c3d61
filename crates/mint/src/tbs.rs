//! The certificate profile in DER.
//!
//! What the tables of X509-SVID §4 and of RFC 5280 §4 fix is a constant here; the rest comes in as [`Contents`]. The
//! order of the extensions, which means nothing, is that of SPIRE.

use pki_types::UnixTime;
use plastron_keys::{PublicKey, SigningKey};

use crate::MintError;
use crate::der_writer::{
    DerWriter, GENERALIZED_TIME, OCTET_STRING, PRINTABLE_STRING, SEQUENCE, SET, UTC_TIME,
    UTF8_STRING,
};
use crate::validity::{LAST_SECOND, civil};

/// What differs from certificate to certificate.
pub(crate) struct Contents<'a> {
    pub(crate) serial: &'a [u8; 16],
    /// A Name in DER.
    pub(crate) issuer: &'a [u8],
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    /// A Name in DER.
    pub(crate) subject: &'a [u8],
    pub(crate) public_key: &'a PublicKey,
    /// The identifier of the issuer's key; none where the certificate is self-signed (X509-46).
    pub(crate) authority_key_id: Option<&'a [u8]>,
    /// The one URI: a SPIFFE ID.
    pub(crate) uri: &'a str,
    pub(crate) dns_names: &'a [&'a str],
    pub(crate) role: Role,
}

#[derive(Clone, Copy)]
pub(crate) enum Role {
    Leaf,
    Authority { path_len: Option<u8> },
}

impl Contents<'_> {
    /// Writes the certificate and signs it, with the same algorithm identifier twice (X509-45, X509-47).
    pub(crate) fn sign(&self, key: &dyn SigningKey) -> Result<Vec<u8>, MintError> {
        if self.serial == &[0; 16] {
            return Err(MintError::ZeroSerial);
        }
        if self.not_after < self.not_before || self.not_after.as_secs() > LAST_SECOND {
            return Err(MintError::TimeOutOfRange);
        }
        // The same identifier inside and outside of what is signed (X509-45).
        let algorithm = key.algorithm().identifier_der();
        let mut writer = DerWriter::with_capacity(self.estimate(), SIGNATURE_ROOM);
        self.write_tbs(&mut writer, algorithm);

        let signature = key.sign(writer.as_bytes())?;
        writer.append(algorithm);
        writer.append_bit_string(&signature);
        writer.close(SEQUENCE, 0);
        Ok(writer.into_bytes())
    }

    /// Bytes before the signature, a few too many.
    fn estimate(&self) -> usize {
        let names: usize = self.dns_names.iter().map(|name| name.len() + 4).sum();
        let parts = self.issuer.len() + self.subject.len() + self.public_key.spki_der().len();
        320 + parts + self.uri.len() + names
    }

    /// Version 3, always (X509-41).
    fn write_tbs(&self, writer: &mut DerWriter, algorithm: &[u8]) {
        self.write_extensions(writer);
        writer.put(self.public_key.spki_der());
        writer.put(self.subject);
        let validity = writer.len();
        write_time(writer, self.not_after);
        write_time(writer, self.not_before);
        writer.close(SEQUENCE, validity);
        writer.put(self.issuer);
        writer.put(algorithm);
        writer.unsigned_integer(self.serial);
        writer.put(&VERSION_3);
        writer.close(SEQUENCE, 0);
    }

    /// `[3] EXPLICIT Extensions`, from the last to the first, with the identifiers of both keys (X509-46).
    fn write_extensions(&self, writer: &mut DerWriter) {
        self.write_subject_alt_names(writer);
        if let Some(id) = self.authority_key_id {
            let mark = writer.len();
            writer.element(KEY_IDENTIFIER, id);
            writer.close(SEQUENCE, mark);
            writer.close(OCTET_STRING, mark);
            writer.put(&AUTHORITY_KEY_ID);
            writer.close(SEQUENCE, mark);
        }
        let mark = writer.len();
        writer.element(OCTET_STRING, &self.public_key.key_identifier());
        writer.close(OCTET_STRING, mark);
        writer.put(&SUBJECT_KEY_ID);
        writer.close(SEQUENCE, mark);

        match self.role {
            Role::Leaf => writer.put(&LEAF),
            Role::Authority { path_len } => write_authority(writer, path_len),
        }
        writer.close(SEQUENCE, 0);
        writer.close(EXTENSIONS, 0);
    }

    /// All names in one extension, the SPIFFE ID as the only URI, critical where there is no subject (X509-01, X509-05 to X509-07).
    fn write_subject_alt_names(&self, writer: &mut DerWriter) {
        let mark = writer.len();
        for name in self.dns_names.iter().rev() {
            writer.element(DNS_NAME, name.as_bytes());
        }
        writer.element(URI, self.uri.as_bytes());
        writer.close(SEQUENCE, mark);
        writer.close(OCTET_STRING, mark);
        if self.subject == EMPTY_NAME {
            writer.put(&CRITICAL);
        }
        writer.put(&SUBJECT_ALT_NAME);
        writer.close(SEQUENCE, mark);
    }
}

/// Key usage and basic constraints of a signing certificate (X509-19, X509-21, X509-30, X509-31).
fn write_authority(writer: &mut DerWriter, path_len: Option<u8>) {
    let mark = writer.len();
    if let Some(path_len) = path_len {
        writer.unsigned_integer(&[path_len]);
    }
    writer.put(&TRUE);
    writer.close(SEQUENCE, mark);
    writer.close(OCTET_STRING, mark);
    writer.put(&CRITICAL);
    writer.put(&BASIC_CONSTRAINTS);
    writer.close(SEQUENCE, mark);
    writer.put(&AUTHORITY_KEY_USAGE);
}

/// UTCTime through 2049, then GeneralizedTime; seconds and `Z` always. Spec: RFC 5280 §4.1.2.5 (X509-43).
fn write_time(writer: &mut DerWriter, time: UnixTime) {
    let [year, month, day, hour, minute, second] = civil(time);
    let mut text = *b"YYYYMMDDhhmmssZ";
    let pairs = [year / 100, year % 100, month, day, hour, minute, second];
    for (pair, number) in text.chunks_exact_mut(2).zip(pairs) {
        pair[0] = b'0' + (number / 10) as u8;
        pair[1] = b'0' + (number % 10) as u8;
    }
    match year {
        ..2050 => writer.element(UTC_TIME, &text[2..]),
        _ => writer.element(GENERALIZED_TIME, &text),
    }
}

/// The Name whose Common Name is `name`.
pub(crate) fn common_name(name: &str) -> Vec<u8> {
    let mut writer = DerWriter::with_capacity(16 + name.len(), 0);
    write_attribute(&mut writer, &COMMON_NAME, UTF8_STRING, name);
    writer.close(SEQUENCE, 0);
    writer.into_bytes()
}

/// The Name of an authority: its trust domain as organisation, and its serial number, since the names of successive
/// authorities must differ for path builders that go by names (X509-44).
pub(crate) fn authority_name(trust_domain: &str, serial: &[u8; 16]) -> Vec<u8> {
    // Trust domain names are ASCII, so each byte is a character.
    let organization = &trust_domain[..trust_domain.len().min(MAX_ORGANIZATION)];
    let serial = format!("{:032x}", u128::from_be_bytes(*serial));
    let mut writer = DerWriter::with_capacity(64 + organization.len(), 0);
    write_attribute(&mut writer, &SERIAL_NUMBER, PRINTABLE_STRING, &serial);
    write_attribute(&mut writer, &ORGANIZATION, UTF8_STRING, organization);
    writer.close(SEQUENCE, 0);
    writer.into_bytes()
}

/// A RelativeDistinguishedName of one attribute.
fn write_attribute(writer: &mut DerWriter, kind: &[u8; 5], tag: u8, value: &str) {
    let mark = writer.len();
    writer.element(tag, value.as_bytes());
    writer.put(kind);
    writer.close(SEQUENCE, mark);
    writer.close(SET, mark);
}

/// A Name of nobody.
pub(crate) const EMPTY_NAME: &[u8] = &[0x30, 0x00];

/// Characters of a Common Name at most (`ub-common-name`). Spec: RFC 5280 App. A.1.
pub(crate) const MAX_COMMON_NAME: usize = 64;
/// Characters of an organisation at most (`ub-organization-name`). Spec: RFC 5280 App. A.1.
const MAX_ORGANIZATION: usize = 64;
/// Room for the algorithm and a signature by RSA 2048; P-256 needs a third of it.
const SIGNATURE_ROOM: usize = 300;

const VERSION_3: [u8; 5] = [0xa0, 0x03, 0x02, 0x01, 0x02];
const EXTENSIONS: u8 = 0xa3;
const KEY_IDENTIFIER: u8 = 0x80;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const TRUE: [u8; 3] = [0x01, 0x01, 0xff];
/// `critical` is a BOOLEAN with the default FALSE, which DER leaves out.
const CRITICAL: [u8; 3] = TRUE;

const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
const SERIAL_NUMBER: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x05];
const ORGANIZATION: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0a];
const SUBJECT_KEY_ID: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x0e];
const SUBJECT_ALT_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x13];
const AUTHORITY_KEY_ID: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x23];

/// The extensions that all leaves have in common.
///
/// Key usage is `digitalSignature` alone (X509-29, X509-32, X509-34): TLS 1.3 and every ECDHE suite ask for no more, RSA keys included (X509-33).
/// Basic constraints are there, and empty, because AWS Roles Anywhere and others want to see that it is no authority.
const LEAF: [u8; 61] = [
    // keyUsage, critical: bit 0 of one, 7 unused.
    0x30, 0x0e, 0x06, 0x03, 0x55, 0x1d, 0x0f, 0x01, 0x01, 0xff, 0x04, 0x04, 0x03, 0x02, 0x07, 0x80,
    // extKeyUsage: serverAuth and clientAuth.
    0x30, 0x1d, 0x06, 0x03, 0x55, 0x1d, 0x25, 0x04, 0x16, 0x30, 0x14, //
    0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01, //
    0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02, //
    // basicConstraints, critical: an empty SEQUENCE, since FALSE is the default of cA.
    0x30, 0x0c, 0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff, 0x04, 0x02, 0x30, 0x00,
];

/// keyUsage, critical: keyCertSign and cRLSign, bits 5 and 6, 1 unused. No digitalSignature (X509-35).
const AUTHORITY_KEY_USAGE: [u8; 16] = [
    0x30, 0x0e, 0x06, 0x03, 0x55, 0x1d, 0x0f, 0x01, 0x01, 0xff, 0x04, 0x04, 0x03, 0x02, 0x01, 0x06,
];
