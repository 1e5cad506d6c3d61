//! Private keys as JSON Web Keys.
//!
//! The form in which the Workload API hands out the key of a WIT-SVID (WAPI-62). Reading and writing JSON is the business of
//! whoever has the document; here are its values. Spec: RFC 7518 §6.2.2, §6.3.2; RFC 8037 §2.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use der::Encode as _;
use der::asn1::OctetStringRef;
use pkcs8::{PrivateKeyInfoRef, spki::AlgorithmIdentifierRef};
use zeroize::{Zeroize as _, Zeroizing};

use crate::jwk::{coordinate, number};
use crate::pkcs8::{SecretKey, rsa_numbers};
use crate::public_key::{RSA_ENCRYPTION, positive_integers};
use crate::{Jwk, KeyError, Pkcs8Key, PublicKey, PublicKeyKind};

/// The members of a private JWK that say which key it is. Those that are secret are wiped when it is dropped, and `Debug`
/// shows none of them.
pub struct PrivateJwk<'a> {
    /// The members of its public half.
    pub public: Jwk<'a>,
    /// `d`: the private number of a curve at full width, the private exponent of RSA, or the seed of Ed25519.
    pub d: Zeroizing<String>,
    /// `p`, `q`, `dp`, `dq` and `qi` of an RSA key of two primes.
    pub primes: Option<[Zeroizing<String>; 5]>,
}

impl PrivateJwk<'_> {
    /// The names of [`primes`](Self::primes), in their order.
    pub const PRIMES: [&'static str; 5] = ["p", "q", "dp", "dq", "qi"];

    /// All members, `kty` included, as names and values.
    pub fn members(&self) -> Vec<(&'static str, &str)> {
        let mut members = self.public.members();
        members.push(("d", &self.d));
        let primes = self.primes.iter().flatten();
        members.extend(Self::PRIMES.into_iter().zip(primes.map(|value| &***value)));
        members
    }
}

impl fmt::Debug for PrivateJwk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateJwk")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl Pkcs8Key {
    /// Reads the members of a private JWK.
    ///
    /// The public half of a curve is computed from the private number, and must be the one that stands there. Whether the
    /// numbers of RSA fit one another shows only when a backend loads the key.
    ///
    /// # Errors
    ///
    /// An unacceptable public half, private members that are not strict base64url, not at full width or not minimal, RSA
    /// without its primes, and numbers that belong to another public half.
    pub fn from_jwk(jwk: &PrivateJwk<'_>) -> Result<Self, KeyError> {
        let public_key = PublicKey::from_jwk(&jwk.public)?;
        let seed = |width| {
            let d = coordinate("d", &jwk.d, width).map_err(|_| KeyError::Malformed)?;
            Ok::<_, KeyError>(Zeroizing::new(d))
        };
        macro_rules! ec_key {
            ($variant:ident, $curve:ident, $width:expr) => {{
                let key = $curve::SecretKey::from_slice(&seed($width)?);
                SecretKey::$variant(key.map_err(|_| KeyError::Malformed)?)
            }};
        }
        let key = match public_key.kind() {
            PublicKeyKind::EcP256 => ec_key!(EcP256, p256, 32),
            PublicKeyKind::EcP384 => ec_key!(EcP384, p384, 48),
            PublicKeyKind::EcP521 => ec_key!(EcP521, p521, 66),
            PublicKeyKind::Ed25519 => {
                let seed = seed(32)?;
                let seed = seed
                    .as_slice()
                    .try_into()
                    .map_err(|_| KeyError::Malformed)?;
                SecretKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(seed))
            }
            PublicKeyKind::Rsa { .. } => {
                let primes = jwk.primes.as_ref().ok_or(KeyError::Malformed)?;
                let (n, e) = public_key
                    .rsa_numbers()
                    .expect("split when the key was parsed");
                let private = [&jwk.d].into_iter().chain(primes);
                let private: Vec<Zeroizing<Vec<u8>>> = private
                    .map(|value| private_number(value))
                    .collect::<Result<_, _>>()?;
                let numbers: Vec<&[u8]> = [&[0][..], n, e]
                    .into_iter()
                    .chain(private.iter().map(|number| &***number))
                    .collect();
                let key = Zeroizing::new(positive_integers(&numbers));
                SecretKey::parse(&rsa_pkcs8(&key)?)?
            }
        };
        let key = Self::of(key)?;
        if *key.public_key() != public_key {
            return Err(KeyError::Malformed);
        }
        Ok(key)
    }

    /// The members of its private JWK.
    pub fn jwk(&self) -> PrivateJwk<'static> {
        let secret = SecretKey::parse(self.der()).expect("written by ourselves");
        macro_rules! d_of {
            ($key:expr) => {{
                let mut bytes = $key.to_bytes();
                let d = encode(&bytes);
                bytes.as_mut_slice().zeroize();
                d
            }};
        }
        let (d, primes) = match &secret {
            SecretKey::EcP256(key) => (d_of!(key), None),
            SecretKey::EcP384(key) => (d_of!(key), None),
            SecretKey::EcP521(key) => (d_of!(key), None),
            SecretKey::Ed25519(key) => (encode(key.as_bytes()), None),
            SecretKey::Rsa { der, .. } => {
                let [_, _, d, primes @ ..] = rsa_numbers_of_pkcs8(der);
                (encode(d), Some(primes.map(encode)))
            }
        };
        PrivateJwk {
            public: self.public_key().jwk(),
            d,
            primes,
        }
    }
}

