//! A map that was read is written so that it is read again, and has no more in it than JSON says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plastron_bundle::BundleSet;

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = BundleSet::parse_map(bytes) else {
        return;
    };
    let json: serde_json::Value = serde_json::from_slice(bytes).expect("was read");
    let named = json["trust_domains"].as_object().expect("was read");
    assert_eq!(named.len(), read.bundles.len());
    for bundle in read.bundles.iter() {
        assert!(named.contains_key(bundle.trust_domain().as_str()));
        assert_eq!(bundle.refresh_hint(), None);
    }
    let written = read.bundles.to_map();
    let again = BundleSet::parse_map(&written).expect("written by us");
    assert_eq!(again.skipped, []);
    assert_eq!(again.bundles, read.bundles);
});
