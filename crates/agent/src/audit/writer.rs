//! The thread that owns the file: takes records in batches, chains them, signs heads.

use std::{
    error::Error,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use base64ct::{Base64, Encoding};
use plastron_keys::SigningKey;
use sha2::{Digest, Sha256};

use super::{
    Head, Shared,
    appender::{Appender, Failed},
    chain::hex_pair,
    file::{self, HeadFile, Opened},
    queue::Entry,
    record::Members,
    refusals::WINDOW,
};
use crate::{health::Component, held_file::HeldFile, metrics::AuditMetrics};

/// Bytes written at a time: so few that they stay in the processor's cache on their way.
const CHUNK: usize = 32 << 10;
/// How long after a failure writing is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the writer works with; see [`super::AuditOptions`].
pub(super) struct Setup {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) key: Arc<dyn SigningKey>,
    pub(super) head_file: Option<HeadFile>,
    pub(super) records_per_head: u64,
    pub(super) time_per_head: Duration,
    pub(super) metrics: AuditMetrics,
    pub(super) health: Option<Component>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    setup: Setup,
    log: Appender<HeldFile>,
    /// The members that name the key, for the records from which a verifier takes it.
    key_members: String,
    key_id: String,
    /// Taken from the queue, not written yet.
    waiting: Vec<Entry>,
    /// Lost, and not told yet.
    lost: u64,
    /// Written since the last signed head.
    unsigned: u64,
    head_due: Option<Instant>,
    refusals_due: Option<Instant>,
    /// Since when writing fails, and why.
    failing: Option<Failing>,
    /// Why the file that is written is not the one that has the name.
    stale: Option<String>,
}

struct Failing {
    retry_at: Instant,
    words: String,
}

/// Tells the queue when the writer ends, however it does, and everybody if that is by a panic. Releases go on, as they do
/// with a full disk.
struct Closing {
    shared: Arc<Shared>,
    metrics: AuditMetrics,
    health: Option<Component>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("audit: {BROKEN}");
            self.metrics.failing.set(1);
            if let Some(health) = &self.health {
                health.degraded(BROKEN);
            }
        }
        self.shared.queue.close();
    }
}

