//! A signature of one request, with another one.

use plastron_http_signature::{HttpSignatureError, content_digest};
use plastron_svid::{HttpProof, ProofError, WitError};
use serde_json::json;

use super::message::*;
use crate::fixture::*;

#[test]
fn what_was_signed_is_what_was_received() {
    let right = right;
    for (rule, message, want) in [
        (
            "WIT-39 −: another method",
            Message {
                method: "DELETE".to_owned(),
                ..right()
            },
            broken(),
        ),
        (
            "WIT-39 −: another path",
            Message {
                target: "/refund?order=1".to_owned(),
                ..right()
            },
            broken(),
        ),
        (
            "WIT-39 −: another query",
            Message {
                target: "/pay?order=2".to_owned(),
                ..right()
            },
            broken(),
        ),
        (
            "WIT-39 −: another body",
            Message {
                body: b"{\"amount\":9}".to_vec(),
                ..right()
            },
            request(HttpSignatureError::Digest),
        ),
        (
            "WIT-39 −: no body",
            Message {
                body: Vec::new(),
                ..right()
            },
            request(HttpSignatureError::Digest),
        ),
        (
            "WIT-39 −: another body and its digest",
            Message {
                body: b"9".to_vec(),
                ..right()
            }
            .changed("content-digest", content_digest(b"9")),
            broken(),
        ),
        (
            "WIT-39 −: another access token",
            right().changed("authorization", "Bearer other"),
            broken(),
        ),
        (
            "WIT-39 −: a field that was covered is gone",
            right().without("txn-token"),
            request(HttpSignatureError::ComponentAbsent("txn-token".into())),
        ),
        (
            "WIT-53 −: a body without digest",
            unsigned(&token()).without("content-digest").signed(
                &["@method"],
                &parameters(),
                &*KEYS.own,
            ),
            request(HttpSignatureError::DigestMissing),
        ),
        (
            "WIT-53 −: a field comes twice",
            right().with("Content-Type", "text/plain"),
            request(HttpSignatureError::FieldRepeated("content-type")),
        ),
        (
            "WIT-47 −: two tokens",
            right().with("workload-identity-token", token()),
            request(HttpSignatureError::FieldRepeated("workload-identity-token")),
        ),
        (
            "WIT-33 −: no token",
            right().without("workload-identity-token"),
            request(HttpSignatureError::FieldMissing("workload-identity-token")),
        ),
        (
            "WIT-53 +: a field that is not covered",
            right()
                .with("Via", "1.1 proxy")
                .changed("host", "other.example"),
            accepted(),
        ),
        (
            "WIT-53 +: white space around is nothing",
            right().changed("txn-token", " \tt.x.n \t"),
            accepted(),
        ),
        (
            "WIT-53 −: a folded line",
            right().changed("txn-token", "t.\r\n x.n"),
            request(HttpSignatureError::FieldBytes("txn-token".into())),
        ),
        (
            "WIT-53 −: not ASCII",
            right().changed("txn-token", "t.x.ñ"),
            request(HttpSignatureError::FieldBytes("txn-token".into())),
        ),
        (
            "WIT-53 −: not UTF-8",
            right().changed("txn-token", b"t.x.\xff"),
            request(HttpSignatureError::FieldBytes("txn-token".into())),
        ),
        (
            "WIT-34 −: signed by another",
            unsigned(&token()).signed(&COVERED, &parameters(), &*KEYS.other),
            broken(),
        ),
        (
            "WIT-34 −: signed by the issuer",
            unsigned(&token()).signed(&COVERED, &parameters(), &*KEYS.p256),
            broken(),
        ),
    ] {
        assert_eq!(message.judge(), want, "{rule}");
    }
    // Lines of one field, in another order or put together otherwise.
    let covered = [&COVERED[..], &["x-trace"]].concat();
    let traced = || unsigned(&token()).signed(&covered, &parameters(), &*KEYS.own);
    assert_eq!(traced().judge(), accepted());
    for (rule, lines, want) in [
        ("WIT-39 −: another order", &["2", "1"][..], broken()),
        ("WIT-39 −: one more", &["1", "2", "3"], broken()),
        ("WIT-53 +: in one line", &["1, 2"], accepted()),
    ] {
        let message = lines
            .iter()
            .fold(traced().without("x-trace"), |message, line| {
                message.with("X-Trace", line)
            });
        assert_eq!(message.judge(), want, "{rule}");
    }
}

#[test]
fn the_token_is_judged_before_the_signature() {
    let expired = with_claims(with(claims(), "exp", json!(NOW)));
    let unsigned = unsigned(&expired);
    let want = WitError::Expired {
        expires_at: NOW,
        now: NOW,
    };
    assert_eq!(unsigned.judge(), Err(want), "WIT-53 −");
    // And nothing is said of another token than that in the request.
    let other = with_claims(with(claims(), "jti", json!("other")));
    let verdict = right().view(|request| {
        let other = verifier().check(&other, &bundle(), at(NOW)).unwrap();
        let proven = other.prove_with_request(&HttpProof::new(request, &[AUDIENCE]), at(NOW));
        proven.map(|svid| name(&svid))
    });
    assert_eq!(verdict, Err(ProofError::OtherToken), "WIT-53 −");
}

#[test]
fn no_token_is_a_bearer_token() {
    let token = token();
    let bearer = unsigned(&token).changed("authorization", format!("Bearer {token}"));
    let bearer = bearer.signed(&COVERED, &parameters(), &*KEYS.own);
    let refused = bearer.judge().unwrap_err();
    assert_eq!(
        refused,
        WitError::from(ProofError::Request(
            HttpSignatureError::TokenInAuthorization
        ))
    );
    assert_eq!(refused.rule(), "WIT-35", "WIT-35 −");
}
