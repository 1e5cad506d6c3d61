//! The algorithms that AWS-LC verifies with.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// Algorithms that X.509 and JWS have in common with SPIFFE, and what `webpki` has beside: the NIST curves with other
/// SHA-2 hashes. RSA takes moduli of 2048 to 8192 bits.
pub static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    &ecdsa(
        P256,
        alg_id::ECDSA_SHA256,
        &signature::ECDSA_P256_SHA256_ASN1,
    ),
    &ecdsa(
        P384,
        alg_id::ECDSA_SHA384,
        &signature::ECDSA_P384_SHA384_ASN1,
    ),
    &ecdsa(
        P521,
        alg_id::ECDSA_SHA512,
        &signature::ECDSA_P521_SHA512_ASN1,
    ),
    &ecdsa(
        P256,
        alg_id::ECDSA_SHA384,
        &signature::ECDSA_P256_SHA384_ASN1,
    ),
    &ecdsa(
        P256,
        alg_id::ECDSA_SHA512,
        &signature::ECDSA_P256_SHA512_ASN1,
    ),
    &ecdsa(
        P384,
        alg_id::ECDSA_SHA256,
        &signature::ECDSA_P384_SHA256_ASN1,
    ),
    &ecdsa(
        P384,
        alg_id::ECDSA_SHA512,
        &signature::ECDSA_P384_SHA512_ASN1,
    ),
    &ecdsa(
        P521,
        alg_id::ECDSA_SHA256,
        &signature::ECDSA_P521_SHA256_ASN1,
    ),
    &ecdsa(
        P521,
        alg_id::ECDSA_SHA384,
        &signature::ECDSA_P521_SHA384_ASN1,
    ),
    &Algorithm {
        key: alg_id::ED25519,
        form: KeyForm::Raw,
        signature: alg_id::ED25519,
        inner: &signature::ED25519,
    },
    &rsa(
        alg_id::RSA_PKCS1_SHA256,
        &signature::RSA_PKCS1_2048_8192_SHA256,
    ),
    &rsa(
        alg_id::RSA_PKCS1_SHA384,
        &signature::RSA_PKCS1_2048_8192_SHA384,
    ),
    &rsa(
        alg_id::RSA_PKCS1_SHA512,
        &signature::RSA_PKCS1_2048_8192_SHA512,
    ),
    &rsa(alg_id::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256),
    &rsa(alg_id::RSA_PSS_SHA384, &signature::RSA_PSS_2048_8192_SHA384),
    &rsa(alg_id::RSA_PSS_SHA512, &signature::RSA_PSS_2048_8192_SHA512),
];

const P256: (AlgorithmIdentifier, usize) = (alg_id::ECDSA_P256, 65);
const P384: (AlgorithmIdentifier, usize) = (alg_id::ECDSA_P384, 97);
const P521: (AlgorithmIdentifier, usize) = (alg_id::ECDSA_P521, 133);

/// One algorithm of AWS-LC under its X.509 names.
#[derive(Debug)]
struct Algorithm {
    key: AlgorithmIdentifier,
    form: KeyForm,
    signature: AlgorithmIdentifier,
    inner: &'static dyn VerificationAlgorithm,
}

/// What the content of the BIT STRING must look like: AWS-LC would also take compressed points, and a whole
/// SubjectPublicKeyInfo in place of its content.
#[derive(Debug)]
enum KeyForm {
    /// An uncompressed point of this many bytes.
    Point(usize),
    /// `RSAPublicKey`.
    Rsa,
    /// The bytes of the key, nothing around them.
    Raw,
}

const fn ecdsa(
    (key, len): (AlgorithmIdentifier, usize),
    signature: AlgorithmIdentifier,
    inner: &'static dyn VerificationAlgorithm,
) -> Algorithm {
    Algorithm {
        key,
        form: KeyForm::Point(len),
        signature,
        inner,
    }
}

const fn rsa(
    signature: AlgorithmIdentifier,
    inner: &'static dyn VerificationAlgorithm,
) -> Algorithm {
    Algorithm {
        key: alg_id::RSA_ENCRYPTION,
        form: KeyForm::Rsa,
        signature,
        inner,
    }
}

impl KeyForm {
    fn fits(&self, key: &[u8]) -> bool {
        match self {
            Self::Point(len) => key.len() == *len && key[0] == 0x04,
            // 2048 bits and more need two bytes of length; the first number follows.
            Self::Rsa => matches!(key, [0x30, 0x82, _, _, 0x02, ..]),
            Self::Raw => key.len() == 32,
        }
    }
}

impl SignatureVerificationAlgorithm for Algorithm {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        if !self.form.fits(public_key) {
            return Err(InvalidSignature);
        }
        UnparsedPublicKey::new(self.inner, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
