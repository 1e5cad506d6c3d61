use std::fs;
use std::path::Path;

use super::*;
use crate::EntryIndex;

/// The listing of a server with one agent, and of a server with several, as SPIRE 1.15 prints them.
fn listing(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/spire")
            .join(name),
    )
    .unwrap()
}

fn notes(import: &Import) -> Vec<(&str, &Loss)> {
    import
        .notes
        .iter()
        .map(|note| (&*note.entry, &note.loss))
        .collect()
}

fn one(fields: &str) -> Import {
    let json = format!(
        r#"{{"entries": [{{"id": "e", "spiffe_id": {{"trust_domain": "td", "path": "/a"}},
            "selectors": [{{"type": "unix", "value": "uid:1"}}] {fields}}}]}}"#
    );
    import(json.as_bytes(), &["unix"]).unwrap()
}

#[test]
fn entries_of_one_agent_are_carried_over_whole() {
    // S-83 +
    let import = import(&listing("one-agent.json"), &["unix"]).unwrap();
    assert_eq!(import.notes, []);
    let [cart, ledger] = &import.entries[..] else {
        panic!("{:?}", import.entries)
    };
    assert_eq!(cart.id.as_str(), "3c0b9a5e-6f6b-4a43-9a47-0d6e3c0f7d11");
    assert_eq!(cart.spiffe_id.as_str(), "spiffe://example.org/shop/cart");
    let texts: Vec<&str> = cart.selectors.iter().map(Selector::as_str).collect();
    assert_eq!(texts, ["unix:path:/usr/bin/cart", "unix:uid:1000"]);
    assert_eq!(cart.x509_svid_ttl, Some(Duration::from_secs(600)));
    assert_eq!(cart.jwt_svid_ttl, None);
    assert_eq!(
        cart.dns_names,
        ["cart.internal".into(), Box::from("cart.example.org")]
    );
    assert_eq!(&*cart.hint, "cart");
    assert_eq!(
        cart.federates_with,
        ["partner.org".parse::<TrustDomain>().unwrap()]
    );
    assert_eq!(cart.expires_at, None);
    assert_eq!(ledger.spiffe_id.path(), "/shop/ledger");
    assert_eq!(ledger.jwt_svid_ttl, Some(Duration::from_secs(120)));
    assert_eq!(
        ledger.expires_at,
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000))
    );
}

#[test]
fn imported_entries_decide_as_in_spire() {
    // S-83 +: who has all selectors of an entry is it; the oldest of equal hints keeps it.
    let index = EntryIndex::new(
        import(&listing("one-agent.json"), &["unix"])
            .unwrap()
            .entries,
    );
    let matching = |texts: &[&str]| -> Vec<String> {
        let caller: Selectors = texts.iter().map(|text| text.parse().unwrap()).collect();
        index
            .matching(&caller, SystemTime::UNIX_EPOCH)
            .iter()
            .map(|entry| format!("{} {}", entry.spiffe_id.path(), entry.hint))
            .collect()
    };
    assert_eq!(
        matching(&["unix:uid:1000", "unix:path:/usr/bin/cart"]),
        ["/shop/cart cart", "/shop/ledger "]
    );
    assert_eq!(
        matching(&["unix:uid:1000", "unix:path:/usr/bin/other"]),
        ["/shop/ledger cart"]
    );
    assert!(matching(&["unix:uid:1001", "unix:path:/usr/bin/cart"]).is_empty());
}

#[test]
fn what_of_a_fleet_cannot_be_carried_over_is_said() {
    // S-83 −
    let import = import(&listing("fleet.json"), &["unix"]).unwrap();
    let ids: Vec<&str> = import
        .entries
        .iter()
        .map(|entry| entry.id.as_str())
        .collect();
    assert_eq!(ids, ["console", "nested", "pod", "db-1", "workload-parent"]);
    let parent = |id: &str| Loss::Parent(format!("spiffe://example.org{id}").into());
    let repeated = Loss::Repeated("db-1".into());
    assert_eq!(
        notes(&import),
        [
            ("nodes", &Loss::NodeAlias),
            ("console", &Loss::Admin),
            ("console", &parent("/spire/agent/join_token/one")),
            ("nested", &Loss::Downstream),
            ("nested", &parent("/spire/agent/join_token/one")),
            ("stored", &Loss::StoreSvid),
            ("pod", &parent("/cluster/prod")),
            ("pod", &Loss::Kind("k8s".into())),
            ("db-1", &parent("/spire/agent/join_token/one")),
            ("db-2", &repeated),
            ("workload-parent", &parent("/shop/launcher")),
            ("workload-parent", &Loss::Field("frobnication".into())),
        ]
    );
    let whole: Vec<&str> = import
        .notes
        .iter()
        .filter(|note| note.loss.is_whole())
        .map(|note| &*note.entry)
        .collect();
    assert_eq!(whole, ["nodes", "stored", "db-2"]);
}

