//! A public key: the SubjectPublicKeyInfo of a certificate, or the key of a JWK, checked once.
//!
//! Spec: RFC 5280 §4.1.2.7, RFC 5480, RFC 3279 §2.3.1, RFC 8410 (X509-47, X509-48).

use std::fmt;
use std::sync::Arc;

use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode as _, Reader as _, SliceReader};
use pki_types::AlgorithmIdentifier;
use sha2::{Digest as _, Sha256};
use spki::SubjectPublicKeyInfoRef;

use crate::roca;

/// A public key that can verify: EC points are on their curve and uncompressed, RSA moduli have 2048 to 8192 bits,
/// exponents are odd and greater than one.
///
/// Clones share their bytes. Equality is that of the bytes, which DER makes the equality of keys.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct PublicKey {
    spki: Arc<[u8]>,
    /// Where in `spki` the content of the BIT STRING starts; it ends where `spki` does.
    key_at: u16,
    kind: PublicKeyKind,
}

/// What a [`PublicKey`] is a key of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum PublicKeyKind {
    /// A point on P-256 (secp256r1).
    EcP256,
    /// A point on P-384 (secp384r1).
    EcP384,
    /// A point on P-521 (secp521r1).
    EcP521,
    /// An RSA key; `bits` is the length of its modulus.
    Rsa {
        /// Bits of the modulus, leading zeros not counted.
        bits: u16,
    },
    /// A point on edwards25519.
    Ed25519,
}

