//! What patterns mean, by examples and by what holds for all of them.

use plastron_id::SpiffeIdPatternError::{PartOfSegment, RestNotLast};
use plastron_id::{
    SpiffeId, SpiffeIdError, SpiffeIdPattern, SpiffeIdPatternError, SpiffeIdRef, TrustDomainError,
};
use proptest::prelude::*;

fn matches(pattern: &str, id: &str) -> bool {
    let pattern: SpiffeIdPattern = pattern.parse().expect(pattern);
    pattern.matches(SpiffeIdRef::parse(id).expect(id))
}

#[test]
fn a_pattern_means_what_can_be_read_off_it() {
    for (pattern, yes, no) in [
        (
            "spiffe://td/shop/cart",
            &["spiffe://td/shop/cart"][..],
            &[
                "spiffe://td/shop/cart2",
                "spiffe://td/shop/car",
                "spiffe://td/shop/Cart",
                "spiffe://td/shop",
                "spiffe://td/shop/cart/a",
                "spiffe://a.td/shop/cart",
                "spiffe://td2/shop/cart",
                "spiffe://td",
            ][..],
        ),
        ("spiffe://td", &["spiffe://td"], &["spiffe://td/a"]),
        (
            "spiffe://td/*",
            &["spiffe://td/a", "spiffe://td/..."],
            &["spiffe://td", "spiffe://td/a/b", "spiffe://t/a"],
        ),
        (
            "spiffe://td/ns/*/sa/*",
            &["spiffe://td/ns/a/sa/b"],
            &[
                "spiffe://td/ns/a/sa",
                "spiffe://td/ns/a/b/sa/c",
                "spiffe://td/ns/a/sb/b",
                "spiffe://td/ns/a/sa/b/c",
            ],
        ),
        (
            "spiffe://td/shop/**",
            &["spiffe://td/shop/a", "spiffe://td/shop/a/b/c"],
            &["spiffe://td/shop", "spiffe://td/shopping/a", "spiffe://td"],
        ),
        (
            "spiffe://td/*/x/**",
            &["spiffe://td/a/x/b", "spiffe://td/x/x/x/x"],
            &["spiffe://td/a/x", "spiffe://td/x/b"],
        ),
        (
            "spiffe://td/**",
            &["spiffe://td/a", "spiffe://td/a/b"],
            &["spiffe://td", "spiffe://td.a/a", "spiffe://b/td/a"],
        ),
    ] {
        for id in yes {
            assert!(matches(pattern, id), "{pattern} means {id}");
        }
        for id in no {
            assert!(!matches(pattern, id), "{pattern} does not mean {id}");
        }
    }
}

#[test]
fn what_is_no_pattern_is_refused_with_the_place() {
    let id = SpiffeIdPatternError::SpiffeId;
    let name = |at, byte| id(TrustDomainError::Character { at, byte }.into());
    let long = format!("spiffe://td/{}", "*/".repeat(1019));
    for (text, want) in [
        ("", id(SpiffeIdError::Scheme)),
        ("*", id(SpiffeIdError::Scheme)),
        ("**", id(SpiffeIdError::Scheme)),
        ("td", id(SpiffeIdError::Scheme)),
        ("*/td/a", id(SpiffeIdError::Scheme)),
        ("spiffe://*/a", name(0, b'*')),
        ("spiffe://**", name(0, b'*')),
        ("spiffe://*.td/a", name(0, b'*')),
        ("spiffe:///*", id(TrustDomainError::Empty.into())),
        ("spiffe://td/", id(SpiffeIdError::TrailingSlash)),
        ("spiffe://td/*/", id(SpiffeIdError::TrailingSlash)),
        ("spiffe://td//*", id(SpiffeIdError::EmptySegment { at: 12 })),
        ("spiffe://td/../*", id(SpiffeIdError::DotSegment { at: 12 })),
        (
            "spiffe://td/[a]",
            id(SpiffeIdError::Character { at: 12, byte: b'[' }),
        ),
        ("spiffe://td/a*", PartOfSegment { at: 13 }),
        ("spiffe://td/*a", PartOfSegment { at: 12 }),
        ("spiffe://td/***", PartOfSegment { at: 12 }),
        ("spiffe://td/**/a", RestNotLast { at: 12 }),
        ("spiffe://td/a/**/**", RestNotLast { at: 14 }),
        ("spiffe://td/**/", RestNotLast { at: 12 }),
        (&long, id(SpiffeIdError::TooLong { len: 2050 })),
    ] {
        assert_eq!(text.parse::<SpiffeIdPattern>(), Err(want), "{text}");
    }
    let error = "spiffe://td/a*".parse::<SpiffeIdPattern>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "wildcard at byte 13 is not a whole segment, * or **"
    );
}

/// The meaning once more, by taking both apart.
fn means(pattern: &[&str], id: &[&str]) -> bool {
    match (pattern, id) {
        ([], []) => true,
        (["**"], [_, ..]) => true,
        ([wanted, pattern @ ..], [has, id @ ..]) => {
            (*wanted == "*" || wanted == has) && means(pattern, id)
        }
        _ => false,
    }
}

fn segments() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(&["a", "b", "ab"][..]), 0..6)
}

fn pattern_segments() -> impl Strategy<Value = Vec<&'static str>> {
    let inner = prop::collection::vec(prop::sample::select(&["a", "b", "*"][..]), 0..5);
    let last = prop::option::of(Just("**"));
    (inner, last).prop_map(|(mut segments, last)| {
        segments.extend(last);
        segments
    })
}

fn uri(trust_domain: &str, segments: &[&str]) -> String {
    let path: String = segments
        .iter()
        .map(|segment| format!("/{segment}"))
        .collect();
    format!("spiffe://{trust_domain}{path}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn matching_is_that_of_the_segments(
        pattern in pattern_segments(),
        id in segments(),
        td in prop::sample::select(&["a", "b"][..]),
    ) {
        let matched = matches(&uri("a", &pattern), &uri(td, &id));
        prop_assert_eq!(matched, td == "a" && means(&pattern, &id));
    }

    #[test]
    fn printing_and_parsing_are_inverse(pattern in pattern_segments()) {
        let text = uri("td", &pattern);
        let pattern: SpiffeIdPattern = text.parse().unwrap();
        prop_assert_eq!(pattern.as_str(), &text);
        prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
    }

    #[test]
    fn an_id_is_a_pattern_for_itself_alone(id in segments(), other in segments()) {
        let id: SpiffeId = uri("td", &id).parse().unwrap();
        let other: SpiffeId = uri("td", &other).parse().unwrap();
        let exact = SpiffeIdPattern::from(&id);
        prop_assert_eq!(exact.as_str().parse(), Ok(exact.clone()));
        prop_assert_eq!(exact.matches(other.as_ref()), id == other);
        let members = SpiffeIdPattern::member_of(id.trust_domain());
        prop_assert_eq!(members.as_str().parse(), Ok(members.clone()));
        prop_assert_eq!(members.matches(id.as_ref()), !id.path().is_empty());
    }

    #[test]
    fn no_text_panics(text in "(spiffe://)?[a*/.]{0,24}") {
        let _ = text.parse::<SpiffeIdPattern>();
    }
}
