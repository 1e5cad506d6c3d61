//! Evidence: who was given which credential, and who was refused, as a file of its own.
//!
//! Each release of a credential to a caller, cached ones included, is a record, and each refusal. Records are JSON, one a
//! line. Each carries the hash of the one before, and from time to time a `head` record signs the end of the chain, so
//! [`Verify`] finds what was changed, taken out, put in another order or cut. Records of the agent and of the authority
//! join on the serial of an X509-SVID and the `jti` of a JWT-SVID (S-99 to S-103).
//!
//! | kind | says |
//! | --- | --- |
//! | `x509_svid`, `jwt_svid` | this credential was handed to this caller |
//! | `refusal` | this caller was refused, `count` times since the record before of the same |
//! | `operation` | this operator had the agent do something |
//! | `start`, `stop` | an agent began or ended; `start` names the public key that signs heads |
//! | `open` | a new file goes on where another ended |
//! | `head` | a signature over the record before, and so over all before |
//! | `lost` | `count` records found no room while the file could not be written, or nobody was fast enough |
//!
//! Recording costs the caller about as much as a lock: text is rendered once per caller and once per credential, and a
//! thread of its own writes, a hundred times a second at most. What was recorded within that hundredth of a second is gone
//! when the agent is killed; nothing that happens to the file stops the agent from serving. While it cannot be written,
//! [health](crate::health) says so and records wait, as many as there is room for; then they are counted as lost.
//!
//! What the chain is worth: whoever has the file alone cannot change it unnoticed. Whoever also has the audit key, or
//! takes away everything since the last head that somebody else has seen, can; so keep heads elsewhere (they are in the
//! log), and verify with a key that you have had from before.

mod appender;
mod chain;
mod file;
mod queue;
mod record;
mod refusals;
mod rfc3339;
mod verify;
mod writer;

use std::{fmt, io, path::PathBuf, sync::Arc, thread::JoinHandle, time::Duration};

use plastron_attest::{Facts, Peer, PeerLost};
use plastron_entry::Selectors;
use plastron_keys::SigningKey;
use plastron_workload_api::Refusal;
use tonic::Code;

use self::{
    file::HeadFile,
    queue::{Entry, Queue},
    refusals::{Refused, Refusing},
    writer::{Setup, Writer},
};
use crate::{Clock, health::Component, metrics::AuditMetrics, refusal};

pub use self::{
    chain::{Head, LinkHash},
    file::{AuditFileError, read_head_file},
    record::{CallerFragment, CredentialFragment},
    verify::{Finding, Note, Place, Problem, Remark, Report, Verify, Vouched},
};

/// Where records go, and how.
#[derive(Debug)]
#[must_use = "nothing is recorded until it is started"]
pub struct AuditOptions {
    file: PathBuf,
    key: Arc<dyn SigningKey>,
    trust_domain: String,
    mode: u32,
    head_file: Option<PathBuf>,
    records_per_head: u64,
    time_per_head: Duration,
    room: usize,
    clock: Clock,
    metrics: AuditMetrics,
    health: Option<Component>,
}

impl AuditOptions {
    /// Records of an agent of `trust_domain` in `file`, with heads signed by `key`.
    pub fn new(file: PathBuf, key: Arc<dyn SigningKey>, trust_domain: impl Into<String>) -> Self {
        Self {
            file,
            key,
            trust_domain: trust_domain.into(),
            mode: 0o600,
            head_file: None,
            records_per_head: 10_000,
            time_per_head: Duration::from_secs(10),
            room: 16_384,
            clock: Clock::system(),
            metrics: AuditMetrics::default(),
            health: None,
        }
    }

    /// The mode of a file that is made anew. Default: 0600.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Keeps the last signed head in this file too, so that the chain goes on when the audit file is gone at the next
    /// start, and what was cut from it is missed. Default: none.
    pub fn head_file(mut self, path: PathBuf) -> Self {
        self.head_file = Some(path);
        self
    }

    /// Signs a head after so many records, and so long after the first record that none vouches for. Default: 10,000 and
    /// 10 seconds.
    pub fn heads(mut self, records: u64, time: Duration) -> Self {
        (self.records_per_head, self.time_per_head) = (records.max(1), time);
        self
    }

    /// How many records may wait to be written. Default: 16,384.
    pub fn room(mut self, records: usize) -> Self {
        self.room = records.max(2);
        self
    }

    /// What time it is. Default: what the system says.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Where records are counted.
    pub fn metrics(mut self, metrics: AuditMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Where it is said that the file cannot be written.
    pub fn health(mut self, health: Component) -> Self {
        self.health = Some(health);
        self
    }

    /// Opens the file and starts the thread that writes it. A chain that the file holds is continued.
    ///
    /// # Errors
    ///
    /// A file that cannot be opened, that another process writes to, or that holds something else. One that cannot be
    /// written now is no error: see [health](Self::health).
    pub fn start(self) -> Result<(Audit, AuditThread), AuditError> {
        let opened = file::open(&self.file, self.mode)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(self.room, self.metrics.lost.clone()),
            refusing: Arc::new(Refusing::new(self.clock.clone())),
            clock: self.clock,
        });
        let setup = Setup {
            path: self.file,
            mode: self.mode,
            key: self.key,
            head_file: self.head_file.map(HeadFile),
            records_per_head: self.records_per_head,
            time_per_head: self.time_per_head,
            metrics: self.metrics,
            health: self.health,
        };
        let writer = Writer::new(shared.clone(), setup, opened);
        let trust_domain = self.trust_domain;
        let thread = std::thread::Builder::new()
            .name("audit".into())
            .stack_size(256 << 10)
            .spawn(move || writer.run(&trust_domain))
            .map_err(AuditError::Thread)?;
        let audit = Audit {
            refusing: shared.refusing.clone(),
            shared: Some(shared.clone()),
        };
        Ok((
            audit,
            AuditThread {
                shared,
                thread: Some(thread),
            },
        ))
    }
}

