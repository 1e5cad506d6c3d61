//! Keys that are left out of a bundle, without harm to the others.

use plastron_bundle::certificate::CertificateError;
use plastron_bundle::{SkipReason, TokenAuthorityError, X509AuthorityError};
use plastron_keys::PublicKeyError;
use plastron_testing::raw_certificate::Extension;
use serde_json::{Value, json};

use crate::fixture::*;

#[test]
fn what_is_not_known_is_skipped_and_reported() {
    let unknown_use = |key_use: &str| Some(SkipReason::Use(Some(key_use.into())));
    let unknown_kty = |kty: &str| Some(SkipReason::KeyType(Some(kty.into())));
    for (rule, key, reason) in [
        (
            "BUNDLE-20",
            with(right_jwt(), "use", json!("sig")),
            unknown_use("sig"),
        ),
        (
            "BUNDLE-20",
            with(right_jwt(), "use", json!("enc")),
            unknown_use("enc"),
        ),
        (
            "BUNDLE-29",
            with(right_jwt(), "use", json!("JWT-SVID")),
            unknown_use("JWT-SVID"),
        ),
        (
            "BUNDLE-29",
            with(right_x509(), "use", json!("X509-SVID")),
            unknown_use("X509-SVID"),
        ),
        #[cfg(not(feature = "wit"))]
        (
            "AMB-25",
            with(right_jwt(), "use", json!("wit-svid")),
            unknown_use("wit-svid"),
        ),
        (
            "BUNDLE-30",
            without(right_jwt(), "use"),
            Some(SkipReason::Use(None)),
        ),
        (
            "AMB-17",
            with(right_jwt(), "use", json!(1)),
            Some(SkipReason::Use(None)),
        ),
        (
            "BUNDLE-19",
            with(right_jwt(), "kty", json!("AKP")),
            unknown_kty("AKP"),
        ),
        (
            "BUNDLE-27",
            with(right_x509(), "kty", json!("foo")),
            unknown_kty("foo"),
        ),
        (
            "BUNDLE-26",
            with(right_jwt(), "kty", json!("ec")),
            unknown_kty("ec"),
        ),
        (
            "AMB-16",
            without(right_jwt(), "kty"),
            Some(SkipReason::KeyType(None)),
        ),
        (
            "BUNDLE-19",
            json!({"kty": "OKP", "crv": "X448", "x": "AA", "use": "x509-svid", "x5c": ["AA"]}),
            Some(SkipReason::PublicKey(PublicKeyError::UnknownCurve)),
        ),
        ("RS-03", json!(5), Some(SkipReason::NotAnObject)),
        ("RS-03", json!(null), Some(SkipReason::NotAnObject)),
        ("RS-03", json!("key"), Some(SkipReason::NotAnObject)),
        (
            "RS-03",
            json!([{"kty": "EC"}]),
            Some(SkipReason::NotAnObject),
        ),
    ] {
        assert_eq!(
            skipped(key.clone()),
            reason,
            "{rule} +: the others are used"
        );
        assert!(parse_keys(&[key]).bundle.is_empty(), "{rule} −: it is not");
    }
}

#[test]
fn x509_entries_that_are_broken_are_skipped_and_reported() {
    let p256 = KEYS.p256.public_key();
    let der = authority(&*KEYS.p256);
    let x5c = |value: Value| with(right_x509(), "x5c", value);
    let certificate = |der: &[u8]| x5c(json!([base64(der)]));
    let not_ca = raw_authority(&*KEYS.p256).without(19).sign(&*KEYS.p256);
    let not_signing = raw_authority(&*KEYS.p256)
        .with(vec![Extension::key_usage(&[0])])
        .sign(&*KEYS.p256);
    let unreadable = |error| {
        Some(SkipReason::X509Authority(X509AuthorityError::Certificate(
            error,
        )))
    };
    let pem = plastron_bundle::pem::certificate(&der);
    let url = base64(&[0xff; 3]).replace('/', "_");
    for (rule, key, reason) in [
        (
            "X509-80",
            without(right_x509(), "x5c"),
            Some(SkipReason::Member("x5c")),
        ),
        ("X509-80", x5c(json!([])), Some(SkipReason::Member("x5c"))),
        (
            "X509-83",
            x5c(json!(base64(&der))),
            Some(SkipReason::Certificate),
        ),
        ("X509-83", x5c(json!([1])), Some(SkipReason::Certificate)),
        ("X509-79", x5c(json!([pem])), Some(SkipReason::Certificate)),
        ("X509-79", x5c(json!([url])), Some(SkipReason::Certificate)),
        (
            "RS-08",
            x5c(json!([base64(&der).trim_end_matches('=')])),
            Some(SkipReason::Certificate),
        ),
        (
            "X509-83",
            certificate(&[0x30, 0]),
            unreadable(CertificateError::Der { at: 2 }),
        ),
        (
            "X509-83",
            certificate(&[&der[..], &[0]].concat()),
            unreadable(CertificateError::TrailingData),
        ),
        (
            "X509-83",
            certificate(&not_ca),
            Some(SkipReason::X509Authority(X509AuthorityError::NotCa)),
        ),
        (
            "AMB-13",
            certificate(&not_signing),
            Some(SkipReason::X509Authority(X509AuthorityError::KeyUsage)),
        ),
        (
            "X509-79",
            x509_entry(&der, KEYS.p384.public_key()),
            Some(SkipReason::OtherKey),
        ),
        (
            "BUNDLE-33",
            without(right_x509(), "y"),
            Some(SkipReason::Member("y")),
        ),
        (
            "JWT-52",
            with(x509_entry(&der, p256), "d", json!("AA")),
            Some(SkipReason::Secret),
        ),
    ] {
        // Base64 of a multiple of three bytes has no padding to take away.
        if rule == "RS-08" && base64(&der).ends_with(|last| last != '=') {
            continue;
        }
        assert_eq!(skipped(key), reason, "{rule} −");
    }
    let with_one_beside = parse_keys(&[without(right_x509(), "x5c"), right_x509()]).bundle;
    assert_eq!(
        with_one_beside.x509_authorities().len(),
        1,
        "X509-80 +: the one beside an entry without x5c"
    );
}

