//! What our own workload signs is accepted, and nothing that differs from it in a character.

use std::time::Duration;

use plastron_http_signature::{HttpSignatureError, content_digest};
use plastron_keys::{JwsAlgorithm, KeyBackend as _, KeyType, SignatureAlgorithm, SigningKey as _};
use plastron_mint::{HttpSignatureRequest, MintError, WitIssuer};
use plastron_svid::{HttpProof, WitVerifier};
use plastron_testing::BACKEND;
use proptest::prelude::*;

use super::message::*;
use crate::fixture::*;

/// What our own workload signs.
fn minted(algorithm: JwsAlgorithm, message: Message) -> Result<Message, MintError> {
    let signed = message.view(|request| {
        HttpSignatureRequest::new(request, &Signer(algorithm), AUDIENCE)?.sign("n-1", system(NOW))
    })?;
    Ok(message
        .with("Signature-Input", signed.signature_input)
        .with("Signature", signed.signature))
}

fn token_for(algorithm: JwsAlgorithm) -> String {
    let td: plastron_id::TrustDomain = "td.example".parse().unwrap();
    WitIssuer::new(td.as_ref(), "p256", &*KEYS.p256)
        .unwrap()
        .wit_svid(&ID.parse().unwrap(), Signer(algorithm).public_key())
        .proof_algorithm(algorithm)
        .sign("1", system(NOW))
        .unwrap()
        .token
}

#[test]
fn accepts_what_mint_makes_with_every_algorithm() {
    for algorithm in JwsAlgorithm::ALL {
        let message = minted(algorithm, unsigned(&token_for(algorithm))).unwrap();
        // WIT-36 +, WIT-48 +, WIT-53 +
        assert_eq!(message.judge(), accepted(), "{algorithm}");
        let other = WitVerifier::new(plastron_keys::rust_crypto::ALGORITHMS);
        assert_eq!(
            message.judge_with(other, |proof| proof),
            accepted(),
            "{algorithm}"
        );
    }
}

#[test]
fn nothing_is_signed_that_nobody_accepts() {
    let right = || unsigned(&token());
    let long = format!("Bearer {}", token());
    for (rule, message, want) in [
        (
            "WIT-53 −: a body without digest",
            right().without("content-digest"),
            HttpSignatureError::DigestMissing,
        ),
        (
            "WIT-53 −: the digest of another body",
            Message {
                body: b"9".to_vec(),
                ..right()
            },
            HttpSignatureError::Digest,
        ),
        (
            "WIT-34 −: no token",
            right().without("workload-identity-token"),
            HttpSignatureError::FieldMissing("workload-identity-token"),
        ),
        (
            "WIT-35 −",
            right().changed("authorization", long),
            HttpSignatureError::TokenInAuthorization,
        ),
        (
            "WIT-53 −: no method",
            Message {
                method: "GET /".to_owned(),
                ..right()
            },
            HttpSignatureError::RequestLine("method"),
        ),
        (
            "WIT-53 −: no target",
            Message {
                target: String::new(),
                ..right()
            },
            HttpSignatureError::RequestLine("target"),
        ),
    ] {
        let refused = minted(JwsAlgorithm::Es256, message).map(|message| message.fields);
        assert_eq!(refused, Err(MintError::Request(want)), "{rule}");
    }
    let message = right();
    let sign = |nonce: &str, audience: &str, lifetime| {
        message.view(|request| {
            HttpSignatureRequest::new(request, &*KEYS.own, audience)
                .unwrap()
                .lifetime(lifetime)
                .sign(nonce, system(NOW))
                .unwrap_err()
        })
    };
    let second = Duration::from_secs(1);
    let parameter = |name| MintError::Request(HttpSignatureError::Parameter(name));
    assert_eq!(sign("", AUDIENCE, second), parameter("nonce"), "WIT-53 −");
    assert_eq!(sign("\n", AUDIENCE, second), parameter("nonce"), "WIT-53 −");
    assert_eq!(sign("n", "", second), parameter("wimse-aud"), "WIT-53 −");
    assert_eq!(
        sign("n", AUDIENCE, Duration::ZERO),
        MintError::NoLifetime,
        "WIT-37 −"
    );
    let ed25519 = BACKEND.generate(KeyType::Ed25519).unwrap();
    let refused =
        message.view(|request| HttpSignatureRequest::new(request, &*ed25519, AUDIENCE).map(|_| ()));
    let want = MintError::WitAlgorithm(SignatureAlgorithm::Ed25519);
    assert_eq!(refused, Err(want), "WIT-12 −");
}

