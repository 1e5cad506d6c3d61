//! Traits of what signs, and of what makes it.

use std::fmt;

use pki_types::SignatureVerificationAlgorithm;
use zeroize::Zeroizing;

use crate::{KeyType, PublicKey, PublicKeyError, SignatureAlgorithm};

/// Signs under one key with one algorithm. The key may live elsewhere, in hardware say.
pub trait SigningKey: Send + Sync + fmt::Debug {
    /// The algorithm of every signature it makes.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// The key that verifies them.
    fn public_key(&self) -> &PublicKey;

    /// Signs `message`, which is not hashed yet. The signature has X.509 form: DER for ECDSA, plain bytes for the
    /// others. For the form of JWS see [`JwsAlgorithm::signature_from_x509`](crate::JwsAlgorithm::signature_from_x509).
    ///
    /// # Errors
    ///
    /// When the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A signing key that is in memory, and so can be stored.
///
/// It cannot be cloned, `Debug` shows its public key alone, and its memory is wiped when it is dropped (RS-15).
pub trait PrivateKey: SigningKey {
    /// The key as unencrypted PKCS#8 v1 in DER, for EC with the public key in it (RS-10). Wiped when dropped.
    fn to_pkcs8(&self) -> Zeroizing<Vec<u8>>;
}

/// A cryptographic library: makes and loads keys, and says what it verifies with.
pub trait KeyBackend: Send + Sync + fmt::Debug {
    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unsupported`] for a type that it has not, [`KeyError::Backend`] when randomness fails.
    fn generate(&self, key_type: KeyType) -> Result<Box<dyn PrivateKey>, KeyError>;

    /// Loads an unencrypted PKCS#8 key in DER: v1 or v2, EC with or without embedded public key (RS-10).
    ///
    /// # Errors
    ///
    /// Bytes that are no consistent key, or a kind of key that it has not.
    #[expect(
        clippy::wrong_self_convention,
        reason = "the backend is what loads, not what is converted"
    )]
    fn from_pkcs8(&self, der: &[u8]) -> Result<Box<dyn PrivateKey>, KeyError>;

    /// The algorithms it verifies with.
    fn algorithms(&self) -> &'static [&'static dyn SignatureVerificationAlgorithm];

    /// Fills `bytes` with what nobody can guess: serials, token IDs.
    ///
    /// # Errors
    ///
    /// [`KeyError::Backend`] when there is no randomness.
    fn random(&self, bytes: &mut [u8]) -> Result<(), KeyError>;
}

/// Why there is no key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The backend has no keys of this kind.
    #[error("unsupported kind of key")]
    Unsupported,
    /// The bytes are not a PKCS#8 private key, or its parts do not belong together.
    #[error("malformed private key")]
    Malformed,
    /// The public half is unacceptable.
    #[error("unacceptable public key")]
    PublicKey(#[from] PublicKeyError),
    /// The library or its source of randomness failed.
    #[error("the cryptographic library failed")]
    Backend,
}

/// The key could not sign.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the key could not sign")]
pub struct SignError;
