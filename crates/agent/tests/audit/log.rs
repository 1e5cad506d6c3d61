//! An audit file in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use plastron_agent::{
    Clock,
    audit::{Audit, AuditOptions, AuditThread, CallerFragment, CredentialFragment, Report, Verify},
};
use plastron_attest::Facts;
use plastron_keys::{KeyBackend, KeyType, PublicKey, SigningKey};
use plastron_keys_aws_lc::AwsLc;
use serde_json::Value;
use tempfile::TempDir;

/// A clock that moves a millisecond with each look.
pub(crate) fn ticking() -> Clock {
    let millis = AtomicU64::new(1_785_585_600_000);
    Clock::from_fn(move || {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis.fetch_add(1, Ordering::Relaxed))
    })
}

pub(crate) struct Log {
    pub(crate) dir: TempDir,
    pub(crate) key: Arc<dyn SigningKey>,
    pub(crate) clock: Clock,
}

impl Log {
    pub(crate) fn new() -> Self {
        let key: Arc<dyn SigningKey> =
            Arc::from(AwsLc.generate(KeyType::EcP256).unwrap() as Box<dyn SigningKey>);
        Self {
            dir: tempfile::tempdir().unwrap(),
            key,
            clock: ticking(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("audit.jsonl")
    }

    pub(crate) fn rotated(&self, nth: usize) -> PathBuf {
        self.dir.path().join(format!("audit.jsonl.{nth}"))
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.key.public_key().clone()
    }

    pub(crate) fn options(&self) -> AuditOptions {
        AuditOptions::new(self.path(), self.key.clone(), "example.org").clock(self.clock.clone())
    }

    pub(crate) fn start(&self) -> (Audit, AuditThread) {
        self.options().start().unwrap()
    }

    /// A file with a start, `count` releases and a stop.
    pub(crate) fn with_releases(count: u64) -> Self {
        let log = Self::new();
        log.release(count);
        log
    }

    /// Starts an agent, releases so many credentials, and stops.
    pub(crate) fn release(&self, count: u64) {
        let (audit, thread) = self.start();
        for nth in 0..count {
            audit.released(&caller(nth as i32), &credential(nth));
        }
        thread.stop();
    }

    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        lines(&self.path())
    }

    pub(crate) fn records(&self) -> Vec<Value> {
        records(&self.path())
    }

    pub(crate) fn write(&self, lines: &[Vec<u8>]) {
        fs::write(self.path(), lines.concat()).unwrap();
    }

    pub(crate) fn verify(&self) -> Report {
        verify(&[self.path()])
    }
}

pub(crate) fn verify(paths: &[PathBuf]) -> Report {
    Verify::new(AwsLc.algorithms()).files(paths).unwrap()
}

/// Lines with their newlines.
pub(crate) fn lines(path: &Path) -> Vec<Vec<u8>> {
    fs::read(path)
        .unwrap()
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

pub(crate) fn records(path: &Path) -> Vec<Value> {
    lines(path)
        .iter()
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

pub(crate) fn kinds(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record["kind"].as_str().unwrap())
        .collect()
}

pub(crate) fn caller(pid: i32) -> CallerFragment {
    let mut facts = Facts::new(pid, 1000, 100);
    facts.groups = vec![100, 4242];
    facts.path = Some("/usr/bin/cart".into());
    CallerFragment::new(
        &facts,
        &["unix:uid:1000"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect(),
    )
}

pub(crate) fn credential(nth: u64) -> CredentialFragment {
    let id = "spiffe://example.org/shop/cart".parse().unwrap();
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_589_200);
    CredentialFragment::x509(&id, &"cart".parse().unwrap(), &nth.to_be_bytes(), end)
}
