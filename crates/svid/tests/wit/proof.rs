//! Proofs of a right token.

use std::time::Duration;

use plastron_svid::{
    MAX_PROOF_LEN, ProofError, ReplayError, SeenProofs, WIT_HEADER, WPT_HEADER, WitError,
    WorkloadProof, header_value,
};
use serde_json::{Value, json};

use crate::fixture::*;

fn judge(token: &str, proof: &WorkloadProof<'_>) -> Result<String, ProofError> {
    match verify_with(verifier(), token, proof) {
        Ok(svid) => Ok(name(&svid)),
        Err(WitError::Proof(error)) => Err(error),
        Err(error) => panic!("the token is right: {error}"),
    }
}

/// What is said of a proof that is right but for its claims.
fn judge_claims(change: impl FnOnce(Value) -> Value) -> Result<String, ProofError> {
    let token = with_claims(claims());
    let proof = proof_with_claims(change(proof_claims(&token)));
    judge(&token, &WorkloadProof::new(&proof, &[AUDIENCE]))
}

fn ok() -> Result<String, ProofError> {
    Ok(ID.to_owned())
}

#[test]
fn a_token_alone_is_nothing() {
    let token = with_claims(claims());
    for (rule, proof, want) in [
        ("WIT-33 −: none", String::new(), ProofError::Malformed),
        (
            "WIT-33 −: the token itself",
            token.clone(),
            ProofError::Type,
        ),
        (
            "WIT-34 −: by another key",
            sign(PROOF_HEADER, proof_claims(&token), &*KEYS.other),
            ProofError::Signature,
        ),
        (
            "WIT-34 −: by the issuer's",
            sign(PROOF_HEADER, proof_claims(&token), &*KEYS.p256),
            ProofError::Signature,
        ),
    ] {
        let proof = WorkloadProof::new(&proof, &[AUDIENCE]);
        assert_eq!(judge(&token, &proof), Err(want), "{rule}");
    }
    let proof = proof_of(&token);
    let proof = WorkloadProof::new(&proof, &[AUDIENCE]);
    assert_eq!(
        judge(&token, &proof),
        ok(),
        "WIT-33 +, WIT-34 +, WIT-36 +: with a Workload Proof Token"
    );
    let svid = verify_with(verifier(), &token, &proof).unwrap();
    assert!(svid.proof_id().is_some(), "WIT-51 +, WIT-52 +: its jti");
    let another = proof_with_claims(with(proof_claims(&token), "jti", json!("another")));
    assert_eq!(
        judge(&token, &WorkloadProof::new(&another, &[AUDIENCE])),
        ok(),
        "WIT-16 +, WIT-16 −: the same token again, with the proof of another instance"
    );
}