const BROKEN: &str = "the thread that writes records has panicked, and nothing is recorded until the agent is restarted";

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, setup: Setup, opened: Opened) -> Self {
        let found = opened.end.head.unwrap_or(Head::START);
        let kept = setup.head_file.as_ref().and_then(|kept| {
            kept.read().unwrap_or_else(|error| {
                tracing::warn!(file = %kept.0.display(), %error, "the last audit head cannot be read; going on from the file");
                None
            })
        });
        // Where the file ends before the head that was signed last, records are missing. The chain goes on from that
        // head, so that whoever verifies it sees the gap.
        let head = match kept {
            Some(kept) if kept.seq > found.seq || (kept.seq == found.seq && kept != found) => {
                if opened.end.head.is_some() {
                    tracing::error!(
                        found = found.seq,
                        signed = kept.seq,
                        "audit records were cut from the file"
                    );
                }
                kept
            }
            _ => found,
        };
        let spki = setup.key.public_key().spki_der();
        let key_id = key_id(spki);
        let mut members = Members::default();
        members.string("key", &key_id);
        members.string("public_key", &Base64::encode_string(spki));
        Self {
            log: Appender::new(opened.file, head, opened.end),
            shared,
            setup,
            key_members: members.finish().as_ref().to_owned(),
            key_id,
            waiting: Vec::new(),
            lost: 0,
            unsigned: 0,
            head_due: None,
            refusals_due: None,
            failing: None,
            stale: None,
        }
    }

    /// Works until it is told to stop. The wall clock is the recorders'; the monotonic one says when to act again.
    #[expect(
        clippy::disallowed_methods,
        reason = "the driver owns the monotonic clock"
    )]
    pub(super) fn run(mut self, trust_domain: &str) {
        let _closing = Closing {
            shared: self.shared.clone(),
            metrics: self.setup.metrics.clone(),
            health: self.setup.health.clone(),
        };
        self.begin(trust_domain, Instant::now());
        let mut gather = true;
        loop {
            // What could not be written stays here and keeps the queue from being taken, so memory stays bounded.
            let stuck = !self.waiting.is_empty();
            let deadline = self.deadline();
            let orders = self.shared.queue.take(&mut self.waiting, gather, deadline);
            gather = !stuck && !self.waiting.is_empty();
            self.lost += orders.lost;
            // What came after the order is for the other file.
            let later = orders
                .reopen
                .map(|before| self.waiting.split_off(before.min(self.waiting.len())));

            let now = Instant::now();
            if orders.lost > 0 || self.waiting.iter().any(Entry::is_refusal) {
                self.refusals_due.get_or_insert(now + WINDOW);
            }
            if self.refusals_due.is_some_and(|due| due <= now) {
                self.count_refusals(now);
            }
            let may_try = self
                .failing
                .as_ref()
                .is_none_or(|failing| failing.retry_at <= now);
            if may_try || orders.flush > 0 || orders.stop {
                self.write(now);
            }
            if self.failing.is_none() && self.head_is_due(now) {
                self.sign_head(now);
            }
            if let Some(later) = later {
                self.reopen(now);
                if later.iter().any(Entry::is_refusal) {
                    self.refusals_due.get_or_insert(now + WINDOW);
                }
                self.waiting.extend(later);
                if self.failing.is_none() {
                    self.write(now);
                }
            }
            if orders.stop {
                self.end(now);
                return;
            }
            if !stuck || self.failing.is_some() {
                self.shared.queue.has_flushed(orders.flush);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let acting = match &self.failing {
            Some(failing) => Some(failing.retry_at),
            None => self.head_due,
        };
        acting.into_iter().chain(self.refusals_due).min()
    }

    fn head_is_due(&self, now: Instant) -> bool {
        self.unsigned >= self.setup.records_per_head || self.head_due.is_some_and(|due| due <= now)
    }

    fn begin(&mut self, trust_domain: &str, now: Instant) {
        let mut members = Members::default();
        members.string("trust_domain", trust_domain);
        members.string("version", env!("CARGO_PKG_VERSION"));
        members.number("pid", std::process::id().into());
        self.note("start", &[&members.finish(), &self.key_members.clone()]);
        self.write(now);
        self.sign_head(now);
        self.tell_head();
        self.tell_health();
    }

    /// Writes all that is left, if it can.
    fn end(&mut self, now: Instant) {
        let rest = self.shared.refusing.drain();
        if self.failing.is_none() {
            let orders = self.shared.queue.take(&mut self.waiting, false, None);
            self.lost += orders.lost;
        }
        for refusals in rest {
            self.note("refusal", &[&refusals.body()]);
        }
        self.note("stop", &[]);
        self.write(now);
        match &self.failing {
            None => {
                self.sign_head(now);
                self.tell_head();
            }
            Some(failing) => {
                let records =
                    self.waiting.len() as u64 + self.shared.queue.len() as u64 + self.lost;
                tracing::error!(
                    records,
                    error = failing.words,
                    "audit records are lost: stopped while they could not be written"
                );
            }
        }
    }

    fn note(&mut self, kind: &'static str, body: &[&str]) {
        let time = self.shared.clock.now();
        self.waiting.push(Entry::Note {
            time,
            kind,
            body: body.join(",").into(),
        });
    }

    /// Records the refusals that were only counted.
    fn count_refusals(&mut self, now: Instant) {
        let (due, more) = self.shared.refusing.due();
        self.refusals_due = more.then_some(now + WINDOW);
        for refusals in due {
            self.note("refusal", &[&refusals.body()]);
        }
    }

    /// Writes what waits. What cannot be written stays.
    fn write(&mut self, now: Instant) {
        let mut next = 0;
        while next < self.waiting.len() || self.lost > 0 {
            let lost = self.lost;
            if lost > 0 {
                let body = format!("\"count\":{lost}");
                self.log.push(self.shared.clock.now(), "lost", &[&body]);
            }
            let first = next;
            while next < self.waiting.len() && self.log.pushed_bytes() < CHUNK {
                self.waiting[next].write(&mut self.log);
                next += 1;
            }
            let outcome = self.log.commit();
            let lines = match &outcome {
                Ok(()) => next - first + usize::from(lost > 0),
                Err(failed) => failed.lines,
            };
            if lines > 0 {
                self.lost = 0;
                self.setup.metrics.lost.inc_by(lost);
            }
            let records = lines.saturating_sub(usize::from(lost > 0));
            self.setup.metrics.records.inc_by(records as u64);
            self.unsigned += lines as u64;
            if self.unsigned > 0 {
                self.head_due.get_or_insert(now + self.setup.time_per_head);
            }
            if let Err(Failed { error, .. }) = outcome {
                self.waiting.drain(..first + records);
                self.fail(&error, now);
                return;
            }
        }
        self.waiting.clear();
        self.waiting.shrink_to(1024);
        self.setup.metrics.waiting.set(0);
        self.recover();
    }

    /// Signs the end of the chain, and sees to it that it is on the disk.
    fn sign_head(&mut self, now: Instant) {
        if self.failing.is_some() {
            return;
        }
        let signature = match self.setup.key.sign(&self.log.head().signed_message()) {
            Ok(signature) => signature,
            Err(error) => {
                tracing::error!(%error, "the audit key does not sign");
                self.head_due = Some(now + self.setup.time_per_head);
                return;
            }
        };
        let mut members = Members::default();
        members.string("key", &self.key_id);
        members.string("signature", &Base64::encode_string(&signature));
        self.log
            .push(self.shared.clock.now(), "head", &[&members.finish()]);
        if let Err(Failed { error, .. }) = self.log.commit() {
            self.head_due = Some(now);
            self.fail(&error, now);
            return;
        }
        self.unsigned = 0;
        self.head_due = None;
        if let Err(error) = file::sync(self.log.file()) {
            tracing::error!(file = %self.setup.path.display(), %error, "the audit file cannot be synced to disk");
        }
        if let Some(kept) = &self.setup.head_file
            && let Err(error) = kept.write(self.log.head())
        {
            tracing::warn!(file = %kept.0.display(), %error, "the audit head cannot be kept");
        }
    }

    /// Goes on in the file that has the name now, after the old one was renamed.
    fn reopen(&mut self, now: Instant) {
        if file::is_at(self.log.file(), &self.setup.path) {
            return;
        }
        match file::open(&self.setup.path, self.setup.mode) {
            Ok(Opened { file, end }) => {
                self.sign_head(now);
                self.log.go_on_in(file, end);
                self.waiting.insert(
                    0,
                    Entry::Note {
                        time: self.shared.clock.now(),
                        kind: "open",
                        body: self.key_members.as_str().into(),
                    },
                );
                self.stale = None;
                self.write(now);
                self.sign_head(now);
                self.tell_head();
                if self.failing.is_none() {
                    self.tell_health();
                }
            }
            Err(error) => {
                let mut words =
                    format!("cannot go on in a new file, so the old one is written on: {error}");
                if let Some(cause) = error.source() {
                    words = format!("{words}: {cause}");
                }
                tracing::error!("audit: {words}");
                self.stale = Some(words);
                self.tell_health();
            }
        }
    }

    /// The end of the chain goes to the log, too: whoever keeps that elsewhere can tell whether the file was cut.
    fn tell_head(&self) {
        if self.failing.is_none() {
            let Head { seq, hash } = self.log.head();
            tracing::info!(seq, %hash, "audit head signed");
        }
    }

    fn fail(&mut self, error: &io::Error, now: Instant) {
        let waiting = self.waiting.len() as u64 + self.shared.queue.len() as u64;
        self.setup
            .metrics
            .waiting
            .set(waiting.try_into().unwrap_or(i64::MAX));
        self.setup.metrics.failing.set(1);
        let path = self.setup.path.display();
        let words = format!("audit file {path} cannot be written: {error}");
        let is_new = self
            .failing
            .as_ref()
            .is_none_or(|failing| failing.words != words);
        self.failing = Some(Failing {
            retry_at: now + RETRY,
            words,
        });
        if is_new && let Some(failing) = &self.failing {
            tracing::error!("{}", failing.words);
            self.tell_health();
        }
    }

    fn recover(&mut self) {
        if self.failing.take().is_none() {
            return;
        }
        self.setup.metrics.failing.set(0);
        tracing::info!(file = %self.setup.path.display(), "the audit file is written again");
        self.tell_health();
    }

    fn tell_health(&self) {
        let Some(health) = &self.setup.health else {
            return;
        };
        let problem = self
            .failing
            .as_ref()
            .map(|failing| &failing.words)
            .or(self.stale.as_ref());
        match problem {
            Some(problem) => health.degraded(problem.as_str()),
            None => health.ok(),
        }
    }
}

impl Entry {
    fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Note {
                kind: "refusal",
                ..
            }
        )
    }

    fn write(&self, log: &mut Appender<HeldFile>) {
        match self {
            Self::Release {
                time,
                caller,
                credential,
            } => {
                log.push(
                    *time,
                    credential.kind(),
                    &[credential.as_str(), caller.as_str()],
                );
            }
            Self::Note { time, kind, body } if body.is_empty() => log.push(*time, kind, &[]),
            Self::Note { time, kind, body } => log.push(*time, kind, &[body]),
        }
    }
}

/// The identifier of an audit key: the first 16 bytes of the SHA-256 of its SubjectPublicKeyInfo, in hex.
pub(super) fn key_id(spki: &[u8]) -> String {
    let digest = Sha256::digest(spki);
    digest[..16]
        .iter()
        .flat_map(|byte| hex_pair(*byte))
        .map(char::from)
        .collect()
}