fn rsa_numbers_of_pkcs8(der: &[u8]) -> [&[u8]; 8] {
    use der::Decode as _;
    let info = PrivateKeyInfoRef::from_der(der).expect("written by ourselves");
    rsa_numbers(info.private_key.as_bytes()).expect("split when the key was parsed")
}

fn rsa_pkcs8(key: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let algorithm = AlgorithmIdentifierRef {
        oid: RSA_ENCRYPTION,
        parameters: Some(der::asn1::AnyRef::NULL),
    };
    let key = OctetStringRef::new(key).map_err(|_| KeyError::Malformed)?;
    let der = PrivateKeyInfoRef::new(algorithm, key).to_der();
    der.map(Zeroizing::new).map_err(|_| KeyError::Malformed)
}

/// A private number of RSA: as long as the longest modulus at most.
fn private_number(value: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let number = number("d", value).map(Zeroizing::new);
    number
        .ok()
        .filter(|number| (1..=1024).contains(&number.len()))
        .ok_or(KeyError::Malformed)
}

fn encode(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(Base64UrlUnpadded::encode_string(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust_crypto::RustCrypto;
    use crate::{KeyBackend as _, KeyType};

    fn read(jwk: &PrivateJwk<'_>) -> Result<Pkcs8Key, KeyError> {
        Pkcs8Key::from_jwk(jwk)
    }

    fn keys() -> Vec<Pkcs8Key> {
        let backend = RustCrypto::new(getrandom::SysRng);
        [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519]
            .map(|key_type| {
                let key = backend.generate(key_type).unwrap();
                Pkcs8Key::parse(&key.to_pkcs8()).unwrap()
            })
            .into()
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for key in keys() {
            let jwk = key.jwk();
            let names: Vec<_> = jwk.members().into_iter().map(|(name, _)| name).collect();
            // WAPI-62 +: the public members and `d`.
            assert_eq!(names.last(), Some(&"d"), "{key:?}");
            let again = read(&jwk).unwrap();
            assert_eq!(
                (again.der(), again.public_key()),
                (key.der(), key.public_key())
            );
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let [one, other] = [0, 1].map(|_| keys().remove(0));
        let with_d = |d: &str| PrivateJwk {
            d: Zeroizing::new(d.into()),
            ..one.jwk()
        };
        let right = one.jwk().d.to_string();
        assert!(read(&with_d(&right)).is_ok());
        for (what, d) in [
            ("another key's", other.jwk().d.to_string()),
            ("short", right[..40].to_owned()),
            ("padded", format!("{right}=")),
            ("zero", "A".repeat(43)),
            ("beyond the order", format!("{}8", "_".repeat(42))),
            ("nothing", String::new()),
        ] {
            assert_eq!(read(&with_d(&d)).err(), Some(KeyError::Malformed), "{what}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        for key in keys() {
            let jwk = key.jwk();
            let shown = format!("{jwk:?}");
            assert!(!shown.contains(&**jwk.d), "RS-15 −: {shown}");
        }
    }
}
