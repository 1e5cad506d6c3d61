//! The nine signature algorithms of JWT-SVID.
//!
//! Spec: JWT-SVID §2.1; RFC 7518 §3.

use std::fmt;
use std::str::FromStr;

use crate::ecdsa_signature::{self, DerSignature};
use crate::{PublicKeyKind, SignatureAlgorithm};

/// An `alg` that a JWT-SVID may have. Nothing else can be said: not `none`, no HMAC, no `EdDSA`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum JwsAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
}

impl JwsAlgorithm {
    /// All nine.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
    ];

    /// The value of `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    /// The same algorithm under its X.509 name.
    pub fn signature_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::Rs256 => SignatureAlgorithm::RsaPkcs1Sha256,
            Self::Rs384 => SignatureAlgorithm::RsaPkcs1Sha384,
            Self::Rs512 => SignatureAlgorithm::RsaPkcs1Sha512,
            Self::Es256 => SignatureAlgorithm::EcdsaP256Sha256,
            Self::Es384 => SignatureAlgorithm::EcdsaP384Sha384,
            Self::Es512 => SignatureAlgorithm::EcdsaP521Sha512,
            Self::Ps256 => SignatureAlgorithm::RsaPssSha256,
            Self::Ps384 => SignatureAlgorithm::RsaPssSha384,
            Self::Ps512 => SignatureAlgorithm::RsaPssSha512,
        }
    }

    /// The JWS algorithm that signs as `algorithm` does; Ed25519 has none that a JWT-SVID may use.
    pub fn from_signature_algorithm(algorithm: SignatureAlgorithm) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|jws| jws.signature_algorithm() == algorithm)
    }

    /// Whether a key of this kind may carry the algorithm: the key decides, not the token (JWT-07).
    pub fn suits(self, kind: PublicKeyKind) -> bool {
        match self {
            Self::Es256 => kind == PublicKeyKind::EcP256,
            Self::Es384 => kind == PublicKeyKind::EcP384,
            Self::Es512 => kind == PublicKeyKind::EcP521,
            _ => matches!(kind, PublicKeyKind::Rsa { .. }),
        }
    }

    /// Turns a signature in X.509 form, as [`SigningKey::sign`](crate::SigningKey::sign) makes it, into that of JWS:
    /// ECDSA becomes `r‖s` at full width (JWT-08), RSA stays as it is.
    ///
    /// # Errors
    ///
    /// An ECDSA signature that is not DER, or whose numbers are too wide for the curve.
    pub fn signature_from_x509(self, signature: Vec<u8>) -> Result<Vec<u8>, MalformedSignature> {
        match self.coordinate_len() {
            Some(width) => ecdsa_signature::to_fixed(&signature, width),
            None => Ok(signature),
        }
    }

    /// The X.509 form of `signature`, which has that of JWS.
    pub(crate) fn signature_to_x509(
        self,
        signature: &[u8],
    ) -> Result<X509Signature<'_>, MalformedSignature> {
        match self.coordinate_len() {
            Some(width) => DerSignature::from_fixed(signature, width).map(X509Signature::Ecdsa),
            None => Ok(X509Signature::Rsa(signature)),
        }
    }

    /// Bytes of `r` and of `s` in an ECDSA signature.
    fn coordinate_len(self) -> Option<usize> {
        match self {
            Self::Es256 => Some(32),
            Self::Es384 => Some(48),
            Self::Es512 => Some(66),
            _ => None,
        }
    }
}

impl fmt::Display for JwsAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JwsAlgorithm {
    type Err = UnknownJwsAlgorithm;

    /// One of the nine, case-sensitive as `alg` is (JWT-05, JWT-06).
    fn from_str(alg: &str) -> Result<Self, UnknownJwsAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == alg)
            .ok_or(UnknownJwsAlgorithm)
    }
}

/// The name is none of the nine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a signature algorithm of JWT-SVID")]
pub struct UnknownJwsAlgorithm;

/// A signature has not the form that its algorithm prescribes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed signature")]
pub struct MalformedSignature;

/// A signature in X.509 form: borrowed, or made on the stack.
pub(crate) enum X509Signature<'a> {
    Ecdsa(DerSignature),
    Rsa(&'a [u8]),
}

impl X509Signature<'_> {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ecdsa(der) => der.as_bytes(),
            Self::Rsa(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_nine_and_their_case_counts() {
        for algorithm in JwsAlgorithm::ALL {
            // JWT-06 +: the nine.
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
            assert_eq!(
                JwsAlgorithm::from_signature_algorithm(algorithm.signature_algorithm()),
                Some(algorithm)
            );
        }
        // JWT-06 −
        for alg in [
            "none", "None", "HS256", "EdDSA", "Ed25519", "ES256K", "rs256", "Es256", " ES256", "",
        ] {
            assert_eq!(
                alg.parse::<JwsAlgorithm>(),
                Err(UnknownJwsAlgorithm),
                "{alg:?}"
            );
        }
        assert_eq!(
            JwsAlgorithm::from_signature_algorithm(SignatureAlgorithm::Ed25519),
            None
        );
    }

    #[test]
    fn the_key_decides_which_algorithms_it_takes() {
        use PublicKeyKind::*;
        // JWT-07 + and −
        for (kind, takes) in [
            (EcP256, &["ES256"][..]),
            (EcP384, &["ES384"]),
            (EcP521, &["ES512"]),
            (
                Rsa { bits: 2048 },
                &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
            ),
            (Ed25519, &[]),
        ] {
            for algorithm in JwsAlgorithm::ALL {
                assert_eq!(
                    algorithm.suits(kind),
                    takes.contains(&algorithm.as_str()),
                    "{kind:?} {algorithm}"
                );
            }
        }
    }
}
