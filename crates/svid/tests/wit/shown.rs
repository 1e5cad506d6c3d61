//! What errors and values say of themselves.

use plastron_http_signature::HttpSignatureError;
use plastron_svid::{HttpProof, ProofError, WitError, WitVerifier, WorkloadProof};
use serde_json::json;

use crate::fixture::*;

#[test]
fn each_fault_of_a_token_names_its_rule() {
    let verify_claims = |claims| verify(&with_claims(claims)).unwrap_err().rule();
    for (name, value, rule) in [
        ("sub", json!(5), "WIT-10"),
        ("cnf", json!({}), "WIT-11"),
        (
            "cnf",
            json!({ "jwk": with(own_jwk(), "alg", json!("none")) }),
            "WIT-12",
        ),
        (
            "cnf",
            json!({ "jwk": with(own_jwk(), "d", json!("")) }),
            "WIT-13",
        ),
        (
            "cnf",
            json!({ "jwk": with(own_jwk(), "alg", json!("ES384")) }),
            "WIT-14",
        ),
        ("exp", json!(NOW), "WIT-17"),
        ("nbf", json!(NOW + 1), "WIT-20"),
        ("aud", json!([]), "WIT-27"),
    ] {
        assert_eq!(verify_claims(with(claims(), name, value)), rule);
    }
    for (header, rule) in [
        ("{}", "WIT-07"),
        (r#"{"alg":"ES256","kid":"p256"}"#, "WIT-05"),
        (r#"{"alg":"ES256","typ":"wit+jwt"}"#, "WIT-02"),
        (
            r#"{"alg":"ES256","kid":"p256","typ":"wit+jwt","crit":[]}"#,
            "WIT-09",
        ),
        (r#"{"alg":"ES256","kid":"other","typ":"wit+jwt"}"#, "WIT-41"),
        (r#"{"alg":"ES384","kid":"p256","typ":"wit+jwt"}"#, "JWT-07"),
    ] {
        let token = sign(header, claims(), &*KEYS.p256);
        assert_eq!(verify(&token).unwrap_err().rule(), rule, "{header}");
    }
    assert_eq!(verify("").unwrap_err().rule(), "WIT-01");
    let none = WitVerifier::new(&[]).check(&with_claims(claims()), &bundle(), at(NOW));
    assert_eq!(none.unwrap_err().rule(), "RS-06");
}

#[test]
fn each_fault_of_a_proof_names_its_rule() {
    for (error, rule) in [
        (ProofError::Critical, "JWT-14"),
        (ProofError::UnsupportedAlgorithm, "RS-06"),
        (ProofError::Signature, "WIT-34"),
        (ProofError::ExpiryMissing, "WIT-37"),
        (ProofError::Lifetime { lifetime: 1 }, "WIT-37"),
        (ProofError::NotYetValid, "JWT-29"),
        (ProofError::IdMissing, "WIT-51"),
        (ProofError::Bound { claim: "ath" }, "WIT-39"),
        (ProofError::Audience, "WIT-52"),
        (ProofError::SignedResponse, "WIT-53"),
        (HttpSignatureError::NoSignature.into(), "WIT-53"),
        (HttpSignatureError::Digest.into(), "WIT-39"),
        (HttpSignatureError::FieldRepeated("x").into(), "WIT-47"),
        (HttpSignatureError::TokenInAuthorization.into(), "WIT-35"),
    ] {
        assert_eq!(error.rule(), rule, "{error}");
        assert_eq!(WitError::from(error).rule(), rule);
    }
}

#[test]
fn values_show_what_they_are_and_no_token() {
    let token = with_claims(claims());
    let proof = proof_of(&token);
    let expected = WorkloadProof::new(&proof, &[AUDIENCE]);
    let unproven = verifier().check(&token, &bundle(), at(NOW)).unwrap();
    let svid = verify_with(verifier(), &token, &expected).unwrap();
    let fields = [("workload-identity-token", token.as_bytes())];
    let request = plastron_http_signature::HttpRequest::new("GET", "/pay", &fields);
    for (shown, part) in [
        (format!("{:?}", verifier()), "WitVerifier { leeway: 0ns"),
        (
            format!("{unproven:?}"),
            "UnprovenWitSvid { algorithm: Es256",
        ),
        (format!("{svid:?}"), "spiffe://td.example/shop/cart"),
        (format!("{expected:?}"), AUDIENCE),
        (
            format!("{:?}", HttpProof::new(&request, &[AUDIENCE])),
            AUDIENCE,
        ),
    ] {
        assert!(shown.contains(part), "{shown}");
        assert!(
            !shown.contains(&token) && !shown.contains(&proof),
            "RS-15 −: {shown}"
        );
    }
    let claims = claims();
    assert_eq!(svid.claims_json(), claims.to_string());
    assert_eq!(serde_json::Value::from(svid.claims()), claims);
}
