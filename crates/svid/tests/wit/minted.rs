//! What our own issuer and our own workload make is accepted, and nothing that differs from it in a character.

use std::sync::LazyLock;
use std::time::Duration;

use jsonwebtoken::{DecodingKey, Validation, decode};
use plastron_keys::{Jwk, JwsAlgorithm, KeyBackend as _, PublicKey, SigningKey as _};
use plastron_mint::{WitIssuer, WorkloadProofRequest};
use plastron_svid::{WitVerifier, WorkloadProof};
use plastron_testing::BACKEND;
use proptest::prelude::*;
use serde_json::Value;

use crate::fixture::*;

/// A token signed with one algorithm about a key that proves with another.
fn mint(issuer: JwsAlgorithm, proof: JwsAlgorithm, jti: &str) -> String {
    let (issuer_key, own) = (Signer(issuer), Signer(proof));
    let td: plastron_id::TrustDomain = "td.example".parse().unwrap();
    WitIssuer::new(td.as_ref(), issuer_key.key_id(), &issuer_key)
        .unwrap()
        .wit_svid(&ID.parse().unwrap(), own.public_key())
        .proof_algorithm(proof)
        .sign(jti, system(NOW))
        .unwrap()
        .token
}

fn prove(token: &str, algorithm: JwsAlgorithm) -> String {
    WorkloadProofRequest::new(token, &Signer(algorithm), AUDIENCE)
        .unwrap()
        .sign("proof", system(NOW))
        .unwrap()
        .token
}

fn judge(token: &str, proof: &str) -> Result<String, plastron_svid::WitError> {
    verify_with(verifier(), token, &WorkloadProof::new(proof, &[AUDIENCE])).map(|svid| name(&svid))
}

#[test]
fn accepts_what_mint_makes_with_every_algorithm_on_either_side() {
    for issuer in JwsAlgorithm::ALL {
        for own in JwsAlgorithm::ALL {
            let token = mint(issuer, own, "1");
            // WIT-06 +, WIT-12 +, WIT-13 +, WIT-14 +, WIT-31 +
            assert_eq!(
                judge(&token, &prove(&token, own)),
                accepted(),
                "{issuer} {own}"
            );
        }
    }
}

#[test]
fn any_set_of_algorithms_will_do() {
    for algorithm in JwsAlgorithm::ALL {
        let token = mint(algorithm, algorithm, "1");
        let proof = prove(&token, algorithm);
        let verifier = WitVerifier::new(plastron_keys::rust_crypto::ALGORITHMS);
        let proof = WorkloadProof::new(&proof, &[AUDIENCE]);
        assert!(verify_with(verifier, &token, &proof).is_ok(), "{algorithm}");
    }
}

#[test]
fn jsonwebtoken_accepts_ours() {
    for algorithm in JwsAlgorithm::ALL {
        if algorithm == JwsAlgorithm::Es512 {
            continue; // it has none
        }
        let token = mint(algorithm, JwsAlgorithm::Es256, "1");
        let mut validation = Validation::new(algorithm.as_str().parse().unwrap());
        // Its clock is that of the machine, and ours stands still.
        validation.validate_exp = false;
        let key = decoding_key(Signer(algorithm).public_key());
        let theirs = decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(theirs.claims["sub"], ID);
        assert_eq!(theirs.header.typ.as_deref(), Some("wit+jwt"));
    }
}

fn decoding_key(key: &PublicKey) -> DecodingKey {
    match key.jwk() {
        Jwk::Ec { x, y, .. } => DecodingKey::from_ec_components(&x, &y).unwrap(),
        Jwk::Rsa { n, e } => DecodingKey::from_rsa_components(&n, &e).unwrap(),
        Jwk::Okp { x, .. } => DecodingKey::from_ed_components(&x).unwrap(),
    }
}

#[test]
fn refuses_token_and_proof_with_any_bit_flipped() {
    let token = mint(JwsAlgorithm::Es256, JwsAlgorithm::Es256, "1");
    let proof = prove(&token, JwsAlgorithm::Es256);
    let flip = |text: &str, byte: usize, bit: u32| {
        let mut flipped = text.to_owned().into_bytes();
        flipped[byte] ^= 1 << bit;
        String::from_utf8(flipped).unwrap()
    };
    for bit in 0..7 {
        for byte in 0..token.len() {
            let flipped = judge(&flip(&token, byte, bit), &proof);
            assert!(flipped.is_err(), "token, byte {byte} bit {bit}");
        }
        for byte in 0..proof.len() {
            let flipped = judge(&token, &flip(&proof, byte, bit));
            assert!(flipped.is_err(), "proof, byte {byte} bit {bit}");
        }
    }
}

static TOKEN: LazyLock<String> =
    LazyLock::new(|| mint(JwsAlgorithm::Es256, JwsAlgorithm::Es256, "1"));

proptest! {
    #[test]
    fn no_input_panics(text: String, header in ".{0,20}", payload in ".{0,20}", signature: Vec<u8>) {
        let shaped = format!("{}.{}.{}", encode(header), encode(payload), encode(signature));
        for text in [&text, &shaped] {
            prop_assert!(judge(text, &shaped).is_err());
            prop_assert!(judge(&TOKEN, text).is_err());
        }
    }

    #[test]
    fn what_is_bound_is_found_again(
        jti in ".{1,30}", audience in ".{1,30}", access: Option<String>, transaction: Option<String>,
        others in proptest::collection::btree_map(".{0,9}", ".{0,9}", 0..4), lifetime in 1u64..300,
    ) {
        let token = mint(JwsAlgorithm::Es256, JwsAlgorithm::Es256, &jti);
        let others: Vec<(&str, &str)> = others.iter().map(|(name, token)| (&**name, &**token)).collect();
        let signer = Signer(JwsAlgorithm::Es256);
        let mut request = WorkloadProofRequest::new(&token, &signer, &audience)
            .unwrap()
            .other_tokens(&others)
            .lifetime(Duration::from_secs(lifetime));
        let (access, transaction) = (access.as_deref(), transaction.as_deref());
        request = access.into_iter().fold(request, WorkloadProofRequest::access_token);
        request = transaction.into_iter().fold(request, WorkloadProofRequest::transaction_token);
        let proof = request.sign(&jti, system(NOW)).unwrap().token;
        let audiences = [&*audience];
        let mut expected = WorkloadProof::new(&proof, &audiences).other_tokens(&others);
        expected = access.into_iter().fold(expected, WorkloadProof::access_token);
        expected = transaction.into_iter().fold(expected, WorkloadProof::transaction_token);
        let svid = verify_with(WitVerifier::new(BACKEND.algorithms()), &token, &expected).unwrap();
        prop_assert_eq!(svid.id().as_str(), ID);
        prop_assert_eq!(&svid.claims()["jti"], &jti);
        prop_assert_eq!(svid.expires_at(), at(NOW + 3600));
        prop_assert_eq!(svid.issued_at(), Some(at(NOW)));
    }
}
