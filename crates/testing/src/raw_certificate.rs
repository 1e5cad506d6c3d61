//! Certificates part by part, so that a test can put a defect wherever it wants.
//!
//! [`RawCertificate::leaf`] and [`RawCertificate::authority`] are right; a test changes one thing and signs.

use plastron_keys::{PublicKey, SigningKey};

/// One value in DER.
pub fn der(tag: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let len = content.len();
    let mut der = vec![tag];
    match len {
        0..=0x7f => der.push(len as u8),
        0x80..=0xff => der.extend([0x81, len as u8]),
        _ => der.extend([
            0x82,
            u8::try_from(len >> 8).expect("below 64 KiB"),
            len as u8,
        ]),
    }
    der.extend_from_slice(content);
    der
}

/// A SEQUENCE of values.
pub fn sequence(values: &[&[u8]]) -> Vec<u8> {
    der(0x30, values.concat())
}

/// A name that is one Common Name; none at all where it is empty.
pub fn name(common_name: &str) -> Vec<u8> {
    if common_name.is_empty() {
        return der(0x30, []);
    }
    let attribute = sequence(&[&[0x06, 3, 0x55, 4, 3], &der(0x0c, common_name)]);
    der(0x30, der(0x31, attribute))
}

/// `GeneralName`s of the types that tests use.
pub mod general_name {
    use super::der;

    /// A URI.
    pub fn uri(uri: impl AsRef<[u8]>) -> Vec<u8> {
        der(0x86, uri)
    }

    /// A DNS name.
    pub fn dns(name: &str) -> Vec<u8> {
        der(0x82, name)
    }

    /// A mail address.
    pub fn email(address: &str) -> Vec<u8> {
        der(0x81, address)
    }

    /// An IP address, in a constraint with its mask.
    pub fn ip(octets: &[u8]) -> Vec<u8> {
        der(0x87, octets)
    }

    /// A distinguished name, in DER.
    pub fn directory(name: &[u8]) -> Vec<u8> {
        der(0xa4, name)
    }
}

/// An extension: its object identifier's content, whether it is critical, and its value.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Content of the object identifier.
    pub oid: Vec<u8>,
    /// Whether it is critical.
    pub critical: bool,
    /// What the OCTET STRING holds.
    pub value: Vec<u8>,
}

impl Extension {
    /// An extension of X.509's own, 2.5.29.`number`.
    pub fn new(number: u8, critical: bool, value: Vec<u8>) -> Self {
        Self {
            oid: vec![0x55, 0x1d, number],
            critical,
            value,
        }
    }

    /// Subject alternative names.
    pub fn subject_alt_name(names: &[Vec<u8>]) -> Self {
        Self::new(17, true, der(0x30, names.concat()))
    }

    /// Basic constraints.
    pub fn basic_constraints(is_ca: bool, path_len: Option<u8>) -> Self {
        let ca: &[u8] = if is_ca { &[0x01, 1, 0xff] } else { &[] };
        let path_len = path_len.map_or(vec![], |most| vec![0x02, 1, most]);
        Self::new(19, true, sequence(&[ca, &path_len]))
    }

    /// Key usage, by the numbers of its bits; none of them above 7.
    pub fn key_usage(bits: &[u8]) -> Self {
        let octet = bits.iter().fold(0, |octet, bit| octet | 0x80u8 >> bit);
        let unused = if octet == 0 {
            7
        } else {
            octet.trailing_zeros() as u8
        };
        Self::new(15, true, der(0x03, [unused, octet]))
    }

    /// Extended key usage of purposes 1.3.6.1.5.5.7.3.`number`.
    pub fn extended_key_usage(purposes: &[u8]) -> Self {
        let purposes: Vec<u8> = purposes
            .iter()
            .flat_map(|number| der(0x06, [0x2b, 6, 1, 5, 5, 7, 3, *number]))
            .collect();
        Self::new(37, false, der(0x30, purposes))
    }

