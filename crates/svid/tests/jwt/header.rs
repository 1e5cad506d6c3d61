//! Serialisation and header.

use plastron_bundle::JsonError;
use plastron_id::SpiffeIdError;
use plastron_svid::{JwtError, MAX_TOKEN_LEN};

use crate::fixture::*;

#[test]
fn accepts_what_a_header_may_be() {
    for (rule, header) in [
        ("JWT-13", r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#),
        ("JWT-13", r#"{"alg":"ES256","kid":"p256","typ":"JOSE"}"#),
        ("JWT-11, JWT-14", r#"{"alg":"ES256","kid":"p256"}"#),
        (
            "JWT-37",
            "{ \"typ\" : \"JWT\",\n\t\"kid\":\"p256\" , \"alg\":\"ES256\" }",
        ),
        ("JWT-16", r#"{"\u0061lg":"ES\u003256","kid":"p25\u0036"}"#),
        (
            "AMB-22",
            r#"{"alg":"ES256","kid":"p256","cty":"x","x5t":"y","z":{"a":[1]}}"#,
        ),
    ] {
        assert_eq!(
            verify(&with_header(header)),
            accepted(),
            "{rule} +: {header}"
        );
    }
}

#[test]
fn refuses_what_a_header_may_not_be() {
    let member = |member| JwtError::HeaderMember { member };
    let json = JwtError::Header;
    for (rule, header, error) in [
        (
            "JWT-03",
            r#"{"alg":"none","kid":"p256"}"#,
            JwtError::Algorithm,
        ),
        (
            "JWT-06",
            r#"{"alg":"HS256","kid":"p256"}"#,
            JwtError::Algorithm,
        ),
        (
            "JWT-06",
            r#"{"alg":"EdDSA","kid":"p256"}"#,
            JwtError::Algorithm,
        ),
        (
            "JWT-06",
            r#"{"alg":"ES256K","kid":"p256"}"#,
            JwtError::Algorithm,
        ),
        (
            "JWT-06",
            r#"{"alg":"es256","kid":"p256"}"#,
            JwtError::Algorithm,
        ),
        (
            "JWT-06",
            r#"{"alg":"ES256 ","kid":"p256"}"#,
            JwtError::Algorithm,
        ),
        (
            "JWT-06",
            r#"{"alg":["ES256"],"kid":"p256"}"#,
            JwtError::Algorithm,
        ),
        (
            "JWT-06",
            r#"{"alg":null,"kid":"p256"}"#,
            JwtError::Algorithm,
        ),
        ("JWT-06", r#"{"kid":"p256"}"#, JwtError::Algorithm),
        // The algorithm comes before everything else.
        (
            "JWT-40",
            r#"{"alg":"none","typ":"x","crit":[]}"#,
            JwtError::Algorithm,
        ),
        (
            "JWT-13",
            r#"{"alg":"ES256","kid":"p256","typ":"wit+jwt"}"#,
            JwtError::Type,
        ),
        (
            "JWT-13",
            r#"{"alg":"ES256","kid":"p256","typ":"wpt+jwt"}"#,
            JwtError::Type,
        ),
        (
            "JWT-13",
            r#"{"alg":"ES256","kid":"p256","typ":"at+jwt"}"#,
            JwtError::Type,
        ),
        (
            "AMB-21",
            r#"{"alg":"ES256","kid":"p256","typ":"jwt"}"#,
            JwtError::Type,
        ),
        (
            "JWT-13",
            r#"{"alg":"ES256","kid":"p256","typ":1}"#,
            JwtError::Type,
        ),
        (
            "JWT-13",
            r#"{"alg":"ES256","kid":"p256","typ":null}"#,
            JwtError::Type,
        ),
        (
            "JWT-14",
            r#"{"alg":"ES256","kid":"p256","crit":["b64"],"b64":false}"#,
            member("crit"),
        ),
        (
            "JWT-14",
            r#"{"alg":"ES256","kid":"p256","crit":[]}"#,
            member("crit"),
        ),
        (
            "JWT-14",
            r#"{"alg":"ES256","kid":"p256","crit":["x"],"x":1}"#,
            member("crit"),
        ),
        (
            "JWT-14",
            r#"{"alg":"ES256","kid":"p256","crit":"x"}"#,
            member("crit"),
        ),
        (
            "AMB-22",
            r#"{"alg":"ES256","kid":"p256","b64":true}"#,
            member("b64"),
        ),
        (
            "JWT-15",
            r#"{"alg":"ES256","kid":"p256","jwk":{}}"#,
            member("jwk"),
        ),
        (
            "JWT-15",
            r#"{"alg":"ES256","kid":"p256","jku":"https://x"}"#,
            member("jku"),
        ),
        (
            "JWT-15",
            r#"{"alg":"ES256","kid":"p256","x5c":[]}"#,
            member("x5c"),
        ),
        (
            "JWT-15",
            r#"{"alg":"ES256","kid":"p256","x5u":"https://x"}"#,
            member("x5u"),
        ),
        (
            "AMB-22",
            r#"{"alg":"ES256","kid":"p256","zip":"DEF"}"#,
            member("zip"),
        ),
        (
            "AMB-22",
            r#"{"alg":"ES256","kid":"p256","enc":"A128GCM"}"#,
            member("enc"),
        ),
        (
            "JWT-16",
            r#"{"alg":"ES256","alg":"ES256","kid":"p256"}"#,
            json(JsonError::DuplicateMember),
        ),
        (
            "RS-02",
            r#"{"alg":"ES256","\u0061lg":"none","kid":"p256"}"#,
            json(JsonError::DuplicateMember),
        ),
        (
            "RS-02",
            r#"{"alg":"ES256","kid":"p256","x":1,"x":1}"#,
            json(JsonError::DuplicateMember),
        ),
        ("JWT-16", r#"["alg","ES256"]"#, json(JsonError::Syntax)),
        ("JWT-16", r#""alg""#, json(JsonError::Syntax)),
        (
            "JWT-16",
            r#"{"alg":"ES256","kid":"p256"} x"#,
            json(JsonError::Syntax),
        ),
        (
            "JWT-16",
            r#"{"alg":"ES256","kid":"p256""#,
            json(JsonError::Syntax),
        ),
        (
            "RFC 7515",
            r#"{"alg":"ES256","kid":5}"#,
            json(JsonError::Syntax),
        ),
        ("JWT-16", "", json(JsonError::Syntax)),
        ("AMB-20", r#"{"alg":"ES256"}"#, JwtError::KeyIdMissing),
    ] {
        assert_eq!(
            verify(&with_header(header)),
            Err(error),
            "{rule} −: {header}"
        );
    }
}

#[test]
fn a_strict_verifier_knows_three_members() {
    let strict = verifier().strict_header();
    assert_eq!(
        verify_with(strict, &with_header(HEADER)),
        accepted(),
        "JWT-04 +: three members"
    );
    let more = with_header(r#"{"alg":"ES256","kid":"p256","cty":"x"}"#);
    assert_eq!(
        verify_with(strict, &more),
        Err(JwtError::UnknownHeaderMember),
        "JWT-04 −: a fourth one"
    );
}

#[test]
fn a_token_is_three_parts_of_base64url() {
    let right = with_header(HEADER);
    let parts: Vec<&str> = right.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        unreachable!("a compact JWS")
    };
    assert_eq!(verify(&right), accepted(), "JWT-01 +, JWT-02 +");
    let base64 = |part| JwtError::Base64 { part };
    let bad_header = JwtError::Header(JsonError::Syntax);
    for (what, token, error) in [
        ("JWT-01 −: nothing", String::new(), JwtError::NotCompact),
        (
            "JWT-01 −: two parts",
            format!("{header}.{payload}"),
            JwtError::NotCompact,
        ),
        (
            "JWT-01 −: four parts",
            format!("{right}.x"),
            JwtError::NotCompact,
        ),
        (
            "JWT-03 −: five parts",
            format!("{right}.x.y"),
            JwtError::NotCompact,
        ),
        (
            "JWT-02 −: JSON",
            format!(
                r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
            ),
            JwtError::NotCompact,
        ),
        (
            "JWT-16 −: padding",
            format!("{header}=.{payload}.{signature}"),
            base64("header"),
        ),
        (
            "JWT-16 −: padding",
            format!("{header}.{payload}.{signature}=="),
            base64("signature"),
        ),
        (
            "JWT-16 −: line break",
            format!("{header}.{payload}.{signature}\n"),
            base64("signature"),
        ),
        (
            "JWT-16 −: line break",
            format!("{header}\n.{payload}.{signature}"),
            base64("header"),
        ),
        ("JWT-16 −: space", format!(" {right}"), base64("header")),
        (
            "JWT-16 −: other alphabet",
            format!("{header}.{payload}.+/{}", &signature[2..]),
            base64("signature"),
        ),
        (
            "JWT-16 −: no header",
            format!(".{payload}.{signature}"),
            bad_header,
        ),
        (
            "JWT-03 −: no signature",
            format!("{header}.{payload}."),
            JwtError::Signature,
        ),
        (
            "JWT-16 −: other payload",
            format!("{header}.{payload}A.{signature}"),
            base64("payload"),
        ),
        (
            "JWT-37 −: the same claims written otherwise",
            format!("{header}.{}.{signature}", encode(claims() + " ")),
            JwtError::Signature,
        ),
        (
            "JWT-37 −: the same header written otherwise",
            format!("{}.{payload}.{signature}", encode(HEADER.to_owned() + " ")),
            JwtError::Signature,
        ),
        (
            "JWT-40 −: length",
            "x".repeat(MAX_TOKEN_LEN + 1),
            JwtError::TooLong {
                len: MAX_TOKEN_LEN + 1,
            },
        ),
    ] {
        assert_eq!(verify(&token), Err(error), "{what}");
    }
}

#[test]
fn bits_left_over_in_base64_are_zero() {
    // A signature of 64 bytes leaves four bits of its last character.
    let right = with_header(HEADER);
    let last = right.chars().next_back().unwrap();
    assert!("AQgw".contains(last));
    for other in ["B", "C", "P"]
        .into_iter()
        .filter(|other| !other.starts_with(last))
    {
        let varied = format!("{}{other}", &right[..right.len() - 1]);
        // JWT-16 −: one token has one spelling.
        assert_eq!(verify(&varied), Err(JwtError::Base64 { part: "signature" }));
    }
}

#[test]
fn a_token_may_have_so_many_bytes_and_no_more() {
    // Three more bytes of claims are four more of the token; the header makes up for what is left over.
    let token = |kid: usize, claim: usize| {
        let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(kid));
        let claims = claims_with(&format!(r#","x":"{}""#, "x".repeat(claim)));
        sign(&header, claims, &*KEYS.p256)
    };
    assert_eq!(MAX_TOKEN_LEN, 98_304);
    for len in [MAX_TOKEN_LEN, MAX_TOKEN_LEN + 1] {
        let token = (0..4)
            .map(|kid| token(kid, (len - token(kid, 0).len()) * 3 / 4))
            .find(|token| token.len() == len)
            .expect("one of four has that length");
        let error = verify(&token).unwrap_err();
        if len == MAX_TOKEN_LEN {
            // JWT-40 +: it is long enough to be looked at.
            assert!(matches!(error, JwtError::UnknownKey { .. }), "{error}");
        } else {
            assert_eq!(error, JwtError::TooLong { len }, "JWT-40 −");
        }
    }
}

#[test]
fn errors_name_the_rule_that_was_broken() {
    let td = || "td".parse().unwrap();
    let member = |member| JwtError::HeaderMember { member };
    for (rule, error) in [
        ("JWT-23", JwtError::NoExpectedAudience),
        ("JWT-40", JwtError::TooLong { len: 1 }),
        ("JWT-01", JwtError::NotCompact),
        ("JWT-16", JwtError::Base64 { part: "header" }),
        ("JWT-16", JwtError::Header(JsonError::Syntax)),
        ("JWT-06", JwtError::Algorithm),
        ("JWT-13", JwtError::Type),
        ("JWT-14", member("crit")),
        ("JWT-15", member("jwk")),
        ("JWT-15", member("jku")),
        ("JWT-15", member("x5c")),
        ("JWT-15", member("x5u")),
        ("AMB-22", member("zip")),
        ("JWT-04", JwtError::UnknownHeaderMember),
        ("AMB-20", JwtError::KeyIdMissing),
        ("JWT-36", JwtError::Claims(JsonError::Syntax)),
        ("JWT-18", JwtError::SubjectMissing),
        ("JWT-18", JwtError::Subject(SpiffeIdError::Scheme)),
        ("JWT-19", JwtError::SubjectWithoutPath),
        ("JWT-38", JwtError::UnknownTrustDomain(td())),
        ("JWT-51", JwtError::NoAuthorities(td())),
        ("JWT-10", JwtError::UnknownKey { key_id: "".into() }),
        ("JWT-07", JwtError::WrongKey),
        ("RS-06", JwtError::UnsupportedAlgorithm),
        ("JWT-37", JwtError::Signature),
        ("JWT-26", JwtError::ExpiryMissing),
        (
            "JWT-27",
            JwtError::Expired {
                expires_at: 1,
                now: 1,
            },
        ),
        ("JWT-30", JwtError::NotBefore),
        (
            "JWT-29",
            JwtError::NotYetValid {
                not_before: 2,
                now: 1,
            },
        ),
        ("JWT-21", JwtError::AudienceMissing),
        ("JWT-22", JwtError::Audience),
    ] {
        assert_eq!(error.rule(), rule, "{error}");
    }
}

#[test]
fn a_verifier_shows_what_it_was_told() {
    let verifier = verifier().strict_header().allow_missing_path();
    assert_eq!(
        format!("{verifier:?}"),
        "JwtVerifier { leeway: 0ns, strict_header: true, allow_missing_key_id: false, \
         allow_missing_path: true, .. }"
    );
}

#[test]
fn a_long_header_is_refused_and_a_long_payload_is_not() {
    let kid = "k".repeat(3000);
    let long = with_header(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#));
    assert_eq!(verify(&long), Err(JwtError::Base64 { part: "header" }));
    let audiences: Vec<String> = (0..32)
        .map(|n| format!(r#""{n}{}""#, "a".repeat(1022)))
        .collect();
    let claims = format!(
        r#"{{"sub":"{ID}","aud":["{AUDIENCE}",{}],"exp":{}}}"#,
        audiences.join(","),
        NOW + 300
    );
    assert_eq!(verify(&with_claims(&claims)), accepted());
}
