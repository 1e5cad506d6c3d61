//! Keys on disk: what comes back, what is refused, and that nothing is ever begun anew in silence.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use plastron_agent::key_store::{DataDir, DiskKeyStore, KeyFileError, MemoryKeyStore};
use plastron_authority::{Authority, KeyStore, Policy, State};
use plastron_keys::{KeyBackend, KeyType};
use plastron_keys_aws_lc::AwsLc;
use plastron_testing::parts::{has_program, left_out};

struct Stored {
    dir: tempfile::TempDir,
}

impl Stored {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn file(&self) -> PathBuf {
        self.path().join("authority.json")
    }

    fn open(&self) -> DiskKeyStore {
        DataDir::open(self.path())
            .unwrap()
            .authority("example.org".parse().unwrap())
    }

    fn load(&self) -> Result<Option<State>, KeyFileError> {
        self.open()
            .load()
            .map_err(|error| *error.downcast().unwrap())
    }
}

/// Two keys of each kind, in all phases.
fn state() -> State {
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_785_585_600_123);
    let mut authority = Authority::new("example.org".parse().unwrap(), Policy::default());
    for hours in [0, 13, 21, 23] {
        authority
            .poll(start + Duration::from_secs(hours * 3600), &AwsLc)
            .unwrap();
    }
    authority.state()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_is_stored_comes_back_and_only_the_owner_can_read_it() {
    let stored = Stored::new();
    assert_eq!(stored.load().unwrap(), None);
    let state = state();
    stored.open().store(&State::default()).unwrap();
    stored.open().store(&state).unwrap();
    assert_eq!(stored.load().unwrap(), Some(state));
    assert_eq!(mode(&stored.path()), 0o700);
    for entry in fs::read_dir(stored.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_crash_while_storing_leaves_what_was_there() {
    let stored = Stored::new();
    let state = state();
    stored.open().store(&state).unwrap();
    // As far as the crash let it come, and even with a mode that nobody would give it.
    fs::write(stored.path().join("authority.json.new"), "{\"version\":1,").unwrap();
    assert_eq!(stored.load().unwrap(), Some(state.clone()));
    stored.open().store(&state).unwrap();
    assert!(!stored.path().join("authority.json.new").exists());
}

#[test]
fn a_damaged_file_is_an_error_that_names_it_and_never_nothing() {
    let stored = Stored::new();
    stored.open().store(&state()).unwrap();
    let good = fs::read_to_string(stored.file()).unwrap();
    let mut damaged: Vec<String> = (0..good.trim_end().len())
        .step_by(97)
        .map(|at| good[..at].to_owned())
        .collect();
    for (from, to) in [
        ("\"version\": 1", "\"version\": \"1\""),
        ("\"sequence\"", "\"sequenz\""),
        ("\"sequence\": ", "\"sequence\": -"),
        ("\"phase\": \"active\"", "\"phase\": \"retired\""),
        ("\"pkcs8\": \"", "\"pkcs8\": \"*"),
        ("\"certificate\": \"", "\"certificate\": \"*"),
        ("\"ends_at\": ", "\"ends_at\": 9999"),
        ("}\n", "}}\n"),
    ] {
        assert!(good.contains(from), "{from}");
        damaged.push(good.replacen(from, to, 1));
    }
    for content in damaged {
        fs::write(stored.file(), &content).unwrap();
        let error = stored.load().unwrap_err();
        assert!(
            matches!(error, KeyFileError::Damaged { .. }),
            "{content}: {error}"
        );
        assert!(
            error.to_string().contains("authority.json is damaged"),
            "{error}"
        );
        // No key, nor a part of one, in words that go to a log.
        assert!(!error.to_string().contains("MIG"), "{error}");
    }
}

#[test]
fn a_file_of_another_format_or_trust_domain_is_refused() {
    let stored = Stored::new();
    stored.open().store(&state()).unwrap();
    let other = DataDir::open(stored.path())
        .unwrap()
        .authority("example.com".parse().unwrap());
    let error = other
        .load()
        .unwrap_err()
        .downcast::<KeyFileError>()
        .unwrap();
    assert!(
        error
            .to_string()
            .ends_with("holds the keys of trust domain example.org, not of example.com"),
        "{error}"
    );
    drop(other);
    let good = fs::read_to_string(stored.file()).unwrap();
    fs::write(
        stored.file(),
        good.replacen("\"version\": 1", "\"version\": 2", 1),
    )
    .unwrap();
    assert!(matches!(
        stored.load().unwrap_err(),
        KeyFileError::Version { version: 2, .. }
    ));
}

#[test]
fn a_file_that_others_can_get_at_is_refused() {
    let stored = Stored::new();
    stored.open().store(&state()).unwrap();
    for exposed in [0o640, 0o604, 0o660, 0o610] {
        fs::set_permissions(stored.file(), fs::Permissions::from_mode(exposed)).unwrap();
        assert!(
            matches!(stored.load().unwrap_err(), KeyFileError::Exposed { mode, .. } if mode == exposed)
        );
    }
    fs::set_permissions(stored.file(), fs::Permissions::from_mode(0o400)).unwrap();
    assert!(stored.load().unwrap().is_some());

    fs::set_permissions(stored.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let error = DataDir::open(stored.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("has mode 0770: others can write to it"),
        "{error}"
    );
    // Others may look at the names in it, as systemd has it.
    fs::set_permissions(stored.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(stored.load().unwrap().is_some());
}

#[test]
fn what_is_no_file_of_ours_is_refused() {
    let stored = Stored::new();
    let elsewhere = stored.dir.path().join("elsewhere.json");
    stored.open().store(&state()).unwrap();
    fs::rename(stored.file(), &elsewhere).unwrap();
    symlink(&elsewhere, stored.file()).unwrap();
    assert!(matches!(
        stored.load().unwrap_err(),
        KeyFileError::Io { doing: "read", .. }
    ));
    fs::remove_file(stored.file()).unwrap();
    fs::create_dir(stored.file()).unwrap();
    assert!(matches!(
        stored.load().unwrap_err(),
        KeyFileError::Damaged { .. }
    ));
    fs::remove_dir(stored.file()).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, stored.file(), 0o600.into()).unwrap();
    assert!(matches!(
        stored.load().unwrap_err(),
        KeyFileError::Damaged { .. }
    ));
}

#[test]
fn a_store_that_fails_leaves_what_was_there() {
    let stored = Stored::new();
    let before = state();
    stored.open().store(&before).unwrap();
    // A directory stands in the way of the new file.
    fs::create_dir_all(stored.path().join("authority.json.new/x")).unwrap();
    let error = stored
        .open()
        .store(&state())
        .unwrap_err()
        .downcast::<KeyFileError>()
        .unwrap();
    assert!(matches!(*error, KeyFileError::Io { doing: "write", .. }));
    assert_eq!(stored.load().unwrap(), Some(before));
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    std::fs::create_dir(&path).unwrap();
    if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
        left_out("not permitted to give a folder away");
        return;
    }
    assert!(matches!(
        DataDir::open(&path),
        Err(KeyFileError::Foreign { uid: 12345, .. })
    ));
}

#[test]
fn one_agent_at_a_time_holds_a_directory() {
    let stored = Stored::new();
    let first = DataDir::open(stored.path()).unwrap();
    let keys = first.authority("example.org".parse().unwrap());
    drop(first);
    assert!(matches!(
        DataDir::open(stored.path()),
        Err(KeyFileError::InUse { .. })
    ));
    drop(keys);
    DataDir::open(stored.path()).unwrap();
}

#[test]
fn a_child_on_its_way_to_exec_does_not_hold_a_directory() {
    let stored = Stored::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Each has a copy of every descriptor for a moment.
        let children = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        });
        let failed = (0..10_000).find_map(|_| DataDir::open(stored.path()).err());
        done.store(true, Ordering::Relaxed);
        children.join().unwrap();
        assert!(failed.is_none(), "{failed:?}");
    });
}

