//! Publishers and readers.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use plastron_bundle::{Bundle, BundleSet, X509BundleSource as _};
use plastron_keys::KeyBackend as _;
use plastron_source::{NoSuchSvid, SourceError, SvidPicker, X509Context, source};
use plastron_svid::{X509Svid, X509Verifier};
use plastron_testing::{Authority, BACKEND, Clock};

fn context(authority: &Authority, paths: &[&str]) -> X509Context {
    let now = Clock::new().now();
    let svids = paths
        .iter()
        .map(|path| authority.x509_svid(path, now))
        .collect();
    X509Context::new(svids, [authority.bundle()].into_iter().collect())
}

fn hinted(authority: &Authority, of: &[(&str, &str)]) -> Vec<X509Svid> {
    let now = Clock::new().now();
    of.iter()
        .map(|(path, hint)| authority.x509_svid(path, now).with_hint(hint))
        .collect()
}

fn paths<'s>(svids: impl IntoIterator<Item = &'s X509Svid>) -> Vec<&'s str> {
    svids.into_iter().map(|svid| svid.id().path()).collect()
}

/// What a future says when it is asked once.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn svids_and_bundles_change_together() {
    let (old, new) = (Authority::new("td.example"), Authority::new("td.example"));
    let (publisher, mut source) = source(context(&old, &["/a"]));
    let verifier = X509Verifier::new(BACKEND.algorithms());
    // WAPI-20 +: in each snapshot the SVID verifies under the bundle beside it, and under no other.
    let verifies = |svids: &X509Context, bundles: &X509Context| {
        let leaf = svids.default_svid().unwrap().leaf_der();
        verifier
            .verify(&[leaf], bundles, Clock::new().unix_time())
            .is_ok()
    };
    let before = source.current().unwrap();
    assert!(verifies(&before, &before));

    publisher.publish(context(&new, &["/a"]));
    let after = source.changed().await.unwrap();
    assert!(verifies(&after, &after));
    assert!(!verifies(&before, &after) && !verifies(&after, &before));
    assert!(
        before
            .x509_authorities(old.trust_domain().as_ref())
            .is_some()
    );
}

#[tokio::test]
async fn each_reader_sees_each_change_once() {
    let authority = Authority::new("td.example");
    let (publisher, mut one) = source(context(&authority, &["/first"]));
    let mut two = one.clone();
    assert!(
        poll_once(one.changed()).is_pending(),
        "what one was born with is not new"
    );

    publisher.publish(context(&authority, &["/second"]));
    publisher.publish(context(&authority, &["/third"]));
    for source in [&mut one, &mut two] {
        let newest = source.changed().await.unwrap();
        assert_eq!(
            paths(newest.svids()),
            ["/third"],
            "only the newest is given"
        );
        assert!(poll_once(source.changed()).is_pending());
    }
    let mut late = publisher.source();
    assert_eq!(paths(late.current().unwrap().svids()), ["/third"]);
    assert!(poll_once(late.changed()).is_pending());
}

#[tokio::test]
async fn whoever_waits_is_woken() {
    let authority = Authority::new("td.example");
    let (publisher, mut source) = source(context(&authority, &["/a"]));
    let waiting =
        tokio::spawn(async move { paths(source.changed().await.unwrap().svids()).join(",") });
    tokio::task::yield_now().await;
    publisher.publish(context(&authority, &["/b", "/c"]));
    assert_eq!(waiting.await.unwrap(), "/b,/c");
}

#[tokio::test]
async fn what_was_withdrawn_is_gone_until_something_new_comes() {
    let authority = Authority::new("td.example");
    let (publisher, mut source) = source(context(&authority, &["/a"]));
    publisher.clear();
    // WAPI-33 −, AMB-31 −: nothing is served after the caller lost its entitlement.
    assert_eq!(source.current().unwrap_err(), SourceError::Withdrawn);
    assert_eq!(source.changed().await.unwrap_err(), SourceError::Withdrawn);
    assert!(poll_once(source.changed()).is_pending());
    publisher.publish(context(&authority, &["/b"]));
    assert_eq!(paths(source.changed().await.unwrap().svids()), ["/b"]);
}

