//! Callers that want what is not theirs, or more than their share.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "other tests need the rest of it")]
mod served;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use pki_types::SignatureVerificationAlgorithm;
use plastron_agent::{
    Clock, Settings,
    audit::{AuditOptions, AuditThread},
};
use plastron_attest::{AttestError, Attested, BoxFuture, Interest, Peer, WorkloadAttestor};
use plastron_keys::{KeyBackend, KeyError, KeyType, PrivateKey};
use plastron_keys_aws_lc::AwsLc;
use plastron_wire::{
    agent::v1::{ExplainRequest, RotateAuthorityRequest},
    workload::X509svidRequest,
};
use plastron_workload_api::FIRST_ANSWER;
use served::{Different, PATIENCE, entry, mine, next, own_uid, serve, serve_differently};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::Notify,
    time::Instant,
};
use tonic::Code;

/// A client that writes its frames itself.
struct Raw(UnixStream);

#[derive(Debug, Eq, PartialEq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[a, b, c, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The frames of a call.
fn call(stream: u8, method: &str, message: &[u8]) -> Vec<u8> {
    let path = format!("/SpiffeWorkloadAPI/{method}");
    let length = u8::try_from(path.len()).unwrap();
    let block = [
        &[0x83, 0x86, 0x00, 5][..],
        b":path",
        &[length],
        path.as_bytes(),
        b"\x00\x0a:authority\x09localhost\x00\x0ccontent-type\x10application/grpc",
        b"\x00\x12workload.spiffe.io\x04true",
    ]
    .concat();
    let length = u8::try_from(message.len()).unwrap();
    let body = [&[0, 0, 0, 0, length][..], message].concat();
    [
        frame(HEADERS, END_HEADERS, stream, &block),
        frame(DATA, END_STREAM, stream, &body),
    ]
    .concat()
}

impl Raw {
    async fn connect(socket: &std::path::Path) -> Self {
        let mut raw = Self(UnixStream::connect(socket).await.unwrap());
        raw.0.write_all(PREFACE).await.unwrap();
        raw.write(SETTINGS, 0, 0, &[]).await;
        raw
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        self.0
            .write_all(&frame(kind, flags, stream, payload))
            .await
            .unwrap();
    }

    /// Calls a method of the Workload API.
    async fn call(&mut self, stream: u8, method: &str, message: &[u8]) {
        self.0
            .write_all(&call(stream, method, message))
            .await
            .unwrap();
    }

    /// Waits until what was written before has been read and acted upon.
    async fn settled(&mut self) {
        for _ in 0..2 {
            self.write(PING, 0, 0, &[7; 8]).await;
            self.next(&[PING]).await;
        }
    }

    /// The next frame of this sort.
    async fn next(&mut self, kinds: &[u8]) -> Frame {
        let reading = async {
            loop {
                let mut head = [0; 9];
                self.0.read_exact(&mut head).await.unwrap();
                let [a, b, c, kind, flags, stream @ ..] = head;
                let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
                self.0.read_exact(&mut payload).await.unwrap();
                if kinds.contains(&kind) {
                    return Frame {
                        kind,
                        flags,
                        stream: u32::from_be_bytes(stream),
                        payload,
                    };
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("an agent that answers")
    }
}

#[tokio::test]
async fn what_a_program_prints_to_a_connection_that_another_left_it_is_no_request_of_its_own() {
    let path = format!("unix:path:{}", std::env::current_exe().unwrap().display());
    let agent = serve([
        entry("/tested", &[&format!("unix:uid:{}", own_uid()), &path])
            .build()
            .unwrap(),
    ]);
    for (printed, answered) in [
        (&b"usage: cart [--help]\n"[..], false),
        (&FIRST_ANSWER, true),
    ] {
        let mut thief = Raw::connect(&agent.socket).await;
        thief.call(1, "FetchX509SVID", &[]).await;
        let settings = thief.next(&[SETTINGS]).await;
        assert_eq!(settings.flags, 0, "the first words of the server");
        if !answered {
            // A frame of a kind that nobody knows swallows what is printed.
            let [_, length] = u16::try_from(printed.len()).unwrap().to_be_bytes();
            thief
                .0
                .write_all(&[0, 0, length, 99, 0, 0, 0, 0, 0])
                .await
                .unwrap();
        }
        thief.0.write_all(printed).await.unwrap();
        let answer = thief.next(&[DATA, HEADERS]).await;
        assert_eq!(answer.flags & END_STREAM == 0, answered, "{answer:?}");
    }
}

/// Has nothing to say, and takes for ever when anybody wants to know.
struct Endless;

impl WorkloadAttestor for Endless {
    fn selector_kind(&self) -> &'static str {
        "endless"
    }

    fn attest<'a>(
        &'a self,
        _: &'a Peer,
        interest: &'a Interest,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        Box::pin(async {
            match interest.wants("endless", "question") {
                true => std::future::pending().await,
                false => Ok(Attested::NotApplicable),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_was_removed_does_not_come_back_when_another_expires() {
    let mut settings = Settings::new("example.org".parse().unwrap());
    settings.attestation_timeout = Duration::from_secs(3);
    let (began, started) = (
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        Instant::now(),
    );
    let entries = [
        mine("/cart").build().unwrap(),
        mine("/brief")
            .expires_at(began + Duration::from_secs(1))
            .build()
            .unwrap(),
    ];
    let agent = serve_differently(
        entries,
        Different {
            settings,
            attestors: vec![Box::new(Endless)],
            clock: Clock::from_fn(move || began + started.elapsed()),
            ..Different::default()
        },
    );
    let mut client = agent.client().await;
    let mut stream = client
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(next(&mut stream).await.unwrap().svids.len(), 2);
    // Those who are connected are looked at anew for these entries, and that takes until it times out.
    agent
        .replace([entry("/else", &["endless:question:x"]).build().unwrap()])
        .await;
    for millis in [0, 1500, 3000] {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let refused = match client.fetch_x509svid(X509svidRequest {}).await {
            Ok(stream) => next(&mut stream.into_inner()).await.map(drop),
            Err(status) => Err(status),
        };
        assert_eq!(
            refused.unwrap_err().code(),
            Code::PermissionDenied,
            "after {millis} ms"
        );
    }
}

/// A question that an explanation asks.
#[derive(Default)]
struct Question {
    asked: Notify,
    answered: Notify,
}

/// Has the test answer.
struct Asked(Arc<Question>);

impl WorkloadAttestor for Asked {
    fn selector_kind(&self) -> &'static str {
        "asked"
    }

    fn attest<'a>(
        &'a self,
        _: &'a Peer,
        interest: &'a Interest,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        Box::pin(async {
            if interest.wants("asked", "question") {
                self.0.asked.notify_one();
                self.0.answered.notified().await;
            }
            Ok(Attested::NotApplicable)
        })
    }
}

