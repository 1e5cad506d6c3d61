//! A server on a socket of its own, whose callers and answers the test holds in its hands.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::future::{Future, pending};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use plastron_wire::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use plastron_wire::workload::{
    Jwtsvid, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest, ValidateJwtsvidResponse,
    X509svid, X509svidRequest, X509svidResponse,
};
use plastron_workload_api::{
    Answer, Attest, Health, Limits, Message, Refusal, Refused, Server, Stats, Updates,
};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// What the test decides: who callers are and what becomes of them.
pub struct Stage {
    /// What attestation says; `None` lets it wait for ever.
    pub attested: Mutex<Option<Result<u32, Refusal>>>,
    /// What a check on a call says.
    pub checked: Mutex<Result<(), Refusal>>,
    /// How many checks there were.
    pub checks: AtomicUsize,
    /// Set to end every caller.
    pub lost: watch::Sender<Option<Refusal>>,
    /// What every stream gets.
    pub state: watch::Sender<Result<Message, Refusal>>,
    /// How often `Updates::next` has returned something.
    pub released: AtomicUsize,
    /// Held by `jwt_svids` until the test sends something.
    pub jwt_gate: watch::Sender<bool>,
    /// Refusals by the server itself.
    pub refused: Mutex<Vec<Refusal>>,
    /// How many attestations there were.
    pub attestations: AtomicUsize,
    /// Whose the next connection is, unless it comes from a socket that is bound to a path: its last part is the user ID.
    pub uid: AtomicU32,
    /// By whom a token was validated, in order.
    pub validated: Mutex<Vec<u32>>,
}

pub struct Attestor(pub Arc<Stage>);
pub struct Answerer(pub Arc<Stage>);
pub struct Caller {
    pub uid: u32,
}
pub struct State {
    receiver: watch::Receiver<Result<Message, Refusal>>,
    first: bool,
    stage: Arc<Stage>,
}

impl Attest for Attestor {
    type Connection = UnixStream;
    type Caller = Caller;

    fn uid(&self, connection: &UnixStream) -> u32 {
        uid_of(connection).unwrap_or_else(|| self.0.uid.load(SeqCst))
    }

    async fn attest(&self, connection: &UnixStream) -> Result<Caller, Refusal> {
        self.0.attestations.fetch_add(1, SeqCst);
        let attested = self.0.attested.lock().unwrap().clone();
        match attested {
            Some(attested) => attested.map(|uid| Caller {
                uid: uid_of(connection).unwrap_or(uid),
            }),
            None => pending().await,
        }
    }

    fn check(&self, _: &Caller) -> Result<(), Refusal> {
        self.0.checks.fetch_add(1, SeqCst);
        self.0.checked.lock().unwrap().clone()
    }

    async fn lost(&self, _: &Caller) -> Refusal {
        let mut lost = self.0.lost.subscribe();
        let refusal = lost.wait_for(Option::is_some).await;
        let refusal = refusal.expect("the stage outlives its callers").clone();
        refusal.expect("waited for")
    }
}

fn uid_of(connection: &UnixStream) -> Option<u32> {
    let peer = connection.peer_addr().unwrap();
    let path = peer.as_pathname()?;
    path.extension()?.to_str()?.parse().ok()
}

impl Answer<Caller> for Answerer {
    type Updates = State;

    async fn x509_svids(&self, _: &Arc<Caller>) -> Result<State, Refusal> {
        Ok(State {
            receiver: self.0.state.subscribe(),
            first: true,
            stage: Arc::clone(&self.0),
        })
    }

    async fn x509_bundles(&self, caller: &Arc<Caller>) -> Result<State, Refusal> {
        self.x509_svids(caller).await
    }

    async fn jwt_bundles(&self, caller: &Arc<Caller>) -> Result<State, Refusal> {
        self.x509_svids(caller).await
    }

    async fn jwt_svids(&self, _: &Arc<Caller>, asked: JwtsvidRequest) -> Result<Message, Refusal> {
        let mut gate = self.0.jwt_gate.subscribe();
        let _gone = gate.wait_for(|open| *open).await;
        Ok(Message::encode(&JwtsvidResponse {
            svids: vec![Jwtsvid {
                spiffe_id: "spiffe://example.org/a".into(),
                svid: asked.audience.join(" "),
                hint: String::new(),
            }],
        }))
    }

