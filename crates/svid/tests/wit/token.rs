//! Header and claims of a token that comes with a right proof.

use std::time::Duration;

use plastron_bundle::JsonError;
use plastron_id::SpiffeIdError;
use plastron_keys::PublicKeyError;
use plastron_svid::{MAX_WIT_LEN, WIT_REVISION, WitError, WorkloadProof};
use serde_json::{Value, json};

use crate::fixture::*;

#[test]
fn the_header_is_that_of_a_wit_and_other_members_are_ignored() {
    for (rule, header, want) in [
        ("WIT-02 +, WIT-03 +, WIT-05 +", HEADER, accepted()),
        (
            "WIT-09 +",
            r#"{"alg":"ES256","kid":"p256","typ":"wit+jwt","x":{},"jku":"https://x"}"#,
            accepted(),
        ),
        (
            "WIT-09 −",
            r#"{"alg":"ES256","kid":"p256","typ":"wit+jwt","jku":"x","x":1,"crit":["x"]}"#,
            Err(WitError::Critical),
        ),
        (
            "WIT-05 −: none",
            r#"{"alg":"ES256","kid":"p256"}"#,
            Err(WitError::Type),
        ),
        (
            "WIT-05 −: of a JWT-SVID",
            r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#,
            Err(WitError::Type),
        ),
        (
            "WIT-05 −: case",
            r#"{"alg":"ES256","kid":"p256","typ":"WIT+JWT"}"#,
            Err(WitError::Type),
        ),
        (
            "AMB-26 −: media type",
            r#"{"alg":"ES256","kid":"p256","typ":"application/wit+jwt"}"#,
            Err(WitError::Type),
        ),
        (
            "WIT-05 −: of a proof",
            r#"{"alg":"ES256","kid":"p256","typ":"wpt+jwt"}"#,
            Err(WitError::Type),
        ),
        (
            "WIT-02 −: none",
            r#"{"alg":"ES256","typ":"wit+jwt"}"#,
            Err(WitError::KeyIdMissing),
        ),
        (
            "WIT-02 −: empty",
            r#"{"alg":"ES256","kid":"","typ":"wit+jwt"}"#,
            Err(WitError::KeyIdMissing),
        ),
        (
            "WIT-03 −: case",
            r#"{"alg":"ES256","kid":"P256","typ":"wit+jwt"}"#,
            Err(WitError::UnknownKey {
                key_id: "P256".into(),
            }),
        ),
        (
            "WIT-06 −: none",
            r#"{"kid":"p256","typ":"wit+jwt"}"#,
            Err(WitError::Algorithm),
        ),
        (
            "WIT-07 −",
            r#"{"alg":"EdDSA","kid":"p256","typ":"wit+jwt"}"#,
            Err(WitError::Algorithm),
        ),
        (
            "WIT-07 −",
            r#"{"alg":"none","kid":"p256","typ":"wit+jwt"}"#,
            Err(WitError::Algorithm),
        ),
        (
            "WIT-07 −",
            r#"{"alg":"HS256","kid":"p256","typ":"wit+jwt"}"#,
            Err(WitError::Algorithm),
        ),
        (
            "WIT-01 −: twice",
            r#"{"alg":"ES256","alg":"ES256","kid":"p256","typ":"wit+jwt"}"#,
            Err(WitError::Header(JsonError::DuplicateMember)),
        ),
    ] {
        let token = sign(header, claims(), &*KEYS.p256);
        assert_eq!(verify(&token), want, "{rule}");
    }
}

