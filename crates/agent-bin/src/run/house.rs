//! The parts of an agent, built from a configuration.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use plastron_agent::{
    Agent, Clock, Parts, Registry, Settings as AgentSettings,
    audit::{Audit, AuditOptions, AuditThread},
    health::{Component, Health, HealthServer},
    key_store::{DataDir, MemoryKeyStore},
    metrics::Metrics,
    upstream::{Embedded, EmbeddedSettings},
};
use plastron_attest::Missing;
use plastron_attest_unix::{
    BindOptions, Capabilities, PathView, ProcessOptions, Processes, UnixAttestor, UnixAttestorOptions, UnixListener,
    raise_descriptor_limit,
};
use plastron_authority::{KeyStore, Policy};
use plastron_bundle::BundleSet;
use plastron_keys::{KeyBackend, KeyType, SigningKey};
use plastron_keys_aws_lc::AwsLc;
use plastron_workload_api::Limits;
use tokio::task::JoinSet;

use super::bundles;
use crate::{
    config::{Checked, PathMeaning, Settings},
    logging::Logging,
    report::Failure,
    socket,
};

/// How long a signing key that an operator asked for is published before it signs.
const SPREAD: Duration = Duration::from_secs(2);
/// Descriptors assumed where the system names no limit.
const UNLIMITED: usize = 1 << 20;

/// A running agent and all that belongs to it.
pub(crate) struct House {
    pub(crate) agent: Agent,
    pub(crate) health: Arc<Health>,
    pub(crate) logging: Logging,
    pub(crate) socket: PathBuf,
    limits: Limits,
    listener: Mutex<Option<UnixListener>>,
    serving: Component,
    audit: Audit,
    audit_thread: Option<AuditThread>,
    tasks: JoinSet<()>,
}

impl House {
    /// Builds everything, up to a socket that is listened on.
    pub(crate) async fn build(checked: &Checked, logging: Logging) -> Result<Self, Failure> {
        let settings = &checked.settings;
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::new(settings.trust_domain.as_str(), clock.now()));
        let health = Arc::new(Health::new());
        metrics.watch_health(health.clone());
        let limits = limits(settings);
        let blind_spots = blind_spots();

        let data_dir = settings.data_dir.as_ref().map(DataDir::open).transpose().map_err(cannot("data_dir"))?;
        let store: Box<dyn KeyStore> = match &data_dir {
            Some(dir) => Box::new(dir.authority(settings.trust_domain.clone())),
            None => Box::new(MemoryKeyStore::new()),
        };
        let keys: Arc<dyn KeyBackend> = Arc::new(AwsLc);
        let embedded = EmbeddedSettings::new(settings.trust_domain.clone(), policy(settings))
            .jwt_issuer(settings.authority.jwt_issuer.clone())
            .spread(SPREAD)
            .health(health.component("authority"));
        let embedded = Embedded::open(embedded, store, keys.clone(), clock.clone()).map_err(cannot("the authority"))?;
        metrics.watch_upstream(Arc::new(embedded.clone()));

        let (audit, audit_thread) = start_audit(settings, data_dir.as_ref(), &*keys, &clock, &metrics, &health)?;
        let processes = Processes::new(ProcessOptions::default());
        let listener = listen(settings, &processes)?;
        let serving = health.component("workload_api");

        let mut tasks = JoinSet::new();
        tasks.spawn(embedded.clone().run());
        serve_http(settings, &health, &metrics, &mut tasks).await?;

        let (foreign, warnings) = bundles::read(&settings.bundles, &BundleSet::new());
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let attestor = UnixAttestorOptions::default()
            .path(match settings.attest.unix_path {
                PathMeaning::Host => PathView::Host,
                PathMeaning::Caller => PathView::Caller,
            })
            .hash_size_limit(settings.attest.hash_size_limit);
        if settings.attest.unix_path == PathMeaning::Caller {
            tracing::warn!(
                "unix:path is the caller's own view of its files: whoever may make a mount namespace may choose it; \
                 attest.unix.path = \"host\" does not trust it"
            );
        }
        let parts = Parts {
            upstream: Arc::new(embedded),
            keys,
            attestors: vec![Box::new(UnixAttestor::new(attestor))],
            processes,
            audit: audit.clone(),
            metrics,
            health: health.clone(),
            blind_spots,
            clock,
        };
        let registry = Registry::new(settings.entries.iter().cloned(), foreign);
        tracing::info!(
            trust_domain = %settings.trust_domain,
            socket = %settings.workload_api.socket.display(),
            entries = registry.entries().len(),
            "agent starts"
        );
        Ok(Self {
            agent: Agent::start(agent_settings(settings), registry, parts),
            health,
            logging,
            socket: settings.workload_api.socket.clone(),
            limits,
            listener: Mutex::new(Some(listener)),
            serving,
            audit,
            audit_thread,
            tasks,
        })
    }

    /// Serves until `shutdown`. Once.
    pub(crate) fn serve(
        self: &Arc<Self>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = listener.ok_or_else(|| Failure::cannot_tell("the agent serves already"))?;
        self.serving.ok();
        let house = self.clone();
        Ok(async move {
            house.agent.serve(listener, house.limits.clone(), rustix::process::geteuid().as_raw(), shutdown).await;
        })
    }

    /// Goes on with a new audit file when the old one was moved away.
    pub(crate) fn reopen_audit(&self) {
        self.audit.reopen();
    }

    /// Ends what is left and writes down what was done last. Blocks.
    pub(crate) fn close(mut self) {
        self.tasks.abort_all();
        drop(self.agent);
        if let Some(thread) = self.audit_thread.take() {
            thread.stop();
        }
    }
}

