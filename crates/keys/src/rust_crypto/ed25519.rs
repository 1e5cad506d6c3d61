//! Ed25519.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use zeroize::Zeroizing;

use crate::pkcs8;
use crate::{
    KeyError, PrivateKey, PublicKey, PublicKeyKind, SignError, SignatureAlgorithm, SigningKey,
};

/// A key for Ed25519; its seed is wiped by `ed25519_dalek::SigningKey`.
pub(super) struct Ed25519Key {
    secret: ed25519_dalek::SigningKey,
    public: PublicKey,
}

impl Ed25519Key {
    pub(super) fn new(secret: ed25519_dalek::SigningKey) -> Result<Self, KeyError> {
        let public =
            PublicKey::from_key_bits(PublicKeyKind::Ed25519, secret.verifying_key().as_bytes())?;
        Ok(Self { secret, public })
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
        let signature = self.secret.try_sign(message).map_err(|_| SignError)?;
        Ok(signature.to_bytes().to_vec())
    }
}

impl PrivateKey for Ed25519Key {
    fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        pkcs8::write_ed25519(&self.secret)
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public).finish()
    }
}

/// Verification that also refuses keys of small order, under which one signature fits many messages.
#[derive(Debug)]
pub(super) struct Ed25519;

pub(super) static ED25519: Ed25519 = Ed25519;

impl SignatureVerificationAlgorithm for Ed25519 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = public_key
            .try_into()
            .map_err(|_| InvalidSignature)
            .and_then(|key| VerifyingKey::from_bytes(key).map_err(|_| InvalidSignature))?;
        let signature = Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
        key.verify_strict(message, &signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}
