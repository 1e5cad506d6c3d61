//! A WIT-SVID of one's own.

use plastron_bundle::JsonError;
use plastron_keys::{JwsAlgorithm, KeyError, Pkcs8Key, PrivateKey};
use plastron_mint::WorkloadProofRequest;
use plastron_svid::{WitError, WitSvid, WitSvidError, WorkloadProof};
use plastron_testing::BACKEND;
use serde_json::{Value, json};

use crate::fixture::*;

fn private_jwk(key: &dyn PrivateKey) -> Value {
    let jwk = Pkcs8Key::parse(&key.to_pkcs8()).unwrap().jwk();
    jwk.members()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

fn parse(token: &str, key: &Value) -> Result<WitSvid, WitSvidError> {
    WitSvid::parse_insecure(
        &ID.parse().unwrap(),
        token,
        &key.to_string(),
        "cart",
        at(NOW),
    )
}

#[test]
fn token_and_key_from_the_local_agent_are_taken_together() {
    // The signature is nobody's.
    let token = sign(HEADER, claims(), &*KEYS.other);
    let svid = parse(&token, &private_jwk(&*KEYS.own)).unwrap();
    // WAPI-62 +, WAPI-63 +
    assert_eq!(
        (svid.id().as_str(), svid.token(), svid.hint()),
        (ID, &*token, "cart")
    );
    assert_eq!(svid.expires_at(), at(NOW + 3600));
    assert_eq!(svid.algorithm(), JwsAlgorithm::Es256);
    // And what is made with it is accepted, once the token is.
    let token = with_claims(claims());
    let svid = parse(&token, &private_jwk(&*KEYS.own)).unwrap();
    let key = svid.private_key(&BACKEND).unwrap();
    let proof = WorkloadProofRequest::new(svid.token(), &*key, AUDIENCE).unwrap();
    let proof = proof.sign("1", system(NOW)).unwrap().token;
    let proof = WorkloadProof::new(&proof, &[AUDIENCE]);
    assert!(verify_with(verifier(), svid.token(), &proof).is_ok());
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let token = with_claims(claims());
    let key = || private_jwk(&*KEYS.own);
    let malformed = || WitSvidError::Key(KeyError::Malformed);
    for (rule, key, want) in [
        (
            "WAPI-63 −",
            private_jwk(&*KEYS.other),
            WitSvidError::OtherKey,
        ),
        ("WAPI-62 −: public", without(key(), "d"), malformed()),
        ("WAPI-62 −: no key", json!({}), malformed()),
        (
            "WAPI-62 −: no object",
            json!("x"),
            WitSvidError::Json(JsonError::Syntax),
        ),
        ("RFC 7518 −", with(key(), "d", json!(5)), malformed()),
        (
            "RFC 7518 −: several primes",
            with(key(), "oth", json!([])),
            WitSvidError::Key(KeyError::Unsupported),
        ),
    ] {
        assert_eq!(parse(&token, &key).unwrap_err(), want, "{rule}");
    }
    let other = "spiffe://td.example/other".parse().unwrap();
    assert_eq!(
        WitSvid::parse_insecure(&other, &token, &key().to_string(), "", at(NOW)).unwrap_err(),
        WitSvidError::OtherId,
        "WAPI-63 −"
    );
    let expired = WitError::Expired {
        expires_at: NOW + 3600,
        now: NOW + 3600,
    };
    let late = WitSvid::parse_insecure(
        &ID.parse().unwrap(),
        &token,
        &key().to_string(),
        "",
        at(NOW + 3600),
    );
    assert_eq!(late.unwrap_err(), WitSvidError::Token(expired));
}

#[test]
fn rsa_keys_come_in_json_too() {
    let rsa = |alg: &str| {
        with(
            claims(),
            "cnf",
            json!({ "jwk": jwk(KEYS.rsa.public_key(), alg) }),
        )
    };
    let key = private_jwk(&*KEYS.rsa);
    let svid = parse(&with_claims(rsa("RS256")), &key).unwrap();
    assert!(svid.private_key(&BACKEND).is_ok());
    // This backend signs with another algorithm than its proofs need.
    let svid = parse(&with_claims(rsa("PS512")), &key).unwrap();
    assert_eq!(
        svid.private_key(&BACKEND).map(|_| ()),
        Err(KeyError::Unsupported)
    );
    let refused = parse(&with_claims(rsa("RS256")), &without(key, "q"));
    assert_eq!(refused.unwrap_err(), WitSvidError::Key(KeyError::Malformed));
}

#[test]
fn a_private_key_is_of_bounded_length() {
    let token = with_claims(claims());
    let key = private_jwk(&*KEYS.own).to_string();
    for (len, want) in [
        (16 * 1024, Ok(())),
        (16 * 1024 + 1, Err(WitSvidError::Json(JsonError::Syntax))),
    ] {
        let padded = format!("{key:len$}");
        let svid = WitSvid::parse_insecure(&ID.parse().unwrap(), &token, &padded, "", at(NOW));
        assert_eq!(svid.map(|_| ()), want, "RS-03: {len}");
    }
}

#[test]
fn debug_shows_no_key() {
    let key = private_jwk(&*KEYS.own);
    let text = format!("{:?}", parse(&with_claims(claims()), &key).unwrap());
    assert!(text.contains(ID), "{text}");
    assert!(
        !text.contains(key["d"].as_str().unwrap()),
        "RS-15 −: {text}"
    );
}