#[test]
fn an_entry_that_is_wrong_is_left_out_with_the_reason() {
    let long = format!(r#", "hint": "{}""#, "h".repeat(1025));
    for (fields, want) in [
        (
            r#", "dns_names": ["a_b"]"#,
            r#"entry e (spiffe://td/a): left out: not a valid entry: "a_b" is no DNS name: a label holds something else than letters, digits and inner hyphens"#,
        ),
        (
            &long,
            "entry e (spiffe://td/a): left out: not a valid entry: hint of 1025 bytes is longer than 1024",
        ),
    ] {
        let import = one(fields);
        assert_eq!(import.entries, []);
        assert_eq!(import.notes[0].to_string(), want);
    }
    for (json, want) in [
        (
            r#"{"entries": [{"id": "e"}]}"#,
            "entry e (spiffe://): left out: wrong SPIFFE ID: trust domain name is empty",
        ),
        (
            r#"{"entries": [{"id": "e", "spiffe_id": {"trust_domain": "td", "path": ""},
                "selectors": [{"type": "unix", "value": "uid:1"}]}]}"#,
            "entry e (spiffe://td): left out: not a valid entry: SPIFFE ID of a workload has no path",
        ),
        (
            r#"{"entries": [{"id": "e", "spiffe_id": {"trust_domain": "td", "path": "/a"}, "selectors": []}]}"#,
            "entry e (spiffe://td/a): left out: not a valid entry: entry without selectors would match everybody",
        ),
        (
            r#"{"entries": [{"id": "e", "spiffe_id": {"trust_domain": "td", "path": "/a"},
                "selectors": [{"type": "unix", "value": ""}]}]}"#,
            r#"entry e (spiffe://td/a): left out: wrong selector "unix:": selector has no value"#,
        ),
    ] {
        let import = import(json.as_bytes(), &["unix"]).unwrap();
        assert_eq!(import.entries, []);
        assert_eq!(import.notes[0].to_string(), want);
    }
}

#[test]
fn a_part_that_is_wrong_is_dropped_with_a_note() {
    let import = one(r#", "federates_with": ["spiffe://partner.org", "NO"]"#);
    assert_eq!(
        import.entries[0].federates_with,
        ["partner.org".parse::<TrustDomain>().unwrap()]
    );
    assert_eq!(notes(&import), [("e", &Loss::FederatesWith("NO".into()))]);

    let json = r#"{"entries": [{"id": "not / an id", "spiffe_id": {"trust_domain": "td", "path": "/a"},
        "selectors": [{"type": "unix", "value": "uid:1"}]}]}"#;
    let import = super::import(json.as_bytes(), &["unix"]).unwrap();
    assert_eq!(notes(&import), [("not / an id", &Loss::Id)]);
    let entry = &import.entries[0];
    assert_eq!(
        entry.id,
        EntryId::derived(&entry.spiffe_id, &entry.selectors)
    );
}

#[test]
fn numbers_may_be_text() {
    for (fields, want) in [
        (r#", "expires_at": "1700000000""#, Some(1_700_000_000)),
        (r#", "expires_at": 1700000000"#, Some(1_700_000_000)),
        (r#", "expires_at": "0""#, None),
        (r#", "expires_at": 0"#, None),
        (r#", "expires_at": -1"#, None),
        ("", None),
    ] {
        let want = want.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(one(fields).entries[0].expires_at, want, "{fields}");
    }
}

#[test]
fn what_is_no_listing_is_refused_with_the_place() {
    for (json, line, message) in [
        ("", 1, "EOF while parsing a value"),
        (
            "[]",
            1,
            "invalid length 0, expected struct Listing with 1 element",
        ),
        ("{}", 1, "missing field `entries`"),
        (
            "{\"entries\":\n {}}",
            2,
            "invalid type: map, expected a sequence",
        ),
        (
            "{\"entries\": [\n{\"expires_at\": \"soon\"}]}",
            2,
            "\"soon\" is no whole number",
        ),
        (
            "{\"entries\": [], \"entries\": []}",
            1,
            "duplicate field `entries`",
        ),
    ] {
        let error = import(json.as_bytes(), &["unix"]).unwrap_err();
        assert_eq!((error.line, &*error.message), (line, message), "{json}");
    }
    assert_eq!(
        import(br#"{"entries": [], "next_page_token": ""}"#, &[]),
        Ok(Import::default())
    );
}