#[test]
fn jwt_entries_that_are_broken_are_skipped_and_reported() {
    let public_key = |error| Some(SkipReason::PublicKey(error));
    let x = right_jwt()["x"].as_str().unwrap().to_owned();
    let y = right_jwt()["y"].as_str().unwrap().to_owned();
    let rsa = |member: &str, value: &str| {
        let key = with(jwk(KEYS.rsa.public_key()), "use", json!("jwt-svid"));
        with(with(key, "kid", json!("two")), member, json!(value))
    };
    let ed25519 = with(
        with(jwk(KEYS.ed25519.public_key()), "use", json!("jwt-svid")),
        "kid",
        json!("ed"),
    );
    for (rule, key, reason) in [
        (
            "JWT-54",
            without(right_jwt(), "kid"),
            Some(SkipReason::JwtAuthority(TokenAuthorityError::KeyId)),
        ),
        (
            "AMB-19",
            with(right_jwt(), "kid", json!("")),
            Some(SkipReason::JwtAuthority(TokenAuthorityError::KeyId)),
        ),
        (
            "JWT-49",
            with(right_jwt(), "kid", json!(7)),
            Some(SkipReason::JwtAuthority(TokenAuthorityError::KeyId)),
        ),
        (
            "JWT-52",
            with(right_jwt(), "d", json!("AA")),
            Some(SkipReason::Secret),
        ),
        (
            "JWT-52",
            json!({"kty": "oct", "k": "AA", "kid": "two", "use": "jwt-svid"}),
            Some(SkipReason::Secret),
        ),
        (
            "BUNDLE-33",
            without(right_jwt(), "x"),
            Some(SkipReason::Member("x")),
        ),
        (
            "BUNDLE-33",
            with(right_jwt(), "x", json!(["a"])),
            Some(SkipReason::Member("x")),
        ),
        (
            "JWT-53",
            with(right_jwt(), "x", json!(&x[..40])),
            public_key(PublicKeyError::CoordinateLength {
                member: "x",
                len: 30,
                want: 32,
            }),
        ),
        (
            "JWT-53",
            with(right_jwt(), "x", json!(format!("{x}="))),
            public_key(PublicKeyError::Base64 { member: "x" }),
        ),
        (
            "JWT-53",
            with(right_jwt(), "x", json!(y)),
            public_key(PublicKeyError::Point),
        ),
        (
            "JWT-53",
            rsa("e", "AQ"),
            public_key(PublicKeyError::Exponent),
        ),
        (
            "JWT-53",
            rsa("e", "AQAA"),
            public_key(PublicKeyError::Exponent),
        ),
        (
            "JWT-05",
            ed25519,
            Some(SkipReason::JwtAuthority(TokenAuthorityError::Algorithm)),
        ),
    ] {
        assert_eq!(skipped(key), reason, "{rule} −");
    }
}

#[test]
fn what_was_skipped_is_said_in_words() {
    let mut keys = vec![right_jwt()];
    keys.push(with(right_jwt(), "use", json!("sig\n")));
    keys.push(with(right_x509(), "x5c", json!(["MAA="])));
    let words: Vec<String> = parse_keys(&keys)
        .skipped
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        words,
        [
            r#"key 1: unknown use "sig\n""#,
            "key 2: unreadable certificate: malformed certificate at byte 2"
        ]
    );
}
