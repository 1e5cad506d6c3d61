//! A JWT-SVID that was minted is valid, and is not with any byte of it changed.
//!
//! Two bytes of place, one of change, a path, a `jti`, and audiences on lines of their own.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plastron_fuzz::{Authority, change_and_text, now};
use plastron_keys::KeyType;
use plastron_keys::rust_crypto::ALGORITHMS;
use plastron_svid::{JwtVerifier, MAX_TOKEN_LEN};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(KeyType::Ed25519));

fuzz_target!(|bytes: &[u8]| {
    let Some((at, change, text)) = change_and_text(bytes) else {
        return;
    };
    let mut lines = text.lines();
    let (path, jti) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let audiences: Vec<&str> = lines.collect();
    let Some(token) = AUTHORITY.jwt_svid(path, &audiences, jti) else {
        return;
    };
    if token.len() > MAX_TOKEN_LEN {
        return;
    }
    let verifier = JwtVerifier::new(ALGORITHMS).strict_header();
    let verify = |token: &str, audience| {
        let svid = verifier.verify(token, &[audience], &AUTHORITY.bundle, now())?;
        Ok::<_, plastron_svid::JwtError>((svid.id().path().to_owned(), svid.claims()))
    };
    for audience in &audiences {
        let (id, claims) = verify(&token, audience).expect("minted by us");
        assert_eq!((&*id, claims["jti"].as_str()), (path, Some(jti)));
    }
    let mut bytes = token.into_bytes();
    let at = at % bytes.len();
    bytes[at] ^= change;
    if let (true, Ok(changed)) = (change != 0, std::str::from_utf8(&bytes)) {
        assert!(verify(changed, audiences[0]).is_err());
    }
});