    async fn validate_jwt_svid(
        &self,
        caller: &Arc<Caller>,
        asked: ValidateJwtsvidRequest,
    ) -> Result<Message, Refusal> {
        self.0.validated.lock().unwrap().push(caller.uid);
        if asked.svid != "good" {
            return Err(Refusal::invalid_argument("zu kurz: 100 %"));
        }
        Ok(Message::encode(&ValidateJwtsvidResponse {
            spiffe_id: "spiffe://example.org/a".into(),
            claims: Some(Default::default()),
        }))
    }

    fn refused(&self, refused: &Refused<'_, Caller>) {
        self.0.refused.lock().unwrap().push(refused.refusal.clone());
    }
}

impl Updates for State {
    async fn next(&mut self) -> Result<Message, Refusal> {
        if !std::mem::take(&mut self.first) && self.receiver.changed().await.is_err() {
            return pending().await;
        }
        let now = self.receiver.borrow_and_update().clone();
        self.stage.released.fetch_add(1, SeqCst);
        now
    }
}

/// A server that runs.
pub struct Served {
    pub stage: Arc<Stage>,
    pub stats: Arc<Stats>,
    pub health: Health,
    pub path: PathBuf,
    pub stop: oneshot::Sender<()>,
    pub running: JoinHandle<()>,
    connected: AtomicUsize,
    folder: tempfile::TempDir,
}

pub fn stage() -> Arc<Stage> {
    Arc::new(Stage {
        attested: Mutex::new(Some(Ok(1))),
        checked: Mutex::new(Ok(())),
        checks: AtomicUsize::new(0),
        lost: watch::Sender::new(None),
        state: watch::Sender::new(Ok(x509("a", 100))),
        released: AtomicUsize::new(0),
        jwt_gate: watch::Sender::new(true),
        refused: Mutex::default(),
        attestations: AtomicUsize::new(0),
        uid: AtomicU32::new(1000),
        validated: Mutex::default(),
    })
}

pub fn serve(limits: Limits) -> Served {
    serve_with(limits, |server| server)
}

pub fn serve_with(
    limits: Limits,
    add: impl FnOnce(Server<Attestor, Answerer>) -> Server<Attestor, Answerer>,
) -> Served {
    let stage = stage();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let server = Server::new(
        Attestor(Arc::clone(&stage)),
        Answerer(Arc::clone(&stage)),
        limits,
    );
    let server = add(server);
    let (stop, stopped) = oneshot::channel();
    Served {
        stats: server.stats(),
        health: server.health(),
        running: tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        })),
        stage,
        path,
        stop,
        connected: AtomicUsize::new(0),
        folder,
    }
}

impl Served {
    pub fn uri(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// A connection of tonic's.
    pub async fn channel(&self) -> Channel {
        Endpoint::try_from(self.uri())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// A client of tonic's on a connection of its own.
    pub async fn client(&self) -> SpiffeWorkloadApiClient<Channel> {
        SpiffeWorkloadApiClient::new(self.channel().await)
    }

    /// A connection of this user ID.
    pub async fn connect_as(&self, uid: u32) -> UnixStream {
        let number = self.connected.fetch_add(1, SeqCst);
        let socket = UnixSocket::new_stream().unwrap();
        let ours = self.folder.path().join(format!("{number}.{uid}"));
        socket.bind(ours).unwrap();
        socket.connect(&self.path).await.unwrap()
    }

    /// A naked HTTP/2 connection.
    pub async fn raw(&self) -> Raw {
        Raw::over(
            UnixStream::connect(&self.path).await.unwrap(),
            h2::client::Builder::new(),
        )
        .await
    }

    pub fn publish(&self, message: Message) {
        let _before = self.stage.state.send_replace(Ok(message));
    }
}

/// An X.509 response whose `spiffe_id` tells which one it is, of `size` bytes of key.
pub fn x509(name: &str, size: usize) -> Message {
    Message::encode(&X509svidResponse {
        svids: vec![X509svid {
            spiffe_id: name.into(),
            x509_svid: vec![1; 10].into(),
            x509_svid_key: vec![2; size].into(),
            bundle: vec![3; 10].into(),
            hint: String::new(),
        }],
        ..Default::default()
    })
}

/// A request with the security header.
pub fn with_header<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request
        .metadata_mut()
        .insert("workload.spiffe.io", "true".parse().unwrap());
    request
}

/// A naked HTTP/2 client.
pub struct Raw {
    pub send: h2::client::SendRequest<bytes::Bytes>,
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

impl Raw {
    pub async fn over(stream: UnixStream, builder: h2::client::Builder) -> Self {
        let (send, connection) = builder.handshake(stream).await.unwrap();
        Self {
            send,
            connection: tokio::spawn(connection),
        }
    }

