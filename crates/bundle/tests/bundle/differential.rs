//! JWK Sets that differ from a right one in something, before our reader and that of the crate `spiffe`.
//!
//! It reads a set as names and JSON, and looks at a key when it is needed, or refuses all keys for one without a name. We look at
//! each key, leave out what is none, and keep the rest. Each difference has the rule that makes it.

use std::collections::BTreeSet;

use plastron_bundle::Bundle;
use serde_json::{Value, json};

use crate::fixture::*;

/// A right key is beside each of these: what makes the set, and where we differ, the rule that we keep and they do not.
type Case = (&'static str, fn(Value) -> String, Differs);

#[derive(Debug, Eq, PartialEq)]
enum Differs {
    No,
    /// We leave the key out by that rule, and they take it.
    Skipped(&'static str),
    /// We leave the key out by that rule, and they refuse the set.
    SkippedNotRefused(&'static str),
    /// We refuse the set by that rule, and they take it.
    Refused(&'static str),
}

use Differs::{No, Refused, Skipped, SkippedNotRefused};

/// The set of a changed key and a right one.
fn set(key: Value) -> String {
    let right = with(right_jwt(), "kid", json!("right"));
    json!({ "keys": [key, right] }).to_string()
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("as it is", set, No),
    ("without use", |key| set(without(key, "use")), No),
    ("with unknown members", |key| set(with(key, "x5t", json!("AA"))), No),
    ("with alg", |key| set(with(key, "alg", json!("ES256"))), No),
    ("no keys", |_| json!({ "keys": [] }).to_string(), No),
    ("keys that are none", |_| json!({ "keys": null }).to_string(), No),
    ("no array", |_| json!({ "key": [] }).to_string(), No),
    ("a list", |_| "[]".to_owned(), No),
    ("cut short", |key| set(key).trim_end_matches('}').to_owned(), No),
    ("more behind", |key| set(key) + "{}", No),
    ("kid that is a number", |key| set(with(key, "kid", json!(1))), SkippedNotRefused("JWT-54")),
    ("without kid", |key| set(without(key, "kid")), SkippedNotRefused("JWT-54")),
    ("a key that is a number", |_| set(json!(5)), SkippedNotRefused("BUNDLE-33")),
    ("an empty kid", |key| set(with(key, "kid", json!(""))), Skipped("JWT-54")),
    ("for certificates", |key| set(with(key, "use", json!("x509-svid"))), Skipped("BUNDLE-20")),
    ("for WIT-SVIDs", |key| set(with(key, "use", json!("wit-svid"))), Skipped("BUNDLE-20")),
    ("for something else", |key| set(with(key, "use", json!("enc"))), Skipped("BUNDLE-20")),
    ("of an unknown type", |key| set(with(key, "kty", json!("AKP"))), Skipped("BUNDLE-19")),
    ("without a type", |key| set(without(key, "kty")), Skipped("BUNDLE-19")),
    ("symmetric", |key| set(with(with(key, "kty", json!("oct")), "k", json!("AA"))), Skipped("JWT-52")),
    ("private", |key| set(with(key, "d", json!("AA"))), Skipped("JWT-52")),
    ("without a coordinate", |key| set(without(key, "y")), Skipped("BUNDLE-33")),
    ("on another curve", |key| set(with(key, "crv", json!("P-384"))), Skipped("BUNDLE-33")),
    ("on an unknown curve", |key| set(with(key, "crv", json!("secp256k1"))), Skipped("BUNDLE-33")),
    ("beside its curve", |key| set(with(key, "x", json!("AA"))), Skipped("BUNDLE-33")),
    ("padded", |key| { let x = format!("{}=", key["x"].as_str().unwrap()); set(with(key, "x", json!(x))) }, Skipped("BUNDLE-33")),
    ("two keys of one kid", |key| { let other = jwk(KEYS.p384.public_key()); json!({ "keys": [key, with(other, "kid", json!("one"))] }).to_string() }, Refused("BUNDLE-24")),
    ("a member twice", |key| set(key).replacen("\"crv\"", "\"use\":\"jwt-svid\",\"crv\"", 1), Refused("BUNDLE-23")),
    ("keys twice", |key| set(key).replacen("{\"keys\"", "{\"keys\":[],\"keys\"", 1), Refused("BUNDLE-23")),
    ("a sequence that is text", |key| set(key).replacen('{', "{\"spiffe_sequence\":\"7\",", 1), Refused("BUNDLE-14")),
    ("a hint that is text", |key| set(key).replacen('{', "{\"spiffe_refresh_hint\":\"7\",", 1), Refused("BUNDLE-16")),
];

/// The names that we read, and the rules by which others are left out; or the rule by which all is refused.
fn ours(jwks: &str) -> Result<(BTreeSet<String>, Vec<&'static str>), &'static str> {
    let parsed = Bundle::parse_jwks(td(), jwks.as_bytes())
        .map_err(|error| error.rule().unwrap_or("none"))?;
    let names = parsed
        .bundle
        .jwt_authorities()
        .iter()
        .map(|authority| authority.key_id().to_owned());
    let skipped = parsed.skipped.iter().map(|skipped| skipped.reason.rule());
    Ok((names.collect(), skipped.collect()))
}

fn theirs(jwks: &str) -> Option<BTreeSet<String>> {
    let name = spiffe::TrustDomain::new("td.example").unwrap();
    let bundle = spiffe::JwtBundle::from_jwt_authorities(name, jwks.as_bytes()).ok()?;
    Some(
        bundle
            .jwt_authorities()
            .map(|authority| authority.key_id().to_owned())
            .collect(),
    )
}

#[test]
fn readers_differ_where_a_rule_makes_them_and_nowhere_else() {
    for (what, make, differs) in CASES {
        let jwks = make(right_jwt());
        let found = match (ours(&jwks), theirs(&jwks)) {
            (Ok((ours, skipped)), Some(theirs)) if skipped.is_empty() => {
                assert_eq!(ours, theirs, "{what}");
                No
            }
            (Ok((ours, skipped)), Some(theirs)) => {
                assert!(
                    ours.is_subset(&theirs) && skipped.len() == 1,
                    "{what}: {skipped:?}"
                );
                Skipped(skipped[0])
            }
            (Ok((_, skipped)), None) => {
                assert_eq!(skipped.len(), 1, "{what}");
                SkippedNotRefused(skipped[0])
            }
            (Err(_), None) => No,
            (Err(rule), Some(_)) => Refused(rule),
        };
        assert_eq!(found, *differs, "{what}: {jwks}");
    }
}
