//! The plain JWK Sets of the Workload API.

use plastron_bundle::{Bundle, BundleError, SkipReason};
use serde_json::{Value, json};

use crate::fixture::*;

fn parse(keys: &[Value]) -> plastron_bundle::Parsed {
    let jwks = json!({ "keys": keys }).to_string();
    Bundle::parse_jwks(td(), jwks.as_bytes()).unwrap()
}

#[test]
fn keys_need_not_say_what_they_are_for() {
    for (rule, key) in [
        ("WAPI-49", without(right_jwt(), "use")),
        ("AMB-32", right_jwt()),
    ] {
        let parsed = parse(&[key]);
        assert_eq!(parsed.skipped, [], "{rule} +");
        assert_eq!(parsed.bundle.jwt_authorities()[0].key_id(), "one");
    }
}

#[test]
fn keys_for_something_else_are_skipped() {
    for (rule, key, reason) in [
        (
            "WAPI-49",
            with(right_jwt(), "use", json!("x509-svid")),
            SkipReason::Use(Some("x509-svid".into())),
        ),
        (
            "WAPI-48",
            with(right_jwt(), "use", json!("wit-svid")),
            SkipReason::Use(Some("wit-svid".into())),
        ),
        (
            "WAPI-50",
            right_x509(),
            SkipReason::Use(Some("x509-svid".into())),
        ),
    ] {
        let parsed = parse(&[key, without(right_jwt(), "use")]);
        assert_eq!(parsed.skipped[0].reason, reason, "{rule} −");
        assert_eq!(
            parsed.bundle.jwt_authorities().len(),
            1,
            "WAPI-50 +: the JWT key beside"
        );
        assert!(parsed.bundle.x509_authorities().is_empty(), "WAPI-50 −");
    }
    let nameless = parse(&[without(right_jwt(), "kid")]);
    assert!(nameless.bundle.is_empty(), "WAPI-49 −: a key without kid");
}

#[test]
fn a_written_set_has_jwt_keys_alone_and_no_use() {
    let bundle = parse_keys(&[right_x509(), right_jwt()]).bundle;
    let jwks: Value = serde_json::from_slice(&bundle.jwks()).unwrap();
    assert_eq!(
        jwks,
        json!({ "keys": [without(right_jwt(), "use")] }),
        "WAPI-46 +, WAPI-48 +: JWT keys alone"
    );
    let empty = Bundle::new(td()).jwks();
    assert_eq!(empty, br#"{"keys":[]}"#, "AMB-15 +");
    assert_eq!(
        Bundle::parse_jwks(td(), br#"{"keys":null}"#),
        Err(BundleError::Keys),
        "AMB-15 −"
    );
}
