//! RSA keys.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use plastron_keys::{
    KeyError, PrivateKey, PublicKey, PublicKeyKind, SignError, SignatureAlgorithm, SigningKey,
};
use zeroize::Zeroizing;

/// A key for RSASSA-PKCS1-v1_5 with SHA-256, which everybody verifies; AWS-LC wipes its numbers.
pub(crate) struct RsaKey {
    pair: KeyPair,
    public: PublicKey,
}

impl RsaKey {
    pub(crate) fn generate(size: KeySize) -> Result<Self, KeyError> {
        Self::new(KeyPair::generate(size).map_err(|_| KeyError::Backend)?)
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(KeyPair::from_pkcs8(der).map_err(|_| KeyError::Malformed)?)
    }

    fn new(pair: KeyPair) -> Result<Self, KeyError> {
        let kind = PublicKeyKind::Rsa { bits: 0 };
        let public = PublicKey::from_key_bits(kind, pair.public_key().as_ref())?;
        Ok(Self { pair, public })
    }
}

impl SigningKey for RsaKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RsaPkcs1Sha256
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .map_err(|_| SignError)?;
        Ok(signature)
    }
}

impl PrivateKey for RsaKey {
    fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let der = self.pair.as_der().expect("a key in memory has an encoding");
        Zeroizing::new(der.as_ref().to_vec())
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public).finish()
    }
}