impl PublicKey {
    /// Parses a DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// Bytes that are not strict DER, an algorithm or curve that SVIDs have no use for, or a key that breaks one of the
    /// rules above.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| PublicKeyError::Malformed)?;
        let key = spki
            .subject_public_key
            .as_bytes()
            .ok_or(PublicKeyError::Malformed)?;
        let parameters = spki.algorithm.parameters;
        let kind = match spki.algorithm.oid {
            ID_EC_PUBLIC_KEY => {
                let curve = parameters.ok_or(PublicKeyError::Malformed)?;
                match curve
                    .decode_as()
                    .map_err(|_| PublicKeyError::UnknownCurve)?
                {
                    P256 => PublicKeyKind::EcP256,
                    P384 => PublicKeyKind::EcP384,
                    P521 => PublicKeyKind::EcP521,
                    _ => return Err(PublicKeyError::UnknownCurve),
                }
            }
            RSA_ENCRYPTION if parameters.is_some_and(|any| any.is_null()) => rsa_kind(key)?,
            ID_ED25519 if parameters.is_none() => PublicKeyKind::Ed25519,
            RSA_ENCRYPTION | ID_ED25519 => return Err(PublicKeyError::Malformed),
            _ => return Err(PublicKeyError::UnknownAlgorithm),
        };
        check_point(kind, key)?;
        let key_at = u16::try_from(der.len() - key.len()).map_err(|_| PublicKeyError::Malformed)?;
        Ok(Self {
            spki: der.into(),
            key_at,
            kind,
        })
    }

    /// Makes a key from the content of the BIT STRING, that is a SEC 1 point, an `RSAPublicKey`, or an Ed25519 key.
    ///
    /// # Errors
    ///
    /// As [`from_spki_der`](Self::from_spki_der); also where `key` is not of `kind`.
    pub fn from_key_bits(kind: PublicKeyKind, key: &[u8]) -> Result<Self, PublicKeyError> {
        check_point(kind, key)?;
        let kind = match kind {
            PublicKeyKind::Rsa { .. } => rsa_kind(key)?,
            curve => curve,
        };
        let algorithm = kind.identifier();
        let bits = key.len() + 1;
        let content = header_len(algorithm.len()) + algorithm.len() + header_len(bits) + bits;

        let mut spki = Vec::with_capacity(header_len(content) + content);
        push_header(&mut spki, 0x30, content);
        push_header(&mut spki, 0x30, algorithm.len());
        spki.extend_from_slice(&algorithm);
        push_header(&mut spki, 0x03, bits);
        spki.push(0);
        let key_at = spki.len() as u16; // an identifier and three headers: below 64
        spki.extend_from_slice(key);
        Ok(Self {
            spki: spki.into(),
            key_at,
            kind,
        })
    }

    /// Makes an RSA key of its numbers, big-endian and without leading zeros.
    pub(crate) fn from_rsa_numbers(n: &[u8], e: &[u8]) -> Result<Self, PublicKeyError> {
        check_rsa(n, e)?;
        let key = positive_integers(&[n, e]);
        Self::from_key_bits(PublicKeyKind::Rsa { bits: 0 }, &key)
    }

    /// The whole `SubjectPublicKeyInfo`.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The content of its BIT STRING: what `SignatureVerificationAlgorithm::verify_signature` takes.
    pub fn key_bits(&self) -> &[u8] {
        &self.spki[usize::from(self.key_at)..]
    }

    /// What it is a key of.
    pub fn kind(&self) -> PublicKeyKind {
        self.kind
    }

    /// An identifier for subject and authority key identifier extensions: the first 160 bits of the SHA-256 of
    /// [`key_bits`](Self::key_bits). Spec: RFC 7093 §2 method 1 (X509-46).
    pub fn key_identifier(&self) -> [u8; 20] {
        let digest = Sha256::digest(self.key_bits());
        std::array::from_fn(|i| digest[i])
    }

    /// Modulus and exponent, where it is an RSA key.
    pub(crate) fn rsa_numbers(&self) -> Option<(&[u8], &[u8])> {
        match self.kind {
            PublicKeyKind::Rsa { .. } => rsa_numbers(self.key_bits()).ok(),
            _ => None,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, ", self.kind)?;
        for byte in self.key_identifier() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

impl PublicKeyKind {
    /// The algorithm identifier of such keys, without tag and length.
    pub fn identifier(self) -> AlgorithmIdentifier {
        use pki_types::alg_id;
        match self {
            Self::EcP256 => alg_id::ECDSA_P256,
            Self::EcP384 => alg_id::ECDSA_P384,
            Self::EcP521 => alg_id::ECDSA_P521,
            Self::Rsa { .. } => alg_id::RSA_ENCRYPTION,
            Self::Ed25519 => alg_id::ED25519,
        }
    }
}

impl fmt::Display for PublicKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcP256 => f.write_str("ECDSA P-256"),
            Self::EcP384 => f.write_str("ECDSA P-384"),
            Self::EcP521 => f.write_str("ECDSA P-521"),
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// Why bytes or a JWK are not a [`PublicKey`]. In a certificate each is against X509-48, in a bundle's JWK against BUNDLE-33.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// Not the strict DER of a `SubjectPublicKeyInfo`, or parameters that do not belong to its algorithm.
    #[error("malformed public key")]
    Malformed,
    /// Neither EC, RSA nor Ed25519.
    #[error("public key of an unknown algorithm")]
    UnknownAlgorithm,
    /// An EC key on none of P-256, P-384 and P-521, or an octet key pair that is not Ed25519.
    #[error("public key on an unknown curve")]
    UnknownCurve,
    /// A member of a JWK is not base64url without padding.
    #[error("member {member} is not base64url")]
    Base64 {
        /// The JWK member.
        member: &'static str,
    },
    /// A coordinate has not the full width of its field (RFC 7518 §6.2.1.2).
    #[error("member {member} has {len} bytes, not {want}")]
    CoordinateLength {
        /// The JWK member.
        member: &'static str,
        /// Bytes it has.
        len: usize,
        /// Bytes it must have.
        want: usize,
    },
    /// The point is compressed, at infinity, of another length, or not on the curve.
    #[error("not an uncompressed point on the curve")]
    Point,
    /// The number of a JWK starts with a zero byte (RFC 7518 §6.3.1.1).
    #[error("member {member} has a leading zero")]
    LeadingZero {
        /// The JWK member.
        member: &'static str,
    },
    /// The modulus has fewer than 2048 bits or more than 8192, which bounds the work of a verification.
    #[error("RSA modulus of {bits} bits")]
    ModulusBits {
        /// Bits it has.
        bits: usize,
    },
    /// The modulus is even.
    #[error("RSA modulus is even")]
    EvenModulus,
    /// The modulus comes from a broken generator and can be factored (CVE-2017-15361).
    #[error("RSA modulus from a broken generator")]
    BrokenModulus,
    /// The exponent is even, one, or has more than 33 bits, which bounds the work of a verification.
    #[error("unacceptable RSA exponent")]
    Exponent,
}

/// Checks what is not RSA; for RSA see [`check_rsa`].
fn check_point(kind: PublicKeyKind, key: &[u8]) -> Result<(), PublicKeyError> {
    // RFC 5480 §2.2 leaves compressed points optional. Nobody in SPIFFE's world makes them, and JWKs cannot say them.
    let uncompressed = |width: usize| key.len() == 1 + 2 * width && key[0] == 0x04;
    let on_curve = match kind {
        PublicKeyKind::EcP256 => uncompressed(32) && p256::PublicKey::from_sec1_bytes(key).is_ok(),
        PublicKeyKind::EcP384 => uncompressed(48) && p384::PublicKey::from_sec1_bytes(key).is_ok(),
        PublicKeyKind::EcP521 => uncompressed(66) && p521::PublicKey::from_sec1_bytes(key).is_ok(),
        PublicKeyKind::Ed25519 => key.try_into().is_ok_and(is_ed25519_key),
        PublicKeyKind::Rsa { .. } => true,
    };
    on_curve.then_some(()).ok_or(PublicKeyError::Point)
}

/// Whether `key` is the one encoding of a point that is not of small order. Spec: RFC 8032 §5.1.3.
fn is_ed25519_key(key: &[u8; 32]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(key)
        .is_ok_and(|point| !point.is_weak() && point.to_edwards().compress().as_bytes() == key)
}

fn rsa_kind(key: &[u8]) -> Result<PublicKeyKind, PublicKeyError> {
    let (n, e) = rsa_numbers(key).map_err(|_| PublicKeyError::Malformed)?;
    let bits = check_rsa(n, e)?;
    Ok(PublicKeyKind::Rsa { bits })
}

/// Splits an `RSAPublicKey`.
fn rsa_numbers(key: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(key)?;
    let numbers = reader.sequence(|numbers| {
        let n: UintRef<'_> = numbers.decode()?;
        let e: UintRef<'_> = numbers.decode()?;
        Ok::<_, der::Error>((n.as_bytes(), e.as_bytes()))
    })?;
    reader.finish()?;
    Ok(numbers)
}

/// Checks both numbers and returns the bits of the modulus. JWT-53, X509-48.
fn check_rsa(n: &[u8], e: &[u8]) -> Result<u16, PublicKeyError> {
    let bits = bit_len(n);
    if !(2048..=8192).contains(&bits) {
        return Err(PublicKeyError::ModulusBits { bits });
    }
    if n.last().is_none_or(|byte| byte & 1 == 0) {
        return Err(PublicKeyError::EvenModulus);
    }
    if roca::is_marked(n) {
        return Err(PublicKeyError::BrokenModulus);
    }
    // 33 bits is where AWS-LC, BoringSSL and *ring* draw the line.
    if e.last().is_none_or(|byte| byte & 1 == 0) || !(2..=33).contains(&bit_len(e)) {
        return Err(PublicKeyError::Exponent);
    }
    Ok(bits as u16)
}

/// Bits of a big-endian number.
fn bit_len(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    number
        .first()
        .map_or(0, |byte| 8 * number.len() - byte.leading_zeros() as usize)
}

/// A DER SEQUENCE of numbers, none of which is empty, in one allocation.
pub(crate) fn positive_integers(numbers: &[&[u8]]) -> Vec<u8> {
    let sign = |number: &[u8]| usize::from(number[0] & 0x80 != 0);
    let len = |number: &[u8]| number.len() + sign(number);
    let content: usize = numbers
        .iter()
        .map(|number| header_len(len(number)) + len(number))
        .sum();

    let mut der = Vec::with_capacity(header_len(content) + content);
    push_header(&mut der, 0x30, content);
    for number in numbers {
        push_header(&mut der, 0x02, len(number));
        der.resize(der.len() + sign(number), 0);
        der.extend_from_slice(number);
    }
    der
}

/// Bytes of tag and length before `len` bytes of content.
fn header_len(len: usize) -> usize {
    match len {
        0..0x80 => 2,
        0x80..0x100 => 3,
        _ => 4,
    }
}

/// Writes tag and length; RSA keys of 8192 bits stay far below the 64 KiB that this can say.
fn push_header(der: &mut Vec<u8>, tag: u8, len: usize) {
    der.push(tag);
    match header_len(len) {
        2 => der.push(len as u8),
        3 => der.extend_from_slice(&[0x81, len as u8]),
        _ => der.extend_from_slice(&[0x82, (len >> 8) as u8, len as u8]),
    }
}

pub(crate) const ID_EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(crate) const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
pub(crate) const RSA_ENCRYPTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(crate) const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
