//! `run`: wires the parts of an agent together, and runs it until it is told to stop.

mod dev;
mod foreign;
mod logging;
mod reload;
mod systemd;

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use plastron_agent::{
    Agent, Clock, Parts, Registry,
    audit::{Audit, AuditOptions, AuditThread},
    health::{Health, HealthServer},
    key_store::{DataDir, MemoryKeyStore},
    metrics::Metrics,
    upstream::{Embedded, EmbeddedSettings},
};
use plastron_attest::Missing;
use plastron_attest_unix::{
    BindError, BindOptions, Capabilities, PathView, Processes, UnixAttestor, UnixAttestorOptions,
    UnixListener, raise_descriptor_limit,
};
use plastron_authority::{KeyStore, Policy};
use plastron_keys::{KeyBackend, KeyType, PrivateKey, SigningKey};
use plastron_keys_aws_lc::AwsLc;
use plastron_workload_api::Limits;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use self::{
    dev::Dev,
    foreign::ForeignBundles,
    logging::Logging,
    reload::{InForce, Reloader, Running, Seen},
};
use crate::{
    cli,
    config::{self, Checked, ConfigError, Given, Lint, PathMeaning, Settings},
    report::{Failure, Format, Outcome, Report},
    socket,
};

/// How long a signing key that an operator asked for is published before it signs, so that open streams have it first.
const SPREAD: Duration = Duration::from_secs(5);
/// How long after the first unsigned audit record a head is signed.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long what still runs at the end may take.
const GRACE: Duration = Duration::from_secs(2);
/// Threads for what may take long. A file system, a process or a directory service that does not answer holds up to nine of
/// them for each uid, and one person can have many uids: twice what Tokio gives let a hundred of them be held up without an
/// effect on the others. A thread that waits costs a few pages of memory, and is gone ten seconds after its work.
const BLOCKED: usize = 1024;
/// Descriptors, where the system sets no limit.
const MANY_DESCRIPTORS: u64 = 1 << 20;

/// Runs an agent until it is told to stop.
pub(crate) fn run(flags: cli::Run, format: Format) -> Result<Report, Failure> {
    let given = flags.settings.0;
    let dev = if flags.dev {
        Some(Dev::new(&given).map_err(|error| failed("the temporary folder", &error))?)
    } else {
        None
    };
    let file = dev
        .as_ref()
        .map(Dev::config)
        .or(flags.config)
        .expect("the flags say one of the two");
    let seen = Seen::of(&file);
    let checked = config::load(&file, &given).map_err(|error| match error {
        ConfigError::Unreadable { .. } => Failure::cannot_tell(error.to_string()),
        ConfigError::Broken(_) => Failure::no(error.to_string()),
    })?;
    let logging =
        logging::start(&checked.settings.log).map_err(|error| failed("the log", &error))?;
    let log = logging.clone();
    // One thread serves. What takes long (signing, hashing, looking at a process for the first time) has threads of its own,
    // and handing the rest from one thread to another would cost more than the calls themselves.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_name("agent")
        .max_blocking_threads(BLOCKED)
        .enable_all()
        .build()
        .map_err(|error| failed("the threads", &error))?;
    let outcome = runtime.block_on(async {
        let assembled = Assembled::new(checked)?;
        assembled
            .serve((file, seen, given), logging, |socket| {
                dev.as_ref().map_or(Ok(()), |dev| dev.greet(socket, format))
            })
            .await
    });
    // Whatever waits for a disk does not keep the process.
    runtime.shutdown_timeout(GRACE);
    log.finish();
    outcome.map(|()| Report::silent(Outcome::Yes))
}

/// An agent whose parts are there, and which serves nobody yet.
struct Assembled {
    settings: Settings,
    lint: Lint,
    agent: Agent,
    registry: Registry,
    foreign: ForeignBundles,
    authority: Arc<Embedded>,
    listener: UnixListener,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    audit: Audit,
    audit_thread: Option<AuditThread>,
}

