//! Bundles of several trust domains.

use std::sync::Arc;
use std::time::Duration;

use plastron_bundle::{
    Bundle, BundleSet, Freshness, JwtAuthority, JwtBundleSource, X509Authority, X509BundleSource,
};
use plastron_id::{TrustDomain, TrustDomainRef};

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
    let one = bundle_of("a");
    for (of, want) in [("a", Some(1)), ("b", None)] {
        let of = name(of);
        let x509 = X509BundleSource::x509_authorities(&one, of.as_ref()).map(<[_]>::len);
        let jwt = JwtBundleSource::jwt_authorities(&one, of.as_ref()).map(<[_]>::len);
        assert_eq!((x509, jwt), (want, want), "SVID-06: {of}");
    }
}

#[test]
fn a_list_of_x509_authorities_is_known_by_its_bundle() {
    struct Nameless(Bundle);

    impl X509BundleSource for Nameless {
        fn x509_authorities(&self, of: TrustDomainRef<'_>) -> Option<&[X509Authority]> {
            X509BundleSource::x509_authorities(&self.0, of)
        }
    }

    let (a, b): (TrustDomain, TrustDomain) = ("a".parse().unwrap(), "b".parse().unwrap());
    let bundle = bundle_of("a");
    let set: BundleSet = [bundle.clone()].into_iter().collect();
    for source in [&bundle as &dyn X509BundleSource, &set] {
        let id = source.x509_authorities_id(a.as_ref());
        assert_eq!(id, Some(bundle.x509_authorities_id()));
        assert_eq!(source.x509_authorities_id(b.as_ref()), None);
    }
    // The same authorities read twice are two lists, and whoever cannot tell them apart says so.
    assert_ne!(
        bundle_of("a").x509_authorities_id(),
        bundle.x509_authorities_id()
    );
    let shown = format!("{:?}", bundle.x509_authorities_id());
    assert_eq!(shown, "X509AuthoritiesId", "no address of memory");
    assert_eq!(Nameless(bundle).x509_authorities_id(a.as_ref()), None);
}

#[test]
fn bundles_are_equal_when_they_say_the_same() {
    let bundle = || {
        let mut bundle = bundle_of("a");
        bundle.set_sequence(Some(1));
        bundle.set_refresh_hint(Some(Duration::from_secs(60)));
        bundle
    };
    assert_eq!(bundle(), bundle());
    let key = KEYS.rsa.public_key().clone();
    for change in [
        &|bundle: &mut Bundle| bundle.set_sequence(None) as (),
        &|bundle: &mut Bundle| bundle.set_refresh_hint(None),
        &|bundle: &mut Bundle| {
            let authority = X509Authority::parse(&authority(&*KEYS.p384)).unwrap();
            bundle.add_x509_authority(authority);
        },
        &|bundle: &mut Bundle| {
            let authority = JwtAuthority::new("two", key.clone()).unwrap();
            bundle.add_jwt_authority(authority).unwrap();
        },
        &|bundle: &mut Bundle| {
            let mut of_another = Bundle::new("b".parse().unwrap());
            of_another.set_sequence(bundle.sequence());
            of_another.set_refresh_hint(bundle.refresh_hint());
            of_another.add_x509_authority(bundle.x509_authorities()[0].clone());
            let jwt_authority = bundle.jwt_authorities()[0].clone();
            of_another.add_jwt_authority(jwt_authority).unwrap();
            *bundle = of_another;
        },
    ] as [&dyn Fn(&mut Bundle); 5]
    {
        let mut changed = bundle();
        change(&mut changed);
        assert_ne!(changed, bundle());
    }
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
    let other: BundleSet = [bundle_of("a")].into_iter().collect();
    assert!(!other.is_empty());
}

#[test]
fn a_bundle_is_empty_when_it_has_no_authority_of_any_kind() {
    for (keys, want) in [
        (&[][..], true),
        (&[right_x509()], false),
        (&[right_jwt()], false),
        (&[right_x509(), right_jwt()], false),
    ] {
        assert_eq!(parse_keys(keys).bundle.is_empty(), want, "BUNDLE-22");
    }
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
    // BUNDLE-13 −: the number stays, and one part alone is different.
    let stored = with(Some(5), false);
    let mut hint = stored.clone();
    hint.set_refresh_hint(Some(Duration::from_secs(60)));
    let mut x509 = stored.clone();
    x509.add_x509_authority(X509Authority::parse(&authority(&*KEYS.p384)).unwrap());
    let mut jwt = stored.clone();
    jwt.add_jwt_authority(JwtAuthority::new("two", KEYS.rsa.public_key().clone()).unwrap())
        .unwrap();
    for fetched in [hint, x509, jwt] {
        assert_eq!(
            stored.compare(&fetched),
            Freshness::NumberKept,
            "{fetched:?}"
        );
    }
}
