//! An X509-SVID that was minted is valid, and is not with any byte of it changed.
//!
//! Two bytes of place, one of change, a path, and DNS names on lines of their own.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plastron_fuzz::{Authority, change_and_text, now};
use plastron_keys::KeyType;
use plastron_keys::rust_crypto::ALGORITHMS;
use plastron_svid::X509Verifier;

static AUTHORITIES: LazyLock<[Authority; 2]> =
    LazyLock::new(|| [KeyType::Ed25519, KeyType::EcP256].map(Authority::new));

fuzz_target!(|bytes: &[u8]| {
    let Some((at, change, text)) = change_and_text(bytes) else {
        return;
    };
    let (path, names) = text.split_once('\n').unwrap_or((text, ""));
    let names: Vec<&str> = names.lines().collect();
    let authority = &AUTHORITIES[usize::from(change) % 2];
    let Some(mut leaf) = authority.x509_svid(path, &names) else {
        return;
    };
    let verifier = X509Verifier::new(ALGORITHMS);
    let svid = verifier.verify(&[&leaf], &authority.bundle, now());
    assert_eq!(
        svid.map(|svid| svid.id().path().to_owned()).as_deref(),
        Ok(path)
    );
    if change != 0 {
        let at = at % leaf.len();
        leaf[at] ^= change;
        assert!(verifier.verify(&[&leaf], &authority.bundle, now()).is_err());
    }
});
