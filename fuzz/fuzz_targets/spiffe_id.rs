//! Printing gives back what was parsed, the ways to parse agree, and so does the crate `spiffe`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plastron_id::{MAX_SPIFFE_ID_LEN, SpiffeId, SpiffeIdRef, TrustDomain, TrustDomainRef};

fuzz_target!(|bytes: &[u8]| {
    let borrowed = SpiffeIdRef::parse_bytes(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(borrowed.is_err(), "only ASCII is allowed");
        return;
    };
    assert_eq!(borrowed, SpiffeIdRef::parse(text));
    assert_eq!(
        borrowed.map(SpiffeIdRef::to_owned),
        text.parse::<SpiffeId>()
    );
    // It has no limit of length, and folds upper case, which is an option here (AMB-01).
    if text.len() <= MAX_SPIFFE_ID_LEN {
        let theirs = spiffe::SpiffeId::new(text).map(|id| id.to_string());
        let ours = SpiffeId::parse_folding_case(text).map(|id| id.to_string());
        assert_eq!(ours.ok(), theirs.ok());
    }
    if let Ok(id) = borrowed {
        assert_eq!(id.as_str(), text);
        let (trust_domain, path) = (id.trust_domain(), id.path());
        assert_eq!(format!("spiffe://{trust_domain}{path}"), text);
        assert_eq!(
            TrustDomainRef::parse(trust_domain.as_str()),
            Ok(trust_domain)
        );
        assert_eq!(SpiffeId::new(trust_domain, path), Ok(id.to_owned()));
        assert_eq!(
            TrustDomain::from_name_or_id(text),
            Ok(trust_domain.to_owned())
        );
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        assert_eq!(
            SpiffeId::from_segments(trust_domain, &segments),
            Ok(id.to_owned())
        );
    }
});
