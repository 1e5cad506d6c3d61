//! Who is at the other end of a connection, and whether he speaks for himself.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use plastron_attest::{BoxFuture, Facts, Peer, PeerHandle, PeerLost};
use tokio::sync::{Notify, OnceCell};

use crate::lost::Lost;
use crate::process::{NoFacts, Process, Taken};
use crate::processes::{Processes, Table, Watch};
use crate::sys::{self, Credentials, Ids};

/// The process that connected, and what was heard on its connection. The [`PeerHandle`] of this crate.
pub struct UnixPeer {
    credentials: Credentials,
    table: Arc<Table>,
    /// When the connection was accepted, in ticks since boot, where the process has to be looked up by its pid.
    accepted_at: u64,
    process: OnceCell<Arc<Process>>,
    /// What only this connection is lost for.
    lost: Lost,
    speech: Speech,
}

/// How far a peer has come towards having spoken for itself.
#[derive(Debug, Default)]
struct Speech {
    state: AtomicU8,
    heard: Notify,
}

/// Bytes may be waiting that were written before the facts were taken.
const UNREAD: u8 = 0;
/// Facts were taken, and then nothing was waiting.
const DRAINED: u8 = 1;
/// The answer came after that.
const HEARD: u8 = 2;
/// And the program that runs was still the one of the facts.
const SPOKEN: u8 = 3;