#[test]
fn a_token_is_a_compact_jws_of_bounded_size() {
    let token = with_claims(claims());
    let long = format!("{token}{}", "A".repeat(MAX_WIT_LEN));
    for (rule, token, want) in [
        (
            "WIT-01 −: two parts",
            "a.b".to_owned(),
            WitError::NotCompact,
        ),
        (
            "WIT-01 −: JSON",
            format!("{{\"payload\":\"{}\"}}", encode("{}")),
            WitError::NotCompact,
        ),
        (
            "WIT-01 −: padding",
            format!("{token}="),
            WitError::Base64 { part: "signature" },
        ),
        (
            "WIT-35 −: as a bearer token",
            format!("Bearer {token}"),
            WitError::Base64 { part: "header" },
        ),
        (
            "JWT-40 −",
            long.clone(),
            WitError::TooLong { len: long.len() },
        ),
    ] {
        assert_eq!(verify(&token), Err(want), "{rule}");
    }
}

#[test]
fn claims_are_those_of_a_wit_and_others_are_ignored() {
    let cnf = |jwk: Value| with(claims(), "cnf", json!({ "jwk": jwk }));
    let expired = |expires_at| WitError::Expired {
        expires_at,
        now: NOW,
    };
    let not_yet = |not_before| WitError::NotYetValid {
        not_before,
        now: NOW,
    };
    let p384 = jwk(KEYS.p384.public_key(), "ES256");
    for (rule, claims, want) in [
        ("WIT-29 +", with(claims(), "role", json!(["a"])), Ok(())),
        ("WIT-24 +", with(claims(), "iss", json!("urn:x")), Ok(())),
        (
            "WIT-23 +, WIT-23 −: iat an hour ahead",
            with(claims(), "iat", json!(NOW + 3600)),
            Ok(()),
        ),
        ("WIT-22 +", with(claims(), "iat", json!("x")), Ok(())),
        ("WIT-20 +", with(claims(), "nbf", json!(NOW)), Ok(())),
        (
            "WIT-20 −",
            with(claims(), "nbf", json!(NOW + 1)),
            Err(not_yet(NOW + 1)),
        ),
        (
            "WIT-20 −: no number",
            with(claims(), "nbf", json!("0")),
            Err(WitError::NotBefore),
        ),
        (
            "WIT-17 −: none",
            without(claims(), "exp"),
            Err(WitError::ExpiryMissing),
        ),
        (
            "WIT-17 −: past",
            with(claims(), "exp", json!(NOW)),
            Err(expired(NOW)),
        ),
        (
            "WIT-10 −: none",
            without(claims(), "sub"),
            Err(WitError::SubjectMissing),
        ),
        (
            "WIT-10 −",
            with(claims(), "sub", json!("wimse://td.example/a")),
            Err(WitError::Subject(SpiffeIdError::Scheme)),
        ),
        (
            "WIT-10 −: no workload",
            with(claims(), "sub", json!("spiffe://td.example")),
            Err(WitError::SubjectWithoutPath),
        ),
        (
            "WIT-27 −",
            with(claims(), "aud", json!("x")),
            Err(WitError::Audience),
        ),
        (
            "WIT-27 −: empty",
            with(claims(), "aud", json!([])),
            Err(WitError::Audience),
        ),
        (
            "WIT-11 −: none",
            without(claims(), "cnf"),
            Err(WitError::Confirmation),
        ),
        (
            "WIT-11 −: string",
            with(claims(), "cnf", json!("x")),
            Err(WitError::Confirmation),
        ),
        (
            "WIT-11 −: empty",
            with(claims(), "cnf", json!({})),
            Err(WitError::Confirmation),
        ),
        (
            "WIT-11 −: by name",
            with(claims(), "cnf", json!({ "kid": "x" })),
            Err(WitError::Confirmation),
        ),
        (
            "WIT-11 −: by URL",
            with(
                claims(),
                "cnf",
                json!({ "jku": "https://x", "jwk": own_jwk() }),
            ),
            Err(WitError::Confirmation),
        ),
        (
            "WIT-11 −: not an object",
            cnf(json!([own_jwk()])),
            Err(WitError::Confirmation),
        ),
        (
            "WIT-12 −: none",
            cnf(without(own_jwk(), "alg")),
            Err(WitError::ConfirmationAlgorithm),
        ),
        (
            "WIT-12 −",
            cnf(with(own_jwk(), "alg", json!("EdDSA"))),
            Err(WitError::ConfirmationAlgorithm),
        ),
        (
            "WIT-12 −",
            cnf(with(own_jwk(), "alg", json!("ECDH-ES"))),
            Err(WitError::ConfirmationAlgorithm),
        ),
        (
            "WIT-13 −: private",
            cnf(with(own_jwk(), "d", json!("AA"))),
            Err(WitError::ConfirmationSecret),
        ),
        (
            "WIT-13 −: symmetric",
            cnf(json!({ "kty": "oct", "alg": "ES256" })),
            Err(WitError::ConfirmationKeyType),
        ),
        (
            "WIT-13 −: incomplete",
            cnf(without(own_jwk(), "y")),
            Err(WitError::ConfirmationMember { member: "y" }),
        ),
        (
            "WIT-13 −: no point",
            cnf(with(own_jwk(), "y", own_jwk()["x"].clone())),
            Err(WitError::ConfirmationKey(PublicKeyError::Point)),
        ),
        ("WIT-14 −", cnf(p384), Err(WitError::ConfirmationMismatch)),
    ] {
        let verdict = verify(&with_claims(claims)).map(|id| assert_eq!(id, ID));
        if let Err(error) = &verdict {
            assert!(rule.starts_with(error.rule()), "{rule}: {error}");
        }
        assert_eq!(verdict, want, "{rule}");
    }
}

