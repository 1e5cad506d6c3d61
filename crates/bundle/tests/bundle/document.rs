//! Reading bundle documents.

use std::time::Duration;

use plastron_bundle::{
    BundleDocument, BundleError, DEFAULT_REFRESH, JsonError, MAX_DOCUMENT_LEN, MAX_KEYS,
    REFRESH_RANGE,
};
use plastron_testing::raw_certificate::name;
use serde_json::{Value, json};

use crate::fixture::*;

#[test]
fn a_document_is_an_object_with_a_list_of_keys() {
    for (rule, document) in [
        ("BUNDLE-11, BUNDLE-18", r#"{"keys":[]}"#),
        ("BUNDLE-21", r#"{"keys":[],"spiffe_sequence":1}"#),
        (
            "BUNDLE-10",
            r#"{"more":{"a":[1,null]},"keys":[],"spiffe_whatever":true}"#,
        ),
        ("BUNDLE-09", " {\n\"keys\" : [ ] }\r\n"),
        ("BUNDLE-09", r#"{"k\u0065ys":[]}"#),
        ("BUNDLE-23", r#"{"keys":[],"unknown-1":1,"unknown-2":1}"#),
    ] {
        let parsed = parse(document).unwrap();
        assert!(
            parsed.bundle.is_empty() && parsed.skipped.is_empty(),
            "{rule} +: {document}"
        );
    }
    let least = parse(r#"{"keys":[]}"#).unwrap().bundle;
    assert_eq!(
        (least.sequence(), least.refresh_hint()),
        (None, None),
        "BUNDLE-11 −: neither number nor hint is needed"
    );
    let json = BundleError::Json;
    let deep = format!(r#"{{"keys":[],"x":{}{}}}"#, "[".repeat(33), "]".repeat(33));
    for (rule, document, error) in [
        ("BUNDLE-09", "[]", json(JsonError::Syntax)),
        ("BUNDLE-09", r#""keys""#, json(JsonError::Syntax)),
        ("BUNDLE-09", r#"{"keys":[]}x"#, json(JsonError::Syntax)),
        ("BUNDLE-09", r#"{"keys":[]"#, json(JsonError::Syntax)),
        ("BUNDLE-09", "", json(JsonError::Syntax)),
        ("BUNDLE-18", "{}", BundleError::Keys),
        ("BUNDLE-18", r#"{"keys":null}"#, BundleError::Keys),
        (
            "AMB-15",
            r#"{"keys":null,"spiffe_sequence":1}"#,
            BundleError::Keys,
        ),
        ("BUNDLE-18", r#"{"keys":{}}"#, BundleError::Keys),
        ("BUNDLE-18", r#"{"keys":{"kty":[{}]}}"#, BundleError::Keys),
        ("BUNDLE-18", r#"{"keys":"[]"}"#, BundleError::Keys),
        ("BUNDLE-18", r#"{"Keys":[]}"#, BundleError::Keys),
        (
            "BUNDLE-23",
            r#"{"keys":[],"keys":[]}"#,
            json(JsonError::DuplicateMember),
        ),
        (
            "RS-02",
            r#"{"keys":[],"k\u0065ys":[]}"#,
            json(JsonError::DuplicateMember),
        ),
        (
            "BUNDLE-23",
            r#"{"keys":[],"x":1,"x":1}"#,
            json(JsonError::DuplicateMember),
        ),
        (
            "BUNDLE-23",
            r#"{"keys":[{"kty":"EC","kty":"EC"}]}"#,
            json(JsonError::DuplicateMember),
        ),
        ("BUNDLE-25", deep.as_str(), json(JsonError::TooDeep)),
    ] {
        assert_eq!(parse(document), Err(error), "{rule} −: {document}");
    }
    let latin = plastron_bundle::Bundle::parse(td(), b"{\"keys\":[],\"x\":\"\xff\"}");
    assert_eq!(
        latin,
        Err(json(JsonError::Syntax)),
        "BUNDLE-09 −: not UTF-8"
    );
}

#[test]
fn a_borrowed_document_says_what_is_in_it() {
    let text = r#"{"keys":[{"kty":"EC","use":"jwt-svid","kid":"one"},{"kty":1},2],"spiffe_sequence":7,"spiffe_refresh_hint":60}"#;
    let document = BundleDocument::parse(text.as_bytes()).unwrap();
    assert_eq!(
        (document.sequence(), document.refresh_hint()),
        (Some(7), Some(Duration::from_secs(60)))
    );
    let keys: Vec<_> = document
        .keys()
        .iter()
        .map(|key| (key.kty(), key.key_use(), key.kid()))
        .collect();
    assert_eq!(
        keys,
        [
            (Some("EC"), Some("jwt-svid"), Some("one")),
            (None, None, None),
            (None, None, None)
        ]
    );
    let negative = br#"{"keys":[],"spiffe_refresh_hint":-5}"#;
    let negative = BundleDocument::parse(negative).unwrap();
    assert_eq!(
        negative.refresh_hint(),
        Some(Duration::ZERO),
        "BUNDLE-17 +: borrowed"
    );
    let bare = BundleDocument::parse(br#"{"keys":[]}"#).unwrap();
    assert_eq!((bare.sequence(), bare.refresh_hint()), (None, None));
}

#[test]
fn the_sequence_is_an_integer_of_64_bits() {
    let parse = |value: &str| {
        parse(&format!(r#"{{"keys":[],"spiffe_sequence":{value}}}"#))
            .map(|parsed| parsed.bundle.sequence())
    };
    for (value, want) in [
        ("0", 0),
        ("9007199254740993", (1 << 53) + 1),
        ("9223372036854775808", 1 << 63),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(parse(value), Ok(Some(want)), "BUNDLE-14 +: {value}");
    }
    for value in [
        "18446744073709551616",
        "-1",
        "1.5",
        "1.0",
        "1e3",
        r#""1""#,
        "null",
        "[1]",
    ] {
        assert_eq!(
            parse(value),
            Err(BundleError::Sequence),
            "BUNDLE-14 −: {value}"
        );
    }
}

#[test]
fn the_refresh_hint_is_an_integer_and_kept_within_reason() {
    let (least, most) = (*REFRESH_RANGE.start(), *REFRESH_RANGE.end());
    let parse = |value: &str| {
        parse(&format!(r#"{{"keys":[]{value}}}"#)).map(|parsed| {
            (
                parsed.bundle.refresh_hint(),
                parsed.bundle.refresh_interval(),
            )
        })
    };
    for (value, hint, interval) in [
        ("", None, DEFAULT_REFRESH), // BUNDLE-34 +
        (
            r#","spiffe_refresh_hint":300"#,
            Some(300),
            Duration::from_secs(300),
        ),
        (r#","spiffe_refresh_hint":0"#, Some(0), least), // BUNDLE-17 +
        (r#","spiffe_refresh_hint":-5"#, Some(0), least),
        (
            r#","spiffe_refresh_hint":1000000000000"#,
            Some(1_000_000_000_000),
            most,
        ), // BUNDLE-17 +
    ] {
        assert_eq!(
            parse(value),
            Ok((hint.map(Duration::from_secs), interval)),
            "{value}"
        );
    }
    assert_eq!(DEFAULT_REFRESH, Duration::from_secs(300), "BUNDLE-34 +");
    assert_eq!((least.as_secs(), most.as_secs()), (60, 86_400));
    for value in ["300.5", r#""300""#, "null", "true"] {
        let value = format!(r#","spiffe_refresh_hint":{value}"#);
        assert_eq!(
            parse(&value),
            Err(BundleError::RefreshHint),
            "BUNDLE-16 −: {value}"
        );
    }
}

#[test]
fn keys_for_each_purpose_are_told_apart() {
    let p384 = x509_entry(&authority(&*KEYS.p384), KEYS.p384.public_key());
    let second = with(
        with(jwk(KEYS.rsa.public_key()), "use", json!("jwt-svid")),
        "kid",
        json!("two"),
    );
    let bundle = parse_keys(&[right_x509(), right_jwt(), p384, second]).bundle;
    let ders: Vec<_> = bundle
        .x509_authorities()
        .iter()
        .map(|authority| authority.public_key())
        .collect();
    assert_eq!(
        ders,
        [KEYS.p256.public_key(), KEYS.p384.public_key()],
        "X509-82 +, BUNDLE-01 +: all for X.509"
    );
    let kids: Vec<_> = bundle
        .jwt_authorities()
        .iter()
        .map(|authority| authority.key_id())
        .collect();
    assert_eq!(kids, ["one", "two"], "JWT-50 +, BUNDLE-32 +: all for JWT");
    let found = |key_id| bundle.jwt_authority(key_id).map(|found| found.key_id());
    assert_eq!((found("two"), found("three")), (Some("two"), None));
    assert!(
        parse_keys(&[right_x509()])
            .bundle
            .jwt_authorities()
            .is_empty(),
        "JWT-50 −, JWT-51 +: a key for X.509 is none for JWT"
    );
    assert!(
        parse_keys(&[right_jwt()])
            .bundle
            .x509_authorities()
            .is_empty(),
        "BUNDLE-32 −: a key for JWT is none for X.509"
    );
}

#[test]
fn keys_of_every_type_are_read() {
    for key in [&KEYS.p256, &KEYS.p384, &KEYS.rsa, &KEYS.ed25519] {
        let entry = x509_entry(&authority(&**key), key.public_key());
        let parsed = parse_keys(&[entry]);
        assert_eq!(
            parsed.bundle.x509_authorities()[0].public_key(),
            key.public_key(),
            "BUNDLE-26 +, X509-79 +"
        );
    }
}

#[test]
fn what_should_not_be_there_is_tolerated() {
    let der = authority(&*KEYS.p256);
    let second = base64(&authority(&*KEYS.p384));
    for (rule, key) in [
        ("X509-76", with(right_x509(), "kid", json!("x"))),
        (
            "X509-81",
            with(right_x509(), "x5c", json!([base64(&der), second])),
        ),
        (
            "AMB-18",
            with(right_x509(), "x5c", json!([base64(&der), 5])),
        ),
        ("BUNDLE-31", with(right_x509(), "alg", json!("ES256"))),
        (
            "BUNDLE-31",
            with(right_x509(), "key_ops", json!(["verify"])),
        ),
        (
            "BUNDLE-31",
            with(right_x509(), "more", json!({"a": {"b": []}})),
        ),
    ] {
        let parsed = parse_keys(&[key]);
        assert_eq!(parsed.skipped, [], "{rule} +");
        let authorities = parsed.bundle.x509_authorities();
        assert_eq!(
            authorities
                .iter()
                .map(|authority| authority.der())
                .collect::<Vec<_>>(),
            [&der],
            "{rule} −: nothing of it is used"
        );
    }
    let mut below = raw_authority(&*KEYS.p256);
    below.issuer = name("somebody");
    let below = below.sign(&*KEYS.p384);
    assert_eq!(
        parse_keys(&[x509_entry(&below, KEYS.p256.public_key())]).skipped,
        [],
        "X509-78 +: an authority need not be self-signed"
    );
}

#[test]
fn two_keys_cannot_have_one_name() {
    let other = with(
        with(jwk(KEYS.rsa.public_key()), "use", json!("jwt-svid")),
        "kid",
        json!("one"),
    );
    let document = |keys: &[Value]| json!({ "keys": keys }).to_string();
    let conflict = BundleError::ConflictingKeyId {
        key_id: "one".into(),
    };
    assert_eq!(
        parse(&document(&[right_jwt(), other.clone()])),
        Err(conflict),
        "BUNDLE-24 −, AMB-19 −: two keys of one name"
    );
    // What is the same twice is there once.
    let bundle = parse_keys(&[right_jwt(), right_x509(), right_jwt(), right_x509()]).bundle;
    assert_eq!(
        (
            bundle.jwt_authorities().len(),
            bundle.x509_authorities().len()
        ),
        (1, 1),
        "BUNDLE-24 +: once"
    );
    // A key of no known use has no say.
    let unknown = with(other.clone(), "use", json!("sig"));
    assert_eq!(
        parse_keys(&[right_jwt(), unknown])
            .bundle
            .jwt_authorities()
            .len(),
        1
    );
    // Names are compared with their case (JWT-10).
    let upper = with(other, "kid", json!("ONE"));
    assert_eq!(
        parse_keys(&[right_jwt(), upper])
            .bundle
            .jwt_authorities()
            .len(),
        2
    );
}

#[test]
fn size_is_limited() {
    let many = |count: usize| {
        let keys = vec![json!({"kty": "x"}); count];
        parse(&json!({ "keys": keys }).to_string()).map(|parsed| parsed.skipped.len())
    };
    assert_eq!(many(1000), Ok(1000), "BUNDLE-25 +");
    assert_eq!(many(MAX_KEYS), Ok(MAX_KEYS), "BUNDLE-25 +");
    assert_eq!(
        many(MAX_KEYS + 1),
        Err(BundleError::TooManyKeys),
        "BUNDLE-25 −"
    );
    let padded = |len: usize| {
        let document = r#"{"keys":[]}"#;
        parse(&format!("{document}{}", " ".repeat(len - document.len())))
    };
    assert!(padded(MAX_DOCUMENT_LEN).is_ok(), "BUNDLE-25 +");
    let len = MAX_DOCUMENT_LEN + 1;
    assert_eq!(
        padded(len),
        Err(BundleError::TooLong { len }),
        "BUNDLE-25 −"
    );
    assert_eq!((MAX_DOCUMENT_LEN, MAX_KEYS), (4 << 20, 4096));
}

#[test]
fn a_thousand_authorities_are_read() {
    let mut keys = Vec::new();
    for number in 0..1000u16 {
        let mut certificate = raw_authority(&*KEYS.p256);
        certificate.serial = [&[0x02, 3, 1][..], &number.to_be_bytes()].concat();
        keys.push(x509_entry(
            &certificate.sign(&*KEYS.p256),
            KEYS.p256.public_key(),
        ));
    }
    assert_eq!(
        parse_keys(&keys).bundle.x509_authorities().len(),
        1000,
        "BUNDLE-25 +"
    );
}
