//! Certificates one after the other, as a chain: the only leaf that is accepted is the one that was signed.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pki_types::UnixTime;
use plastron_bundle::Bundle;
use plastron_bundle::certificate::certificates;
use plastron_keys::rust_crypto::ALGORITHMS;
use plastron_svid::{PeerRole, X509Verifier};

/// Root; leaf under an intermediate under it. The keys are gone.
const ROOT: &[u8] = include_bytes!("../seeds/root.der");
const LEAF: &[u8] = include_bytes!("../seeds/leaf.der");

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
    let trust_domain = "td.example".parse().expect("a name");
    Bundle::from_der(trust_domain, ROOT)
        .expect("a certificate")
        .bundle
});

const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_735_689_600));

fuzz_target!(|bytes: &[u8]| {
    let mut chain: Vec<&[u8]> = Vec::new();
    let mut read = 0;
    for certificate in certificates(bytes).map_while(Result::ok) {
        read += certificate.der().len();
        chain.push(certificate.der());
    }
    // What cannot be read goes in too, as it is.
    chain.push(&bytes[read..]);
    for chain in [&chain[..], &chain[..chain.len() - 1]] {
        for role in [PeerRole::Client, PeerRole::Server, PeerRole::Any] {
            let verifier = X509Verifier::new(ALGORITHMS).role(role);
            if let Ok(svid) = verifier.verify(chain, &*BUNDLE, NOW) {
                assert_eq!(svid.leaf().der(), LEAF);
                assert_eq!(svid.id().as_str(), "spiffe://td.example/shop/cart");
                assert!(svid.valid_from() <= NOW && NOW <= svid.valid_until());
            }
        }
    }
});