#[tokio::test]
async fn whoever_wants_explanations_all_the_time_gets_one_at_a_time() {
    let mut settings = Settings::new("example.org".parse().unwrap());
    settings.attestation_timeout = Duration::from_secs(300);
    let question = Arc::new(Question::default());
    let agent = serve_differently(
        [mine("/cart").build().unwrap()],
        Different {
            settings,
            attestors: vec![Box::new(Asked(question.clone()))],
            ..Different::default()
        },
    );
    let pid = i32::try_from(std::process::id()).unwrap();
    let mut operator = agent.operator().await;
    let request = ExplainRequest { pid };
    let mut other = operator.clone();
    let mut first = std::pin::pin!(operator.explain(request));
    tokio::select! {
        _ = &mut first => panic!("nobody has answered yet"),
        () = question.asked.notified() => {}
    }
    let second = tokio::time::timeout(PATIENCE, other.explain(request)).await;
    let refused = second.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("is under way"), "{refused}");
    let mut client = agent.client().await;
    let stream = client.fetch_x509svid(X509svidRequest {}).await.unwrap();
    assert_eq!(next(&mut stream.into_inner()).await.unwrap().svids.len(), 1);

    question.answered.notify_one();
    let told = tokio::time::timeout(PATIENCE, first).await.unwrap();
    assert_eq!(told.unwrap().into_inner().matching.len(), 1);
    question.answered.notify_one();
    let again = tokio::time::timeout(PATIENCE, other.explain(request)).await;
    assert!(again.unwrap().is_ok());
}

#[tokio::test]
async fn a_token_is_not_for_an_entry_that_was_removed_while_its_program_was_silent() {
    let path = format!("unix:path:{}", std::env::current_exe().unwrap().display());
    let tested = entry("/tested", &[&format!("unix:uid:{}", own_uid()), &path]);
    let agent = serve([tested.build().unwrap()]);
    for removed in [false, true] {
        let mut silent = Raw::connect(&agent.socket).await;
        silent.call(1, "FetchJWTSVID", b"\x0a\x01a").await;
        silent.settled().await;
        if removed {
            agent.replace([mine("/else").build().unwrap()]).await;
        }
        silent.0.write_all(&FIRST_ANSWER).await.unwrap();
        silent.next(&[HEADERS]).await;
        let token = silent.next(&[DATA]).await.payload;
        let id = svid_of(&token);
        let want = if removed { "/else" } else { "/tested" };
        assert_eq!(id, format!("spiffe://example.org{want}"));
    }
}

/// Whose token is in the answer.
fn svid_of(answer: &[u8]) -> String {
    let message = prost::Message::decode(&answer[5..]);
    let response: plastron_wire::workload::JwtsvidResponse = message.unwrap();
    response.svids[0].spiffe_id.clone()
}

