//! ECDSA keys.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
};
use plastron_keys::{
    KeyError, PrivateKey, PublicKey, PublicKeyKind, SignError, SignatureAlgorithm, SigningKey,
};
use zeroize::Zeroizing;

/// A key on a NIST curve; AWS-LC wipes its number.
pub(crate) struct EcKey {
    pair: EcdsaKeyPair,
    algorithm: SignatureAlgorithm,
    public: PublicKey,
}

impl EcKey {
    pub(crate) fn generate(curve: PublicKeyKind) -> Result<Self, KeyError> {
        let (_, signing) = algorithms(curve)?;
        let pair = EcdsaKeyPair::generate(signing).map_err(|_| KeyError::Backend)?;
        Self::new(curve, pair)
    }

    pub(crate) fn from_pkcs8(curve: PublicKeyKind, der: &[u8]) -> Result<Self, KeyError> {
        let (_, signing) = algorithms(curve)?;
        let pair = EcdsaKeyPair::from_pkcs8(signing, der).map_err(|_| KeyError::Malformed)?;
        Self::new(curve, pair)
    }

    fn new(curve: PublicKeyKind, pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let (algorithm, _) = algorithms(curve)?;
        let public = PublicKey::from_key_bits(curve, pair.public_key().as_ref())?;
        Ok(Self {
            pair,
            algorithm,
            public,
        })
    }
}

impl SigningKey for EcKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message)
            .map_err(|_| SignError)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl PrivateKey for EcKey {
    fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let der = self
            .pair
            .to_pkcs8v1()
            .expect("a key in memory has an encoding");
        Zeroizing::new(der.as_ref().to_vec())
    }
}

impl fmt::Debug for EcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public).finish()
    }
}

fn algorithms(
    curve: PublicKeyKind,
) -> Result<(SignatureAlgorithm, &'static EcdsaSigningAlgorithm), KeyError> {
    Ok(match curve {
        PublicKeyKind::EcP256 => (
            SignatureAlgorithm::EcdsaP256Sha256,
            &ECDSA_P256_SHA256_ASN1_SIGNING,
        ),
        PublicKeyKind::EcP384 => (
            SignatureAlgorithm::EcdsaP384Sha384,
            &ECDSA_P384_SHA384_ASN1_SIGNING,
        ),
        PublicKeyKind::EcP521 => (
            SignatureAlgorithm::EcdsaP521Sha512,
            &ECDSA_P521_SHA512_ASN1_SIGNING,
        ),
        _ => return Err(KeyError::Unsupported),
    })
}
