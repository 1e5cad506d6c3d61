//! Keys for WIT-SVIDs, which are known with the feature `wit`.

use plastron_bundle::{
    Bundle, BundleError, BundleSet, Freshness, JwtAuthority, SkipReason, TokenAuthorityError,
    WitAuthority, WitBundleSource,
};
use serde_json::{Value, json};

use crate::fixture::*;

/// A right entry for a WIT authority with the P-384 key.
fn right_wit() -> Value {
    let mut entry = jwk(KEYS.p384.public_key());
    entry["use"] = json!("wit-svid");
    entry["kid"] = json!("wit");
    entry
}

fn wit(key_id: &str) -> WitAuthority {
    WitAuthority::new(key_id, KEYS.p384.public_key().clone()).unwrap()
}

fn jwt(key_id: &str) -> JwtAuthority {
    JwtAuthority::new(key_id, KEYS.p256.public_key().clone()).unwrap()
}

#[test]
fn each_key_is_an_authority_for_what_it_says_and_nothing_else() {
    let second = with(
        with(jwk(KEYS.rsa.public_key()), "use", json!("wit-svid")),
        "kid",
        json!("two"),
    );
    let parsed = parse_keys(&[right_wit(), right_x509(), right_jwt(), second]);
    assert_eq!(parsed.skipped, [], "AMB-25 +");
    let bundle = parsed.bundle;
    let kids: Vec<&str> = bundle
        .wit_authorities()
        .iter()
        .map(WitAuthority::key_id)
        .collect();
    assert_eq!(kids, ["wit", "two"], "WIT-45 +: all for WIT");
    assert!(
        bundle.jwt_authority("wit").is_none(),
        "BUNDLE-32 −: a key for WIT is none for JWT"
    );
    assert!(
        bundle.wit_authority("one").is_none(),
        "WIT-45 −: a key for JWT is none for WIT"
    );
    assert_eq!(
        (
            bundle.x509_authorities().len(),
            bundle.jwt_authorities().len()
        ),
        (1, 1)
    );
    let without = parse_keys(&[right_x509(), right_jwt()]).bundle;
    let set: BundleSet = [without].into_iter().collect();
    assert_eq!(
        set.wit_authorities(td().as_ref()),
        Some(&[][..]),
        "WIT-46 +: a trust domain without any is known all the same"
    );
    let other: plastron_id::TrustDomain = "other.example".parse().unwrap();
    assert!(set.wit_authorities(other.as_ref()).is_none() && bundle.wit_authority("wit").is_some());
    // WIT-41: one bundle alone answers for itself alone.
    for (of, want) in [(td(), Some(2)), (other, None)] {
        let found = WitBundleSource::wit_authorities(&bundle, of.as_ref());
        assert_eq!(found.map(<[_]>::len), want, "{of}");
    }
}

#[test]
fn broken_keys_are_skipped_and_reported() {
    let skipped = |key: Value| parse_keys(&[right_jwt(), key, right_x509()]).skipped;
    for (rule, key, reason) in [
        (
            "WIT-44",
            without(right_wit(), "kid"),
            SkipReason::WitAuthority(TokenAuthorityError::KeyId),
        ),
        (
            "WIT-44",
            with(right_wit(), "kid", json!("")),
            SkipReason::WitAuthority(TokenAuthorityError::KeyId),
        ),
        (
            "WIT-44",
            with(right_wit(), "kid", json!("one")),
            SkipReason::SharedKeyId("one".into()),
        ),
        (
            "BUNDLE-20",
            with(right_wit(), "use", json!("WIT-SVID")),
            SkipReason::Use(Some("WIT-SVID".into())),
        ),
        (
            "WIT-06",
            with(
                with(jwk(KEYS.ed25519.public_key()), "use", json!("wit-svid")),
                "kid",
                json!("ed"),
            ),
            SkipReason::WitAuthority(TokenAuthorityError::Algorithm),
        ),
        (
            "JWT-52",
            with(right_wit(), "d", json!("AA")),
            SkipReason::Secret,
        ),
    ] {
        let skipped = skipped(key);
        assert_eq!(skipped.len(), 1, "{rule} −");
        assert_eq!(
            (skipped[0].index, &skipped[0].reason),
            (1, &reason),
            "{rule} −"
        );
        assert_eq!(reason.rule(), rule);
    }
}

