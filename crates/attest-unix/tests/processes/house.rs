//! An agent's side of the matter: a listener, its processes, an attestor.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use plastron_attest::{
    AttestError, Attested, Evidence, Interest, Peer, PeerLost, WorkloadAttestor as _,
};
use plastron_attest_unix::{
    BindOptions, KernelFeatures, ProcessOptions, Processes, UnixAttestor, UnixAttestorOptions,
    UnixConnection, UnixListener,
};
use plastron_testing::parts::{has, left_out};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Waits for a digest however slow the machine is.
pub(crate) fn patient() -> UnixAttestorOptions {
    UnixAttestorOptions::default().patience(Duration::from_secs(60))
}

pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) listener: UnixListener,
    pub(crate) attestor: UnixAttestor,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::on(KernelFeatures::detect())
    }

    /// On a kernel that has no more than this.
    pub(crate) fn on(features: KernelFeatures) -> Self {
        Self::with(ProcessOptions::default().features(features))
    }

    pub(crate) fn with(options: ProcessOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let bind = BindOptions::new(dir.path().join("agent.sock"));
        Self {
            listener: UnixListener::bind(&bind, Processes::new(options)).unwrap(),
            dir,
            attestor: UnixAttestor::new(patient()),
        }
    }

    pub(crate) fn attesting(mut self, options: UnixAttestorOptions) -> Self {
        self.attestor = UnixAttestor::new(options);
        self
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("agent.sock")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program of its own, which is this one under another name.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        crate::puppet::copy_of_this_program(&path);
        path
    }

    pub(crate) async fn accept(&self) -> UnixConnection {
        self.listener.accept().await.unwrap()
    }

    pub(crate) async fn attest(&self, peer: &Peer) -> Result<Evidence, AttestError> {
        match self.attestor.attest(peer, &Interest::all()).await? {
            Attested::Evidence(evidence) => Ok(evidence),
            other => panic!("{other:?}"),
        }
    }

    /// What is attested of a peer that is there.
    #[track_caller]
    pub(crate) fn evidence(&self, peer: &Peer) -> impl Future<Output = Evidence> {
        let attested = self.attest(peer);
        async { attested.await.unwrap() }
    }

    /// Why nothing is attested of a peer that is not.
    pub(crate) async fn refusal(&self, peer: &Peer) -> PeerLost {
        match self.attest(peer).await {
            Err(AttestError::Lost(lost)) => lost,
            other => panic!("{other:?}"),
        }
    }
}

/// What a server does first: it writes, and reads what was waiting.
pub(crate) async fn greet(connection: &mut UnixConnection) -> String {
    connection.write_all(b"settings").await.unwrap();
    let mut buffer = [0; 256];
    now(connection.read(&mut buffer))
        .await
        .map_or(String::new(), |read| {
            String::from_utf8(buffer[..read.unwrap()].into()).unwrap()
        })
}

pub(crate) async fn read(connection: &mut UnixConnection) -> String {
    let mut buffer = [0; 256];
    let read = connection.read(&mut buffer).await.unwrap();
    String::from_utf8(buffer[..read].into()).unwrap()
}

/// Whether somebody has spoken, as far as that is known now.
pub(crate) async fn spoken_now(peer: &Peer) -> Option<Result<(), PeerLost>> {
    now(peer.handle.spoken()).await
}

/// What a future comes to without waiting.
pub(crate) async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits until `connection` says that another process wrote on it.
pub(crate) async fn overheard(connection: &mut UnixConnection) -> PeerLost {
    let peer = connection.peer().clone();
    let mut buffer = [0; 256];
    let mut lost = pin!(peer.handle.lost());
    let mut reading = pin!(async {
        loop {
            let read = connection.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the connection was closed");
        }
    });
    poll_fn(|cx| {
        let read: Poll<()> = reading.as_mut().poll(cx);
        assert!(read.is_pending());
        lost.as_mut().poll(cx)
    })
    .await
}

pub(crate) fn selectors(evidence: &Evidence, name: &str) -> Vec<String> {
    let all = evidence.selectors.iter();
    all.filter(|selector| selector.name() == name)
        .map(|selector| selector.value()[name.len() + 1..].to_owned())
        .collect()
}

/// The one selector of that name.
#[track_caller]
pub(crate) fn selector(evidence: &Evidence, name: &str) -> String {
    match &selectors(evidence, name)[..] {
        [one] => one.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn runs(evidence: &Evidence, path: &Path) {
    assert_eq!(selector(evidence, "path"), path.to_str().unwrap());
    assert_eq!(evidence.facts.path.as_deref(), Some(path));
    assert!(!evidence.program.is_empty());
}

pub(crate) fn missing(evidence: &Evidence) -> BTreeSet<&'static str> {
    let all = evidence.missing.iter().map(|missing| missing.what);
    // Whether ids have names is this machine's affair.
    all.filter(|what| !matches!(*what, "unix:user" | "unix:group"))
        .collect()
}

/// Why it is missing.
#[track_caller]
pub(crate) fn why<'a>(evidence: &'a Evidence, what: &str) -> &'a str {
    let missing = evidence.missing.iter().find(|missing| missing.what == what);
    &missing
        .unwrap_or_else(|| panic!("{what} is not missing: {evidence:?}"))
        .why
}

/// Best and least.
pub(crate) fn kernels() -> [KernelFeatures; 2] {
    [KernelFeatures::detect(), KernelFeatures::least()]
}

/// Whether this is root, who may do all that the tests do. Root in a container that may do less lacks a part.
pub(crate) fn is_root() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    if !rustix::process::geteuid().is_root() {
        left_out("not root");
        return false;
    }
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE | CapabilitySet::SETUID;
    let had = capabilities(None).unwrap().effective;
    has(
        "some of CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SETUID",
        had.contains(needed),
    )
}

/// Returns from a test that only root can do.
macro_rules! needs_root {
    () => {
        if !crate::house::is_root() {
            return;
        }
    };
}
pub(crate) use needs_root;

/// Returns from a test that serves a file system of its own.
macro_rules! needs_fuse {
    () => {
        crate::house::needs_root!();
        if !std::path::Path::new("/dev/fuse").exists() {
            plastron_testing::parts::left_out("no /dev/fuse");
            return;
        }
    };
}
pub(crate) use needs_fuse;

/// Whether something was permitted that only root can count on.
pub(crate) fn is_permitted(command: &str, answer: &str) -> bool {
    if answer != "ok" && !rustix::process::geteuid().is_root() {
        left_out(format_args!("{command}: {answer}"));
        return false;
    }
    has(format_args!("{command}: {answer}"), answer == "ok")
}

/// Orders a puppet to do what some systems forbid, and returns from the test if this one does.
macro_rules! if_permitted {
    ($puppet:ident, $command:expr) => {
        let answer = $puppet.ask($command);
        if !crate::house::is_permitted($command, &answer) {
            return;
        }
    };
}
pub(crate) use if_permitted;
