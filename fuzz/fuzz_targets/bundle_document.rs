//! A bundle that was read is written so that it is read again, and nothing is read that is not JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plastron_bundle::Bundle;
use plastron_id::TrustDomain;

fuzz_target!(|bytes: &[u8]| {
    let td: TrustDomain = "td.example".parse().expect("a name");
    let parsed = Bundle::parse(td.clone(), bytes);
    if let Ok(parsed) = &parsed {
        assert!(serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
        let written = parsed.bundle.to_document();
        let again = Bundle::parse(td.clone(), &written).expect("written by us");
        assert_eq!(again.skipped, []);
        assert_eq!(again.bundle, parsed.bundle);
        let der = parsed.bundle.x509_der();
        let from_der = Bundle::from_der(td.clone(), &der).expect("written by us");
        assert_eq!(
            from_der.bundle.x509_authorities(),
            parsed.bundle.x509_authorities()
        );
        for skipped in &parsed.skipped {
            assert!(!skipped.to_string().is_empty());
        }
    }
    if let Ok(set) = Bundle::parse_jwks(td.clone(), bytes) {
        // It takes every key that the document takes for tokens, and more.
        assert!(parsed.is_ok());
        assert!(set.bundle.x509_authorities().is_empty());
        let again = Bundle::parse_jwks(td.clone(), &set.bundle.jwks()).expect("written by us");
        assert_eq!(again.bundle, set.bundle);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(parsed) = Bundle::from_pem(td.clone(), text) {
            let pem = parsed.bundle.x509_pem();
            assert!(parsed.bundle.is_empty() || Bundle::from_pem(td, &pem).is_ok());
        }
    }
});
