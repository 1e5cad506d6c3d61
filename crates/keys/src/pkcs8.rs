//! Private keys in PKCS#8.
//!
//! Every form that is around is read: v1 and v2, EC keys with and without their public key. One is written: v1, for EC
//! with the public key inside. Spec: RFC 5208, RFC 5958, RFC 5915, RFC 8017 App. A.1.2, RFC 8410 §7 (RS-10).

use std::fmt;

use der::asn1::{OctetStringRef, UintRef};
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use ed25519_dalek::pkcs8::KeypairBytes;
use p256::pkcs8::EncodePrivateKey as _;
use pkcs8::PrivateKeyInfoRef;
use zeroize::{Zeroize as _, Zeroizing};

use crate::public_key::{ID_EC_PUBLIC_KEY, ID_ED25519, P256, P384, P521, RSA_ENCRYPTION};
use crate::{KeyError, PublicKey, PublicKeyKind};

/// An unencrypted private key in the one form that we write, with its public key.
///
/// It cannot sign; a [`KeyBackend`](crate::KeyBackend) makes a key that can. Its memory is wiped when it is dropped.
pub struct Pkcs8Key {
    der: Zeroizing<Vec<u8>>,
    public_key: PublicKey,
}

impl Pkcs8Key {
    /// Reads a key in DER, in whatever form.
    ///
    /// The public key of a curve is computed from the private number, and one that stands beside it must be equal. That
    /// of RSA is read: whether the private numbers fit it shows only when a backend loads the key.
    ///
    /// # Errors
    ///
    /// Bytes that are no consistent key, algorithms and curves that SVIDs have no use for, and keys whose public half
    /// is unacceptable.
    pub fn parse(der: &[u8]) -> Result<Self, KeyError> {
        Self::of(SecretKey::parse(der)?)
    }

    /// Writes a key that was read.
    pub(crate) fn of(key: SecretKey) -> Result<Self, KeyError> {
        match key {
            SecretKey::EcP256(key) => Self::new(
                key.to_pkcs8_der()
                    .map_err(|_| KeyError::Malformed)?
                    .to_bytes(),
                PublicKeyKind::EcP256,
                &key.public_key().to_sec1_bytes(),
            ),
            SecretKey::EcP384(key) => Self::new(
                key.to_pkcs8_der()
                    .map_err(|_| KeyError::Malformed)?
                    .to_bytes(),
                PublicKeyKind::EcP384,
                &key.public_key().to_sec1_bytes(),
            ),
            SecretKey::EcP521(key) => Self::new(
                key.to_pkcs8_der()
                    .map_err(|_| KeyError::Malformed)?
                    .to_bytes(),
                PublicKeyKind::EcP521,
                &key.public_key().to_sec1_bytes(),
            ),
            SecretKey::Ed25519(key) => Self::new(
                write_ed25519(&key),
                PublicKeyKind::Ed25519,
                key.verifying_key().as_bytes(),
            ),
            SecretKey::Rsa { der, public_key } => Ok(Self { der, public_key }),
        }
    }

    /// The key in DER: v1, for EC with the public key inside.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn new(der: Zeroizing<Vec<u8>>, kind: PublicKeyKind, bits: &[u8]) -> Result<Self, KeyError> {
        let public_key = PublicKey::from_key_bits(kind, bits)?;
        Ok(Self { der, public_key })
    }
}

impl fmt::Debug for Pkcs8Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public_key).finish()
    }
}

/// A private key that was read. Each wipes itself.
pub(crate) enum SecretKey {
    EcP256(p256::SecretKey),
    EcP384(p384::SecretKey),
    EcP521(p521::SecretKey),
    Ed25519(ed25519_dalek::SigningKey),
    /// Written anew as v1; there is no arithmetic on it here.
    Rsa {
        der: Zeroizing<Vec<u8>>,
        public_key: PublicKey,
    },
}

macro_rules! ec_key {
    ($curve:ident, $info:expr) => {{
        let info = $info;
        let outer = info.public_key.map(|bits| bits.raw_bytes());
        // Compares the public key inside of ECPrivateKey, where there is one.
        let key = $curve::SecretKey::try_from(info).map_err(|_| KeyError::Malformed)?;
        let point = key.public_key().to_sec1_bytes();
        if outer.is_some_and(|outer| *outer != *point) {
            return Err(KeyError::Malformed);
        }
        key
    }};
}

impl SecretKey {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
        match info.algorithm.oid {
            ID_EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters_oid();
                match curve.map_err(|_| KeyError::Malformed)? {
                    P256 => Ok(Self::EcP256(ec_key!(p256, info))),
                    P384 => Ok(Self::EcP384(ec_key!(p384, info))),
                    P521 => Ok(Self::EcP521(ec_key!(p521, info))),
                    _ => Err(KeyError::Unsupported),
                }
            }
            ID_ED25519 => read_ed25519(info).map(Self::Ed25519),
            RSA_ENCRYPTION => {
                let [n, e, ..] =
                    rsa_numbers(info.private_key.as_bytes()).map_err(|_| KeyError::Malformed)?;
                let public_key = PublicKey::from_rsa_numbers(n, e)?;
                let key = OctetStringRef::new(info.private_key.as_bytes());
                let v1 =
                    PrivateKeyInfoRef::new(info.algorithm, key.map_err(|_| KeyError::Malformed)?);
                let der = Zeroizing::new(v1.to_der().map_err(|_| KeyError::Malformed)?);
                Ok(Self::Rsa { der, public_key })
            }
            _ => Err(KeyError::Unsupported),
        }
    }
}

/// Reads an Ed25519 key; a public key beside it must be its own.
fn read_ed25519(info: PrivateKeyInfoRef<'_>) -> Result<ed25519_dalek::SigningKey, KeyError> {
    let mut pair = KeypairBytes::try_from(info).map_err(|_| KeyError::Malformed)?;
    let key = ed25519_dalek::SigningKey::from_bytes(&pair.secret_key);
    pair.secret_key.zeroize();
    match &pair.public_key {
        Some(public) if public.0 != key.verifying_key().to_bytes() => Err(KeyError::Malformed),
        _ => Ok(key),
    }
}

/// Writes an Ed25519 key without its public key, which would make it v2, and older readers refuse that.
pub(crate) fn write_ed25519(key: &ed25519_dalek::SigningKey) -> Zeroizing<Vec<u8>> {
    let mut der = Zeroizing::new(Vec::with_capacity(ED25519_V1.len() + 32));
    der.extend_from_slice(&ED25519_V1);
    der.extend_from_slice(key.as_bytes());
    der
}

/// The numbers of an `RSAPrivateKey` of two primes: n, e, d, p, q, dp, dq, qi.
pub(crate) fn rsa_numbers(key: &[u8]) -> der::Result<[&[u8]; 8]> {
    let mut reader = SliceReader::new(key)?;
    let numbers = reader.sequence(|numbers| {
        if u8::decode(numbers)? != 0 {
            return Err(der::Tag::Integer.value_error().into());
        }
        let mut all = [&[][..]; 8];
        for number in &mut all {
            *number = numbers.decode::<UintRef<'_>>()?.as_bytes();
        }
        Ok::<_, der::Error>(all)
    })?;
    reader.finish()?;
    Ok(numbers)
}

/// `PrivateKeyInfo` up to the 32 bytes of the seed. Spec: RFC 8410 §7.
const ED25519_V1: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
