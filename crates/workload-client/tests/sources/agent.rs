//! An agent in the hands of a test: the real server, on a socket of its own.

use std::future::pending;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use plastron_testing::{Authority, BACKEND};
use plastron_wire::workload::{
    JwtBundlesResponse, Jwtsvid, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest,
    ValidateJwtsvidResponse, WitsvidRequest, X509BundlesResponse, X509svid, X509svidResponse,
};
use plastron_workload_api::{
    Answer, Attest, Latest, Limits, Message, Refusal, Refused, Server, Updates,
};
use plastron_workload_client::{Endpoint, WorkloadClient};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) struct Agent {
    pub(crate) authority: Authority,
    /// What X.509 streams tell.
    pub(crate) x509: watch::Sender<Result<Message, Refusal>>,
    /// What streams of JWT bundles tell.
    pub(crate) jwt: watch::Sender<Result<Message, Refusal>>,
    /// What streams of WIT-SVIDs tell.
    pub(crate) wit: watch::Sender<Result<Message, Refusal>>,
    /// What streams of WIT bundles tell.
    pub(crate) wit_bundles: watch::Sender<Result<Message, Refusal>>,
    /// The SPIFFE ID that WIT-SVIDs were asked for last.
    pub(crate) wit_id: Mutex<String>,
    /// Streams that were asked for.
    pub(crate) asked: AtomicUsize,
    /// Messages that were taken for streams.
    pub(crate) told: Arc<AtomicUsize>,
    /// What the server refused by itself, such as a call without the header.
    pub(crate) refused: AtomicUsize,
    folder: tempfile::TempDir,
    server: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Agent {
    pub(crate) fn running() -> Arc<Self> {
        let authority = Authority::new("example.org");
        let first = Message::encode(&x509_response(&authority, "/first"));
        let agent = Arc::new(Self {
            x509: watch::Sender::new(Ok(first)),
            jwt: watch::Sender::new(Ok(jwt_bundles(&authority))),
            authority,
            wit: watch::Sender::new(Err(without_wit())),
            wit_bundles: watch::Sender::new(Err(without_wit())),
            wit_id: Mutex::default(),
            asked: AtomicUsize::new(0),
            told: Arc::default(),
            refused: AtomicUsize::new(0),
            folder: tempfile::tempdir().unwrap(),
            server: Mutex::new(None),
        });
        agent.start();
        agent
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub(crate) fn start(self: &Arc<Self>) {
        let _stale = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).unwrap();
        let server = Server::new(Anybody, Answerer(Arc::clone(self)), Limits::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.serve(listener, async {
            let _told = stopped.await;
        }));
        *self.server.lock().unwrap() = Some((stop, running));
    }

    pub(crate) async fn stop(&self) {
        let server = self.server.lock().unwrap().take();
        let (stop, running) = server.unwrap();
        stop.send(()).unwrap();
        running.await.unwrap();
    }

    /// A client that loses no time.
    pub(crate) fn client(&self) -> WorkloadClient {
        let endpoint = Endpoint::unix(self.socket()).unwrap();
        WorkloadClient::new(endpoint, BACKEND)
            .pauses(Duration::from_millis(1), Duration::from_millis(20))
    }

    pub(crate) fn publish(&self, path: &str) {
        let message = Message::encode(&x509_response(&self.authority, path));
        let _before = self.x509.send_replace(Ok(message));
    }

    pub(crate) fn refuse(&self, refusal: Refusal) {
        let _before = self.x509.send_replace(Err(refusal));
    }
}

pub(crate) fn x509_response(authority: &Authority, path: &str) -> X509svidResponse {
    let svid = authority.x509_svid(path, now());
    X509svidResponse {
        svids: vec![X509svid {
            spiffe_id: svid.id().to_string(),
            x509_svid: svid.chain_der().to_vec().into(),
            x509_svid_key: svid.key_pkcs8().to_vec().into(),
            bundle: authority.bundle().x509_der().into(),
            hint: String::new(),
        }],
        ..Default::default()
    }
}

pub(crate) fn jwt_bundles(authority: &Authority) -> Message {
    let own = authority.bundle();
    Message::encode(&JwtBundlesResponse {
        bundles: [(own.trust_domain().id().to_string(), own.jwks().into())].into(),
    })
}

fn without_wit() -> Refusal {
    Refusal::unimplemented("this profile is not enabled")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the client reads the clock for tokens"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

struct Anybody;

impl Attest for Anybody {
    type Connection = UnixStream;
    type Caller = ();

    fn uid(&self, _: &UnixStream) -> u32 {
        0
    }

    async fn attest(&self, _: &UnixStream) -> Result<(), Refusal> {
        Ok(())
    }

    fn check(&self, (): &()) -> Result<(), Refusal> {
        Ok(())
    }

    async fn lost(&self, (): &()) -> Refusal {
        pending().await
    }
}

struct Answerer(Arc<Agent>);

impl Answerer {
    fn asked(&self, latest: Latest) -> Counted {
        self.0.asked.fetch_add(1, SeqCst);
        Counted(latest, Arc::clone(&self.0.told))
    }
}

/// Counts what is taken.
struct Counted(Latest, Arc<AtomicUsize>);

impl Updates for Counted {
    async fn next(&mut self) -> Result<Message, Refusal> {
        let message = self.0.next().await;
        self.1.fetch_add(1, SeqCst);
        message
    }
}

impl Answer<()> for Answerer {
    type Updates = Counted;

    async fn x509_svids(&self, _: &Arc<()>) -> Result<Counted, Refusal> {
        Ok(self.asked(Latest::new(self.0.x509.subscribe())))
    }

    async fn x509_bundles(&self, _: &Arc<()>) -> Result<Counted, Refusal> {
        let own = self.0.authority.bundle();
        let response = X509BundlesResponse {
            bundles: [(own.trust_domain().id().to_string(), own.x509_der().into())].into(),
            ..Default::default()
        };
        Ok(self.asked(Latest::fixed(Message::encode(&response))))
    }

    async fn jwt_bundles(&self, _: &Arc<()>) -> Result<Counted, Refusal> {
        Ok(self.asked(Latest::new(self.0.jwt.subscribe())))
    }

    async fn jwt_svids(&self, _: &Arc<()>, asked: JwtsvidRequest) -> Result<Message, Refusal> {
        let audiences: Vec<&str> = asked.audience.iter().map(String::as_str).collect();
        let svids = ["/a", "/b"]
            .into_iter()
            .map(|path| Jwtsvid {
                spiffe_id: self.0.authority.id(path).to_string(),
                svid: self.0.authority.jwt_svid(path, &audiences, now()),
                hint: String::new(),
            })
            .filter(|svid| asked.spiffe_id.is_empty() || asked.spiffe_id == svid.spiffe_id)
            .collect();
        Ok(Message::encode(&JwtsvidResponse { svids }))
    }

    async fn validate_jwt_svid(
        &self,
        _: &Arc<()>,
        asked: ValidateJwtsvidRequest,
    ) -> Result<Message, Refusal> {
        if asked.svid.split('.').count() != 3 {
            return Err(Refusal::invalid_argument("not a token"));
        }
        Ok(Message::encode(&ValidateJwtsvidResponse {
            spiffe_id: self.0.authority.id("/a").to_string(),
            claims: Some(Default::default()),
        }))
    }

    fn offers_wit(&self) -> bool {
        true
    }

    async fn wit_svids(&self, _: &Arc<()>, asked: WitsvidRequest) -> Result<Counted, Refusal> {
        *self.0.wit_id.lock().unwrap() = asked.spiffe_id;
        Ok(self.asked(Latest::new(self.0.wit.subscribe())))
    }

    async fn wit_bundles(&self, _: &Arc<()>) -> Result<Counted, Refusal> {
        Ok(self.asked(Latest::new(self.0.wit_bundles.subscribe())))
    }

    fn refused(&self, _: &Refused<'_, ()>) {
        self.0.refused.fetch_add(1, SeqCst);
    }
}
