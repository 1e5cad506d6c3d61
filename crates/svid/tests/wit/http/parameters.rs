//! What a signature says of itself.

use std::time::Duration;

use plastron_http_signature::HttpSignatureError;
use plastron_svid::{HttpProof, ProofError, ReplayError, SeenProofs};

use super::message::*;
use crate::fixture::*;

#[test]
fn each_parameter_is_there_and_right() {
    let without = |name: &str| {
        let kept = parameters();
        let kept = kept
            .split(';')
            .filter(|one| !one.starts_with(&format!("{name}=")));
        kept.collect::<Vec<_>>().join(";")
    };
    let with = |name: &str, value: &str| format!("{};{name}={value}", without(name));
    let missing = |name| request(HttpSignatureError::ParameterMissing(name));
    let wrong = |name| request(HttpSignatureError::Parameter(name));
    let forbidden = |name| request(HttpSignatureError::ParameterForbidden(name));
    for (rule, parameters, want) in [
        ("WIT-53 −: created", without("created"), missing("created")),
        (
            "WIT-37 −, WIT-53 −: expires",
            without("expires"),
            missing("expires"),
        ),
        ("WIT-53 −: nonce", without("nonce"), missing("nonce")),
        (
            "WIT-53 −: tag",
            without("tag"),
            request(HttpSignatureError::NoSignature),
        ),
        (
            "WIT-53 −: tag",
            with("tag", "\"wimse\""),
            request(HttpSignatureError::NoSignature),
        ),
        (
            "WIT-53 −: tag is no string",
            with("tag", "wimse-workload-to-workload"),
            request(HttpSignatureError::NoSignature),
        ),
        (
            "WIT-53 −: wimse-aud",
            without("wimse-aud"),
            missing("wimse-aud"),
        ),
        (
            "WIT-53 −: for another",
            with("wimse-aud", "\"https://payments.example/other\""),
            proof(ProofError::Audience),
        ),
        (
            "WIT-53 −: for nobody",
            with("wimse-aud", "\"\""),
            wrong("wimse-aud"),
        ),
        (
            "WIT-53 −: keyid",
            with("keyid", "\"p256\""),
            forbidden("keyid"),
        ),
        (
            "WIT-53 −: alg",
            with("alg", "\"ecdsa-p256-sha256\""),
            forbidden("alg"),
        ),
        ("WIT-53 −: empty", with("nonce", "\"\""), wrong("nonce")),
        ("WIT-53 −: a number", with("nonce", "5"), wrong("nonce")),
        (
            "WIT-53 −: a string",
            with("created", "\"5\""),
            wrong("created"),
        ),
        (
            "WIT-53 −: with a fraction",
            with("expires", "5.5"),
            wrong("expires"),
        ),
        (
            "WIT-53 −: before 1970",
            with("created", "-5"),
            wrong("created"),
        ),
        (
            "WIT-53 −: ends before it begins",
            with("expires", &(NOW - 1).to_string()),
            wrong("expires"),
        ),
        (
            "WIT-53 −: not made yet",
            with("created", &(NOW + 1).to_string()),
            proof(ProofError::NotYetValid),
        ),
        (
            "WIT-53 −: expired",
            with("expires", &NOW.to_string()),
            proof(ProofError::Expired {
                expires_at: NOW,
                now: NOW,
            }),
        ),
        (
            "WIT-37 −: an hour",
            with("expires", &(NOW + 3600).to_string()),
            proof(ProofError::Lifetime { lifetime: 3600 }),
        ),
        (
            "WIT-37 −: made long ago, and about to end",
            format!(
                "{};expires={};created={}",
                parameters()
                    .split(';')
                    .filter(|one| !one.starts_with("created=") && !one.starts_with("expires="))
                    .collect::<Vec<_>>()
                    .join(";"),
                NOW + 10,
                NOW - 3600
            ),
            proof(ProofError::Lifetime { lifetime: 3610 }),
        ),
        (
            "WIT-53 −: a response that is signed",
            format!("{};wimse-sign-response", parameters()),
            proof(ProofError::SignedResponse),
        ),
        (
            "WIT-53 +: one that need not be",
            format!("{};wimse-sign-response=?0", parameters()),
            accepted(),
        ),
        (
            "WIT-53 −: perhaps",
            format!("{};wimse-sign-response=1", parameters()),
            wrong("wimse-sign-response"),
        ),
        ("WIT-53 +: others are covered", with("x", "a"), accepted()),
        (
            "WIT-53 −: twice",
            format!("{};nonce=\"n-2\"", parameters()),
            request(HttpSignatureError::Duplicate("nonce".into())),
        ),
    ] {
        let verdict = saying(&parameters);
        if let Err(error) = &verdict {
            assert!(!error.rule().is_empty(), "{rule}: {error}");
        }
        assert_eq!(verdict, want, "{rule}");
    }
    // Escapes mean what they stand for.
    let escaped = with("wimse-aud", r#""a\"\\""#);
    let message = unsigned(&token()).signed(&COVERED, &escaped, &*KEYS.own);
    let verdict = message.view(|request| {
        let proof = HttpProof::new(request, &[r#"a"\"#]);
        verifier()
            .verify_request(&proof, &bundle(), at(NOW))
            .map(|svid| name(&svid))
    });
    assert_eq!(verdict, accepted());
}

#[test]
fn whoever_verifies_says_who_he_is_and_how_long_a_signature_may_live() {
    let message = right();
    for audiences in [&[][..], &[""], &[AUDIENCE, ""]] {
        let verdict = message.view(|request| {
            let proof = HttpProof::new(request, audiences);
            verifier()
                .verify_request(&proof, &bundle(), at(NOW))
                .map(|svid| name(&svid))
        });
        assert_eq!(verdict, proof(ProofError::NoExpectedAudience), "WIT-53 −");
    }
    let seconds = Duration::from_secs;
    let judge = |most| message.judge_with(verifier(), |proof| proof.max_lifetime(seconds(most)));
    assert_eq!(judge(10), accepted(), "WIT-37 +");
    assert_eq!(
        judge(9),
        proof(ProofError::Lifetime { lifetime: 10 }),
        "WIT-37 −"
    );
    // Clocks that differ a little.
    let leeway = verifier().leeway(seconds(5));
    for (created, expires, want) in [
        (NOW + 5, NOW + 10, accepted()),
        (NOW + 6, NOW + 10, proof(ProofError::NotYetValid)),
        (NOW - 9, NOW - 4, accepted()),
        (
            NOW - 9,
            NOW - 5,
            proof(ProofError::Expired {
                expires_at: NOW - 5,
                now: NOW,
            }),
        ),
    ] {
        let parameters = parameters()
            .replace(&format!("created={NOW}"), &format!("created={created}"))
            .replace(
                &format!("expires={}", NOW + 10),
                &format!("expires={expires}"),
            );
        let message = unsigned(&token()).signed(&COVERED, &parameters, &*KEYS.own);
        assert_eq!(
            message.judge_with(leeway, |proof| proof),
            want,
            "{created} {expires}"
        );
    }
}

#[test]
fn a_signature_may_be_accepted_once() {
    let use_once = |seen: &mut SeenProofs, message: &Message| {
        message.view(|request| {
            let proof = HttpProof::new(request, &[AUDIENCE]);
            let svid = verifier()
                .verify_request(&proof, &bundle(), at(NOW))
                .unwrap();
            seen.first_use(svid.proof_id().unwrap(), at(NOW))
        })
    };
    let mut seen = SeenProofs::new(2);
    assert_eq!(use_once(&mut seen, &right()), Ok(()), "WIT-38 +");
    // Signed anew, and still with the same nonce.
    assert_eq!(
        use_once(&mut seen, &right()),
        Err(ReplayError::Used),
        "WIT-38 −"
    );
    let fresh = parameters().replace("n-1", "n-2");
    let fresh = unsigned(&token()).signed(&COVERED, &fresh, &*KEYS.own);
    assert_eq!(use_once(&mut seen, &fresh), Ok(()), "WIT-38 +, WIT-53 +");
}
