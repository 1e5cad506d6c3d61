//! The key types we make, and the signature algorithms that certificates name.

use std::fmt;
use std::str::FromStr;

use pki_types::{AlgorithmIdentifier, alg_id};

/// A kind of key that a [`KeyBackend`](crate::KeyBackend) makes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyType {
    /// ECDSA on P-256: what SPIFFE software uses when nothing else is asked for.
    EcP256,
    /// ECDSA on P-384.
    EcP384,
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// Ed25519. For X.509 alone: no JWT-SVID may be signed with it.
    Ed25519,
}

impl KeyType {
    /// All of them, in the order of the names' list in configuration pages.
    pub const ALL: [Self; 6] = [
        Self::EcP256,
        Self::EcP384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Ed25519,
    ];

    /// The name in configuration: `ec-p256`, `ec-p384`, `rsa-2048`, `rsa-3072`, `rsa-4096`, `ed25519`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcP256 => "ec-p256",
            Self::EcP384 => "ec-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm that keys of this type sign certificates with.
    pub fn signature_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::EcP256 => SignatureAlgorithm::EcdsaP256Sha256,
            Self::EcP384 => SignatureAlgorithm::EcdsaP384Sha384,
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => SignatureAlgorithm::RsaPkcs1Sha256,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(name: &str) -> Result<Self, UnknownKeyType> {
        Self::ALL
            .into_iter()
            .find(|key_type| key_type.as_str() == name)
            .ok_or(UnknownKeyType)
    }
}

/// The name is not that of a [`KeyType`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a key type; they are ec-p256, ec-p384, rsa-2048, rsa-3072, rsa-4096, ed25519")]
pub struct UnknownKeyType;

/// A signature algorithm of X.509, together with the kind of key it needs.
///
/// MD5 and SHA-1 are not here, so they cannot be asked for (X509-48).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// ECDSA on P-521 with SHA-512.
    EcdsaP521Sha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384, and a salt of 48 bytes.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512, and a salt of 64 bytes.
    RsaPssSha512,
    /// Ed25519.
    Ed25519,
}

impl SignatureAlgorithm {
    /// The `AlgorithmIdentifier` of the signature, a DER SEQUENCE: parameters absent for ECDSA and Ed25519, NULL for
    /// PKCS#1 v1.5, in full for PSS. Spec: RFC 5758 §3.2, RFC 4055 §3 and §5, RFC 8410 §3 (X509-47).
    pub fn identifier_der(self) -> &'static [u8] {
        match self {
            Self::EcdsaP256Sha256 => &ECDSA_SHA256,
            Self::EcdsaP384Sha384 => &ECDSA_SHA384,
            Self::EcdsaP521Sha512 => &ECDSA_SHA512,
            Self::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
            Self::RsaPkcs1Sha384 => &RSA_PKCS1_SHA384,
            Self::RsaPkcs1Sha512 => &RSA_PKCS1_SHA512,
            Self::RsaPssSha256 => &RSA_PSS_SHA256,
            Self::RsaPssSha384 => &RSA_PSS_SHA384,
            Self::RsaPssSha512 => &RSA_PSS_SHA512,
            Self::Ed25519 => &ED25519,
        }
    }

    /// The same as [`identifier_der`](Self::identifier_der) without tag and length, as `rustls-pki-types` has it.
    pub fn identifier(self) -> AlgorithmIdentifier {
        match self {
            Self::EcdsaP256Sha256 => alg_id::ECDSA_SHA256,
            Self::EcdsaP384Sha384 => alg_id::ECDSA_SHA384,
            Self::EcdsaP521Sha512 => alg_id::ECDSA_SHA512,
            Self::RsaPkcs1Sha256 => alg_id::RSA_PKCS1_SHA256,
            Self::RsaPkcs1Sha384 => alg_id::RSA_PKCS1_SHA384,
            Self::RsaPkcs1Sha512 => alg_id::RSA_PKCS1_SHA512,
            Self::RsaPssSha256 => alg_id::RSA_PSS_SHA256,
            Self::RsaPssSha384 => alg_id::RSA_PSS_SHA384,
            Self::RsaPssSha512 => alg_id::RSA_PSS_SHA512,
            Self::Ed25519 => alg_id::ED25519,
        }
    }

    /// The identifier of the keys it verifies under, without tag and length.
    pub fn public_key_identifier(self) -> AlgorithmIdentifier {
        match self {
            Self::EcdsaP256Sha256 => alg_id::ECDSA_P256,
            Self::EcdsaP384Sha384 => alg_id::ECDSA_P384,
            Self::EcdsaP521Sha512 => alg_id::ECDSA_P521,
            Self::RsaPkcs1Sha256
            | Self::RsaPkcs1Sha384
            | Self::RsaPkcs1Sha512
            | Self::RsaPssSha256
            | Self::RsaPssSha384
            | Self::RsaPssSha512 => alg_id::RSA_ENCRYPTION,
            Self::Ed25519 => alg_id::ED25519,
        }
    }
}

