//! The parts, put together.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use pki_types::UnixTime;
use plastron_attest::{Missing, WorkloadAttestor};
use plastron_attest_unix::{Processes, UnixListener};
use plastron_keys::KeyBackend;
use plastron_wire::agent::v1 as proto;
use plastron_wire::agent::v1::agent_server::AgentServer;
use plastron_workload_api::{Limits, Server};
use tokio::{
    sync::{Notify, watch},
    task::{JoinSet, yield_now},
};

use crate::{
    Registry, Settings,
    admin::Admin,
    answers::{Answers, Desk},
    audit::Audit,
    callers::{AT_ONCE, Caller, Callers},
    clock::Clock,
    health::Health,
    incoming::Incoming,
    jwt::JwtCache,
    memory,
    metrics::Metrics,
    serve::Service,
    upstream::Upstream,
};

/// How long after an unfinished look at a caller the next one is.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// And how long at most, when what is waited for does not come.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What an agent is built from: each can be another team's.
pub struct Parts {
    /// Who signs.
    pub upstream: Arc<dyn Upstream>,
    /// Who makes keys and checks signatures.
    pub keys: Arc<dyn KeyBackend>,
    /// Who looks at callers.
    pub attestors: Vec<Box<dyn WorkloadAttestor>>,
    /// The processes that its listeners hold.
    pub processes: Processes,
    /// Where releases and refusals are recorded.
    pub audit: Audit,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is wrong, if anything.
    pub health: Arc<Health>,
    /// What the attestors cannot see on this machine, and why.
    pub blind_spots: Vec<Missing>,
    /// What time it is.
    pub clock: Clock,
}

/// A running agent.
pub struct Agent {
    core: Arc<Core>,
    entries_changed: Arc<Notify>,
    /// Ends with the agent.
    _tasks: JoinSet<()>,
}

/// What serving a call needs.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) keys: Arc<dyn KeyBackend>,
    pub(crate) callers: Callers,
    pub(crate) answers: Answers,
    pub(crate) jwt: Arc<JwtCache>,
    pub(crate) processes: Processes,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) blind_spots: Vec<Missing>,
    /// Notified of each connection.
    pub(crate) arrivals: Arc<Notify>,
    pub(crate) clock: Clock,
    pub(crate) started_at: SystemTime,
}

impl Agent {
    /// Starts the agent's tasks. It answers nobody before [`Agent::serve`].
    ///
    /// Called within a Tokio runtime.
    pub fn start(settings: Settings, registry: Registry, parts: Parts) -> Self {
        let Parts {
            upstream,
            keys,
            attestors,
            processes,
            audit,
            metrics,
            health,
            blind_spots,
            clock,
        } = parts;
        let (desk, answers, counts) = Desk::new(
            settings.clone(),
            clock.clone(),
            keys.clone(),
            upstream.clone(),
            registry.foreign().clone(),
        );
        let (jwt, renewer) = JwtCache::new(&settings, clock.clone(), upstream.clone());
        metrics.watch(counts, jwt.clone());
        metrics.limitations(&blind_spots);
        let core = Arc::new(Core {
            callers: Callers::new(
                attestors,
                settings.attestation_timeout,
                clock.clone(),
                Arc::new(registry),
            ),
            started_at: clock.now(),
            settings,
            upstream,
            keys,
            answers,
            jwt,
            processes,
            audit,
            metrics,
            health,
            blind_spots,
            arrivals: Arc::default(),
            clock,
        });
        let entries_changed = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(desk.run());
        tasks.spawn(renewer);
        tasks.spawn(core.audit.clone().tell_refusals());
        tasks.spawn(expire_entries(core.clone(), entries_changed.clone()));
        Self {
            core,
            entries_changed,
            _tasks: tasks,
        }
    }

    /// Puts other entries and foreign bundles in force. Open streams follow at once; callers of whom more is asked now than
    /// was looked at are looked at again, beside this. Returns how many connected callers are entitled to something else
    /// now.
    pub async fn replace(&self, registry: Registry) -> usize {
        // First, so that who is entitled to a foreign bundle now finds the one that came with the entry.
        self.core
            .answers
            .foreign_changed(registry.foreign().clone());
        let (changed, more_is_asked) = self.core.callers.replace(Arc::new(registry)).await;
        if more_is_asked {
            tokio::spawn(look_again(self.core.clone()));
        }
        self.entries_changed.notify_one();
        changed
    }

    /// Serves the Workload API and the agent's own service on `listener` until `shutdown` completes, and then until what
    /// is on its way has been sent. `uid` is the user who may ask the agent's own service what root may.
    pub async fn serve(
        &self,
        listener: UnixListener,
        limits: Limits,
        uid: u32,
        shutdown: impl Future<Output = ()>,
    ) {
        let service = Service(self.core.clone());
        let admin = AgentServer::new(Admin::new(self.core.clone(), uid))
            .max_decoding_message_size(limits.request_bytes);
        let server = Server::new(service.clone(), service, limits)
            .service(admin, proto::FILE_DESCRIPTOR_SET);
        self.core.metrics.serve(server.stats());
        let giving_back = memory::give_back(self.core.clone(), server.stats());
        let telling = tell_readiness(self.core.health.ready(), server.health());
        let incoming = Incoming::new(listener, self.core.health.component("listener"));
        tokio::select! {
            () = server.serve(incoming, shutdown) => {}
            () = giving_back => {}
            () = telling => {}
        }
    }
}

impl Core {
    /// What time it is for certificates and tokens, which count in seconds.
    pub(crate) fn unix_now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(
            self.clock
                .now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }

    /// Looks at a caller again, now and then, until nothing about it waits for somebody else's answer any more.
    pub(crate) fn finish_looking(self: &Arc<Self>, caller: &Arc<Caller>) {
        let (core, caller) = (Arc::clone(self), Arc::downgrade(caller));
        tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                let Some(caller) = caller.upgrade() else {
                    return;
                };
                core.callers.look_at(&caller).await;
                if !caller.known().evidence.unfinished {
                    return;
                }
            }
        });
    }
}

/// Tells by gRPC health whether the agent is ready, now and as that changes.
async fn tell_readiness(mut ready: watch::Receiver<bool>, health: plastron_workload_api::Health) {
    loop {
        let serves = *ready.borrow_and_update();
        health.set_serving(serves).await;
        if ready.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Looks again at all who are connected, for what the entries in force ask. Nobody's look waits for another's.
async fn look_again(core: Arc<Core>) {
    for some in core.callers.connected().chunks(AT_ONCE) {
        for caller in some {
            let (core, caller) = (core.clone(), caller.clone());
            tokio::spawn(async move {
                core.callers.look_at(&caller).await;
                if caller.known().evidence.unfinished {
                    core.finish_looking(&caller);
                }
            });
        }
        yield_now().await;
    }
}

/// Matches callers anew whenever an entry expires.
async fn expire_entries(core: Arc<Core>, entries_changed: Arc<Notify>) {
    // What ended before has been seen to.
    let mut looked_at = core.clock.now();
    loop {
        // A clock that went back makes it less.
        looked_at = looked_at.min(core.clock.now());
        let due = core.callers.registry().entries().next_expiry(looked_at);
        tokio::select! {
            () = entries_changed.notified() => {}
            () = core.clock.sleep_until(due) => {
                looked_at = core.clock.now();
                core.callers.entitle_all().await;
            }
        }
    }
}