#[test]
fn a_key_of_tomorrow_costs_none_of_today() {
    // WIT-44 −: the WIT key stands first, and the JWT key keeps the name.
    let parsed = parse_keys(&[
        with(right_wit(), "kid", json!("one")),
        json!(5),
        right_jwt(),
    ]);
    let reasons: Vec<_> = parsed
        .skipped
        .iter()
        .map(|one| (one.index, &one.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            (0, &SkipReason::SharedKeyId("one".into())),
            (1, &SkipReason::NotAnObject)
        ]
    );
    assert_eq!(parsed.bundle.jwt_authorities().len(), 1);
}

#[test]
fn a_kid_is_given_once_in_the_whole_bundle() {
    let mut bundle = Bundle::new(td());
    bundle.add_jwt_authority(jwt("a")).unwrap();
    bundle.add_wit_authority(wit("b")).unwrap();
    assert_eq!(
        bundle.add_wit_authority(wit("b")),
        Ok(()),
        "it is there already"
    );
    let shared = |key_id: &str| {
        Err(BundleError::SharedKeyId {
            key_id: key_id.into(),
        })
    };
    assert_eq!(bundle.add_wit_authority(wit("a")), shared("a"), "WIT-44 −");
    assert_eq!(bundle.add_jwt_authority(jwt("b")), shared("b"), "WIT-44 −");
    let other = WitAuthority::new("b", KEYS.rsa.public_key().clone()).unwrap();
    assert_eq!(
        bundle.add_wit_authority(other),
        Err(BundleError::ConflictingKeyId { key_id: "b".into() }),
        "BUNDLE-24 −"
    );
    assert_eq!(shared("a").unwrap_err().rule(), Some("WIT-44"));
    assert_eq!(
        (
            bundle.jwt_authorities().len(),
            bundle.wit_authorities().len()
        ),
        (1, 1)
    );
}

#[test]
fn is_read_as_it_was_written() {
    let bundle = parse_keys(&[right_x509(), right_jwt(), right_wit()]).bundle;
    let document: Value = serde_json::from_slice(&bundle.to_document()).unwrap();
    assert_eq!(
        document["keys"][2],
        right_wit(),
        "WIT-43 +/−, BUNDLE-31 −: one for the key, and nothing but what the standards name"
    );
    assert_eq!(
        Bundle::parse(td(), &bundle.to_document()).unwrap().bundle,
        bundle
    );
}

#[test]
fn a_change_of_wit_keys_is_a_change() {
    let before = parse_keys(&[right_jwt()]).bundle;
    let after = parse_keys(&[right_jwt(), right_wit()]).bundle;
    assert_ne!(before, after);
    assert_eq!(before.compare(&after), Freshness::Newer);
    assert!(Bundle::new(td()).is_empty());
    assert!(!parse_keys(&[right_wit()]).bundle.is_empty());
}

#[test]
fn sets_of_the_workload_api_have_wit_keys_alone() {
    let bundle = parse_keys(&[right_x509(), right_jwt(), right_wit()]).bundle;
    let jwks: Value = serde_json::from_slice(&bundle.wit_jwks()).unwrap();
    assert_eq!(
        jwks,
        json!({ "keys": [right_wit()] }),
        "WAPI-65 +, WAPI-66 +"
    );
    let jwks: Value = serde_json::from_slice(&bundle.jwks()).unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1, "WAPI-48 −");

    let parse = |keys: &[Value]| {
        let jwks = json!({ "keys": keys }).to_string();
        Bundle::parse_wit_jwks(td(), jwks.as_bytes()).unwrap()
    };
    for key in [right_wit(), without(right_wit(), "use")] {
        let parsed = parse(&[key]);
        assert_eq!(parsed.skipped, [], "WAPI-67 +");
        assert_eq!(parsed.bundle.wit_authorities().len(), 1);
    }
    for (key, reason) in [
        (right_jwt(), SkipReason::Use(Some("jwt-svid".into()))),
        (right_x509(), SkipReason::Use(Some("x509-svid".into()))),
    ] {
        let parsed = parse(&[key]);
        assert_eq!(parsed.skipped[0].reason, reason, "WAPI-67 −, WAPI-66 −");
        assert!(parsed.bundle.is_empty());
    }
}