/// Puts a SEQUENCE header before the bytes of an identifier. `N` must be two more than `content` has.
const fn sequence<const N: usize>(content: &[u8]) -> [u8; N] {
    assert!(content.len() + 2 == N && N < 130, "short form of a length");
    let mut der = [0; N];
    der[0] = 0x30;
    der[1] = content.len() as u8;
    let mut i = 0;
    while i < content.len() {
        der[i + 2] = content[i];
        i += 1;
    }
    der
}

/// An RSASSA-PSS identifier: one hash for message and mask, its length for the salt, all spelled out.
const fn pss(hash: u8, salt: u8) -> [u8; 67] {
    let mut der = sequence::<67>(&[
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, // id-RSASSA-PSS
        0x30, 0x34, //
        0xa0, 0x0f, 0x30, 0x0d, // hashAlgorithm
        0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x00, 0x05, 0x00, //
        0xa1, 0x1c, 0x30, 0x1a, // maskGenAlgorithm: MGF1
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, //
        0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x00, 0x05, 0x00, //
        0xa2, 0x03, 0x02, 0x01, 0x00, // saltLength
    ]);
    der[29] = hash;
    der[59] = hash;
    der[66] = salt;
    der
}

const fn ecdsa(hash: u8) -> [u8; 12] {
    sequence(&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, hash])
}

const fn pkcs1(hash: u8) -> [u8; 15] {
    sequence(&[
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, hash, 0x05, 0x00,
    ])
}

static ECDSA_SHA256: [u8; 12] = ecdsa(2);
static ECDSA_SHA384: [u8; 12] = ecdsa(3);
static ECDSA_SHA512: [u8; 12] = ecdsa(4);
static RSA_PKCS1_SHA256: [u8; 15] = pkcs1(11);
static RSA_PKCS1_SHA384: [u8; 15] = pkcs1(12);
static RSA_PKCS1_SHA512: [u8; 15] = pkcs1(13);
static RSA_PSS_SHA256: [u8; 67] = pss(1, 32);
static RSA_PSS_SHA384: [u8; 67] = pss(2, 48);
static RSA_PSS_SHA512: [u8; 67] = pss(3, 64);
static ED25519: [u8; 7] = sequence(&[0x06, 0x03, 0x2b, 0x65, 0x70]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_types_read_what_they_print() {
        for key_type in KeyType::ALL {
            assert_eq!(key_type.to_string().parse(), Ok(key_type));
        }
        for name in ["", "EC-P256", "ec-p521", "rsa-1024", "rsa", "ed25519 "] {
            assert_eq!(name.parse::<KeyType>(), Err(UnknownKeyType), "{name:?}");
        }
    }

    #[test]
    fn identifiers_are_those_of_the_rfcs() {
        use SignatureAlgorithm::*;
        // X509-47 +: ECDSA and Ed25519 without parameters, PKCS#1 with NULL; `rustls-pki-types` is the judge.
        for algorithm in [
            EcdsaP256Sha256,
            EcdsaP384Sha384,
            EcdsaP521Sha512,
            RsaPkcs1Sha256,
            RsaPkcs1Sha384,
            RsaPkcs1Sha512,
            RsaPssSha256,
            RsaPssSha384,
            RsaPssSha512,
            Ed25519,
        ] {
            let der = algorithm.identifier_der();
            assert_eq!(der[0], 0x30, "{algorithm:?}");
            assert_eq!(usize::from(der[1]), der.len() - 2, "{algorithm:?}");
            assert_eq!(der[2..], *algorithm.identifier(), "{algorithm:?}");
        }
    }
}
