//! Ed25519 keys.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use plastron_keys::{
    KeyError, PrivateKey, PublicKey, PublicKeyKind, SignError, SignatureAlgorithm, SigningKey,
};
use zeroize::Zeroizing;

/// A key for Ed25519; AWS-LC wipes its seed.
pub(crate) struct Ed25519Key {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Ed25519Key {
    pub(crate) fn generate() -> Result<Self, KeyError> {
        Self::new(Ed25519KeyPair::generate().map_err(|_| KeyError::Backend)?)
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(Ed25519KeyPair::from_pkcs8(der).map_err(|_| KeyError::Malformed)?)
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = PublicKey::from_key_bits(PublicKeyKind::Ed25519, pair.public_key().as_ref())?;
        Ok(Self { pair, public })
    }
}

impl SigningKey for Ed25519Key {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Ed25519
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self.pair.try_sign(message).map_err(|_| SignError)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl PrivateKey for Ed25519Key {
    fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let der = self
            .pair
            .to_pkcs8v1()
            .expect("a key in memory has an encoding");
        Zeroizing::new(der.as_ref().to_vec())
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public).finish()
    }
}