/// Has a bug that shows once.
#[derive(Debug)]
struct Buggy(AtomicBool);

impl KeyBackend for Buggy {
    fn generate(&self, key_type: KeyType) -> Result<Box<dyn PrivateKey>, KeyError> {
        assert!(self.0.swap(true, Relaxed), "a bug that shows once");
        AwsLc.generate(key_type)
    }

    fn from_pkcs8(&self, der: &[u8]) -> Result<Box<dyn PrivateKey>, KeyError> {
        AwsLc.from_pkcs8(der)
    }

    fn algorithms(&self) -> &'static [&'static dyn SignatureVerificationAlgorithm] {
        AwsLc.algorithms()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), KeyError> {
        AwsLc.random(bytes)
    }
}

#[tokio::test]
async fn a_panic_while_an_svid_is_made_is_told_and_it_is_tried_again() {
    let agent = serve_differently(
        [mine("/cart").build().unwrap()],
        Different {
            keys: Arc::new(Buggy(false.into())),
            ..Different::default()
        },
    );
    let mut client = agent.client().await;
    let mut ask = async || {
        let mut stream = client
            .fetch_x509svid(X509svidRequest {})
            .await?
            .into_inner();
        next(&mut stream).await
    };
    assert_eq!(ask().await.unwrap_err().code(), Code::Unavailable);
    let again = async {
        while let Err(status) = ask().await {
            assert_eq!(status.code(), Code::Unavailable);
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
}

/// The socket that a process started by a test is to connect to.
const SOCKET: &str = "HOSTILE_SOCKET";

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn asks_and_becomes_a_shell_that_asks_again() {
    use std::{
        io::{Read as _, Write as _},
        os::{fd::OwnedFd, unix::process::CommandExt as _},
        process::{Command, Stdio},
    };
    let socket = std::env::var_os(SOCKET).unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let said = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &call(1, "FetchX509Bundles", &[]),
    ]
    .concat();
    stream.write_all(&said).unwrap();
    let mut answer = Vec::new();
    while !answer
        .windows(20)
        .any(|part| part == b"spiffe://example.org")
    {
        let mut some = [0; 1024];
        let length = stream.read(&mut some).unwrap();
        answer.extend_from_slice(&some[..length]);
    }
    let words: String = call(3, "FetchX509SVID", &[])
        .iter()
        .map(|byte| format!("\\{byte:03o}"))
        .collect();
    let output = OwnedFd::from(stream.try_clone().unwrap());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("printf '{words}'; read end")]);
    panic!(
        "{}",
        shell
            .stdin(OwnedFd::from(stream))
            .stdout(Stdio::from(output))
            .exec()
    );
}

/// An agent whose records can be read.
struct Recorded {
    agent: served::Served,
    thread: AuditThread,
    file: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

impl Recorded {
    fn serve() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.jsonl");
        let key = plastron_keys::KeyBackend::generate(&AwsLc, KeyType::EcP256).unwrap();
        let key = Arc::<dyn PrivateKey>::from(key);
        let options = AuditOptions::new(file.clone(), key, "example.org");
        let (audit, thread) = options.start().unwrap();
        let different = Different {
            audit,
            ..Different::default()
        };
        Self {
            agent: serve_differently([mine("/cart").build().unwrap()], different),
            thread,
            file,
            _dir: dir,
        }
    }

    /// The only record of a kind, after all is over.
    async fn record(self, kind: &str) -> serde_json::Value {
        self.agent.stop().await;
        self.thread.stop();
        let records = std::fs::read_to_string(self.file).unwrap();
        let records = records
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let mut found: Vec<_> = records.filter(|record| record["kind"] == kind).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }
}

#[tokio::test]
async fn who_becomes_another_program_and_asks_is_recorded() {
    let recorded = Recorded::serve();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["asks_and_becomes_a_shell_that_asks_again", "--ignored"])
        .env(SOCKET, &recorded.agent.socket)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    // Its connection ends, and so does what it reads.
    tokio::task::spawn_blocking(move || child.wait().unwrap())
        .await
        .unwrap();
    let refusal = recorded.record("refusal").await;
    assert_eq!(refusal["reason"], "process has executed another program");
    assert_eq!(refusal["pid"], pid);
}

#[tokio::test]
async fn what_an_operator_does_is_recorded() {
    let recorded = Recorded::serve();
    let mut operator = recorded.agent.operator().await;
    let request = RotateAuthorityRequest { kind: 0 };
    operator.rotate_authority(request).await.unwrap();
    drop(operator);
    let operation = recorded.record("operation").await;
    assert_eq!(operation["call"], "RotateAuthority");
    assert_eq!(operation["uid"], own_uid());
    assert_eq!(operation["pid"], std::process::id());
}
