//! A WIT-SVID that was minted is valid with a proof that was, and neither is with any byte of it changed.
//!
//! Two bytes of place, one of change, a path, a `jti` and an audience on lines of their own.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plastron_fuzz::{Authority, change_and_text, now};
use plastron_keys::KeyType;
use plastron_keys::rust_crypto::ALGORITHMS;
use plastron_svid::{MAX_PROOF_LEN, MAX_WIT_LEN, WitVerifier, WorkloadProof};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(KeyType::Ed25519));

fuzz_target!(|bytes: &[u8]| {
    let Some((at, change, text)) = change_and_text(bytes) else {
        return;
    };
    let mut lines = text.lines();
    let [path, jti, audience] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let Some(token) = AUTHORITY.wit_svid(path, jti) else {
        return;
    };
    let Some(proof) = AUTHORITY.workload_proof(&token, audience, jti) else {
        return;
    };
    if token.len() > MAX_WIT_LEN || proof.len() > MAX_PROOF_LEN {
        return;
    }
    let verify = |token: &str, proof: &str| {
        let audiences = [audience];
        let proof = WorkloadProof::new(proof, &audiences);
        let verifier = WitVerifier::new(ALGORITHMS);
        let svid = verifier.verify(token, &proof, &AUTHORITY.bundle, now())?;
        Ok::<_, plastron_svid::WitError>((svid.id().path().to_owned(), svid.claims()))
    };
    let (id, claims) = verify(&token, &proof).expect("minted by us");
    assert_eq!((&*id, claims["jti"].as_str()), (path, Some(jti)));
    if change == 0 {
        return;
    }
    let changed = |text: &str| {
        let mut bytes = text.to_owned().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= change;
        String::from_utf8(bytes)
    };
    if let Ok(changed) = changed(&token) {
        assert!(verify(&changed, &proof).is_err());
    }
    if let Ok(changed) = changed(&proof) {
        assert!(verify(&token, &changed).is_err());
    }
});