#[test]
fn the_header_is_that_of_a_proof() {
    let token = with_claims(claims());
    for (rule, header, want) in [
        ("WIT-51 +", PROOF_HEADER, ok()),
        (
            "WIT-52 −: typ",
            r#"{"alg":"ES256","typ":"JWT"}"#,
            Err(ProofError::Type),
        ),
        ("WIT-52 −: typ", r#"{"alg":"ES256"}"#, Err(ProofError::Type)),
        (
            "WIT-52 −: alg",
            r#"{"alg":"ES384","typ":"wpt+jwt"}"#,
            Err(ProofError::Algorithm),
        ),
        (
            "WIT-52 −: alg",
            r#"{"alg":"none","typ":"wpt+jwt"}"#,
            Err(ProofError::Algorithm),
        ),
        (
            "JWT-14 −",
            r#"{"alg":"ES256","typ":"wpt+jwt","crit":["x"]}"#,
            Err(ProofError::Critical),
        ),
        ("WIT-52 −: no object", "[]", Err(ProofError::Malformed)),
    ] {
        let proof = sign(header, proof_claims(&token), &*KEYS.own);
        let proof = WorkloadProof::new(&proof, &[AUDIENCE]);
        assert_eq!(judge(&token, &proof), want, "{rule}");
    }
}

#[test]
fn each_claim_of_a_proof_is_there_and_right() {
    let other = with_claims(with(claims(), "jti", json!("other")));
    for (rule, claims, want) in [
        (
            "WIT-52 −: aud",
            judge_claims(|claims| without(claims, "aud")),
            Err(ProofError::Audience),
        ),
        (
            "WIT-52 −: aud",
            judge_claims(|claims| with(claims, "aud", json!("https://payments.example/other"))),
            Err(ProofError::Audience),
        ),
        (
            "WIT-52 +: aud",
            judge_claims(|claims| with(claims, "aud", json!(["x", AUDIENCE]))),
            ok(),
        ),
        (
            "WIT-37 −: none",
            judge_claims(|claims| without(claims, "exp")),
            Err(ProofError::ExpiryMissing),
        ),
        (
            "WIT-52 −: exp",
            judge_claims(|claims| with(claims, "exp", json!(NOW))),
            Err(ProofError::Expired {
                expires_at: NOW,
                now: NOW,
            }),
        ),
        (
            "WIT-37 −: an hour",
            judge_claims(|claims| with(claims, "exp", json!(NOW + 3600))),
            Err(ProofError::Lifetime { lifetime: 3600 }),
        ),
        (
            "JWT-29 −",
            judge_claims(|claims| with(claims, "nbf", json!(NOW + 1))),
            Err(ProofError::NotYetValid),
        ),
        (
            "WIT-51 −: jti",
            judge_claims(|claims| without(claims, "jti")),
            Err(ProofError::IdMissing),
        ),
        (
            "WIT-51 −: jti",
            judge_claims(|claims| with(claims, "jti", json!(""))),
            Err(ProofError::IdMissing),
        ),
        (
            "WIT-52 −: wth",
            judge_claims(|claims| without(claims, "wth")),
            Err(ProofError::OtherToken),
        ),
        (
            "WIT-52 −: wth",
            judge_claims(|claims| with(claims, "wth", json!(hash(&other)))),
            Err(ProofError::OtherToken),
        ),
        (
            "WIT-52 +: others are ignored",
            judge_claims(|claims| with(claims, "x", json!({}))),
            ok(),
        ),
    ] {
        if let Err(error) = &claims {
            assert_eq!(rule[..6], *error.rule(), "{rule}: {error}");
        }
        assert_eq!(claims, want, "{rule}");
    }
}

#[test]
fn a_proof_is_of_what_came_along_and_of_nothing_else() {
    let token = with_claims(claims());
    let bound = |claim| Err(ProofError::Bound { claim });
    let others: &[(&str, &str)] = &[("first", "1"), ("second", "2")];
    let all = |claims: Value| {
        let claims = with(claims, "ath", json!(hash("access")));
        let claims = with(claims, "tth", json!(hash("transaction")));
        with(
            claims,
            "oth",
            json!({ "first": hash("1"), "second": hash("2") }),
        )
    };
    for (rule, change, want) in [
        ("WIT-52 +", None, ok()),
        ("WIT-39 −: ath", Some(("ath", json!(null))), bound("ath")),
        (
            "WIT-39 −: ath",
            Some(("ath", json!(hash("other")))),
            bound("ath"),
        ),
        (
            "WIT-39 −: tth",
            Some(("tth", json!(hash("access")))),
            bound("tth"),
        ),
        (
            "WIT-52 −: oth lacks one",
            Some(("oth", json!({ "first": hash("1") }))),
            bound("oth"),
        ),
        (
            "WIT-52 −: oth differs",
            Some(("oth", json!({ "first": hash("1"), "second": hash("1") }))),
            bound("oth"),
        ),
        (
            "WIT-52 −: oth has one that nobody knows",
            Some((
                "oth",
                json!({ "first": hash("1"), "second": hash("2"), "third": hash("3") }),
            )),
            bound("oth"),
        ),
        ("WIT-52 −: oth", Some(("oth", json!([]))), bound("oth")),
    ] {
        let right = all(proof_claims(&token));
        let claims = match change {
            Some((name, value)) => with(right, name, value),
            None => right,
        };
        let proof = proof_with_claims(claims);
        let proof = WorkloadProof::new(&proof, &[AUDIENCE])
            .access_token("access")
            .transaction_token("transaction")
            .other_tokens(others);
        assert_eq!(judge(&token, &proof), want, "{rule}");
    }
    // Of something that did not come along.
    for (claim, value) in [
        ("ath", json!(hash("access"))),
        ("tth", json!(hash("transaction"))),
        ("oth", json!({ "first": hash("1") })),
    ] {
        let verdict = judge_claims(|claims| with(claims, claim, value));
        assert_eq!(verdict, bound(claim), "WIT-39 −");
    }
    // Nothing said of something that did.
    let proof = proof_of(&token);
    let bare = WorkloadProof::new(&proof, &[AUDIENCE]);
    for (claim, proof) in [
        ("ath", bare.access_token("access")),
        ("tth", bare.transaction_token("transaction")),
        ("oth", bare.other_tokens(others)),
    ] {
        assert_eq!(judge(&token, &proof), bound(claim), "WIT-52 −");
    }
}

#[test]
fn whoever_verifies_knows_who_he_is() {
    let token = with_claims(claims());
    let proof = proof_of(&token);
    for audiences in [&[][..], &[""], &[AUDIENCE, ""]] {
        assert_eq!(
            judge(&token, &WorkloadProof::new(&proof, audiences)),
            Err(ProofError::NoExpectedAudience),
            "WIT-52 −"
        );
    }
}

#[test]
fn lifetime_and_size_are_bounded() {
    let token = with_claims(claims());
    let proof = proof_of(&token);
    let short = WorkloadProof::new(&proof, &[AUDIENCE]).max_lifetime(Duration::from_secs(9));
    assert_eq!(
        judge(&token, &short),
        Err(ProofError::Lifetime { lifetime: 10 }),
        "WIT-37 −"
    );
    let exact = WorkloadProof::new(&proof, &[AUDIENCE]).max_lifetime(Duration::from_secs(10));
    assert_eq!(judge(&token, &exact), ok(), "WIT-37 +");
    let long = "a".repeat(MAX_PROOF_LEN + 1);
    assert_eq!(
        judge(&token, &WorkloadProof::new(&long, &[AUDIENCE])),
        Err(ProofError::TooLong { len: long.len() })
    );
}

#[test]
fn a_proof_may_be_accepted_once() {
    let token = with_claims(claims());
    let prove = |jti: &str, exp: u64| {
        let claims = with(proof_claims(&token), "jti", json!(jti));
        let proof = proof_with_claims(with(claims, "exp", json!(exp)));
        let proof = WorkloadProof::new(&proof, &[AUDIENCE]);
        let svid = verify_with(verifier(), &token, &proof).unwrap();
        svid.proof_id().unwrap().clone()
    };
    let mut seen = SeenProofs::new(2);
    assert!(seen.is_empty());
    let (first, second) = (prove("1", NOW + 10), prove("2", NOW + 20));
    assert_eq!(seen.first_use(&first, at(NOW)), Ok(()), "WIT-38 +");
    // Signed anew, and still the same proof.
    assert_eq!(
        seen.first_use(&prove("1", NOW + 11), at(NOW + 9)),
        Err(ReplayError::Used),
        "WIT-38 −"
    );
    assert_eq!(seen.first_use(&second, at(NOW)), Ok(()), "WIT-38 +");
    let third = prove("3", NOW + 30);
    assert_eq!(
        seen.first_use(&third, at(NOW)),
        Err(ReplayError::Full { most: 2 }),
        "RS-03 −: its memory is bounded"
    );
    assert_eq!(
        seen.first_use(&third, at(NOW + 10)),
        Ok(()),
        "what has ended makes room"
    );
    assert_eq!((seen.len(), seen.is_empty()), (2, false));

    // Another workload may have had the same `jti`.
    let other = with_claims(with(claims(), "jti", json!("other")));
    let proof = proof_with_claims(with(proof_claims(&other), "jti", json!("2")));
    let svid = verify_with(verifier(), &other, &WorkloadProof::new(&proof, &[AUDIENCE])).unwrap();
    assert_ne!(svid.proof_id().unwrap().as_bytes(), second.as_bytes());
}

#[test]
fn another_protocol_brings_a_signature_of_its_own() {
    let token = with_claims(claims());
    let check = || verifier().check(&token, &bundle(), at(NOW)).unwrap();
    let message = b"\"@method\": GET";
    let sign = |key: &dyn plastron_keys::SigningKey| {
        let signature = key.sign(message).unwrap();
        check().algorithm().signature_from_x509(signature).unwrap()
    };
    let svid = check().prove(message, &sign(&*KEYS.own)).unwrap();
    assert_eq!(svid.id().as_str(), ID, "WIT-34 +");
    assert_eq!(svid.public_key(), KEYS.own.public_key());
    assert_eq!(svid.proof_id(), None);
    for signature in [sign(&*KEYS.other), Vec::new()] {
        let refused = check().prove(message, &signature).unwrap_err();
        assert_eq!(refused, ProofError::Signature, "WIT-34 −");
    }
    let shown = format!("{:?}", check());
    assert!(!shown.contains("cart"), "WIT-33 −: {shown}");
}

#[test]
fn header_fields_come_once() {
    assert_eq!(
        header_value([&b"a.b.c"[..]]),
        Some("a.b.c"),
        "WIT-47 +, WIT-52 +: once"
    );
    assert_eq!(
        header_value([&b"a"[..], b"b"]),
        None,
        "WIT-47 −, WIT-52 −: twice"
    );
    assert_eq!(header_value([]), None);
    assert_eq!(header_value([&b"\xff"[..]]), None);
    assert_eq!(header_value([&b"\xc3\xb1"[..]]), None, "not ASCII");
    assert_eq!(
        (WIT_HEADER, WPT_HEADER),
        ("workload-identity-token", "workload-proof-token"),
        "WIT-35 +: fields of their own"
    );
}
