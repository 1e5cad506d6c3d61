//! Keys, tokens, proofs and a verifier that these tests share.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::EncodingKey;
use pki_types::UnixTime;
use plastron_bundle::{Bundle, WitAuthority};
use plastron_keys::{
    JwsAlgorithm, KeyBackend as _, KeyType, PrivateKey, PublicKey, SignError, SignatureAlgorithm,
    SigningKey,
};
use plastron_svid::{VerifiedWitSvid, WitError, WitVerifier, WorkloadProof};
use plastron_testing::{BACKEND, Clock};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) struct Keys {
    pub(crate) p256: Box<dyn PrivateKey>,
    pub(crate) p384: Box<dyn PrivateKey>,
    pub(crate) p521: Box<dyn PrivateKey>,
    pub(crate) rsa: Box<dyn PrivateKey>,
    /// The workload's.
    pub(crate) own: Box<dyn PrivateKey>,
    pub(crate) other: Box<dyn PrivateKey>,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = |key_type| BACKEND.generate(key_type).unwrap();
    let p521 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    Keys {
        p256: key(KeyType::EcP256),
        p384: key(KeyType::EcP384),
        p521: BACKEND.from_pkcs8(p521.serialized_der()).unwrap(),
        rsa: key(KeyType::Rsa2048),
        own: key(KeyType::EcP256),
        other: key(KeyType::EcP256),
    }
});

/// A key of [`KEYS`] that signs with this algorithm, and its name there. What our backend does not sign with, another
/// library does.
#[derive(Debug)]
pub(crate) struct Signer(pub(crate) JwsAlgorithm);

impl Signer {
    pub(crate) fn key_id(&self) -> &'static str {
        match self.0 {
            JwsAlgorithm::Es256 => "p256",
            JwsAlgorithm::Es384 => "p384",
            JwsAlgorithm::Es512 => "p521",
            _ => "rsa",
        }
    }

    fn key(&self) -> &dyn PrivateKey {
        match self.0 {
            JwsAlgorithm::Es256 => &*KEYS.p256,
            JwsAlgorithm::Es384 => &*KEYS.p384,
            JwsAlgorithm::Es512 => &*KEYS.p521,
            _ => &*KEYS.rsa,
        }
    }
}

impl SigningKey for Signer {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.signature_algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        self.key().public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let key = self.key();
        if key.algorithm() == self.algorithm() {
            return key.sign(message);
        }
        let pem =
            pem_rfc7468::encode_string("PRIVATE KEY", pem_rfc7468::LineEnding::LF, &key.to_pkcs8());
        let encoding_key = EncodingKey::from_rsa_pem(pem.unwrap().as_bytes()).unwrap();
        let algorithm = self.0.as_str().parse().unwrap();
        let signature = jsonwebtoken::crypto::sign(message, &encoding_key, algorithm).unwrap();
        Ok(Base64UrlUnpadded::decode_vec(&signature).unwrap())
    }
}

pub(crate) const NOW: u64 = Clock::START;
pub(crate) const ID: &str = "spiffe://td.example/shop/cart";
pub(crate) const AUDIENCE: &str = "https://payments.example/pay";
pub(crate) const HEADER: &str = r#"{"alg":"ES256","kid":"p256","typ":"wit+jwt"}"#;
pub(crate) const PROOF_HEADER: &str = r#"{"alg":"ES256","typ":"wpt+jwt"}"#;

/// The members of a JWK for `cnf`.
pub(crate) fn jwk(key: &PublicKey, alg: &str) -> Value {
    let jwk = key.jwk();
    let members = jwk.members().into_iter();
    let mut jwk: Value = members
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    jwk["alg"] = json!(alg);
    jwk
}

pub(crate) fn own_jwk() -> Value {
    jwk(KEYS.own.public_key(), "ES256")
}

/// Right claims: they expire in an hour.
pub(crate) fn claims() -> Value {
    json!({ "sub": ID, "exp": NOW + 3600, "cnf": { "jwk": own_jwk() } })
}

/// Right claims of a proof of `token`: they expire in ten seconds.
pub(crate) fn proof_claims(token: &str) -> Value {
    json!({ "aud": AUDIENCE, "exp": NOW + 10, "jti": "proof-1", "wth": hash(token) })
}

pub(crate) fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

pub(crate) fn without(mut object: Value, member: &str) -> Value {
    object.as_object_mut().unwrap().remove(member);
    object
}

pub(crate) fn hash(text: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(text))
}

pub(crate) fn encode(part: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(part.as_ref())
}

/// Signs header and payload, whatever they say.
pub(crate) fn sign(header: &str, payload: impl ToString, key: &dyn SigningKey) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload.to_string()));
    let algorithm = JwsAlgorithm::from_signature_algorithm(key.algorithm()).unwrap();
    let signature = key.sign(signed.as_bytes()).unwrap();
    let signature = algorithm.signature_from_x509(signature).unwrap();
    format!("{signed}.{}", encode(signature))
}

/// A right token but for its claims.
pub(crate) fn with_claims(claims: Value) -> String {
    sign(HEADER, claims, &*KEYS.p256)
}

/// A right proof but for its claims.
pub(crate) fn proof_with_claims(claims: Value) -> String {
    sign(PROOF_HEADER, claims, &*KEYS.own)
}

/// A right proof of any token.
pub(crate) fn proof_of(token: &str) -> String {
    proof_with_claims(proof_claims(token))
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
        let authority = WitAuthority::new(*key_id, (*key).clone()).unwrap();
        bundle.add_wit_authority(authority).unwrap();
    }
    bundle
}

pub(crate) fn verifier() -> WitVerifier<'static> {
    WitVerifier::new(BACKEND.algorithms()).leeway(Duration::ZERO)
}

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn system(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What the verifier says of a token with a right proof, without leeway.
pub(crate) fn verify(token: &str) -> Result<String, WitError> {
    let proof = proof_of(token);
    verify_with(verifier(), token, &WorkloadProof::new(&proof, &[AUDIENCE])).map(|svid| name(&svid))
}

pub(crate) fn verify_with(
    verifier: WitVerifier<'_>,
    token: &str,
    proof: &WorkloadProof<'_>,
) -> Result<VerifiedWitSvid, WitError> {
    verifier.verify(token, proof, &bundle(), at(NOW))
}

pub(crate) fn name(svid: &VerifiedWitSvid) -> String {
    svid.id().as_str().to_owned()
}

pub(crate) fn accepted() -> Result<String, WitError> {
    Ok(ID.to_owned())
}
