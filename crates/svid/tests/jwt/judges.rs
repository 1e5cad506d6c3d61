//! Tokens that another library made, and its judgement of ours.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use plastron_svid::JwtSvid;
use plastron_testing::{Authority, Clock};
use serde_json::{Map, Value};

use crate::fixture::*;

fn encoding_key(algorithm: Algorithm) -> (EncodingKey, &'static str) {
    match algorithm {
        Algorithm::ES256 => (EncodingKey::from_ec_der(&KEYS.p256.to_pkcs8()), "p256"),
        Algorithm::ES384 => (EncodingKey::from_ec_der(&KEYS.p384.to_pkcs8()), "p384"),
        _ => (
            EncodingKey::from_rsa_pem(rsa_pem().as_bytes()).unwrap(),
            "rsa",
        ),
    }
}

fn rsa_pem() -> String {
    pem_rfc7468::encode_string(
        "PRIVATE KEY",
        pem_rfc7468::LineEnding::LF,
        &KEYS.rsa.to_pkcs8(),
    )
    .unwrap()
}

#[test]
fn accepts_tokens_that_jsonwebtoken_made() {
    for algorithm in [
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ] {
        let (key, kid) = encoding_key(algorithm);
        let mut header = Header::new(algorithm);
        header.kid = Some(kid.to_owned());
        let claims: Value = serde_json::from_str(&claims()).unwrap();
        let token = encode(&header, &claims, &key).unwrap();
        // JWT-05 +, JWT-06 +, JWT-08 +
        assert_eq!(verify(&token), accepted(), "{algorithm:?}");
    }
}

#[test]
fn jsonwebtoken_accepts_ours() {
    let authority = Authority::new("td.example");
    let token = authority.jwt_svid("/shop/cart", &[AUDIENCE], Clock::new().now());
    let jwk = authority.jwt_key().public_key().jwk();
    let members: std::collections::BTreeMap<_, _> = jwk.members().into_iter().collect();
    let key = DecodingKey::from_ec_components(members["x"], members["y"]).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[AUDIENCE]);
    // Its clock is that of the machine, and ours stands still.
    validation.validate_exp = false;
    let theirs = decode::<Map<String, Value>>(&token, &key, &validation).unwrap();
    assert_eq!(theirs.claims["sub"], ID);
    assert_eq!(theirs.header.kid.as_deref(), Some(Authority::KEY_ID));
}

#[test]
fn the_crate_spiffe_reads_our_tokens_as_we_do() {
    let authority = Authority::new("td.example");
    let token = authority.jwt_svid("/shop/cart", &[AUDIENCE], Clock::new().now());
    let theirs = spiffe::JwtSvid::parse_insecure(&token).unwrap();
    let ours = JwtSvid::parse_insecure(&token, &[AUDIENCE], at(NOW)).unwrap();
    assert_eq!(theirs.spiffe_id().to_string(), ours.id().to_string());
}
