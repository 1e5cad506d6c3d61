use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::EntryBuilder;

fn selectors<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Selectors {
    texts
        .into_iter()
        .map(|text| text.as_ref().parse().unwrap())
        .collect()
}

fn entry(path: &str, texts: &[&str]) -> EntryBuilder {
    RegistrationEntry::builder(
        format!("spiffe://td/{path}").parse().unwrap(),
        selectors(texts),
    )
}

fn index(entries: impl IntoIterator<Item = EntryBuilder>) -> EntryIndex {
    EntryIndex::new(entries.into_iter().map(|entry| entry.build().unwrap()))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn paths(entries: &[Arc<RegistrationEntry>]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| &entry.spiffe_id.path()[1..])
        .collect()
}

#[test]
fn selectors_are_joined_by_and_within_an_entry_and_entries_by_or() {
    let index = index([
        entry("path", &["unix:uid:1", "unix:path:/bin/a"]),
        entry("uid", &["unix:uid:1"]),
        entry("other", &["unix:uid:2"]),
        entry("gid", &["unix:gid:1"]),
        entry("both", &["unix:uid:1", "unix:uid:2"]),
        entry("uid-again", &["unix:uid:1"]),
    ]);
    for (caller, want) in [
        (
            &["unix:uid:1", "unix:gid:9", "unix:path:/bin/a"][..],
            &["path", "uid", "uid-again"][..],
        ),
        (&["unix:uid:1"], &["uid", "uid-again"]),
        (&["unix:uid:2"], &["other"]),
        (&["unix:gid:1", "unix:uid:1"], &["uid", "gid", "uid-again"]),
        (
            &["unix:uid:1", "unix:uid:2"],
            &["uid", "other", "both", "uid-again"],
        ),
        // S-62: who matches nothing gets nothing.
        (&["unix:uid:3"], &[]),
        (&["unix:path:/bin/a"], &[]),
        (&[], &[]),
    ] {
        // S-62 +, WAPI-68 +: the operator's order, every time.
        assert_eq!(
            paths(&index.matching(&selectors(caller), at(0))),
            want,
            "{caller:?}"
        );
    }
    assert_eq!((index.len(), index.is_empty()), (6, false));
    assert!(EntryIndex::default().is_empty());
    assert!(
        EntryIndex::new([])
            .matching(&selectors(["unix:uid:1"]), at(0))
            .is_empty()
    );
}

#[test]
fn an_entry_matches_until_it_expires() {
    let index = index([
        entry("late", &["unix:uid:1"]).expires_at(at(20)),
        entry("early", &["unix:uid:1"]).expires_at(at(10)),
        entry("never", &["unix:uid:1"]),
    ]);
    let caller = selectors(["unix:uid:1"]);
    for (now, matching, expired, next) in [
        (9, &["late", "early", "never"][..], &[][..], Some(10)),
        (10, &["late", "never"], &["early"], Some(20)),
        (20, &["never"], &["late", "early"], None),
    ] {
        assert_eq!(paths(&index.matching(&caller, at(now))), matching);
        assert_eq!(paths(&index.expired(&caller, at(now))), expired);
        assert_eq!(index.next_expiry(at(now)), next.map(at));
    }
}

#[test]
fn of_equal_hints_the_first_stays() {
    let index = index([
        entry("expired", &["unix:uid:1"])
            .hint("a")
            .expires_at(at(5)),
        entry("first", &["unix:uid:1"]).hint("a"),
        entry("second", &["unix:uid:1"]).hint("a"),
        entry("other", &["unix:uid:1"]).hint("b"),
        entry("none", &["unix:uid:1"]),
        entry("none-too", &["unix:uid:1"]),
        entry("of-another-caller", &["unix:uid:2"]).hint("b"),
    ]);
    let hints = |caller: &str, now| -> Vec<(String, String)> {
        let matching = index.matching(&selectors([caller]), at(now));
        matching
            .iter()
            .map(|entry| {
                (
                    entry.spiffe_id.path()[1..].to_owned(),
                    entry.hint.to_string(),
                )
            })
            .collect()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|&(path, hint)| (path.to_owned(), hint.to_owned()))
            .collect()
    };
    let expected = [
        ("first", "a"),
        ("second", ""),
        ("other", "b"),
        ("none", ""),
        ("none-too", ""),
    ];
    assert_eq!(
        hints("unix:uid:1", 5),
        pairs(&expected),
        "WAPI-28 +/−, WAPI-44 +/−: the second of two equal hints is left out, and no identity"
    );
    assert_eq!(
        hints("unix:uid:2", 5),
        pairs(&[("of-another-caller", "b")]),
        "WAPI-28 +: what is not in the message takes no hint away"
    );
    assert_eq!(
        hints("unix:uid:1", 4)[..2],
        pairs(&[("expired", "a"), ("first", "")])
    );
    // The entry itself keeps its hint.
    assert_eq!(&*index.iter().nth(2).unwrap().hint, "a");
}