/// Each part that is covered, and the two fields, with one byte of it changed in each way that leaves ASCII.
#[test]
fn refuses_any_bit_flipped() {
    let message = minted(
        JwsAlgorithm::Es256,
        unsigned(&token_for(JwsAlgorithm::Es256)),
    )
    .unwrap();
    let refused = |message: Message, what: &str| assert!(message.judge().is_err(), "{what}");
    for bit in 0..7 {
        let flip = |text: &[u8], byte: usize| {
            let mut text = text.to_vec();
            text[byte] ^= 1 << bit;
            text
        };
        for byte in 0..message.body.len() {
            let body = flip(&message.body, byte);
            refused(
                Message {
                    body,
                    ..message.clone()
                },
                "body",
            );
        }
        for byte in 0..message.target.len() {
            let target = String::from_utf8(flip(message.target.as_bytes(), byte)).unwrap();
            refused(
                Message {
                    target,
                    ..message.clone()
                },
                "target",
            );
        }
        for byte in 0..message.method.len() {
            let method = String::from_utf8(flip(message.method.as_bytes(), byte)).unwrap();
            refused(
                Message {
                    method,
                    ..message.clone()
                },
                "method",
            );
        }
        for (at, (name, value)) in message.fields.iter().enumerate() {
            if name == "Host" || name == "X-Trace" {
                continue; // not covered
            }
            for byte in 0..value.len() {
                let mut flipped = message.clone();
                flipped.fields[at].1 = flip(value, byte);
                refused(flipped, &format!("{name}, byte {byte} bit {bit}"));
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_found_again(
        method in "[A-Z]{1,7}", target in "/[!-~]{0,20}", nonce in "[ -~]{1,30}", audience in "[ -~]{1,30}",
        body: Vec<u8>, content_type in "[!-~]{1,9}", lifetime in 1u64..300,
    ) {
        let digest = content_digest(&body);
        let message = Message { method, target, body, ..unsigned(&token_for(JwsAlgorithm::Es256)) }
            .changed("content-digest", digest)
            .changed("content-type", content_type);
        let signed = message.view(|request| {
            HttpSignatureRequest::new(request, &Signer(JwsAlgorithm::Es256), &audience)
                .unwrap()
                .lifetime(Duration::from_secs(lifetime))
                .sign(&nonce, system(NOW))
                .unwrap()
        });
        let message = message
            .with("Signature-Input", signed.signature_input)
            .with("Signature", signed.signature);
        message.view(|request| {
            let audiences = [&*audience];
            let proof = HttpProof::new(request, &audiences);
            let svid = verifier().verify_request(&proof, &bundle(), at(NOW)).unwrap();
            prop_assert_eq!(svid.id().as_str(), ID);
            prop_assert_eq!(svid.proof_id().unwrap().until(), at(NOW + lifetime));
            Ok(())
        })?;
    }

    #[test]
    fn no_fields_panic(input in ".{0,60}", signature in ".{0,20}", digest in ".{0,20}") {
        let message = right().changed("signature-input", input).changed("signature", signature);
        prop_assert!(message.judge().is_err());
        prop_assert!(right().changed("content-digest", digest).judge().is_err());
    }
}
