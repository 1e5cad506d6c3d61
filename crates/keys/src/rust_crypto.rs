//! The pure-Rust backend: portable, and without a C compiler.
//!
//! It makes and loads keys for ECDSA and Ed25519. RSA verifies only, since RUSTSEC-2023-0071, a timing leak of private
//! RSA keys, has no patched version. Against AWS-LC, P-256 takes about five times as long.

mod ecdsa;
mod ed25519;
mod rsa;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use pki_types::SignatureVerificationAlgorithm;
use rand_core::TryCryptoRng;
use zeroize::Zeroizing;

use crate::pkcs8::SecretKey;
use crate::{KeyBackend, KeyError, KeyType, PrivateKey};

/// Algorithms that X.509 and JWS have in common with SPIFFE, and what `webpki` has beside: the NIST curves with other
/// SHA-2 hashes.
pub static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    &ecdsa::P256_SHA256,
    &ecdsa::P384_SHA384,
    &ecdsa::P521_SHA512,
    &ecdsa::P256_SHA384,
    &ecdsa::P256_SHA512,
    &ecdsa::P384_SHA256,
    &ecdsa::P384_SHA512,
    &ecdsa::P521_SHA256,
    &ecdsa::P521_SHA384,
    &ed25519::ED25519,
    &rsa::PKCS1_SHA256,
    &rsa::PKCS1_SHA384,
    &rsa::PKCS1_SHA512,
    &rsa::PSS_SHA256,
    &rsa::PSS_SHA384,
    &rsa::PSS_SHA512,
];

/// The backend over a source of randomness, the operating system's for instance (`getrandom::SysRng`).
pub struct RustCrypto<R> {
    /// The trait of generators wants `&mut`, and a clone of one would repeat itself.
    random: Mutex<R>,
}

impl<R: TryCryptoRng + Send> RustCrypto<R> {
    /// A backend whose keys are as unguessable as `random` is.
    pub fn new(random: R) -> Self {
        Self {
            random: Mutex::new(random),
        }
    }

    /// Draws numbers until one is a key; a draw fails with a chance of 2⁻³² at most.
    fn draw<const N: usize, K>(
        &self,
        to_key: impl Fn(&[u8; N]) -> Option<K>,
    ) -> Result<K, KeyError> {
        for _ in 0..64 {
            let mut number = Zeroizing::new([0; N]);
            self.random(&mut *number)?;
            if let Some(key) = to_key(&number) {
                return Ok(key);
            }
        }
        Err(KeyError::Backend)
    }
}

impl<R: TryCryptoRng + Send> KeyBackend for RustCrypto<R> {
    fn generate(&self, key_type: KeyType) -> Result<Box<dyn PrivateKey>, KeyError> {
        Ok(match key_type {
            KeyType::EcP256 => {
                Box::new(ecdsa::P256Key::new(self.draw(|number: &[u8; 32]| {
                    p256::SecretKey::from_slice(number).ok()
                })?)?)
            }
            KeyType::EcP384 => {
                Box::new(ecdsa::P384Key::new(self.draw(|number: &[u8; 48]| {
                    p384::SecretKey::from_slice(number).ok()
                })?)?)
            }
            KeyType::Ed25519 => {
                Box::new(ed25519::Ed25519Key::new(self.draw(|seed| {
                    Some(ed25519_dalek::SigningKey::from_bytes(seed))
                })?)?)
            }
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
                return Err(KeyError::Unsupported);
            }
        })
    }

    fn from_pkcs8(&self, der: &[u8]) -> Result<Box<dyn PrivateKey>, KeyError> {
        Ok(match SecretKey::parse(der)? {
            SecretKey::EcP256(key) => Box::new(ecdsa::P256Key::new(key)?),
            SecretKey::EcP384(key) => Box::new(ecdsa::P384Key::new(key)?),
            SecretKey::EcP521(key) => Box::new(ecdsa::P521Key::new(key)?),
            SecretKey::Ed25519(key) => Box::new(ed25519::Ed25519Key::new(key)?),
            SecretKey::Rsa { .. } => return Err(KeyError::Unsupported),
        })
    }

    fn algorithms(&self) -> &'static [&'static dyn SignatureVerificationAlgorithm] {
        ALGORITHMS
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), KeyError> {
        // A panic inside the generator leaves it as unguessable as it was.
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.try_fill_bytes(bytes).map_err(|_| KeyError::Backend)
    }
}

impl<R> fmt::Debug for RustCrypto<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RustCrypto")
    }
}