    /// Sends a request with `body`, and reads the whole response.
    pub async fn call(
        &mut self,
        request: http::Request<()>,
        body: &'static [u8],
    ) -> Result<Response, h2::Error> {
        self.send = self.send.clone().ready().await?;
        let (response, mut stream) = self.send.send_request(request, false)?;
        stream.send_data(bytes::Bytes::from_static(body), true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut data = Vec::new();
        while let Some(chunk) = body.data().await {
            data.extend_from_slice(&chunk?);
        }
        Ok(Response {
            trailers: body.trailers().await?,
            head,
            data,
        })
    }
}

#[derive(Debug)]
pub struct Response {
    pub head: http::response::Parts,
    pub data: Vec<u8>,
    pub trailers: Option<http::HeaderMap>,
}

impl Response {
    /// `grpc-status`, from the trailers or from a head that is all there is.
    pub fn status(&self) -> Option<tonic::Code> {
        let from = self.trailers.as_ref().unwrap_or(&self.head.headers);
        from.get("grpc-status")
            .map(|code| tonic::Code::from_bytes(code.as_bytes()))
    }
}

/// A request as gRPC clients make it.
pub fn grpc(path: &str) -> http::request::Builder {
    http::Request::builder()
        .method("POST")
        .uri(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// A well-behaved caller gets his identity.
pub async fn assert_serves(served: &Served) {
    let mut client = served.client().await;
    let mut svids = within(client.fetch_x509svid(with_header(X509svidRequest {})))
        .await
        .unwrap()
        .into_inner();
    assert!(within(svids.message()).await.unwrap().is_some());
}

/// Asks for X.509-SVIDs, with the security header.
pub fn x509_request() -> http::Request<()> {
    grpc("/SpiffeWorkloadAPI/FetchX509SVID")
        .header("workload.spiffe.io", "true")
        .body(())
        .unwrap()
}

/// The window of a stream of which nothing was said, in bytes.
pub const WINDOW: u32 = 65_535;

/// The first words of a client whose streams have such a window, and so many calls, as one piece of bytes.
///
/// The connection's window is a gigabyte more: only those of the streams, or the socket, push back.
pub fn pipelined(calls: u32, window: u32, method: &str, message: &[u8]) -> Vec<u8> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const WINDOW_UPDATE: u8 = 8;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    let frame = |kind, flags, stream: u32, payload: &[u8]| {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[a, b, c, kind, flags], &stream.to_be_bytes()[..], payload].concat()
    };
    let path = format!("/SpiffeWorkloadAPI/{method}");
    let head = [
        &[0x83, 0x86, 0x00, 5][..],
        b":path",
        &[u8::try_from(path.len()).unwrap()],
        path.as_bytes(),
        b"\x00\x0a:authority\x09localhost\x00\x0ccontent-type\x10application/grpc",
        b"\x00\x12workload.spiffe.io\x04true",
    ]
    .concat();
    let length = u8::try_from(message.len()).unwrap();
    let body = [&[0, 0, 0, 0, length][..], message].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let window = [&[0, 4][..], &window.to_be_bytes()].concat();
    bytes.extend(frame(SETTINGS, 0, 0, &window));
    bytes.extend(frame(WINDOW_UPDATE, 0, 0, &[0x3f, 0, 0, 0]));
    for stream in (0..calls).map(|call| call * 2 + 1) {
        bytes.extend(frame(HEADERS, END_HEADERS, stream, &head));
        bytes.extend(frame(DATA, END_STREAM, stream, &body));
    }
    bytes
}

/// The empty message.
pub const EMPTY: &[u8] = b"\0\0\0\0\0";

/// Waits for `condition`, letting everything else run in between.
pub async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    within(waiting).await;
}

/// A test that hangs fails instead.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(10), future)
        .await
        .expect("it happens within ten seconds")
}
