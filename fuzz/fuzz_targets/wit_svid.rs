//! WIT-SVIDs and proofs: the only ones that are accepted are those that were signed.
//!
//! A token, a proof and a private key in JSON, on lines of their own; where a line is `=` it is the right one.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plastron_fuzz::{Authority, now};
use plastron_keys::KeyType;
use plastron_keys::rust_crypto::ALGORITHMS;
use plastron_svid::{WitSvid, WitVerifier, WorkloadProof};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(KeyType::Ed25519));

/// The right token, proof and key.
static RIGHT: LazyLock<[String; 3]> = LazyLock::new(|| {
    let token = AUTHORITY.wit_svid("/shop/cart", "1").expect("a path");
    let proof = AUTHORITY.workload_proof(&token, "payments", "1");
    [token, proof.expect("an audience"), AUTHORITY.wit_key_json()]
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.lines();
    let [token, proof, key] = [0, 1, 2].map(|i| match lines.next() {
        Some("=") => RIGHT[i].as_str(),
        line => line.unwrap_or_default(),
    });
    // Of an ECDSA signature there is always a second one, so only what it is of has to be the same.
    let signed = |token: &str| token.rsplit_once('.').map(|parts| parts.0.to_owned());

    let verifier = WitVerifier::new(ALGORITHMS);
    let expected = WorkloadProof::new(proof, &["payments"]);
    if let Ok(svid) = verifier.verify(token, &expected, &AUTHORITY.bundle, now()) {
        assert_eq!(signed(token), signed(&RIGHT[0]));
        assert_eq!(signed(proof), signed(&RIGHT[1]));
        assert_eq!(svid.claims()["sub"], svid.id().as_str());
    }
    let id = "spiffe://td.example/shop/cart".parse().expect("an ID");
    if let Ok(svid) = WitSvid::parse_insecure(&id, token, key, "", now()) {
        assert!(svid.expires_at() > now());
        assert!(!format!("{svid:?}").contains(key));
    }
});
