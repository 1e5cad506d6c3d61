//! The key members of a JSON Web Key.
//!
//! Reading JSON is the business of whoever reads the document; here are its values. Spec: RFC 7518 §6 (JWT-53),
//! RFC 8037 §2.

use std::borrow::Cow;

use base64ct::{Base64UrlUnpadded, Encoding as _};

use crate::{PublicKey, PublicKeyError, PublicKeyKind};

/// The members of a public JWK that say which key it is; what it is for (`use`, `kid`) is not among them.
///
/// There is no place for private members, nor for `oct` (JWT-52).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Jwk<'a> {
    /// `kty` = `EC`.
    Ec {
        /// Curve: `P-256`, `P-384`, `P-521`.
        crv: Cow<'a, str>,
        /// First coordinate, base64url.
        x: Cow<'a, str>,
        /// Second coordinate, base64url.
        y: Cow<'a, str>,
    },
    /// `kty` = `RSA`.
    Rsa {
        /// Modulus, base64url.
        n: Cow<'a, str>,
        /// Exponent, base64url.
        e: Cow<'a, str>,
    },
    /// `kty` = `OKP`.
    Okp {
        /// Curve: `Ed25519`.
        crv: Cow<'a, str>,
        /// The key, base64url.
        x: Cow<'a, str>,
    },
}

impl Jwk<'_> {
    /// The value of `kty`.
    pub fn kty(&self) -> &'static str {
        match self {
            Self::Ec { .. } => "EC",
            Self::Rsa { .. } => "RSA",
            Self::Okp { .. } => "OKP",
        }
    }

    /// All members, `kty` included, as names and values in alphabetical order (that of RFC 7638).
    pub fn members(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Ec { crv, x, y } => vec![("crv", crv), ("kty", "EC"), ("x", x), ("y", y)],
            Self::Rsa { n, e } => vec![("e", e), ("kty", "RSA"), ("n", n)],
            Self::Okp { crv, x } => vec![("crv", crv), ("kty", "OKP"), ("x", x)],
        }
    }
}

impl PublicKey {
    /// Parses the key members of a JWK.
    ///
    /// # Errors
    ///
    /// A curve that SVIDs have no use for, base64 that is not strict, coordinates that are not full width, numbers with
    /// leading zeros, and whatever [`from_spki_der`](Self::from_spki_der) refuses.
    pub fn from_jwk(jwk: &Jwk<'_>) -> Result<Self, PublicKeyError> {
        match jwk {
            Jwk::Ec { crv, x, y } => {
                let (kind, width) = match &**crv {
                    "P-256" => (PublicKeyKind::EcP256, 32),
                    "P-384" => (PublicKeyKind::EcP384, 48),
                    "P-521" => (PublicKeyKind::EcP521, 66),
                    _ => return Err(PublicKeyError::UnknownCurve),
                };
                let mut point = vec![0x04];
                point.extend_from_slice(&coordinate("x", x, width)?);
                point.extend_from_slice(&coordinate("y", y, width)?);
                Self::from_key_bits(kind, &point)
            }
            Jwk::Rsa { n, e } => Self::from_rsa_numbers(&number("n", n)?, &number("e", e)?),
            Jwk::Okp { crv, x } if crv == "Ed25519" => {
                Self::from_key_bits(PublicKeyKind::Ed25519, &coordinate("x", x, 32)?)
            }
            Jwk::Okp { .. } => Err(PublicKeyError::UnknownCurve),
        }
    }

    /// The key members of its JWK.
    pub fn jwk(&self) -> Jwk<'static> {
        let crv = match self.kind() {
            PublicKeyKind::EcP256 => "P-256",
            PublicKeyKind::EcP384 => "P-384",
            PublicKeyKind::EcP521 => "P-521",
            PublicKeyKind::Ed25519 => {
                return Jwk::Okp {
                    crv: "Ed25519".into(),
                    x: encode(self.key_bits()),
                };
            }
            PublicKeyKind::Rsa { .. } => {
                let (n, e) = self.rsa_numbers().expect("split when the key was parsed");
                return Jwk::Rsa {
                    n: encode(n),
                    e: encode(e),
                };
            }
        };
        let point = &self.key_bits()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        Jwk::Ec {
            crv: crv.into(),
            x: encode(x),
            y: encode(y),
        }
    }
}

fn encode(bytes: &[u8]) -> Cow<'static, str> {
    Base64UrlUnpadded::encode_string(bytes).into()
}

fn decode(member: &'static str, value: &str) -> Result<Vec<u8>, PublicKeyError> {
    Base64UrlUnpadded::decode_vec(value).map_err(|_| PublicKeyError::Base64 { member })
}

pub(crate) fn coordinate(
    member: &'static str,
    value: &str,
    want: usize,
) -> Result<Vec<u8>, PublicKeyError> {
    let bytes = decode(member, value)?;
    if bytes.len() != want {
        return Err(PublicKeyError::CoordinateLength {
            member,
            len: bytes.len(),
            want,
        });
    }
    Ok(bytes)
}

pub(crate) fn number(member: &'static str, value: &str) -> Result<Vec<u8>, PublicKeyError> {
    let bytes = decode(member, value)?;
    if bytes.first() == Some(&0) {
        return Err(PublicKeyError::LeadingZero { member });
    }
    Ok(bytes)
}