/// Why recording did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] AuditFileError),
    /// There is no thread to write it.
    #[error("cannot start the audit thread")]
    Thread(#[source] io::Error),
}

/// What recorders and writer share.
struct Shared {
    queue: Queue,
    refusing: Arc<Refusing>,
    clock: Clock,
}

/// The thread that writes. Dropping it stops it, after all that was recorded before is written.
#[must_use = "dropping it ends the recording"]
pub struct AuditThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl AuditThread {
    /// Writes what is left, a `stop` record and a signed head, and ends. Blocks meanwhile.
    pub fn stop(self) {}
}

impl Drop for AuditThread {
    fn drop(&mut self) {
        self.shared.queue.stop();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the audit thread panicked");
        }
    }
}

impl fmt::Debug for AuditThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditThread")
    }
}

/// Records. Clones record to the same file, and never wait for it. Refusals are told in the log too, as often.
#[derive(Clone)]
pub struct Audit {
    refusing: Arc<Refusing>,
    /// `None` where nothing is recorded.
    shared: Option<Arc<Shared>>,
}

impl Audit {
    /// Records nothing. Refusals are told in the log.
    pub fn off(clock: Clock) -> Self {
        Self {
            refusing: Arc::new(Refusing::new(clock)),
            shared: None,
        }
    }

    /// Tells counted refusals in the log when their time comes, for as long as it is polled. Where they are recorded, the
    /// thread that does so tells them.
    pub(crate) async fn tell_refusals(self) {
        if self.shared.is_none() {
            self.refusing.tell().await;
        }
    }

    /// Records that a caller was handed a credential.
    pub fn released(&self, caller: &CallerFragment, credential: &CredentialFragment) {
        let Some(shared) = &self.shared else { return };
        shared.queue.push(Entry::Release {
            time: shared.clock.now(),
            caller: caller.clone(),
            credential: credential.clone(),
        });
    }

    /// Records that an operator has the agent do something.
    pub fn operated(&self, caller: &CallerFragment, call: &'static str) {
        let Some(shared) = &self.shared else { return };
        shared.queue.push(Entry::Note {
            time: shared.clock.now(),
            kind: "operation",
            body: format!("\"call\":\"{call}\",{}", caller.as_str()).into(),
        });
    }

    /// Records that a caller was refused a call.
    pub fn refused(&self, caller: &CallerFragment, call: &'static str, refusal: &Refusal) {
        self.refuse(|| caller.clone(), call, refusal.code, &refusal.message);
    }

    /// Records that somebody was refused of whom only the uid is known.
    pub fn refused_uid(&self, uid: u32, call: &'static str, refusal: &Refusal) {
        self.refuse(
            || CallerFragment::of_uid(uid),
            call,
            refusal.code,
            &refusal.message,
        );
    }

    /// Records that a process was refused before it could be attested.
    pub fn refused_peer(&self, peer: &Peer, call: &'static str, refusal: &Refusal) {
        let caller =
            || CallerFragment::new(&Facts::new(peer.pid, peer.uid, peer.gid), &Selectors::new());
        self.refuse(caller, call, refusal.code, &refusal.message);
    }

    /// Records that a connection ended since its caller was no longer who had been attested, with the status that it ends
    /// with. That a process has exited is no refusal, and no record.
    pub fn lost(&self, caller: &CallerFragment, lost: &PeerLost) {
        if *lost != PeerLost::Exited {
            self.refused(caller, "connection", &refusal::from_lost(lost));
        }
    }

    /// Goes on in a new file if the old one was renamed: what SIGHUP asks for. Does not wait.
    pub fn reopen(&self) {
        if let Some(shared) = &self.shared {
            shared.queue.reopen();
        }
    }

    /// Waits until all that was recorded before is in the file, or could not be written.
    pub fn flush(&self) {
        if let Some(shared) = &self.shared {
            shared.queue.flush();
        }
    }

    fn refuse(
        &self,
        caller: impl FnOnce() -> CallerFragment,
        call: &'static str,
        code: Code,
        reason: &str,
    ) {
        let time = self.refusing.clock.now();
        let refused = Refused {
            caller: &caller(),
            call,
            code: code_name(code),
            reason,
        };
        let note = self.refusing.note(&refused, time);
        if let (Some(note), Some(shared)) = (note, &self.shared) {
            shared.queue.push(Entry::Note {
                time,
                kind: "refusal",
                body: note.body().into(),
            });
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.shared.is_some() {
            "Audit"
        } else {
            "Audit(off)"
        })
    }
}

/// The name of a status as gRPC has it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Cancelled",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
        Code::Unknown => "Unknown",
    }
}