#[test]
fn of_entries_with_one_id_the_first_counts() {
    let index = index([
        entry("a", &["unix:uid:1"]).hint("x"),
        entry("a", &["unix:uid:1"]).hint("y"),
        entry("a", &["unix:uid:2"]),
        entry("b", &["unix:uid:3"]).id("given".parse().unwrap()),
        entry("c", &["unix:uid:4"]).id("given".parse().unwrap()),
    ]);
    assert_eq!(paths(index.repeated()), ["a", "c"]);
    assert_eq!(index.len(), 3);
    for entry in &index {
        assert!(Arc::ptr_eq(index.get(entry.id.as_str()).unwrap(), entry));
    }
    assert_eq!(index.get("given").unwrap().spiffe_id.path(), "/b");
    assert!(index.get("unknown").is_none());
}

#[test]
fn entries_tell_which_sorts_of_selectors_matter() {
    let index = index([
        entry("a", &["unix:uid:1", "unix:sha256:9f86"]),
        entry("b", &["unix:uid:1", "systemd:id"]),
    ]);
    for (kind, name, want) in [
        ("unix", "uid", true),
        ("unix", "sha256", true),
        ("systemd", "id", true),
        ("unix", "path", false),
        ("unix", "sha", false),
        ("k8s", "uid", false),
    ] {
        assert_eq!(index.mentions(kind, name), want, "{kind}:{name}");
    }
    let different: Selectors = index.selectors().cloned().collect();
    assert_eq!(
        different,
        selectors(["unix:uid:1", "unix:sha256:9f86", "systemd:id"])
    );
}

#[test]
fn the_nearest_entries_miss_the_least() {
    let index = index([
        entry("two", &["unix:uid:1", "unix:gid:2", "unix:path:/bin/b"]),
        entry("match", &["unix:uid:1"]),
        entry("one", &["unix:uid:1", "unix:path:/bin/b"]),
        entry("one-too", &["unix:gid:1", "unix:uid:2"]),
        entry("nothing", &["unix:uid:2"]),
    ]);
    let caller = selectors(["unix:uid:1", "unix:gid:1", "unix:path:/bin/a"]);
    let near = index.nearest(&caller, 9);
    let shown: Vec<_> = near
        .iter()
        .map(|near| {
            let missing: Vec<_> = near.missing.iter().map(Selector::as_str).collect();
            (&near.entry.spiffe_id.path()[1..], missing)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("one", vec!["unix:path:/bin/b"]),
            ("one-too", vec!["unix:uid:2"]),
            ("two", vec!["unix:gid:2", "unix:path:/bin/b"]),
        ]
    );
    assert_eq!(index.nearest(&caller, 1), near[..1]);
    assert!(index.nearest(&selectors(["unix:uid:7"]), 9).is_empty());
}

#[test]
fn an_explanation_looks_at_a_bounded_number_of_entries_the_rare_ones_first() {
    let crowd =
        (0..5_000).map(|i| entry(&format!("{i}"), &["unix:uid:1", &format!("unix:path:/{i}")]));
    let rare = entry("rare", &["unix:gid:5", "unix:path:/rare"]);
    let index = index(crowd.chain([rare]));
    let near = index.nearest(&selectors(["unix:uid:1", "unix:gid:5"]), usize::MAX);
    assert_eq!(near.len(), MAX_CANDIDATES);
    assert!(
        near.iter()
            .any(|near| near.entry.spiffe_id.path() == "/rare")
    );
}

proptest! {
    /// Against the plain definition, with sets that overlap a lot.
    #[test]
    fn matching_finds_exactly_the_subsets(
        sets in prop::collection::vec(prop::collection::btree_set(0..12_u8, 1..6), 0..80),
        caller in prop::collection::btree_set(0..14_u8, 0..12),
    ) {
        let texts = |set: &BTreeSet<u8>| selectors(set.iter().map(|n| format!("unix:gid:{n}")));
        let entries: Vec<RegistrationEntry> = sets
            .iter()
            .enumerate()
            .map(|(i, set)| {
                RegistrationEntry::builder(format!("spiffe://td/{i}").parse().unwrap(), texts(set)).build().unwrap()
            })
            .collect();
        let index = EntryIndex::new(entries.clone());
        let caller = texts(&caller);
        let plain: Vec<_> = entries.iter().filter(|entry| entry.selectors.is_subset(&caller)).collect();
        let matching = index.matching(&caller, at(0));
        prop_assert_eq!(matching.iter().map(|entry| &**entry).collect::<Vec<_>>(), plain);
        for near in index.nearest(&caller, 10) {
            prop_assert!(!near.missing.is_empty());
            prop_assert!(near.missing.len() < near.entry.selectors.len());
        }
    }
}
