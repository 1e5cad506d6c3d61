//! Keys, tokens and a verifier that these tests share.

use std::sync::LazyLock;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use pki_types::UnixTime;
use plastron_bundle::{Bundle, JwtAuthority};
use plastron_keys::{JwsAlgorithm, KeyBackend as _, KeyType, PrivateKey, PublicKey, SigningKey};
use plastron_svid::{JwtError, JwtVerifier};
use plastron_testing::{BACKEND, Clock};

use crate::algorithms::with_each;

pub(crate) struct Keys {
    pub(crate) p256: Box<dyn PrivateKey>,
    pub(crate) other_p256: Box<dyn PrivateKey>,
    pub(crate) p384: Box<dyn PrivateKey>,
    pub(crate) p521: Box<dyn PrivateKey>,
    pub(crate) rsa: Box<dyn PrivateKey>,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = |key_type| BACKEND.generate(key_type).unwrap();
    let p521 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    Keys {
        p256: key(KeyType::EcP256),
        other_p256: key(KeyType::EcP256),
        p384: key(KeyType::EcP384),
        p521: BACKEND.from_pkcs8(p521.serialized_der()).unwrap(),
        rsa: key(KeyType::Rsa2048),
    }
});

pub(crate) const NOW: u64 = Clock::START;
pub(crate) const ID: &str = "spiffe://td.example/shop/cart";
pub(crate) const AUDIENCE: &str = "payments";

/// A right header for the key `p256`.
pub(crate) const HEADER: &str = r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#;

/// Right claims: they expire in five minutes.
pub(crate) fn claims() -> String {
    claims_with("")
}

/// Right claims and these members, each with a comma before it.
pub(crate) fn claims_with(more: &str) -> String {
    format!(
        r#"{{"sub":"{ID}","aud":["{AUDIENCE}"],"exp":{}{more}}}"#,
        NOW + 300
    )
}

pub(crate) fn encode(part: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(part.as_ref())
}

/// Signs header and payload, whatever they say.
pub(crate) fn sign(header: &str, payload: impl AsRef<[u8]>, key: &dyn SigningKey) -> String {
    sign_parts(&encode(header), &encode(payload), key)
}

pub(crate) fn sign_parts(header: &str, payload: &str, key: &dyn SigningKey) -> String {
    let signed = format!("{header}.{payload}");
    let algorithm = JwsAlgorithm::from_signature_algorithm(key.algorithm()).unwrap();
    let signature = key.sign(signed.as_bytes()).unwrap();
    let signature = algorithm.signature_from_x509(signature).unwrap();
    format!("{signed}.{}", encode(signature))
}

/// A token that differs from a right one in its header alone.
pub(crate) fn with_header(header: &str) -> String {
    sign(header, claims(), &*KEYS.p256)
}

/// A token that differs from a right one in its claims alone.
pub(crate) fn with_claims(claims: &str) -> String {
    sign(HEADER, claims, &*KEYS.p256)
}

/// The bundle of `td.example` with all keys, each under the name it has here.
pub(crate) fn bundle() -> Bundle {
    bundle_of(
        "td.example",
        &[
            ("p256", KEYS.p256.public_key()),
            ("p384", KEYS.p384.public_key()),
            ("p521", KEYS.p521.public_key()),
            ("rsa", KEYS.rsa.public_key()),
        ],
    )
}

pub(crate) fn bundle_of(trust_domain: &str, keys: &[(&str, &PublicKey)]) -> Bundle {
    let mut bundle = Bundle::new(trust_domain.parse().unwrap());
    for (key_id, key) in keys {
        let authority = JwtAuthority::new(*key_id, (*key).clone()).unwrap();
        bundle.add_jwt_authority(authority).unwrap();
    }
    bundle
}

pub(crate) fn verifier() -> JwtVerifier<'static> {
    JwtVerifier::new(BACKEND.algorithms()).leeway(Duration::ZERO)
}

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// What the verifier says of a token, without leeway.
pub(crate) fn verify(token: &str) -> Result<String, JwtError> {
    with_each(|algorithms| verify_with(JwtVerifier::new(algorithms).leeway(Duration::ZERO), token))
}

pub(crate) fn verify_with(verifier: JwtVerifier<'_>, token: &str) -> Result<String, JwtError> {
    verifier
        .verify(token, &[AUDIENCE], &bundle(), at(NOW))
        .map(|svid| svid.id().as_str().to_owned())
}

pub(crate) fn accepted() -> Result<String, JwtError> {
    Ok(ID.to_owned())
}
