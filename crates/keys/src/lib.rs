//! Keys: what signs, what is signed with, and what verifies.
//!
//! A [`PublicKey`] is parsed once, from a SubjectPublicKeyInfo or a JWK, and then cannot be wrong: its point is on the
//! curve, its modulus is long enough. A [`PrivateKey`] signs, and says nothing of itself in logs. A [`KeyBackend`] makes
//! private keys and names the algorithms it verifies with: [`rust_crypto`] is one here, `plastron-keys-aws-lc` another.
//!
//! Verification takes a set of algorithms of the `rustls-pki-types` trait, so whatever implements that fits.
//!
//! ```
//! use plastron_keys::rust_crypto::RustCrypto;
//! use plastron_keys::{JwsAlgorithm, KeyBackend, KeyType, PublicKey, verify, verify_jws};
//!
//! let backend = RustCrypto::new(getrandom::SysRng);
//! let key = backend.generate(KeyType::EcP256)?;
//!
//! // In X.509 form …
//! let signature = key.sign(b"message")?;
//! verify(backend.algorithms(), key.algorithm(), key.public_key(), b"message", &signature)?;
//!
//! // … and in that of a token.
//! let signature = JwsAlgorithm::Es256.signature_from_x509(signature)?;
//! let jwk = key.public_key().jwk();
//! let published = PublicKey::from_jwk(&jwk)?;
//! verify_jws(backend.algorithms(), JwsAlgorithm::Es256, &published, b"message", &signature)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Tier 1: no clock, no randomness but what [`rust_crypto::RustCrypto`] is given. Left out: encrypted private keys, PEM,
//! and keys in hardware (implement [`SigningKey`]).

mod algorithm;
mod ecdsa_signature;
mod jwk;
mod jws;
mod pkcs8;
mod private_jwk;
mod public_key;
mod roca;
pub mod rust_crypto;
mod signing;
mod verify;

pub use algorithm::{KeyType, SignatureAlgorithm, UnknownKeyType};
pub use jwk::Jwk;
pub use jws::{JwsAlgorithm, MalformedSignature, UnknownJwsAlgorithm};
pub use pkcs8::Pkcs8Key;
pub use private_jwk::PrivateJwk;
pub use public_key::{PublicKey, PublicKeyError, PublicKeyKind};
pub use signing::{KeyBackend, KeyError, PrivateKey, SignError, SigningKey};
pub use verify::{VerifyError, verify, verify_jws};