#[tokio::test]
async fn a_lost_publisher_leaves_its_last_value() {
    let authority = Authority::new("td.example");
    let (publisher, mut source) = source(context(&authority, &["/a"]));
    drop(publisher);
    assert_eq!(source.changed().await.unwrap_err(), SourceError::Closed);
    // AMB-31 +: it stays good until it expires.
    assert_eq!(paths(source.current().unwrap().svids()), ["/a"]);
}

#[test]
fn pickers_find_what_they_name_or_nothing() {
    let authority = Authority::new("td.example");
    let svids = hinted(&authority, &[("/a", "one"), ("/b", ""), ("/c", "three")]);
    let context = X509Context::new(svids, BundleSet::new());
    let pick = |picker: SvidPicker| {
        context
            .pick(&picker)
            .map(|svid| svid.id().path().to_owned())
    };
    let found = |path: &str| Ok(path.to_owned());
    assert_eq!(
        pick(SvidPicker::First),
        found("/a"),
        "WAPI-70 +, WAPI-68 +: the default"
    );
    assert_eq!(
        pick(SvidPicker::Id(authority.id("/b"))),
        found("/b"),
        "WAPI-70 +: by ID"
    );
    assert_eq!(
        pick(SvidPicker::Hint("three".into())),
        found("/c"),
        "WAPI-69 +: by hint"
    );
    assert_eq!(
        pick(SvidPicker::with(|svids| svids.len().checked_sub(1))),
        found("/c"),
        "WAPI-70 +: by a choice of one's own"
    );
    for hint in ["two", "One"] {
        assert_eq!(
            pick(SvidPicker::Hint(hint.into())),
            Err(NoSuchSvid),
            "WAPI-69 −: a hint that nobody has"
        );
    }
    assert_eq!(
        pick(SvidPicker::Hint("".into())),
        found("/b"),
        "WAPI-69 +: the one without a hint"
    );
    for picker in [
        SvidPicker::Id(authority.id("/x")),
        SvidPicker::with(|_| None),
        SvidPicker::with(|_| Some(3)),
    ] {
        assert_eq!(
            pick(picker),
            Err(NoSuchSvid),
            "WAPI-70 −: the default does not step in"
        );
    }
    let empty = X509Context::new(vec![], BundleSet::new());
    assert!(empty.pick(&SvidPicker::First).is_err() && empty.default_svid().is_none());
}

#[test]
fn of_equal_hints_the_first_stays() {
    let authority = Authority::new("td.example");
    let svids = hinted(
        &authority,
        &[
            ("/a", "x"),
            ("/b", ""),
            ("/c", "x"),
            ("/d", ""),
            ("/e", "y"),
        ],
    );
    let context = X509Context::new(svids, BundleSet::new());
    assert_eq!(
        paths(context.svids()),
        ["/a", "/b", "/d", "/e"],
        "WAPI-29 +, WAPI-29 −"
    );
}

#[tokio::test]
async fn bundles_for_tokens_work_alike() {
    let bundles = |names: &[&str]| -> BundleSet {
        names
            .iter()
            .map(|name| Bundle::new(name.parse().unwrap()))
            .collect()
    };
    let (publisher, mut source) = source(bundles(&["a"]));
    assert_eq!(*source.current().unwrap(), bundles(&["a"]));
    publisher.publish(bundles(&["a", "b"]));
    assert_eq!(source.changed().await.unwrap().len(), 2);
    publisher.clear();
    assert_eq!(
        source.changed().await,
        Err(SourceError::Withdrawn),
        "WAPI-51 −"
    );
    assert_eq!(publisher.source().current(), Err(SourceError::Withdrawn));
    drop(publisher);
    assert_eq!(source.changed().await, Err(SourceError::Closed));
}

#[test]
fn debug_shows_no_key() {
    let authority = Authority::new("td.example");
    let (publisher, source) = source(context(&authority, &["/a"]));
    let text = format!("{publisher:?} {source:?}");
    assert!(
        text.contains("spiffe://td.example/a") && !text.contains("pkcs8"),
        "RS-15 −: {text}"
    );
}
