//! Bundle maps: the state of the world in one document.

use std::time::Duration;

use plastron_bundle::{
    Bundle, BundleError, BundleMapError, BundleSet, JsonError, MAX_MAP_KEYS, MAX_MAP_LEN,
    MAX_MAP_TRUST_DOMAINS, ParsedMap, SkipReason, X509BundleSource as _,
};
use plastron_id::{TrustDomain, TrustDomainError};
use serde_json::{Value, json};

use crate::fixture::*;
use crate::set::bundle_of;

fn parse_map(map: &str) -> Result<ParsedMap, BundleMapError> {
    BundleSet::parse_map(map.as_bytes())
}

fn name(name: &str) -> TrustDomain {
    name.parse().unwrap()
}

#[test]
fn what_is_written_is_read_again() {
    let mut a = bundle_of("a");
    a.set_sequence(Some(7));
    a.set_refresh_hint(Some(Duration::from_secs(1)));
    let bundles: BundleSet = [bundle_of("b.example"), Bundle::new(name("empty")), a]
        .into_iter()
        .collect();
    let map = bundles.to_map();
    let json: Value = serde_json::from_slice(&map).unwrap();
    let names: Vec<_> = json["trust_domains"].as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["a", "b.example", "empty"],
        "BUNDLE-37 +: by bare names"
    );
    assert_eq!(
        json.as_object().unwrap().len(),
        1,
        "BUNDLE-36 +: one member"
    );
    assert_eq!(
        String::from_utf8_lossy(&map).matches("\"a\":").count(),
        1,
        "BUNDLE-38 +/−: each once, also in the text"
    );
    assert_eq!(json["trust_domains"]["empty"], json!({ "keys": [] }));
    assert_eq!(json["trust_domains"]["a"]["spiffe_sequence"], 7);
    assert!(
        !String::from_utf8_lossy(&map).contains("refresh_hint"),
        "BUNDLE-40 +: no refresh hint inside"
    );

    let read = BundleSet::parse_map(&map).unwrap();
    assert_eq!(read.skipped, []);
    assert_eq!(read.bundles.len(), 3, "BUNDLE-39 +: distinct names");
    for bundle in bundles.iter() {
        let again = read.bundles.get(bundle.trust_domain()).unwrap();
        assert_eq!(again.x509_authorities(), bundle.x509_authorities());
        assert_eq!(again.jwt_authorities(), bundle.jwt_authorities());
        assert_eq!(again.sequence(), bundle.sequence());
    }
    assert_eq!(read.bundles.to_map(), map);
}

#[test]
fn a_map_may_be_empty_and_have_members_that_nobody_knows() {
    for (rule, map, names) in [
        ("BUNDLE-36 +", json!({ "trust_domains": {} }), vec![]),
        (
            "BUNDLE-44 +",
            json!({ "version": { "a": [1] }, "trust_domains": { "td": { "keys": [] } }, "keys": 7 }),
            vec!["td"],
        ),
    ] {
        let read = parse_map(&map.to_string()).unwrap();
        let read: Vec<_> = read
            .bundles
            .iter()
            .map(|bundle| bundle.trust_domain().to_string())
            .collect();
        assert_eq!(read, names, "{rule}");
    }
}

#[test]
fn a_map_that_breaks_a_rule_is_refused_as_a_whole() {
    let good = json!({ "keys": [] });
    let map = |name: &str, bundle: Value| {
        json!({ "trust_domains": { "a": good, name: bundle } }).to_string()
    };
    let bundle = |error| BundleMapError::Bundle {
        trust_domain: name("td"),
        error,
    };
    let bad_name = |at, byte| BundleMapError::Name(TrustDomainError::Character { at, byte });
    let syntax = BundleMapError::Json(JsonError::Syntax);
    let twice = BundleMapError::Json(JsonError::DuplicateMember);
    let kid = |key| with(key, "kid", json!("k"));
    let conflict = json!({ "keys": [kid(right_jwt()), kid(with(jwk(KEYS.p384.public_key()), "use", json!("jwt-svid")))] });
    for (rule, text, want) in [
        ("BUNDLE-36", "{}".into(), BundleMapError::TrustDomains),
        (
            "BUNDLE-36",
            r#"{"keys":[]}"#.into(),
            BundleMapError::TrustDomains,
        ),
        (
            "BUNDLE-36",
            r#"{"trust_domains":null}"#.into(),
            syntax.clone(),
        ),
        (
            "BUNDLE-36",
            r#"{"trust_domains":[]}"#.into(),
            syntax.clone(),
        ),
        (
            "BUNDLE-36",
            r#"{"trust_domains":{}} x"#.into(),
            syntax.clone(),
        ),
        ("BUNDLE-36", "[]".into(), syntax.clone()),
        ("BUNDLE-36", map("td", json!([])), syntax),
        (
            "BUNDLE-37",
            map("spiffe://td", good.clone()),
            bad_name(6, b':'),
        ),
        ("BUNDLE-37", map("TD", good.clone()), bad_name(0, b'T')),
        (
            "BUNDLE-37",
            map("", good.clone()),
            BundleMapError::Name(TrustDomainError::Empty),
        ),
        (
            "BUNDLE-39",
            r#"{"trust_domains":{"a":{"keys":[]},"a":{"keys":[]}}}"#.into(),
            twice.clone(),
        ),
        (
            "BUNDLE-39",
            r#"{"trust_domains":{"a":{"keys":[]},"\u0061":{"keys":[]}}}"#.into(),
            twice.clone(),
        ),
        (
            "BUNDLE-39",
            r#"{"trust_domains":{},"trust_domains":{}}"#.into(),
            twice,
        ),
        (
            "BUNDLE-18",
            map("td", json!({ "keys": null })),
            bundle(BundleError::Keys),
        ),
        ("BUNDLE-18", map("td", json!({})), bundle(BundleError::Keys)),
        (
            "BUNDLE-14",
            map("td", json!({ "keys": [], "spiffe_sequence": "1" })),
            bundle(BundleError::Sequence),
        ),
        (
            "BUNDLE-24",
            map("td", conflict),
            bundle(BundleError::ConflictingKeyId { key_id: "k".into() }),
        ),
    ] {
        let error = parse_map(&text).unwrap_err();
        assert_eq!(error.rule(), rule, "{text}");
        assert_eq!(error, want, "{rule} −: {text}");
    }
    assert_eq!(
        parse_map(&map("td", json!({ "keys": 1 }))).unwrap_err(),
        BundleMapError::Bundle {
            trust_domain: name("td"),
            error: BundleError::Keys
        },
        "BUNDLE-42 −: nothing is taken of a map with a broken bundle"
    );
}

