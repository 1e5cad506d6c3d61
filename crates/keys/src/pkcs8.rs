//! What a PKCS#8 private key says of its public key.
//!
//! Spec: RFC 5208, RFC 5958, RFC 5915, RFC 8017 App. A.1.2, RFC 8410 §7 (RS-10).

use der::asn1::UintRef;
use der::{Decode as _, Reader as _, SliceReader};
use ed25519_dalek::pkcs8::KeypairBytes;
use pkcs8::PrivateKeyInfoRef;

use crate::public_key::{
    ID_EC_PUBLIC_KEY, ID_ED25519, P256, P384, P521, RSA_ENCRYPTION, check_rsa,
};
use crate::{KeyError, PublicKey, PublicKeyKind};

impl PublicKey {
    /// The public half of an unencrypted PKCS#8 private key, v1 or v2, without a backend.
    ///
    /// For curves it is computed from the private number, and an embedded public key that differs is an error. For RSA
    /// it is read: whether the private numbers fit it shows only when a [`KeyBackend`](crate::KeyBackend) loads the key.
    ///
    /// # Errors
    ///
    /// Bytes that are no such key, and keys that cannot be a [`PublicKey`].
    pub fn of_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = parse(der)?;
        match kind(&info)? {
            PublicKeyKind::EcP256 => {
                let key = p256::SecretKey::try_from(info).map_err(|_| KeyError::Malformed)?;
                point(PublicKeyKind::EcP256, &key.public_key().to_sec1_bytes())
            }
            PublicKeyKind::EcP384 => {
                let key = p384::SecretKey::try_from(info).map_err(|_| KeyError::Malformed)?;
                point(PublicKeyKind::EcP384, &key.public_key().to_sec1_bytes())
            }
            PublicKeyKind::EcP521 => {
                let key = p521::SecretKey::try_from(info).map_err(|_| KeyError::Malformed)?;
                point(PublicKeyKind::EcP521, &key.public_key().to_sec1_bytes())
            }
            PublicKeyKind::Ed25519 => {
                let key = ed25519(info)?;
                point(PublicKeyKind::Ed25519, key.verifying_key().as_bytes())
            }
            PublicKeyKind::Rsa { .. } => {
                let (n, e) =
                    rsa_numbers(info.private_key.as_bytes()).map_err(|_| KeyError::Malformed)?;
                Ok(Self::from_rsa_numbers(n, e)?)
            }
        }
    }
}

pub(crate) fn parse(der: &[u8]) -> Result<PrivateKeyInfoRef<'_>, KeyError> {
    PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)
}

pub(crate) fn kind(info: &PrivateKeyInfoRef<'_>) -> Result<PublicKeyKind, KeyError> {
    match info.algorithm.oid {
        ID_EC_PUBLIC_KEY => match info
            .algorithm
            .parameters_oid()
            .map_err(|_| KeyError::Malformed)?
        {
            P256 => Ok(PublicKeyKind::EcP256),
            P384 => Ok(PublicKeyKind::EcP384),
            P521 => Ok(PublicKeyKind::EcP521),
            _ => Err(KeyError::Unsupported),
        },
        RSA_ENCRYPTION => {
            let (n, e) =
                rsa_numbers(info.private_key.as_bytes()).map_err(|_| KeyError::Malformed)?;
            Ok(PublicKeyKind::Rsa {
                bits: check_rsa(n, e)?,
            })
        }
        ID_ED25519 => Ok(PublicKeyKind::Ed25519),
        _ => Err(KeyError::Unsupported),
    }
}

impl PublicKeyKind {
    /// What an unencrypted PKCS#8 private key, v1 or v2, is a key of.
    ///
    /// # Errors
    ///
    /// Bytes that are no such key, algorithms and curves that SVIDs have no use for, and RSA numbers that a
    /// [`PublicKey`] cannot have.
    pub fn of_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        kind(&parse(der)?)
    }
}

/// Reads an Ed25519 key; a public key in it must be its own.
pub(crate) fn ed25519(info: PrivateKeyInfoRef<'_>) -> Result<ed25519_dalek::SigningKey, KeyError> {
    let pair = KeypairBytes::try_from(info).map_err(|_| KeyError::Malformed)?;
    let key = ed25519_dalek::SigningKey::from_bytes(&pair.secret_key);
    match &pair.public_key {
        Some(public) if public.0 != key.verifying_key().to_bytes() => Err(KeyError::Malformed),
        _ => Ok(key),
    }
}

fn point(kind: PublicKeyKind, bits: &[u8]) -> Result<PublicKey, KeyError> {
    Ok(PublicKey::from_key_bits(kind, bits)?)
}

/// Modulus and exponent of an `RSAPrivateKey` of two primes.
fn rsa_numbers(key: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(key)?;
    let numbers = reader.sequence(|numbers| {
        let version: u8 = numbers.decode()?;
        let [n, e, ..] = [(); 8].map(|()| numbers.decode::<UintRef<'_>>());
        if version != 0 {
            return Err(der::Tag::Integer.value_error().into());
        }
        Ok::<_, der::Error>((n?.as_bytes(), e?.as_bytes()))
    })?;
    reader.finish()?;
    Ok(numbers)
}