impl Assembled {
    /// Opens, binds and starts whatever an agent needs. Called within a runtime.
    fn new(checked: Checked) -> Result<Self, Failure> {
        let Checked { mut settings, lint } = checked;
        let clock = Clock::system();
        let keys: Arc<dyn KeyBackend> = Arc::new(AwsLc);
        let health = Arc::new(Health::new());
        let metrics = Arc::new(Metrics::new(settings.trust_domain.as_str(), clock.now()));
        metrics.watch_health(health.clone());

        let processes = Processes::default();
        let listener = listen(&settings, processes.clone())?;
        let data_dir = settings.data_dir.as_ref().map(DataDir::open).transpose();
        let data_dir = data_dir.map_err(|error| failed("data_dir", &error))?;
        let authority =
            open_authority(&settings, data_dir.as_ref(), keys.clone(), &clock, &health)?;
        metrics.watch_upstream(Arc::new(authority.clone()));
        #[cfg(feature = "wit")]
        if settings.workload_api.wit_svid {
            tracing::warn!(
                revision = plastron_svid::WIT_REVISION,
                "workload_api.wit_svid is on: that profile is experimental, and may change in ways that break what uses it"
            );
        }
        let (audit, audit_thread) = start_audit(
            &settings,
            data_dir.as_ref(),
            &*keys,
            &clock,
            &health,
            &metrics,
        )?;

        let mut foreign = ForeignBundles::new(health.component("bundles"));
        let bundles = foreign.read(&settings.bundles);
        let registry = Registry::new(std::mem::take(&mut settings.entries), bundles);
        let parts = Parts {
            upstream: Arc::new(authority.clone()),
            keys,
            attestors: vec![Box::new(UnixAttestor::new(attestor_options(&settings)))],
            processes,
            audit: audit.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
            blind_spots: blind_spots(&settings),
            clock,
        };
        let agent = Agent::start(agent_settings(&settings), registry.clone(), parts);
        Ok(Self {
            settings,
            lint,
            agent,
            registry,
            foreign,
            authority,
            listener,
            health,
            metrics,
            audit,
            audit_thread,
        })
    }

    /// Serves until a signal says stop. `greet` is called when callers can come.
    async fn serve(
        self,
        (file, seen, given): (PathBuf, Seen, Vec<Given>),
        logging: Logging,
        greet: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let stop = stop_signal().map_err(|error| failed("the signals", &error))?;
        let limits = limits(&self.settings);
        let socket = self.settings.workload_api.socket.clone();
        let agent = Arc::new(self.agent);

        // Everything that runs beside serving ends when this is dropped.
        let mut beside = JoinSet::new();
        beside.spawn(self.authority.run());
        for (address, (health, metrics)) in http_addresses(&self.settings) {
            let server = HealthServer::bind(address)
                .await
                .map_err(|error| failed("health and metrics", &error))?;
            let address = server
                .address()
                .map_err(|error| failed("health and metrics", &error))?;
            tracing::info!(%address, health, metrics, "over HTTP");
            beside.spawn(server.serve(
                health.then(|| self.health.clone()),
                metrics.then(|| self.metrics.clone()),
            ));
        }
        if let Some(interval) = systemd::watchdog_interval() {
            beside.spawn(systemd::watchdog(interval));
        }
        tracing::info!(
            trust_domain = self.settings.trust_domain.as_str(),
            socket = %socket.display(),
            entries = self.registry.entries().len(),
            "serving"
        );
        let first = InForce {
            file,
            seen,
            given,
            settings: self.settings,
            registry: self.registry,
            lint: self.lint,
            foreign: self.foreign,
        };
        let audit = self.audit.clone();
        let running = Running {
            agent: agent.clone(),
            health: self.health,
            audit: self.audit,
            logging,
        };
        let reloader =
            Reloader::new(first, running).map_err(|error| failed("the signals", &error))?;
        beside.spawn(reloader.run());

        greet(&socket)?;
        beside.spawn(async {
            // Callers can come already. What depends on us is told when the record of the start is written too.
            let _ = tokio::task::spawn_blocking(move || audit.flush()).await;
            systemd::ready();
        });
        let uid = rustix::process::geteuid().as_raw();
        let shutdown = async {
            stop.await;
            tracing::info!("stopping");
            systemd::stopping();
        };
        agent.serve(self.listener, limits, uid, shutdown).await;
        drop(beside);
        // The last records and a signed head.
        if let Some(thread) = self.audit_thread {
            let _ = tokio::task::spawn_blocking(move || thread.stop()).await;
        }
        Ok(())
    }
}

