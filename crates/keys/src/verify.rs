//! Verifying under a [`PublicKey`] with whatever set of algorithms the caller brings.

use pki_types::SignatureVerificationAlgorithm;

use crate::{JwsAlgorithm, PublicKey, SignatureAlgorithm};

/// Checks that `signature`, in X.509 form, is one of `message` under `key`.
///
/// # Errors
///
/// No algorithm of the set is meant for such keys and signatures, or the signature does not hold.
pub fn verify(
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    algorithm: SignatureAlgorithm,
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
) -> Result<(), VerifyError> {
    let key_id = key.kind().identifier();
    // P-384 with SHA-256 is a pair that certificates may have, but it is none of ours, and JWS forbids it (JWT-07).
    if algorithm.public_key_identifier() != key_id {
        return Err(VerifyError::WrongKey);
    }
    let signature_id = algorithm.identifier();
    algorithms
        .iter()
        .find(|a| a.signature_alg_id() == signature_id && a.public_key_alg_id() == key_id)
        .ok_or(VerifyError::Unsupported)?
        .verify_signature(key.key_bits(), message, signature)
        .map_err(|_| VerifyError::Signature)
}

/// Checks that `signature`, in JWS form, is one of `message` (header, dot, payload) under `key`.
///
/// # Errors
///
/// As [`verify`]; an ECDSA signature of another width than the curve's does not hold (JWT-08).
pub fn verify_jws(
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    algorithm: JwsAlgorithm,
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
) -> Result<(), VerifyError> {
    if !algorithm.suits(key.kind()) {
        return Err(VerifyError::WrongKey);
    }
    let signature = algorithm
        .signature_to_x509(signature)
        .map_err(|_| VerifyError::Signature)?;
    verify(
        algorithms,
        algorithm.signature_algorithm(),
        key,
        message,
        signature.as_bytes(),
    )
}

/// Why a signature was not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The algorithm is not for keys of this kind (JWT-07).
    #[error("signature algorithm does not suit the key")]
    WrongKey,
    /// The set has not this algorithm (X509-48, JWT-05).
    #[error("unsupported signature algorithm")]
    Unsupported,
    /// The signature is not one of this message under this key (X509-52, JWT-37).
    #[error("invalid signature")]
    Signature,
}
