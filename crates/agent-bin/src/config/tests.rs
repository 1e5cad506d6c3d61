//! Whole files: what is taken, and what goes before it or comes after it.

mod findings;

use std::time::{Duration, SystemTime};

use plastron_entry::EntryIndex;
use plastron_keys::KeyType;

use super::{
    keys::find,
    problem::Place,
    settings::{LogFormat, PathMeaning},
    *,
};

const FILE: &str = "/etc/plastron/agent.toml";

/// The file of the documentation, word for word.
const EXAMPLE: &str = r#"
trust_domain = "example.org"
data_dir = "state"            # without it the authority lives in memory

[workload_api]
socket = "agent.sock"
mode = "0666"

[authority]                   # the authority inside the agent
key_type = "ec-p256"          # also jwt_key_type, x509_svid_key_type; ec-p384 rsa-2048 rsa-3072 rsa-4096 ed25519
x509_ca_ttl = "24h"
x509_svid_ttl = "1h"
jwt_svid_ttl = "5m"           # also jwt_issuer

[audit]
file = "audit.jsonl"

[[entry]]
spiffe_id = "spiffe://example.org/shop/cart"
selectors = ["unix:uid:1000", "unix:path:/usr/bin/cart"]
x509_svid_ttl = "10m"
dns_names = ["cart.internal"]
hint = "cart"

[[bundle]]                    # a foreign trust domain; entries take it with federates_with = ["partner.org"]
trust_domain = "partner.org"
file = "partner.json"         # bundle document or PEM, reloaded when it changes; absent: a warning
"#;

fn taken(text: &str) -> Settings {
    match check(text, Path::new(FILE), &[]) {
        Ok(checked) => checked.settings,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_documented_example_is_taken_as_it_stands() {
    let settings = taken(EXAMPLE);
    let folder = Path::new("/etc/plastron");
    assert_eq!(settings.trust_domain.as_str(), "example.org");
    assert_eq!(settings.data_dir.unwrap(), folder.join("state"));
    assert_eq!(settings.workload_api.socket, folder.join("agent.sock"));
    assert_eq!(settings.workload_api.mode, 0o666);
    assert_eq!(settings.authority.x509_ca_ttl, Duration::from_secs(86_400));
    assert_eq!(settings.audit.unwrap().file, folder.join("audit.jsonl"));
    assert_eq!(settings.bundles[0].file, folder.join("partner.json"));
    let entry = &settings.entries[0];
    assert_eq!(entry.spiffe_id.as_str(), "spiffe://example.org/shop/cart");
    assert_eq!(entry.selectors.len(), 2);
    assert_eq!(entry.x509_svid_ttl, Some(Duration::from_secs(600)));
    assert_eq!(
        (&*entry.dns_names[0], &*entry.hint),
        ("cart.internal", "cart")
    );
}

#[test]
fn every_key_is_taken() {
    let settings = taken(
        r#"
        trust_domain = "spiffe://example.org"
        [workload_api]
        socket = "unix:///run/x/agent.sock"
        mode = "0660"
        owner = "root:0"
        unauthenticated_bundles = true
        handshake_timeout = "3s"
        [authority]
        key_type = "ed25519"
        x509_svid_key_type = "rsa-2048"
        jwt_issuer = "https://issuer.example.org"
        [audit]
        file = "/var/log/plastron/audit.jsonl"
        mode = "0640"
        head_every = 50
        [limits]
        connections = 9_000
        connections_per_uid = 0x100
        streams_per_connection = 10
        streams_per_uid = 1000
        request_bytes_per_uid = "64KiB"
        request_bytes_in_all = "1MiB"
        jwt_signatures_per_uid = 7
        cached_x509_svids = 8
        cached_jwt_svids = 9
        cached_jwt_bytes = "1MiB"
        [attest]
        timeout = "2s"
        [attest.unix]
        path = "caller"
        hash_size_limit = 1024
        [log]
        format = "json"
        level = "warn,plastron_agent=debug"
        [metrics]
        listen = "127.0.0.1:9090"
        [health]
        listen = "[::1]:9091"
        [[entry]]
        id = "cart-1"
        spiffe_id = "spiffe://example.org/cart"
        selectors = ["unix:user:root"]
        jwt_svid_ttl = "1s"
        federates_with = ["partner.org"]
        expires_at = 2030-01-01T00:00:00Z
        "#,
    );
    assert_eq!(settings.workload_api.socket, Path::new("/run/x/agent.sock"));
    assert_eq!(
        settings
            .workload_api
            .owner
            .as_ref()
            .map(|owner| (owner.uid, owner.gid)),
        Some((Some(0), Some(0)))
    );
    assert_eq!(settings.authority.key_type, KeyType::Ed25519);
    assert_eq!(
        settings.authority.jwt_key_type,
        KeyType::EcP256,
        "ed25519 cannot sign tokens"
    );
    assert_eq!(settings.authority.x509_svid_key_type, KeyType::Rsa2048);
    assert_eq!(settings.limits.connections, Some(9000));
    assert_eq!(settings.limits.connections_per_uid, Some(256));
    assert_eq!(settings.limits.cached_jwt_bytes, 1 << 20);
    assert_eq!(settings.attest.unix_path, PathMeaning::Caller);
    assert_eq!(settings.log.format, LogFormat::Json);
    let entry = &settings.entries[0];
    assert_eq!(entry.id.as_str(), "cart-1");
    assert_eq!(
        entry.expires_at,
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000))
    );
    for key in KEYS.iter().filter(|key| !["data_dir"].contains(&key.name)) {
        assert!((key.shown)(&settings).is_some(), "{} is shown", key.name);
    }
}