/// The socket that systemd holds, or our own.
fn listen(settings: &Settings, processes: Processes) -> Result<UnixListener, Failure> {
    let socket = &settings.workload_api.socket;
    if let Some(given) =
        systemd::listener().map_err(|error| failed("the socket from systemd", &error))?
    {
        tracing::info!("the socket is systemd's");
        return UnixListener::from_std(given, processes)
            .map_err(|error| failed("the socket from systemd", &error));
    }
    let what = format!("the socket {}", socket.display());
    socket::prepare_folder(socket).map_err(|error| failed(&what, &error))?;
    let mut options = BindOptions::new(socket).mode(settings.workload_api.mode);
    if let Some(owner) = &settings.workload_api.owner {
        options = options.owner(owner.uid, owner.gid);
    }
    UnixListener::bind(&options, processes).map_err(|error| {
        let hint = match &error {
            BindError::InUse { .. } => {
                Some("another agent serves there: stop it, or use another place with --socket PATH")
            }
            BindError::NotASocket { .. } => {
                Some("remove it, or use another place with --socket PATH")
            }
            _ => None,
        };
        let failure = failed(&what, &error);
        Failure {
            hint: hint.map(Into::into),
            ..failure
        }
    })
}

fn open_authority(
    settings: &Settings,
    data_dir: Option<&DataDir>,
    keys: Arc<dyn KeyBackend>,
    clock: &Clock,
    health: &Health,
) -> Result<Arc<Embedded>, Failure> {
    let told = &settings.authority;
    let policy = Policy {
        x509_key_type: told.key_type,
        jwt_key_type: told.jwt_key_type,
        #[cfg(feature = "wit")]
        wit_key_type: settings.workload_api.wit_svid.then_some(told.wit_key_type),
        ttl: told.x509_ca_ttl,
    };
    let store: Box<dyn KeyStore> = match data_dir {
        Some(dir) => Box::new(dir.authority(settings.trust_domain.clone())),
        None => Box::new(MemoryKeyStore::new()),
    };
    let settings = EmbeddedSettings::new(settings.trust_domain.clone(), policy)
        .jwt_issuer(told.jwt_issuer.clone())
        .spread(SPREAD)
        .health(health.component("authority"));
    Embedded::open(settings, store, keys, clock.clone())
        .map_err(|error| failed("the authority", &error))
}

fn start_audit(
    settings: &Settings,
    data_dir: Option<&DataDir>,
    keys: &dyn KeyBackend,
    clock: &Clock,
    health: &Health,
    metrics: &Metrics,
) -> Result<(Audit, Option<AuditThread>), Failure> {
    let Some(audit) = &settings.audit else {
        return Ok((Audit::off(clock.clone()), None));
    };
    let key: Arc<dyn SigningKey> = match data_dir {
        Some(dir) => dir
            .audit_key(keys)
            .map_err(|error| failed("the audit key", &error))?,
        None => {
            let key: Arc<dyn PrivateKey> = keys
                .generate(KeyType::EcP256)
                .map_err(|error| failed("the audit key", &error))?
                .into();
            key
        }
    };
    let heads = u64::try_from(audit.head_every).unwrap_or(u64::MAX);
    let mut options = AuditOptions::new(audit.file.clone(), key, settings.trust_domain.as_str())
        .mode(audit.mode)
        .heads(heads, HEAD_WITHIN)
        .clock(clock.clone())
        .metrics(metrics.audit())
        .health(health.component("audit"));
    if let Some(dir) = data_dir {
        options = options.head_file(dir.audit_head_file());
    }
    let (audit, thread) = options
        .start()
        .map_err(|error| failed("the audit file", &error))?;
    Ok((audit, Some(thread)))
}

/// What the attestor of Unix processes is told.
pub(crate) fn attestor_options(settings: &Settings) -> UnixAttestorOptions {
    let view = match settings.attest.unix_path {
        PathMeaning::Host => PathView::Host,
        PathMeaning::Caller => PathView::Caller,
    };
    let options = UnixAttestorOptions::default();
    options
        .path(view)
        .hash_size_limit(settings.attest.hash_size_limit)
        // So that all else can still be established in time.
        .patience(options.patience.min(settings.attest.timeout / 2))
}

