//! Keys and verification by AWS-LC: everything that X509-SVID and JWT-SVID use, RSA included, at the speed of assembly.
//!
//! ```
//! use plastron_keys::{KeyBackend, KeyType, verify};
//! use plastron_keys_aws_lc::AwsLc;
//!
//! let key = AwsLc.generate(KeyType::EcP256)?;
//! let signature = key.sign(b"message")?;
//! verify(AwsLc.algorithms(), key.algorithm(), key.public_key(), b"message", &signature)?;
//!
//! let again = AwsLc.from_pkcs8(&key.to_pkcs8())?;
//! assert_eq!(again.public_key(), key.public_key());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Tier 2. Keys are parsed once, when they are made or loaded, and never per signature: AWS-LC validates an RSA key for
//! longer than it signs. Randomness is AWS-LC's own, seeded by the operating system.

mod ecdsa;
mod ed25519;
mod rsa;
mod verification;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use pki_types::SignatureVerificationAlgorithm;
use plastron_keys::{KeyBackend, KeyError, KeyType, Pkcs8Key, PrivateKey, PublicKeyKind};

pub use verification::ALGORITHMS;

/// The backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLc;

impl KeyBackend for AwsLc {
    fn generate(&self, key_type: KeyType) -> Result<Box<dyn PrivateKey>, KeyError> {
        Ok(match key_type {
            KeyType::EcP256 => Box::new(ecdsa::EcKey::generate(PublicKeyKind::EcP256)?),
            KeyType::EcP384 => Box::new(ecdsa::EcKey::generate(PublicKeyKind::EcP384)?),
            KeyType::Rsa2048 => Box::new(rsa::RsaKey::generate(aws_lc_rs::rsa::KeySize::Rsa2048)?),
            KeyType::Rsa3072 => Box::new(rsa::RsaKey::generate(aws_lc_rs::rsa::KeySize::Rsa3072)?),
            KeyType::Rsa4096 => Box::new(rsa::RsaKey::generate(aws_lc_rs::rsa::KeySize::Rsa4096)?),
            KeyType::Ed25519 => Box::new(ed25519::Ed25519Key::generate()?),
            _ => return Err(KeyError::Unsupported),
        })
    }

    fn from_pkcs8(&self, der: &[u8]) -> Result<Box<dyn PrivateKey>, KeyError> {
        // AWS-LC refuses v2 for EC, and writes keys as it has read them: give it the one form that we write.
        let key = Pkcs8Key::parse(der)?;
        Ok(match key.public_key().kind() {
            PublicKeyKind::Rsa { .. } => Box::new(rsa::RsaKey::from_pkcs8(key.der())?),
            PublicKeyKind::Ed25519 => Box::new(ed25519::Ed25519Key::from_pkcs8(key.der())?),
            curve => Box::new(ecdsa::EcKey::from_pkcs8(curve, key.der())?),
        })
    }

    fn algorithms(&self) -> &'static [&'static dyn SignatureVerificationAlgorithm] {
        ALGORITHMS
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), KeyError> {
        SystemRandom::new()
            .fill(bytes)
            .map_err(|_| KeyError::Backend)
    }
}