#[test]
fn the_audit_key_stays_and_its_public_half_can_be_handed_out() {
    let stored = Stored::new();
    let key = DataDir::open(stored.path())
        .unwrap()
        .audit_key(&AwsLc)
        .unwrap();
    let dir = DataDir::open(stored.path()).unwrap();
    let again = dir.audit_key(&AwsLc).unwrap();
    assert_eq!(again.public_key(), key.public_key());
    assert_eq!(mode(&stored.path().join("audit-key.json")), 0o600);
    let public = stored.path().join("audit-key.pub");
    assert_eq!(mode(&public), 0o644);
    let der = stored.dir.path().join("der");
    if has_program("openssl") {
        let openssl = Command::new("openssl")
            .args(["pkey", "-pubin", "-outform", "DER", "-in"])
            .arg(&public)
            .arg("-out")
            .arg(&der)
            .status()
            .unwrap();
        assert!(openssl.success());
        assert_eq!(fs::read(der).unwrap(), key.public_key().spki_der());
    }

    // A key that does not load is no reason to make another one.
    let file = stored.path().join("audit-key.json");
    let other = AwsLc.generate(KeyType::EcP256).unwrap().to_pkcs8();
    let text = fs::read_to_string(&file).unwrap();
    let start = text.find("\"pkcs8\": \"").unwrap() + 10;
    fs::write(
        &file,
        format!(
            "{}{}\"\n}}\n",
            &text[..start],
            &text[start..start + other.len() / 3 * 4 - 8]
        ),
    )
    .unwrap();
    assert!(dir.audit_key(&AwsLc).is_err());
}

#[test]
fn memory_keeps_keys_for_as_long_as_the_process() {
    let memory = MemoryKeyStore::new();
    assert_eq!(memory.load().unwrap(), None);
    let state = state();
    memory.store(&state).unwrap();
    assert_eq!(memory.load().unwrap(), Some(state));
}
