//! Bundles of several trust domains.

use std::sync::Arc;

use plastron_bundle::{Bundle, BundleSet, Freshness, JwtBundleSource as _, X509BundleSource};
use plastron_id::TrustDomain;

use crate::fixture::*;

pub(crate) fn bundle_of(trust_domain: &str) -> Bundle {
    let mut bundle = Bundle::new(trust_domain.parse().unwrap());
    let both = parse_keys(&[right_x509(), right_jwt()]).bundle;
    bundle.add_x509_authority(both.x509_authorities()[0].clone());
    bundle
        .add_jwt_authority(both.jwt_authorities()[0].clone())
        .unwrap();
    bundle
}

#[test]
fn a_trust_domain_finds_its_own_bundle_and_no_other() {
    let set: BundleSet = [bundle_of("a"), Bundle::new("b".parse().unwrap())]
        .into_iter()
        .collect();
    let name = |name: &str| name.parse::<TrustDomain>().unwrap();
    let find = |of: &str| {
        (
            set.x509_authorities(name(of).as_ref()).map(<[_]>::len),
            set.jwt_authorities(name(of).as_ref()).map(<[_]>::len),
        )
    };
    assert_eq!(find("a"), (Some(1), Some(1)), "BUNDLE-05 +, SVID-06 +");
    assert_eq!(
        find("b"),
        (Some(0), Some(0)),
        "BUNDLE-22 +: known, and empty"
    );
    assert_eq!(find("c"), (None, None), "BUNDLE-22 −: not known");
    assert_eq!(find("x.a"), (None, None), "ID-17 −");
    // One bundle alone answers for itself alone.
    let one: &dyn X509BundleSource = &bundle_of("a");
    assert!(one.x509_authorities(name("a").as_ref()).is_some());
    assert!(one.x509_authorities(name("b").as_ref()).is_none());
}

#[test]
fn a_bundle_replaces_the_one_before_it_as_a_whole() {
    let mut set: BundleSet = [bundle_of("a")].into_iter().collect();
    let a: TrustDomain = "a".parse().unwrap();
    let old = set.insert(Bundle::new(a.clone())).unwrap();
    assert_eq!(old.x509_authorities().len(), 1);
    // BUNDLE-06 −: nothing of the old one stays.
    assert!(set.get(a.as_ref()).unwrap().is_empty());
    assert_eq!(
        (set.len(), set.remove(a.as_ref()).is_some(), set.is_empty()),
        (1, true, true)
    );
}

#[test]
fn bundles_come_in_the_order_of_their_names() {
    let set: BundleSet = ["b", "c", "a"]
        .map(|name| Arc::new(Bundle::new(name.parse().unwrap())))
        .into_iter()
        .collect();
    let names: Vec<_> = set
        .iter()
        .map(|bundle| bundle.trust_domain().as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn freshness_is_told_by_the_sequence() {
    let with = |sequence, empty| {
        let mut bundle = if empty {
            Bundle::new("a".parse().unwrap())
        } else {
            bundle_of("a")
        };
        bundle.set_sequence(sequence);
        bundle
    };
    for (what, stored, fetched, want) in [
        (
            "the same",
            with(Some(5), false),
            with(Some(5), false),
            Freshness::Same,
        ),
        (
            "BUNDLE-13 +: higher",
            with(Some(5), false),
            with(Some(6), true),
            Freshness::Newer,
        ),
        (
            "AMB-27 −: lower",
            with(Some(5), false),
            with(Some(4), true),
            Freshness::Older,
        ),
        (
            "AMB-27 −: lower, though equal",
            with(Some(5), false),
            with(Some(4), false),
            Freshness::Older,
        ),
        (
            "BUNDLE-13 −: equal, and different",
            with(Some(5), false),
            with(Some(5), true),
            Freshness::NumberKept,
        ),
        (
            "BUNDLE-11 +: none",
            with(None, false),
            with(None, true),
            Freshness::Newer,
        ),
        (
            "none, and the same",
            with(None, false),
            with(None, false),
            Freshness::Same,
        ),
        (
            "none any more",
            with(Some(5), false),
            with(None, false),
            Freshness::Newer,
        ),
    ] {
        assert_eq!(stored.compare(&fetched), want, "{what}");
    }
}