/// What cannot be seen on this machine, which is said in the log too.
fn blind_spots(settings: &Settings) -> Vec<Missing> {
    if settings.attest.unix_path == PathMeaning::Caller {
        tracing::warn!(
            "attest.unix.path is \"caller\": unix:path means what a process sees in its own mount namespace, which its user \
             may have made to his liking"
        );
    }
    let limitations = Capabilities::probe().limitations;
    limitations
        .into_iter()
        .map(|limitation| {
            tracing::warn!("{limitation}");
            Missing {
                what: limitation.name(),
                why: limitation.to_string().into(),
            }
        })
        .collect()
}

fn agent_settings(settings: &Settings) -> plastron_agent::Settings {
    let per_second = u32::try_from(settings.limits.jwt_signatures_per_uid).unwrap_or(u32::MAX);
    let mut told = plastron_agent::Settings::new(settings.trust_domain.clone());
    told.x509_svid_ttl = settings.authority.x509_svid_ttl;
    told.jwt_svid_ttl = settings.authority.jwt_svid_ttl;
    told.x509_svid_key_type = settings.authority.x509_svid_key_type;
    told.unauthenticated_bundles = settings.workload_api.unauthenticated_bundles;
    told.attestation_timeout = settings.attest.timeout;
    told.x509_cache_entries = settings.limits.cached_x509_svids;
    told.jwt_cache_entries = settings.limits.cached_jwt_svids;
    told.jwt_cache_bytes = usize::try_from(settings.limits.cached_jwt_bytes).unwrap_or(usize::MAX);
    told.jwt_signatures_per_uid = (per_second, per_second.saturating_mul(2));
    #[cfg(feature = "wit")]
    {
        told.wit_svid = settings.workload_api.wit_svid;
        told.wit_svid_ttl = settings.authority.wit_svid_ttl;
    }
    told
}

/// As many descriptors as the system lets us have, and limits that fit them.
fn limits(settings: &Settings) -> Limits {
    let descriptors = raise_descriptor_limit().unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit on descriptors cannot be raised");
        Some(1024)
    });
    let descriptors = usize::try_from(
        descriptors
            .unwrap_or(MANY_DESCRIPTORS)
            .min(MANY_DESCRIPTORS),
    )
    .unwrap_or(usize::MAX);
    let (told, mut limits) = (&settings.limits, Limits::for_descriptors(descriptors));
    if let Some(connections) = told.connections {
        if connections > limits.connections {
            tracing::warn!(
                connections,
                descriptors,
                "limits.connections is more than the descriptors of this process allow"
            );
        }
        limits.connections = connections;
        limits.connections_per_uid = limits.connections_per_uid.min(connections.div_ceil(2));
        limits.reserve = limits.reserve.min(connections / 4);
    }
    limits.connections_per_uid = told
        .connections_per_uid
        .unwrap_or(limits.connections_per_uid);
    limits.streams_per_uid = told.streams_per_uid.unwrap_or(limits.streams_per_uid);
    if let Some(streams) = told.streams_per_connection {
        limits.streams_per_connection = u32::try_from(streams).unwrap_or(u32::MAX);
    }
    let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    limits.request_bytes_per_uid = bytes(told.request_bytes_per_uid);
    limits.request_bytes_in_all = bytes(told.request_bytes_in_all);
    limits.request_time = settings.workload_api.handshake_timeout;
    limits
}

/// Where health and metrics are served. One address may have both.
fn http_addresses(settings: &Settings) -> BTreeMap<SocketAddr, (bool, bool)> {
    let mut addresses = BTreeMap::<_, (bool, bool)>::new();
    if let Some(address) = settings.health {
        addresses.entry(address).or_default().0 = true;
    }
    if let Some(address) = settings.metrics {
        addresses.entry(address).or_default().1 = true;
    }
    addresses
}

/// Completes when the process is told to stop.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Why the agent cannot start, with what lies below.
fn failed(what: &str, error: &dyn Error) -> Failure {
    let mut message = format!("the agent cannot start: {what}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        message += &format!(": {error}");
        source = error.source();
    }
    Failure::cannot_tell(message)
}
