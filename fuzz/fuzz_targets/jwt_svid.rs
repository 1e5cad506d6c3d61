//! Tokens: the only claims that are accepted are those that were signed.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pki_types::UnixTime;
use plastron_bundle::Bundle;
use plastron_keys::rust_crypto::ALGORITHMS;
use plastron_svid::{JwtSvid, JwtVerifier};

const TOKEN: &str = include_str!("../seeds/token");
const BUNDLE: &[u8] = include_bytes!("../seeds/bundle.json");

static BUNDLES: LazyLock<Bundle> = LazyLock::new(|| {
    let trust_domain = "td.example".parse().expect("a name");
    Bundle::parse(trust_domain, BUNDLE)
        .expect("a document")
        .bundle
});

const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_735_689_600));

fuzz_target!(|bytes: &[u8]| {
    let Ok(token) = std::str::from_utf8(bytes) else {
        return;
    };
    for verifier in [
        JwtVerifier::new(ALGORITHMS),
        JwtVerifier::new(ALGORITHMS)
            .allow_missing_key_id()
            .allow_missing_path(),
    ] {
        let Ok(svid) = verifier.verify(token, &["payments"], &*BUNDLES, NOW) else {
            continue;
        };
        // Of an ECDSA signature there is always a second one, so only what it is of has to be the same.
        assert_eq!(
            token.rsplit_once('.').map(|parts| parts.0),
            TOKEN.rsplit_once('.').map(|parts| parts.0)
        );
        assert_eq!(svid.claims()["sub"], svid.id().as_str());
        assert!(JwtSvid::parse_insecure(token, &["payments"], NOW).is_ok());
    }
    if let Ok(svid) = JwtSvid::parse_insecure(token, &["payments"], NOW) {
        assert!(svid.expires_at() > NOW);
        assert!(!format!("{svid:?}").contains(token));
    }
});
