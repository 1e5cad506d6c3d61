//! Writing bundle documents.

use std::time::Duration;

use plastron_bundle::{Bundle, JwtAuthority};
use serde_json::{Value, json};

use crate::fixture::*;

fn full() -> Bundle {
    let p384 = x509_entry(&authority(&*KEYS.p384), KEYS.p384.public_key());
    let rsa = with(
        with(jwk(KEYS.rsa.public_key()), "use", json!("jwt-svid")),
        "kid",
        json!("two \"\u{e9}\""),
    );
    let mut bundle = parse_keys(&[right_x509(), p384, right_jwt(), rsa]).bundle;
    bundle.set_sequence(Some(u64::MAX));
    bundle.set_refresh_hint(Some(Duration::from_millis(299_001)));
    bundle
}

#[test]
fn has_what_the_standards_name_and_nothing_else() {
    let document: Value = serde_json::from_slice(&full().to_document()).unwrap();
    assert_eq!(
        document["spiffe_sequence"],
        u64::MAX,
        "BUNDLE-12 +, BUNDLE-13 +: the greatest number"
    );
    assert_eq!(
        document["spiffe_refresh_hint"], 300,
        "BUNDLE-15 +, BUNDLE-16 +: rounded up"
    );
    let keys = document["keys"].as_array().unwrap();
    assert_eq!(
        keys.len(),
        4,
        "X509-75 +, JWT-48 +, BUNDLE-26 +: one for each"
    );
    let members = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for key in &keys[..2] {
        assert_eq!(
            members(key),
            ["crv", "kty", "use", "x", "x5c", "y"],
            "X509-76 −, BUNDLE-31 −: neither kid nor more"
        );
        assert_eq!(key["use"], "x509-svid", "BUNDLE-28 +/−: of a certificate");
        assert_eq!(
            key["x5c"].as_array().unwrap().len(),
            1,
            "X509-77 +/−, X509-75 −: one certificate in each"
        );
    }
    assert_eq!(
        members(&keys[2]),
        ["crv", "kid", "kty", "use", "x", "y"],
        "JWT-49 +, JWT-52 +: a kid and public members"
    );
    assert_eq!(members(&keys[3]), ["e", "kid", "kty", "n", "use"]);
    for key in &keys[2..] {
        assert_eq!(
            key["use"], "jwt-svid",
            "BUNDLE-28 +/−, JWT-48 −: of a JWT key"
        );
    }
}

#[test]
fn is_read_as_it_was_written() {
    let bundle = full();
    let parsed = Bundle::parse(td(), &bundle.to_document()).unwrap();
    assert_eq!(parsed.skipped, []);
    assert_eq!(parsed.bundle.x509_authorities(), bundle.x509_authorities());
    assert_eq!(parsed.bundle.jwt_authorities(), bundle.jwt_authorities());
    assert_eq!(
        parsed.bundle.refresh_hint(),
        Some(Duration::from_secs(300)),
        "BUNDLE-16 +: a fraction of a second counts as one"
    );
    assert_eq!(parsed.bundle.to_document(), bundle.to_document());
    assert_eq!(
        Bundle::new(td()).to_document(),
        br#"{"keys":[]}"#,
        "AMB-15 +, BUNDLE-21 +: an empty one"
    );
}

#[test]
fn expiry_of_a_key_is_not_published() {
    let when = pki_types::UnixTime::since_unix_epoch(Duration::from_secs(1));
    let mut bundle = Bundle::new(td());
    let authority = JwtAuthority::new("k", KEYS.p256.public_key().clone())
        .unwrap()
        .with_expiry(when);
    assert_eq!(authority.expires_at(), Some(when));
    bundle.add_jwt_authority(authority).unwrap();
    let text = String::from_utf8(bundle.to_document()).unwrap();
    assert!(!text.contains("exp"), "{text}");
}
