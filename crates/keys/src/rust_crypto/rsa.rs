//! RSA, verifying only.

use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use rsa::BoxedUint;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::{PublicKey, PublicKeyKind};

/// One padding with one hash, for moduli of 2048 to 8192 bits.
#[derive(Debug)]
pub(super) struct Rsa {
    padding: Padding,
    hash: Hash,
}

#[derive(Debug)]
enum Padding {
    Pkcs1,
    Pss,
}

#[derive(Debug)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Rsa {
    const fn new(padding: Padding, hash: Hash) -> Self {
        Self { padding, hash }
    }
}

pub(super) static PKCS1_SHA256: Rsa = Rsa::new(Padding::Pkcs1, Hash::Sha256);
pub(super) static PKCS1_SHA384: Rsa = Rsa::new(Padding::Pkcs1, Hash::Sha384);
pub(super) static PKCS1_SHA512: Rsa = Rsa::new(Padding::Pkcs1, Hash::Sha512);
pub(super) static PSS_SHA256: Rsa = Rsa::new(Padding::Pss, Hash::Sha256);
pub(super) static PSS_SHA384: Rsa = Rsa::new(Padding::Pss, Hash::Sha384);
pub(super) static PSS_SHA512: Rsa = Rsa::new(Padding::Pss, Hash::Sha512);

impl SignatureVerificationAlgorithm for Rsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        // The bounds are those of `PublicKey`: a caller may hand in bits of a certificate that nobody has looked at.
        let key = PublicKey::from_key_bits(PublicKeyKind::Rsa { bits: 0 }, public_key)
            .map_err(|_| InvalidSignature)?;
        let (n, e) = key.rsa_numbers().ok_or(InvalidSignature)?;
        let key = rsa::PublicKey::new_with_size_limits(
            BoxedUint::from_be_slice_vartime(n),
            BoxedUint::from_be_slice_vartime(e),
            2048..=8192,
        )
        .map_err(|_| InvalidSignature)?;

        match (&self.padding, &self.hash) {
            (Padding::Pkcs1, Hash::Sha256) => key.verify(
                rsa::Pkcs1v15Sign::new::<Sha256>(),
                &Sha256::digest(message),
                signature,
            ),
            (Padding::Pkcs1, Hash::Sha384) => key.verify(
                rsa::Pkcs1v15Sign::new::<Sha384>(),
                &Sha384::digest(message),
                signature,
            ),
            (Padding::Pkcs1, Hash::Sha512) => key.verify(
                rsa::Pkcs1v15Sign::new::<Sha512>(),
                &Sha512::digest(message),
                signature,
            ),
            (Padding::Pss, Hash::Sha256) => key.verify(
                rsa::Pss::<Sha256>::new(),
                &Sha256::digest(message),
                signature,
            ),
            (Padding::Pss, Hash::Sha384) => key.verify(
                rsa::Pss::<Sha384>::new(),
                &Sha384::digest(message),
                signature,
            ),
            (Padding::Pss, Hash::Sha512) => key.verify(
                rsa::Pss::<Sha512>::new(),
                &Sha512::digest(message),
                signature,
            ),
        }
        .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match (&self.padding, &self.hash) {
            (Padding::Pkcs1, Hash::Sha256) => alg_id::RSA_PKCS1_SHA256,
            (Padding::Pkcs1, Hash::Sha384) => alg_id::RSA_PKCS1_SHA384,
            (Padding::Pkcs1, Hash::Sha512) => alg_id::RSA_PKCS1_SHA512,
            (Padding::Pss, Hash::Sha256) => alg_id::RSA_PSS_SHA256,
            (Padding::Pss, Hash::Sha384) => alg_id::RSA_PSS_SHA384,
            (Padding::Pss, Hash::Sha512) => alg_id::RSA_PSS_SHA512,
        }
    }
}
