//! ECDSA on the NIST curves.

use std::fmt;

use p256::pkcs8::EncodePrivateKey as _;
use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use signature::Signer as _;
use signature::hazmat::PrehashVerifier as _;
use zeroize::Zeroizing;

use crate::{
    KeyError, PrivateKey, PublicKey, PublicKeyKind, SignError, SignatureAlgorithm, SigningKey,
};

macro_rules! key {
    ($(#[$doc:meta])* $name:ident, $curve:ident, $kind:ident, $algorithm:ident) => {
        $(#[$doc])*
        pub(super) struct $name {
            secret: $curve::ecdsa::SigningKey,
            public: PublicKey,
        }

        impl $name {
            pub(super) fn new(secret: $curve::SecretKey) -> Result<Self, KeyError> {
                let point = secret.public_key().to_sec1_bytes();
                let public = PublicKey::from_key_bits(PublicKeyKind::$kind, &point)?;
                Ok(Self { secret: secret.into(), public })
            }
        }

        impl SigningKey for $name {
            fn algorithm(&self) -> SignatureAlgorithm {
                SignatureAlgorithm::$algorithm
            }

            fn public_key(&self) -> &PublicKey {
                &self.public
            }

            /// Deterministic (RFC 6979): needs no randomness.
            fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
                let signature: $curve::ecdsa::DerSignature =
                    self.secret.try_sign(message).map_err(|_| SignError)?;
                Ok(signature.as_bytes().to_vec())
            }
        }

        impl PrivateKey for $name {
            fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
                let der = self.secret.to_pkcs8_der().expect("a key of fixed size has an encoding");
                der.to_bytes()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple("PrivateKey").field(&self.public).finish()
            }
        }
    };
}

key!(
    /// A key on P-256; its scalar is wiped by `ecdsa::SigningKey`.
    P256Key, p256, EcP256, EcdsaP256Sha256
);
key!(
    /// A key on P-384; its scalar is wiped by `ecdsa::SigningKey`.
    P384Key, p384, EcP384, EcdsaP384Sha384
);
key!(
    /// A key on P-521; its scalar is wiped by `ecdsa::SigningKey`.
    P521Key, p521, EcP521, EcdsaP521Sha512
);

/// One curve with one hash.
#[derive(Debug)]
pub(super) struct Ecdsa {
    curve: Curve,
    hash: Hash,
}

#[derive(Debug)]
enum Curve {
    P256,
    P384,
    P521,
}

#[derive(Debug)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Ecdsa {
    const fn new(curve: Curve, hash: Hash) -> Self {
        Self { curve, hash }
    }
}

pub(super) static P256_SHA256: Ecdsa = Ecdsa::new(Curve::P256, Hash::Sha256);
pub(super) static P256_SHA384: Ecdsa = Ecdsa::new(Curve::P256, Hash::Sha384);
pub(super) static P256_SHA512: Ecdsa = Ecdsa::new(Curve::P256, Hash::Sha512);
pub(super) static P384_SHA256: Ecdsa = Ecdsa::new(Curve::P384, Hash::Sha256);
pub(super) static P384_SHA384: Ecdsa = Ecdsa::new(Curve::P384, Hash::Sha384);
pub(super) static P384_SHA512: Ecdsa = Ecdsa::new(Curve::P384, Hash::Sha512);
pub(super) static P521_SHA256: Ecdsa = Ecdsa::new(Curve::P521, Hash::Sha256);
pub(super) static P521_SHA384: Ecdsa = Ecdsa::new(Curve::P521, Hash::Sha384);
pub(super) static P521_SHA512: Ecdsa = Ecdsa::new(Curve::P521, Hash::Sha512);

macro_rules! verify_on {
    ($curve:ident, $width:literal, $key:ident, $hash:ident, $signature:ident) => {{
        // Compressed points are refused here as in `PublicKey`.
        if $key.len() != 1 + 2 * $width || $key[0] != 0x04 {
            return Err(InvalidSignature);
        }
        let key =
            $curve::ecdsa::VerifyingKey::from_sec1_bytes($key).map_err(|_| InvalidSignature)?;
        let signature =
            $curve::ecdsa::Signature::from_der($signature).map_err(|_| InvalidSignature)?;
        key.verify_prehash($hash, &signature)
            .map_err(|_| InvalidSignature)
    }};
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let mut space = [0; 64];
        let hash: &[u8] = match self.hash {
            Hash::Sha256 => fill(&mut space, &Sha256::digest(message)),
            Hash::Sha384 => fill(&mut space, &Sha384::digest(message)),
            Hash::Sha512 => fill(&mut space, &Sha512::digest(message)),
        };
        match self.curve {
            Curve::P256 => verify_on!(p256, 32, public_key, hash, signature),
            Curve::P384 => verify_on!(p384, 48, public_key, hash, signature),
            Curve::P521 => verify_on!(p521, 66, public_key, hash, signature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.curve {
            Curve::P256 => alg_id::ECDSA_P256,
            Curve::P384 => alg_id::ECDSA_P384,
            Curve::P521 => alg_id::ECDSA_P521,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.hash {
            Hash::Sha256 => alg_id::ECDSA_SHA256,
            Hash::Sha384 => alg_id::ECDSA_SHA384,
            Hash::Sha512 => alg_id::ECDSA_SHA512,
        }
    }
}

fn fill<'a>(space: &'a mut [u8; 64], digest: &[u8]) -> &'a [u8] {
    let space = &mut space[..digest.len()];
    space.copy_from_slice(digest);
    space
}