#[test]
fn a_new_map_is_the_state_of_the_world() {
    let both: BundleSet = [bundle_of("a"), bundle_of("b")].into_iter().collect();
    let one: BundleSet = [bundle_of("b")].into_iter().collect();
    let before = BundleSet::parse_map(&both.to_map()).unwrap().bundles;
    let after = BundleSet::parse_map(&one.to_map()).unwrap().bundles;
    let a = name("a");
    assert!(before.x509_authorities(a.as_ref()).is_some());
    assert!(
        after.x509_authorities(a.as_ref()).is_none(),
        "BUNDLE-42 +: what is not named any more is gone"
    );
}

#[test]
fn hints_of_the_bundles_inside_have_no_effect() {
    let map = json!({ "trust_domains": { "td": { "keys": [], "spiffe_refresh_hint": 1 } } });
    let read = parse_map(&map.to_string()).unwrap();
    let bundle = read.bundles.get(name("td").as_ref()).unwrap();
    assert_eq!(
        bundle.refresh_hint(),
        None,
        "BUNDLE-41 +/−: an inner hint of one second"
    );
}

#[test]
fn keys_that_cannot_be_used_are_reported_with_their_trust_domain() {
    let map = json!({ "trust_domains": {
        "a": { "keys": [right_x509()] },
        "b": { "keys": [right_jwt(), { "kty": "EC", "use": "sig" }] },
    } });
    let read = parse_map(&map.to_string()).unwrap();
    let [(trust_domain, skipped)] = &read.skipped[..] else {
        panic!("{:?}", read.skipped)
    };
    assert_eq!((trust_domain.as_str(), skipped.index), ("b", 1));
    assert_eq!(skipped.reason, SkipReason::Use(Some("sig".into())));
}

#[test]
fn a_map_is_bounded() {
    let many = |number: usize, keys: usize| {
        let bundle = format!(r#"{{"keys":[{}]}}"#, vec!["5"; keys].join(","));
        let bundles: Vec<String> = (0..number)
            .map(|at| format!(r#""td{at}":{bundle}"#))
            .collect();
        format!(r#"{{"trust_domains":{{{}}}}}"#, bundles.join(","))
    };
    assert_eq!(
        (MAX_MAP_LEN, MAX_MAP_TRUST_DOMAINS, MAX_MAP_KEYS),
        (16 << 20, 1024, 16_384)
    );
    let padded = |len: usize| {
        let map = many(1, 1);
        let padding = " ".repeat(len - map.len());
        map + &padding
    };
    for (map, want) in [
        (many(MAX_MAP_TRUST_DOMAINS, 0), Ok(MAX_MAP_TRUST_DOMAINS)),
        (
            many(MAX_MAP_TRUST_DOMAINS + 1, 0),
            Err(BundleMapError::TooManyTrustDomains),
        ),
        (many(16, MAX_MAP_KEYS / 16), Ok(16)),
        (
            many(17, MAX_MAP_KEYS / 16),
            Err(BundleMapError::TooManyKeys),
        ),
        (padded(MAX_MAP_LEN), Ok(1)),
        (
            padded(MAX_MAP_LEN + 1),
            Err(BundleMapError::TooLong {
                len: MAX_MAP_LEN + 1,
            }),
        ),
        (
            format!(r#"{{"x":{}{}}}"#, "[".repeat(40), "]".repeat(40)),
            Err(BundleMapError::Json(JsonError::TooDeep)),
        ),
    ] {
        let len = map.len();
        assert_eq!(
            parse_map(&map).map(|read| read.bundles.len()),
            want,
            "BUNDLE-25 +/−: size, trust domains, keys and depth of a map: {len}"
        );
    }
}