impl UnixPeer {
    /// The peer of a connection that was just accepted.
    pub(crate) fn of_connection(
        socket: BorrowedFd<'_>,
        processes: &Processes,
    ) -> std::io::Result<Arc<Self>> {
        let table = &processes.0;
        let credentials = sys::peer_credentials(socket)?;
        let mut peer = Self::new(credentials, Arc::clone(table));
        if credentials.pid <= 0 {
            // It is in a pid namespace that the agent does not see into.
            peer.lost.say(PeerLost::Unobservable);
        } else if !table.features.peer_pidfd {
            peer.accepted_at = sys::ticks_since_boot();
        } else {
            match sys::peer_pidfd(socket) {
                Ok(pidfd) => {
                    let process = table.join(credentials.pid, credentials.uid, pidfd);
                    peer.process = OnceCell::new_with(Some(process));
                }
                // A process that is gone, until Linux 6.16 made descriptors of those too.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => {
                    peer.lost.say(PeerLost::Exited);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Arc::new(peer))
    }

    /// A process without a connection.
    pub(crate) fn of_process(
        credentials: Credentials,
        process: Arc<Process>,
        table: Arc<Table>,
    ) -> Arc<Self> {
        let mut peer = Self::new(credentials, table);
        peer.process = OnceCell::new_with(Some(process));
        Arc::new(peer)
    }

    fn new(credentials: Credentials, table: Arc<Table>) -> Self {
        Self {
            credentials,
            table,
            accepted_at: 0,
            process: OnceCell::new(),
            lost: Lost::default(),
            speech: Speech::default(),
        }
    }

    pub(crate) fn into_peer(self: Arc<Self>) -> Peer {
        let Credentials { pid, uid, gid } = self.credentials;
        Peer {
            pid,
            uid,
            gid,
            handle: self,
        }
    }

    pub(crate) const fn pid(&self) -> i32 {
        self.credentials.pid
    }

    pub(crate) const fn uid(&self) -> u32 {
        self.credentials.uid
    }

    pub(crate) const fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The record of the process.
    pub(crate) async fn process(&self) -> Result<&Arc<Process>, NoFacts> {
        self.lost.check()?;
        self.process
            .get_or_try_init(async || {
                let table = Arc::clone(&self.table);
                let (credentials, accepted_at) = (self.credentials, self.accepted_at);
                self.table
                    .lanes
                    .run(credentials.uid, move || {
                        table.join_by_pid(credentials, accepted_at)
                    })
                    .await?
            })
            .await
            .map_err(|none| match none {
                NoFacts::Lost(why) => NoFacts::Lost(self.lost.say(why)),
                failed @ NoFacts::Failed(_) => failed,
            })
    }

    /// Its facts, taken now if they have not been, and those of the process that connected.
    pub(crate) async fn facts(&self) -> Result<(&Arc<Process>, &Taken), NoFacts> {
        let process = self.process().await?;
        let taken = process.facts(&self.table).await?;
        let Credentials { uid, gid, .. } = self.credentials;
        if taken.ids.is_some_and(|ids| ids != Ids { uid, gid }) {
            return Err(self.lost.say(PeerLost::IdsChanged).into());
        }
        Ok((process, taken))
    }

    /// What the connection itself says.
    pub(crate) fn facts_of_connection(&self) -> Facts {
        let Credentials { pid, uid, gid } = self.credentials;
        Facts::new(pid, uid, gid)
    }

    /// Whether it is still known that the facts are taken, so that reading may begin.
    pub(crate) fn facts_are_taken(&self) -> bool {
        self.lost.check().is_err()
            || self.process.get().is_some_and(|process| {
                process.facts_taken().is_some() || process.lost.check().is_err()
            })
    }

    /// Nothing was waiting to be read, after the facts were taken.
    pub(crate) fn drained(&self) {
        let _later_already = self.speech.state.compare_exchange(
            UNREAD,
            DRAINED,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }

    /// Whether what the peer writes now was written after its facts had been taken, and it has not been heard yet.
    pub(crate) fn is_listened_to(&self) -> bool {
        self.speech.state.load(Ordering::Relaxed) == DRAINED
    }

    /// The answer of the peer's own process came.
    pub(crate) fn heard(&self) {
        let first =
            self.speech
                .state
                .compare_exchange(DRAINED, HEARD, Ordering::AcqRel, Ordering::Relaxed);
        if first.is_ok() {
            self.speech.heard.notify_waiters();
        }
    }

    /// Bytes of another process came; 0 for one that the kernel cannot name.
    pub(crate) fn overheard(&self, writer: i32) {
        self.lost.say(match writer {
            0 => PeerLost::UnknownWriter,
            pid => PeerLost::ForeignWriter { pid },
        });
    }

    async fn lost_anyhow(&self, process: &Process) -> PeerLost {
        let mut here = pin!(self.lost.wait());
        let mut there = pin!(process.lost.wait());
        std::future::poll_fn(|cx| match here.as_mut().poll(cx) {
            Poll::Ready(why) => Poll::Ready(why),
            Poll::Pending => there.as_mut().poll(cx),
        })
        .await
    }

    async fn has_spoken(&self) -> Result<(), PeerLost> {
        let (process, taken) = match self.facts().await {
            Ok(facts) => facts,
            Err(NoFacts::Lost(lost)) => return Err(lost),
            Err(NoFacts::Failed(_)) => return Err(PeerLost::Unobservable),
        };
        if taken.image.is_err() {
            // Which program would have spoken?
            return Err(PeerLost::Unobservable);
        }
        loop {
            let mut heard = pin!(self.speech.heard.notified());
            heard.as_mut().enable();
            match self.speech.state.load(Ordering::Acquire) {
                SPOKEN => return Ok(()),
                HEARD => {
                    // After the bytes came, so it wrote them.
                    self.check()?;
                    self.speech.state.store(SPOKEN, Ordering::Release);
                    return Ok(());
                }
                _ => {}
            }
            let mut lost = pin!(self.lost_anyhow(process));
            std::future::poll_fn(|cx| match heard.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Ok(())),
                Poll::Pending => lost.as_mut().poll(cx).map(Err),
            })
            .await?;
        }
    }
}

impl PeerHandle for UnixPeer {
    fn check(&self) -> Result<(), PeerLost> {
        self.lost.check()?;
        match self.process.get() {
            Some(process) => process.check(self.table.features),
            // Nobody has asked for its facts yet, and nothing holds it before.
            None => Err(PeerLost::Unobservable),
        }
    }

    fn lost(&self) -> BoxFuture<'_, PeerLost> {
        Box::pin(async {
            let process = match self.process().await {
                Ok(process) => process,
                Err(NoFacts::Lost(lost)) => return lost,
                Err(NoFacts::Failed(_)) => return PeerLost::Unobservable,
            };
            let _looked_at = Watch::new(&self.table, process);
            if let Err(lost) = self.check() {
                return lost;
            }
            self.lost_anyhow(process).await
        })
    }

    fn spoken(&self) -> BoxFuture<'_, Result<(), PeerLost>> {
        Box::pin(self.has_spoken())
    }
}

impl fmt::Debug for UnixPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixPeer")
            .field("pid", &self.credentials.pid)
            .field("uid", &self.credentials.uid)
            .field("gid", &self.credentials.gid)
            .finish_non_exhaustive()
    }
}