    /// Name constraints, with the bases of permitted and excluded subtrees.
    pub fn name_constraints(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Self {
        let list = |tag, bases: &[Vec<u8>]| -> Vec<u8> {
            let subtrees: Vec<u8> = bases.iter().flat_map(|base| der(0x30, base)).collect();
            if subtrees.is_empty() {
                vec![]
            } else {
                der(tag, subtrees)
            }
        };
        Self::new(
            30,
            true,
            sequence(&[&list(0xa0, permitted), &list(0xa1, excluded)]),
        )
    }

    /// Subject key identifier.
    pub fn subject_key_id(id: &[u8]) -> Self {
        Self::new(14, false, der(0x04, id))
    }

    /// Authority key identifier.
    pub fn authority_key_id(id: &[u8]) -> Self {
        Self::new(35, false, der(0x30, der(0x80, id)))
    }

    /// One that nobody knows.
    pub fn unknown(critical: bool) -> Self {
        Self {
            oid: vec![0x2b, 6, 1, 4, 1, 0x82, 0x37, 99],
            critical,
            value: vec![0x05, 0],
        }
    }

    fn to_der(&self) -> Vec<u8> {
        let critical: &[u8] = if self.critical { &[0x01, 1, 0xff] } else { &[] };
        sequence(&[&der(0x06, &self.oid), critical, &der(0x04, &self.value)])
    }
}

/// The parts of a certificate, each as DER.
#[derive(Clone, Debug)]
pub struct RawCertificate {
    /// `version` with its explicit tag.
    pub version: Vec<u8>,
    /// `serialNumber`.
    pub serial: Vec<u8>,
    /// `issuer`.
    pub issuer: Vec<u8>,
    /// `notBefore`.
    pub not_before: Vec<u8>,
    /// `notAfter`.
    pub not_after: Vec<u8>,
    /// `subject`.
    pub subject: Vec<u8>,
    /// `subjectPublicKeyInfo`.
    pub spki: Vec<u8>,
    /// `extensions`, without any of which the field is left out.
    pub extensions: Vec<Extension>,
    /// The algorithm that is signed, where it shall be another than that of the key.
    pub inner_algorithm: Option<Vec<u8>>,
    /// The algorithm outside, likewise.
    pub outer_algorithm: Option<Vec<u8>>,
}

impl RawCertificate {
    /// A right leaf: this URI, issued by the authority of that Common Name, valid from 2000 to 2099.
    pub fn leaf(uri: &str, issuer: &str, key: &PublicKey) -> Self {
        Self::new("", issuer, key).with(vec![
            Extension::key_usage(&[0]),
            Extension::extended_key_usage(&[1, 2]),
            Extension::subject_alt_name(&[general_name::uri(uri)]),
        ])
    }

    /// A right signing certificate without a SPIFFE ID; self-signed where the names are equal.
    pub fn authority(subject: &str, issuer: &str, key: &PublicKey) -> Self {
        Self::new(subject, issuer, key).with(vec![
            Extension::key_usage(&[5, 6]),
            Extension::basic_constraints(true, None),
        ])
    }

    fn new(subject: &str, issuer: &str, key: &PublicKey) -> Self {
        Self {
            version: vec![0xa0, 3, 0x02, 1, 2],
            serial: vec![0x02, 1, 0x2a],
            issuer: name(issuer),
            not_before: der(0x17, "000101000000Z"),
            not_after: der(0x18, "20991231235959Z"),
            subject: name(subject),
            spki: key.spki_der().to_vec(),
            extensions: vec![],
            inner_algorithm: None,
            outer_algorithm: None,
        }
    }

    /// Adds extensions, each in the place of the one that has its identifier.
    #[must_use]
    pub fn with(mut self, extensions: Vec<Extension>) -> Self {
        for extension in extensions {
            self.extensions.retain(|other| other.oid != extension.oid);
            self.extensions.push(extension);
        }
        self
    }

    /// Removes extension 2.5.29.`number`.
    #[must_use]
    pub fn without(mut self, number: u8) -> Self {
        self.extensions
            .retain(|other| other.oid != [0x55, 0x1d, number]);
        self
    }

    /// The part that is signed.
    pub fn to_tbs(&self, key: &dyn SigningKey) -> Vec<u8> {
        let algorithm = key.algorithm().identifier_der().to_vec();
        let algorithm = self.inner_algorithm.as_ref().unwrap_or(&algorithm);
        let extensions: Vec<u8> = self.extensions.iter().flat_map(Extension::to_der).collect();
        let extensions = match extensions.is_empty() {
            true => vec![],
            false => der(0xa3, der(0x30, extensions)),
        };
        sequence(&[
            &self.version,
            &self.serial,
            algorithm,
            &self.issuer,
            &sequence(&[&self.not_before, &self.not_after]),
            &self.subject,
            &self.spki,
            &extensions,
        ])
    }

    /// Signs it.
    ///
    /// # Panics
    ///
    /// When the key does not sign.
    pub fn sign(&self, key: &dyn SigningKey) -> Vec<u8> {
        let tbs = self.to_tbs(key);
        let signature = key.sign(&tbs).expect("keys in memory sign");
        let algorithm = key.algorithm().identifier_der().to_vec();
        let algorithm = self.outer_algorithm.as_ref().unwrap_or(&algorithm);
        let bits = der(0x03, [&[0][..], &signature].concat());
        sequence(&[&tbs, algorithm, &bits])
    }
}