/// What the agent library is told.
fn agent_settings(settings: &Settings) -> AgentSettings {
    let mut agent = AgentSettings::new(settings.trust_domain.clone());
    agent.x509_svid_ttl = settings.authority.x509_svid_ttl;
    agent.jwt_svid_ttl = settings.authority.jwt_svid_ttl;
    agent.x509_svid_key_type = settings.authority.x509_svid_key_type;
    agent.unauthenticated_bundles = settings.workload_api.unauthenticated_bundles;
    agent.attestation_timeout = settings.attest.timeout;
    agent.x509_cache_entries = settings.limits.cached_x509_svids;
    agent.jwt_cache_entries = settings.limits.cached_jwt_svids;
    agent.jwt_cache_bytes = usize::try_from(settings.limits.cached_jwt_bytes).unwrap_or(usize::MAX);
    let per_second = u32::try_from(settings.limits.jwt_signatures_per_uid).unwrap_or(u32::MAX);
    agent.jwt_signatures_per_uid = (per_second, per_second.saturating_mul(2));
    agent
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        x509_key_type: settings.authority.key_type,
        jwt_key_type: match settings.authority.jwt_key_type {
            // The configuration refuses it; no token may be signed with it (JWT-05).
            KeyType::Ed25519 => KeyType::EcP256,
            other => other,
        },
        ttl: settings.authority.x509_ca_ttl,
    }
}

/// What the descriptors allow, and what the configuration says otherwise.
fn limits(settings: &Settings) -> Limits {
    let descriptors = match raise_descriptor_limit() {
        Ok(limit) => limit.map_or(UNLIMITED, |limit| usize::try_from(limit).unwrap_or(UNLIMITED)),
        Err(error) => {
            tracing::warn!(%error, "the limit on descriptors cannot be raised");
            1024
        }
    };
    if descriptors < 4096 {
        tracing::warn!(descriptors, "few descriptors: raise the hard limit (LimitNOFILE= in the unit) for more connections");
    }
    let mut limits = Limits::for_descriptors(descriptors);
    let set = |limit: &mut usize, told: Option<usize>| *limit = told.unwrap_or(*limit);
    set(&mut limits.connections, settings.limits.connections);
    set(&mut limits.connections_per_uid, settings.limits.connections_per_uid);
    set(&mut limits.streams_per_uid, settings.limits.streams_per_uid);
    if let Some(streams) = settings.limits.streams_per_connection {
        limits.streams_per_connection = u32::try_from(streams).unwrap_or(u32::MAX);
    }
    limits.request_time = settings.workload_api.handshake_timeout;
    limits
}

fn blind_spots() -> Vec<Missing> {
    let spots: Vec<Missing> = Capabilities::probe()
        .limitations
        .iter()
        .map(|limitation| Missing { what: limitation.name(), why: limitation.to_string().into() })
        .collect();
    for spot in &spots {
        tracing::warn!(limitation = spot.what, "{}", spot.why);
    }
    spots
}

fn start_audit(
    settings: &Settings,
    data_dir: Option<&DataDir>,
    keys: &dyn KeyBackend,
    clock: &Clock,
    metrics: &Metrics,
    health: &Health,
) -> Result<(Audit, Option<AuditThread>), Failure> {
    let Some(told) = &settings.audit else { return Ok((Audit::off(), None)) };
    let key: Arc<dyn SigningKey> = match data_dir {
        Some(dir) => dir.audit_key(keys).map_err(cannot("the audit key"))?,
        None => Arc::from(keys.generate(KeyType::EcP256).map_err(cannot("the audit key"))? as Box<dyn SigningKey>),
    };
    let mut options = AuditOptions::new(told.file.clone(), key, settings.trust_domain.as_str())
        .mode(told.mode)
        .heads(told.head_every as u64, Duration::from_secs(10))
        .clock(clock.clone())
        .metrics(metrics.audit())
        .health(health.component("audit"));
    if let Some(dir) = data_dir {
        options = options.head_file(dir.audit_head_file());
    }
    let (audit, thread) = options.start().map_err(cannot("the audit"))?;
    Ok((audit, Some(thread)))
}

/// The socket that systemd hands over, or one of our own.
fn listen(settings: &Settings, processes: &Processes) -> Result<UnixListener, Failure> {
    let handed = listenfd::ListenFd::from_env().take_unix_listener(0).map_err(cannot("the socket from systemd"))?;
    if let Some(listener) = handed {
        tracing::info!("the socket comes from systemd");
        return UnixListener::from_std(listener, processes.clone()).map_err(cannot("the socket from systemd"));
    }
    let told = &settings.workload_api;
    socket::prepare_folder(&told.socket).map_err(|error| Failure::file(&folder(&told.socket), "prepared", &error))?;
    let mut options = BindOptions::new(&told.socket).mode(told.mode);
    if let Some(owner) = &told.owner {
        options = options.owner(Some(owner.uid), owner.gid);
    }
    UnixListener::bind(&options, processes.clone()).map_err(cannot("the socket"))
}

fn folder(socket: &Path) -> PathBuf {
    socket.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Health and metrics, on one address or two.
async fn serve_http(settings: &Settings, health: &Arc<Health>, metrics: &Arc<Metrics>, tasks: &mut JoinSet<()>) -> Result<(), Failure> {
    let mut addresses: Vec<_> = settings.health.into_iter().chain(settings.metrics).collect();
    addresses.dedup();
    for address in addresses {
        let server = HealthServer::bind(address).await.map_err(cannot("health and metrics"))?;
        tasks.spawn(server.serve(health.clone(), metrics.clone()));
    }
    Ok(())
}

/// Turns an error with its causes into what the operator reads.
fn cannot<E: std::error::Error>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| {
        let mut words = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            words.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Failure::no(words)
    }
}
