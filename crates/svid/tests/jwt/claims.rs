//! Claims, once the signature holds.

use std::time::Duration;

use plastron_bundle::JsonError;
use plastron_id::SpiffeIdError;
use plastron_keys::KeyBackend as _;
use plastron_svid::{JwtError, JwtVerifier, MAX_LEEWAY};
use plastron_testing::BACKEND;

use crate::fixture::*;

/// Claims with these members for subject, audience and expiry.
fn of(sub: &str, aud: &str, exp: &str) -> String {
    let members = [sub, aud, exp]
        .into_iter()
        .filter(|member| !member.is_empty());
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

const SUB: &str = r#""sub":"spiffe://td.example/shop/cart""#;
const AUD: &str = r#""aud":["payments"]"#;
const EXP: &str = r#""exp":1735689900"#;

#[test]
fn accepts_what_claims_may_be() {
    assert!(EXP.ends_with(&(NOW + 300).to_string()));
    for (rule, claims) in [
        ("JWT-18", of(SUB, AUD, EXP)),
        ("JWT-20", of(SUB, r#""aud":"payments""#, EXP)),
        ("JWT-20, JWT-21", of(SUB, r#""aud":["payments"]"#, EXP)),
        ("JWT-22", of(SUB, r#""aud":["other","payments"]"#, EXP)),
        ("JWT-30", of(SUB, AUD, r#""exp":1735689900.5"#)),
        ("JWT-30", of(SUB, AUD, r#""exp":1.7356899e9"#)),
        ("JWT-26, JWT-27", of(SUB, AUD, r#""exp":1735689601"#)),
        ("JWT-29", claims_with(&format!(r#","nbf":{NOW}"#))),
        ("JWT-31", claims_with(r#","iat":9999999999"#)),
        ("AMB-43", claims_with(r#","iat":"yesterday""#)),
        ("JWT-33", claims_with(r#","jti":"1""#)),
        (
            "JWT-34",
            claims_with(r#","groups":["a",{"b":[1.5,null,true]}],"iss":"x""#),
        ),
        (
            "JWT-16",
            of(
                r#""\u0073ub":"spiffe:\/\/td.example/shop/c\u0061rt""#,
                AUD,
                EXP,
            ),
        ),
        ("JWT-37", format!(" {{ {EXP} ,\n {AUD}\t, {SUB} }} ")),
    ] {
        assert_eq!(
            verify(&with_claims(&claims)),
            accepted(),
            "{rule} +: {claims}"
        );
    }
}

#[test]
fn refuses_what_claims_may_not_be() {
    let expired = |expires_at| JwtError::Expired {
        expires_at,
        now: NOW,
    };
    let json = JwtError::Claims;
    let sub = |sub: &str| of(&format!(r#""sub":{sub}"#), AUD, EXP);
    let aud = |aud: &str| of(SUB, &format!(r#""aud":{aud}"#), EXP);
    let exp = |exp: &str| of(SUB, AUD, &format!(r#""exp":{exp}"#));
    for (rule, claims, error) in [
        ("JWT-18", of("", AUD, EXP), JwtError::SubjectMissing),
        (
            "JWT-18",
            sub(r#"["spiffe://td.example/a"]"#),
            JwtError::SubjectMissing,
        ),
        ("JWT-18", sub("null"), JwtError::SubjectMissing),
        (
            "JWT-18",
            sub(r#""user@x""#),
            JwtError::Subject(SpiffeIdError::Scheme),
        ),
        (
            "JWT-18",
            sub(r#""spiffe://td.example/a/""#),
            JwtError::Subject(SpiffeIdError::TrailingSlash),
        ),
        (
            "JWT-19",
            sub(r#""spiffe://td.example""#),
            JwtError::SubjectWithoutPath,
        ),
        ("JWT-21", of(SUB, "", EXP), JwtError::AudienceMissing),
        ("JWT-21", aud("null"), JwtError::AudienceMissing),
        ("JWT-21", aud("[]"), JwtError::AudienceMissing),
        ("JWT-21", aud("1"), JwtError::AudienceMissing),
        (
            "JWT-20",
            aud(r#"["payments",1]"#),
            JwtError::AudienceMissing,
        ),
        (
            "JWT-20",
            aud(r#"[1,"payments"]"#),
            JwtError::AudienceMissing,
        ),
        (
            "JWT-20",
            aud(r#"[["payments"]]"#),
            JwtError::AudienceMissing,
        ),
        (
            "JWT-20",
            aud(r#"{"payments":true}"#),
            JwtError::AudienceMissing,
        ),
        ("JWT-22", aud(r#"["Payments"]"#), JwtError::Audience),
        ("JWT-22", aud(r#"["payments/"]"#), JwtError::Audience),
        ("JWT-22", aud(r#"["payment"]"#), JwtError::Audience),
        ("JWT-22", aud(r#"["payments2"]"#), JwtError::Audience),
        ("JWT-22", aud(r#""payments,other""#), JwtError::Audience),
        ("JWT-22", aud(r#"[""]"#), JwtError::Audience),
        ("JWT-26", of(SUB, AUD, ""), JwtError::ExpiryMissing),
        ("JWT-26", exp("null"), JwtError::ExpiryMissing),
        ("JWT-26", exp("true"), JwtError::ExpiryMissing),
        ("JWT-30", exp(r#""1735689900""#), JwtError::ExpiryMissing),
        ("JWT-30", exp("1e400"), json(JsonError::Syntax)),
        ("JWT-30", exp("NaN"), json(JsonError::Syntax)),
        // Now is the second of the expiry, without leeway.
        ("JWT-27", exp("1735689600"), expired(NOW)),
        ("JWT-27", exp("1735689599.5"), expired(NOW)),
        ("JWT-27", exp("-1"), expired(0)),
        ("JWT-27", exp("0"), expired(0)),
        (
            "JWT-29",
            claims_with(&format!(r#","nbf":{}"#, NOW + 600)),
            JwtError::NotYetValid {
                not_before: NOW + 600,
                now: NOW,
            },
        ),
        ("JWT-30", claims_with(r#","nbf":"x""#), JwtError::NotBefore),
        (
            "JWT-36",
            claims_with(r#","sub":"spiffe://td.example/b""#),
            json(JsonError::DuplicateMember),
        ),
        (
            "JWT-36",
            claims_with(r#","s\u0075b":"spiffe://td.example/b""#),
            json(JsonError::DuplicateMember),
        ),
        (
            "JWT-36",
            claims_with(r#","x":1,"x":1"#),
            json(JsonError::DuplicateMember),
        ),
        ("JWT-36", r#"["sub"]"#.to_owned(), json(JsonError::Syntax)),
        ("JWT-36", "null".to_owned(), json(JsonError::Syntax)),
        (
            "JWT-36",
            format!("{} ,", of(SUB, AUD, EXP)),
            json(JsonError::Syntax),
        ),
        (
            "JWT-36",
            claims_with(&format!(r#","x":{}{}"#, "[".repeat(40), "]".repeat(40))),
            json(JsonError::TooDeep),
        ),
    ] {
        assert_eq!(
            verify(&with_claims(&claims)),
            Err(error),
            "{rule} −: {claims}"
        );
    }
    let latin = [claims().as_bytes(), b" \xff"].concat();
    let token = sign(HEADER, latin, &*KEYS.p256);
    assert_eq!(
        verify(&token),
        Err(json(JsonError::Syntax)),
        "JWT-36 −: not UTF-8"
    );
}

#[test]
fn many_claims_are_still_told_apart() {
    let many: String = (0..200).map(|n| format!(r#","c{n}":{n}"#)).collect();
    assert_eq!(
        verify(&with_claims(&claims_with(&many))),
        accepted(),
        "JWT-34 +"
    );
    let twice = with_claims(&claims_with(&format!(r#"{many},"c150":0"#)));
    assert_eq!(
        verify(&twice),
        Err(JwtError::Claims(JsonError::DuplicateMember)),
        "JWT-36 −"
    );
}

#[test]
fn leeway_is_an_argument_and_has_a_limit() {
    let token = with_claims(&claims());
    let exp = NOW + 300;
    let early = with_claims(&claims_with(&format!(r#","nbf":{}"#, NOW + 60)));
    let judge = |verifier: JwtVerifier<'_>, token: &str, now| {
        verifier
            .verify(token, &[AUDIENCE], &bundle(), at(now))
            .is_ok()
    };
    let usual = JwtVerifier::new(BACKEND.algorithms());
    assert!(judge(usual, &token, exp + 59), "JWT-27 +, AMB-41 +");
    assert!(!judge(usual, &token, exp + 60), "JWT-27 −");
    assert!(judge(usual, &early, NOW), "JWT-29 +");
    let none = usual.leeway(Duration::ZERO);
    assert!(
        judge(none, &token, exp - 1) && !judge(none, &token, exp),
        "JWT-27"
    );
    assert!(!judge(none, &early, NOW), "JWT-29 −");
    let most = usual.leeway(Duration::from_secs(3600));
    let limit = MAX_LEEWAY.as_secs();
    assert!(
        judge(most, &token, exp + limit - 1) && !judge(most, &token, exp + limit),
        "JWT-27 −"
    );
}

#[test]
fn whoever_verifies_says_who_he_is() {
    let token = with_claims(&claims());
    let judge = |audiences: &[&str]| {
        verifier()
            .verify(&token, audiences, &bundle(), at(NOW))
            .map(|_| ())
    };
    assert_eq!(judge(&[AUDIENCE]), Ok(()), "JWT-23 +");
    assert_eq!(judge(&["other", AUDIENCE]), Ok(()), "JWT-23 +");
    assert_eq!(
        judge(&[]),
        Err(JwtError::NoExpectedAudience),
        "JWT-23 −, AMB-23 −"
    );
    assert_eq!(judge(&[""]), Err(JwtError::NoExpectedAudience), "JWT-23 −");
    assert_eq!(judge(&["other"]), Err(JwtError::Audience), "JWT-22 −");
}

#[test]
fn may_be_told_to_accept_a_trust_domain_as_subject() {
    let token = with_claims(&of(r#""sub":"spiffe://td.example""#, AUD, EXP));
    let id = verify_with(verifier().allow_missing_path(), &token);
    assert_eq!(id, Ok("spiffe://td.example".to_owned()), "AMB-06 +");
}

#[test]
fn gives_claims_as_they_were_signed() {
    let claims = claims_with(r#","iat":1735689600,"groups":["a"]"#);
    let svid = verifier()
        .verify(&with_claims(&claims), &[AUDIENCE], &bundle(), at(NOW))
        .unwrap();
    assert_eq!(svid.claims_json(), claims);
    assert_eq!(
        svid.claims()["groups"][0],
        "a",
        "JWT-34 +, SVID-10 +, WAPI-53 +: claims that nobody knows are kept"
    );
    assert_eq!(svid.expires_at(), at(NOW + 300));
    assert_eq!(svid.issued_at(), Some(at(NOW)), "JWT-31 +");
    let text = format!("{svid:?}");
    assert!(text.contains(ID) && !text.contains("groups"), "{text}");
}

#[test]
fn nothing_of_the_claims_is_judged_before_the_signature() {
    // JWT-40 −: expired, for somebody else, and forged: what is said is that it is forged.
    let claims = of(SUB, r#""aud":"other""#, r#""exp":1"#);
    let forged = sign(HEADER, claims, &*KEYS.other_p256);
    assert_eq!(verify(&forged), Err(JwtError::Signature));
}
