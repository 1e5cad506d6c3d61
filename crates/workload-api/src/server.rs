//! The server: accepts, admits, and hands each connection to a task of its own.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use plastron_wire::workload;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::yield_now;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::admission::Admission;
use crate::contract::{Accept, Answer, Attest};
use crate::services::{OtherService, Services};
use crate::{ConnectionRefused, Health, Limits, Refusal, Refused, Stats, connection};

/// A Workload API server: the protocol and its limits, around an [`Attest`] and an [`Answer`].
pub struct Server<A, N> {
    attest: A,
    answer: N,
    limits: Limits,
    services: Services,
    health: Health,
    stats: Arc<Stats>,
}

impl<A, N> Server<A, N>
where
    A: Attest,
    N: Answer<A::Caller>,
{
    /// A server with gRPC health and reflection beside the Workload API.
    pub fn new(attest: A, answer: N, limits: Limits) -> Self {
        let mut services = Services::new();
        let health = Health::install(&mut services, &limits);
        services.describe(workload::FILE_DESCRIPTOR_SET);
        Self {
            attest,
            answer,
            limits,
            services,
            health,
            stats: Arc::default(),
        }
    }

    /// Adds a service beside the Workload API, under a name of its own (WEP-23). Its calls carry the security header as
    /// all do; its requests have an `Arc` of the [`Attest::Caller`] among their extensions.
    ///
    /// `descriptors` is the encoded `FileDescriptorSet` that reflection tells of it.
    #[must_use]
    pub fn service<S>(mut self, service: S, descriptors: &'static [u8]) -> Self
    where
        S: OtherService,
    {
        self.services.add(service, false);
        self.services.describe(descriptors);
        self
    }

    /// What the server has done so far.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Says whether the server serves, as gRPC health tells it.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves what comes from `accept` until `shutdown` completes, and then until all connections have ended, which
    /// takes no longer than [`Limits::flush_time`] allows. Runs in a Tokio runtime with timers.
    pub async fn serve(
        self,
        mut accept: impl Accept<Connection = A::Connection>,
        shutdown: impl Future<Output = ()>,
    ) {
        let (all_ended, mut ended) = mpsc::channel::<()>(1);
        let shared = Arc::new(Shared {
            refusers: Arc::new(Semaphore::new(self.limits.refusers)),
            attest: self.attest,
            answer: self.answer,
            services: self.services.finish(&self.limits),
            limits: self.limits,
            stats: self.stats,
            admission: Arc::default(),
            stop: Notify::new(),
            stopping: AtomicBool::new(false),
            all_ended,
        });
        let mut shutdown = pin!(shutdown);
        let mut pause = FIRST_PAUSE;
        let mut taken = 0_usize;
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept.accept() => accepted,
            };
            match accepted {
                Ok(io) => {
                    pause = FIRST_PAUSE;
                    take(&shared, io);
                    taken = (taken + 1) % AT_ONCE;
                    if taken == 0 {
                        yield_now().await;
                    }
                }
                Err(error) if is_the_peers(&error) => debug!(%error, "a peer left before accept"),
                Err(error) => {
                    shared.stats.accept_errors.fetch_add(1, Relaxed);
                    if pause == FIRST_PAUSE {
                        warn!(%error, "cannot accept connections for the moment");
                    }
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        drop(accept);
        shared.stopping.store(true, Relaxed);
        shared.stop.notify_waiters();
        drop(shared);
        // Nothing is ever sent: this ends when the last connection has dropped its sender.
        let _all_ended = ended.recv().await;
    }
}

/// What all connections of a server share.
pub(crate) struct Shared<A, N> {
    pub(crate) attest: A,
    pub(crate) answer: N,
    pub(crate) limits: Limits,
    pub(crate) services: Services,
    pub(crate) stats: Arc<Stats>,
    pub(crate) stop: Notify,
    stopping: AtomicBool,
    admission: Arc<Admission>,
    refusers: Arc<Semaphore>,
    #[expect(
        dead_code,
        reason = "held, so that its receiver learns when all are gone"
    )]
    all_ended: mpsc::Sender<()>,
}

impl<A, N> Shared<A, N> {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}

/// Admits a connection, or has it told why not.
fn take<A, N>(shared: &Arc<Shared<A, N>>, io: A::Connection)
where
    A: Attest,
    N: Answer<A::Caller>,
{
    shared.stats.accepted.fetch_add(1, Relaxed);
    let uid = shared.attest.uid(&io);
    let held = shared.attest.held(uid);
    let why = match shared.admission.admit(uid, held, &shared.limits) {
        Ok(slot) => {
            tokio::spawn(connection::serve(Arc::clone(shared), io, slot));
            return;
        }
        Err(why) => why,
    };
    shared.stats.count_refused(why);
    let refusal = Refusal::unavailable(match why {
        ConnectionRefused::UidLimit => "too many connections of this user",
        _ => "too many connections",
    });
    shared.answer.refused(&Refused {
        uid,
        caller: None,
        method: None,
        refusal: &refusal,
    });
    if let Ok(permit) = Arc::clone(&shared.refusers).try_acquire_owned() {
        let shared = Arc::clone(shared);
        let place = shared.admission.place(uid);
        tokio::spawn(async move {
            connection::turn_away(io, &refusal, &shared.limits, place).await;
            drop(permit);
        });
    }
}

/// Errors of `accept` that say something about one connection, not about the listener.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | NotConnected
    )
}

/// Connections that are accepted before others have their turn, however many come.
const AT_ONCE: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
