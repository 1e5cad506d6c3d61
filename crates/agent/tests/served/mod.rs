//! A whole agent on a temporary socket, and a client that nobody here wrote the protocol of.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use plastron_agent::{
    Agent, Clock, Parts, Registry, Settings,
    audit::Audit,
    health::Health,
    key_store::MemoryKeyStore,
    metrics::Metrics,
    upstream::{Embedded, EmbeddedSettings},
};
use plastron_attest::WorkloadAttestor;
use plastron_attest_unix::{
    BindOptions, Processes, UnixAttestor, UnixAttestorOptions, UnixListener,
};
use plastron_authority::Policy;
use plastron_bundle::BundleSet;
use plastron_entry::{EntryBuilder, RegistrationEntry, Selectors};
use plastron_keys::KeyBackend;
use plastron_keys_aws_lc::AwsLc;
use plastron_wire::{
    agent::v1::agent_client::AgentClient,
    workload::spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use plastron_workload_api::Limits;
use tempfile::TempDir;
use tokio::{net::UnixStream, sync::oneshot, task::JoinHandle};
use tonic::{
    Request, Status, Streaming,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running agent.
pub(crate) struct Served {
    pub(crate) agent: Arc<Agent>,
    pub(crate) socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _authority: JoinHandle<()>,
    _dir: TempDir,
}

/// How an agent differs from the default.
pub(crate) struct Different {
    pub(crate) settings: Settings,
    pub(crate) policy: Policy,
    pub(crate) audit: Audit,
    pub(crate) foreign: BundleSet,
    pub(crate) keys: Arc<dyn KeyBackend>,
    /// How Unix processes are attested.
    pub(crate) unix: UnixAttestorOptions,
    /// Beside that.
    pub(crate) attestors: Vec<Box<dyn WorkloadAttestor>>,
    pub(crate) clock: Clock,
}

impl Default for Different {
    fn default() -> Self {
        Self {
            settings: Settings::new("example.org".parse().unwrap()),
            policy: Policy::default(),
            audit: Audit::off(Clock::system()),
            foreign: BundleSet::new(),
            keys: Arc::new(AwsLc),
            unix: UnixAttestorOptions::default(),
            attestors: Vec::new(),
            clock: Clock::system(),
        }
    }
}

pub(crate) fn serve(entries: impl IntoIterator<Item = RegistrationEntry>) -> Served {
    serve_differently(entries, Different::default())
}

pub(crate) fn serve_differently(
    entries: impl IntoIterator<Item = RegistrationEntry>,
    different: Different,
) -> Served {
    let Different {
        settings,
        policy,
        audit,
        foreign,
        keys,
        unix,
        mut attestors,
        clock,
    } = different;
    attestors.push(Box::new(UnixAttestor::new(unix)));
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.sock");
    let embedded = Embedded::open(
        EmbeddedSettings::new(settings.trust_domain.clone(), policy),
        Box::new(MemoryKeyStore::new()),
        Arc::new(AwsLc),
        clock.clone(),
    )
    .unwrap();
    let processes = Processes::default();
    let listener = UnixListener::bind(&BindOptions::new(&socket), processes.clone()).unwrap();
    let parts = Parts {
        upstream: Arc::new(embedded.clone()),
        keys,
        attestors,
        processes,
        audit,
        metrics: Arc::new(Metrics::new("example.org", clock.now())),
        health: Arc::new(Health::new()),
        blind_spots: Vec::new(),
        clock,
    };
    let agent = Arc::new(Agent::start(
        settings,
        Registry::new(entries, foreign),
        parts,
    ));
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn({
        let agent = agent.clone();
        async move {
            agent
                .serve(listener, Limits::for_descriptors(1024), own_uid(), async {
                    drop(stopped.await);
                })
                .await;
        }
    });
    Served {
        agent,
        socket,
        stop: Some(stop),
        serving,
        _authority: tokio::spawn(embedded.run()),
        _dir: dir,
    }
}

impl Served {
    pub(crate) async fn replace(
        &self,
        entries: impl IntoIterator<Item = RegistrationEntry>,
    ) -> usize {
        self.agent
            .replace(Registry::new(entries, BundleSet::new()))
            .await
    }

    pub(crate) async fn channel(&self) -> Channel {
        channel_to(self.socket.clone()).await
    }

    pub(crate) async fn client(
        &self,
    ) -> SpiffeWorkloadApiClient<InterceptedService<Channel, Header>> {
        SpiffeWorkloadApiClient::with_interceptor(self.channel().await, Header)
    }

    pub(crate) async fn operator(&self) -> AgentClient<InterceptedService<Channel, Header>> {
        operator_at(self.socket.clone()).await
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.serving.await.unwrap();
    }
}

async fn channel_to(socket: PathBuf) -> Channel {
    Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .unwrap()
}

/// Asks the own service of the agent at `socket`.
pub(crate) async fn operator_at(
    socket: PathBuf,
) -> AgentClient<InterceptedService<Channel, Header>> {
    AgentClient::with_interceptor(channel_to(socket).await, Header)
}

/// The header without which nothing is answered.
#[derive(Clone)]
pub(crate) struct Header;

impl Interceptor for Header {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("workload.spiffe.io", MetadataValue::from_static("true"));
        Ok(request)
    }
}

pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// An entry for whoever runs this test.
pub(crate) fn mine(path: &str) -> EntryBuilder {
    entry(path, &[&format!("unix:uid:{}", own_uid())])
}

pub(crate) fn entry(path: &str, selectors: &[&str]) -> EntryBuilder {
    let selectors: Selectors = selectors
        .iter()
        .map(|selector| selector.parse().unwrap())
        .collect();
    RegistrationEntry::builder(
        format!("spiffe://example.org{path}").parse().unwrap(),
        selectors,
    )
}

/// The next message of a stream.
pub(crate) async fn next<T>(stream: &mut Streaming<T>) -> Result<T, Status> {
    let message = tokio::time::timeout(PATIENCE, stream.message())
        .await
        .expect("an agent that answers");
    message.map(|message| message.expect("a stream that ends with a status"))
}