#[test]
fn flags_and_variables_go_before_the_file() {
    let given = |name: &str, text: &str, place| Given {
        key: find(name).unwrap(),
        text: text.into(),
        place,
    };
    let flag = |name: &str, text: &str| {
        given(
            name,
            text,
            Place::Flag(format!("--{}", find(name).unwrap().flag())),
        )
    };
    let settings = check(
        EXAMPLE,
        Path::new(FILE),
        &[
            flag("workload_api.socket", "here.sock"),
            flag("workload_api.mode", "0600"),
            given(
                "limits.connections",
                "7",
                Place::Variable("PLASTRON_LIMITS_CONNECTIONS".into()),
            ),
            flag("workload_api.unauthenticated_bundles", "true"),
        ],
    )
    .unwrap()
    .settings;
    assert_eq!(
        settings.workload_api.socket,
        std::env::current_dir().unwrap().join("here.sock")
    );
    assert_eq!(
        (settings.workload_api.mode, settings.limits.connections),
        (0o600, Some(7))
    );
    assert!(settings.workload_api.unauthenticated_bundles);
    assert_eq!(
        settings.data_dir.unwrap(),
        Path::new("/etc/plastron/state"),
        "the rest is the file's"
    );

    let error = check(EXAMPLE, Path::new(FILE), &[flag("workload_api.mode", "rw")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--workload-api-mode: error: \"rw\" is not the mode of a file\n    write three octal digits after a zero, such as \
         \"0660\"\n"
    );
}

#[test]
fn a_change_is_live_or_wants_a_restart() {
    let before = taken(EXAMPLE);
    for (name, change, restart, live, entries) in [
        ("nothing", EXAMPLE.to_owned(), vec![], vec![], (0, 0, 0)),
        (
            "hint",
            EXAMPLE.replace("hint = \"cart\"", "hint = \"c\""),
            vec![],
            vec![],
            (0, 0, 1),
        ),
        (
            "selectors",
            EXAMPLE.replace("uid:1000", "uid:1001"),
            vec![],
            vec![],
            (1, 1, 0),
        ),
        (
            "log",
            EXAMPLE.replace("[audit]", "[log]\nlevel = \"debug\"\n[audit]"),
            vec![],
            vec!["log.level"],
            (0, 0, 0),
        ),
        (
            "socket and audit",
            EXAMPLE
                .replace("agent.sock", "b.sock")
                .replace("audit.jsonl", "b.jsonl"),
            vec!["workload_api.socket", "audit.file"],
            vec![],
            (0, 0, 0),
        ),
        (
            "written otherwise",
            EXAMPLE.replace("\"24h\"", "\"1440m\""),
            vec![],
            vec![],
            (0, 0, 0),
        ),
    ] {
        let after = taken(&change);
        let difference = Difference::between(&before, &after);
        let names =
            |keys: &[&'static keys::Key]| keys.iter().map(|key| key.name).collect::<Vec<_>>();
        assert_eq!(
            (names(&difference.restart), names(&difference.live)),
            (restart, live),
            "{name}"
        );
        let index = |settings: &Settings| EntryIndex::new(settings.entries.iter().cloned());
        let counted = Count::of_entries(&index(&before), &index(&after));
        assert_eq!(
            (counted.added, counted.removed, counted.changed),
            entries,
            "{name}"
        );
    }
    let moved = taken(&EXAMPLE.replace("agent.sock", "b.sock"));
    assert_eq!(
        Difference::between(&before, &moved).refusal().unwrap(),
        "workload_api.socket has changed and cannot change while the agent runs: restart it, or set it back; nothing of the \
         file is in force until then"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_from_one_that_is_wrong() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("agent.toml");
    assert!(matches!(
        load(&file, &[]),
        Err(ConfigError::Unreadable { .. })
    ));
    std::fs::write(&file, b"trust_domain = \"example.org\"\nx = \"\xff\"\n").unwrap();
    let error = load(&file, &[]).unwrap_err().to_string();
    assert!(
        error.contains("agent.toml:2: error: the file is not UTF-8"),
        "{error}"
    );
}
