//! Keys and documents that these tests share.

use std::sync::{LazyLock, Mutex};

use plastron_bundle::{Bundle, BundleError, Parsed, SkipReason};
use plastron_id::TrustDomain;
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey, PublicKey};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::RawCertificate;
use serde_json::{Value, json};

pub(crate) struct Keys {
    pub(crate) p256: Box<dyn PrivateKey>,
    pub(crate) p384: Box<dyn PrivateKey>,
    pub(crate) rsa: Box<dyn PrivateKey>,
    pub(crate) ed25519: Box<dyn PrivateKey>,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = |key_type| BACKEND.generate(key_type).unwrap();
    Keys {
        p256: key(KeyType::EcP256),
        p384: key(KeyType::EcP384),
        rsa: key(KeyType::Rsa2048),
        ed25519: key(KeyType::Ed25519),
    }
});

pub(crate) fn td() -> TrustDomain {
    "td.example".parse().unwrap()
}

/// The self-signed authority with this key: the same bytes each time, though signatures are not.
pub(crate) fn authority(key: &dyn PrivateKey) -> Vec<u8> {
    static MADE: Mutex<Vec<(PublicKey, Vec<u8>)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap();
    if let Some((_, der)) = made.iter().find(|(of, _)| of == key.public_key()) {
        return der.clone();
    }
    let der = raw_authority(key).sign(key);
    made.push((key.public_key().clone(), der.clone()));
    der
}

pub(crate) fn raw_authority(key: &dyn PrivateKey) -> RawCertificate {
    RawCertificate::authority("root", "root", key.public_key())
}

/// The members of a JWK.
pub(crate) fn jwk(key: &PublicKey) -> Value {
    let jwk = key.jwk();
    jwk.members()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

/// An entry for this certificate, which is about that key.
pub(crate) fn x509_entry(der: &[u8], key: &PublicKey) -> Value {
    let mut entry = jwk(key);
    entry["use"] = json!("x509-svid");
    entry["x5c"] = json!([base64(der)]);
    entry
}

/// A right entry for an X.509 authority with the P-256 key.
pub(crate) fn right_x509() -> Value {
    x509_entry(&authority(&*KEYS.p256), KEYS.p256.public_key())
}

/// A right entry for a JWT authority with the P-256 key.
pub(crate) fn right_jwt() -> Value {
    let mut entry = jwk(KEYS.p256.public_key());
    entry["use"] = json!("jwt-svid");
    entry["kid"] = json!("one");
    entry
}

pub(crate) fn with(mut entry: Value, member: &str, value: Value) -> Value {
    entry[member] = value;
    entry
}

pub(crate) fn without(mut entry: Value, member: &str) -> Value {
    entry.as_object_mut().unwrap().remove(member);
    entry
}

pub(crate) fn base64(der: &[u8]) -> String {
    use base64ct::{Base64, Encoding as _};
    Base64::encode_string(der)
}

pub(crate) fn parse(document: &str) -> Result<Parsed, BundleError> {
    Bundle::parse(td(), document.as_bytes())
}

/// Parses a document with these keys.
pub(crate) fn parse_keys(keys: &[Value]) -> Parsed {
    parse(&json!({ "keys": keys }).to_string()).unwrap()
}

/// Why a key was left out of a document in which another is right.
pub(crate) fn skipped(key: Value) -> Option<SkipReason> {
    let parsed = parse_keys(&[right_x509(), key, right_jwt()]);
    let (x509, jwt) = (
        parsed.bundle.x509_authorities().len(),
        parsed.bundle.jwt_authorities().len(),
    );

    parsed.skipped.into_iter().next().map(|skipped| {
        assert_eq!((skipped.index, x509, jwt), (1, 1, 1), "the others survive");
        skipped.reason
    })
}