#[test]
fn two_members_cannot_have_one_name() {
    let twice = claims().to_string().replacen('{', r#"{"sub":"x","#, 1);
    assert_eq!(
        verify(&sign(HEADER, twice, &*KEYS.p256)),
        Err(WitError::Claims(JsonError::DuplicateMember)),
        "WIT-01 −"
    );
}

#[test]
fn leeway_is_on_the_end_alone_and_bounded() {
    let proof = |token: &str| proof_of(token);
    let judge = |leeway: u64, claims: Value| {
        let token = with_claims(claims);
        let proof = proof(&token);
        let verifier = verifier().leeway(Duration::from_secs(leeway));
        verify_with(verifier, &token, &WorkloadProof::new(&proof, &[AUDIENCE])).is_ok()
    };
    let ended = |seconds: u64| with(claims(), "exp", json!(NOW - seconds));
    assert!(judge(30, ended(29)), "WIT-18 +");
    assert!(!judge(30, ended(30)), "WIT-17 −");
    assert!(!judge(3600, ended(121)), "WIT-18 −: two minutes at most");
    assert!(
        !judge(120, with(claims(), "nbf", json!(NOW + 1))),
        "WIT-20 −"
    );
}

#[test]
fn a_longest_lifetime_may_be_asked_for() {
    let judge = |claims: Value| {
        let token = with_claims(claims);
        let proof = proof_of(&token);
        let verifier = verifier().max_lifetime(Duration::from_secs(3600));
        verify_with(verifier, &token, &WorkloadProof::new(&proof, &[AUDIENCE])).map(|_| ())
    };
    assert_eq!(judge(with(claims(), "nbf", json!(NOW))), Ok(()), "WIT-21 +");
    assert_eq!(judge(claims()), Ok(()), "WIT-21 +: from now on");
    let over = Err(WitError::Lifetime { lifetime: 3601 });
    assert_eq!(
        judge(with(claims(), "nbf", json!(NOW - 1))),
        over,
        "WIT-21 −"
    );
    assert_eq!(
        judge(with(claims(), "exp", json!(NOW + 3601))),
        over,
        "WIT-21 −"
    );
}

#[test]
fn what_was_followed_is_on_record() {
    // STAB-04 +
    for part in [
        "2026-07-01",
        "workload-creds-02",
        "wpt-02",
        "http-signature-06",
    ] {
        assert!(WIT_REVISION.contains(part), "{WIT_REVISION}");
    }
}
