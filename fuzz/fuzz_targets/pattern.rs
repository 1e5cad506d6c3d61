//! A pattern, a line end and an ID: printing gives back what was parsed, and what matches is what the segments say.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plastron_id::{SpiffeIdPattern, SpiffeIdRef};

fuzz_target!(|text: &str| {
    let (pattern, id) = text.split_once('\n').unwrap_or((text, text));
    let id = SpiffeIdRef::parse(id);
    let Ok(parsed) = pattern.parse::<SpiffeIdPattern>() else {
        assert!(SpiffeIdRef::parse(pattern).is_err(), "an ID is a pattern");
        return;
    };
    assert_eq!(parsed.as_str(), pattern);
    assert_eq!(parsed.to_string().parse(), Ok(parsed.clone()));
    let Ok(id) = id else { return };
    let wanted: Vec<&str> = pattern.split('/').collect();
    let has: Vec<&str> = id.as_str().split('/').collect();
    let is_one = |(wanted, has): (&&str, &&str)| *wanted == "*" || wanted == has;
    let means = match wanted.split_last() {
        Some((&"**", wanted)) => has.len() > wanted.len() && wanted.iter().zip(&has).all(is_one),
        _ => has.len() == wanted.len() && wanted.iter().zip(&has).all(is_one),
    };
    assert_eq!(parsed.matches(id), means);
    assert!(!means || parsed.trust_domain() == id.trust_domain());
    assert!(SpiffeIdPattern::from(id).matches(id));
    assert_eq!(
        SpiffeIdPattern::member_of(id.trust_domain()).matches(id),
        !id.path().is_empty()
    );
});
