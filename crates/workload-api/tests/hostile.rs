//! Callers who mean no good, or know no better: nobody else's service suffers.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod served;

use std::io;
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use plastron_testing::parts::left_out;
use plastron_wire::workload::X509svidRequest;
use plastron_workload_api::{Accept, ConnectionRefused, Limits, Method};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use served::{
    EMPTY, Raw, assert_serves, grpc, serve, until, with_header, within, x509, x509_request,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tonic::Code;

#[tokio::test]
async fn whoever_says_nothing_whole_in_time_is_dropped() {
    let served = serve(Limits {
        request_time: Duration::from_millis(100),
        ..Limits::default()
    });
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".as_slice();
    let head_without_end = b"\0\0\0\x01\0\0\0\0\x01".as_slice();
    for said in [
        vec![],
        preface[..10].to_vec(),
        preface.to_vec(),
        [preface, head_without_end].concat(),
    ] {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(&said).await.unwrap();
        let mut all = Vec::new();
        within(stream.read_to_end(&mut all)).await.unwrap();
    }
    assert_eq!(served.stats.refused(ConnectionRefused::Silent), 4);
    assert_serves(&served).await;

    // A request whose body does not end.
    let mut raw = served.raw().await;
    let (response, mut stream) = raw.send.send_request(x509_request(), false).unwrap();
    stream.send_data("\0\0".into(), false).unwrap();
    let ended = within(response).await;
    let refused = ended.map(|response| response.headers().get("grpc-status").cloned());
    assert!(
        refused.is_err() || refused.unwrap().unwrap() == "14",
        "ended one way or the other"
    );
}

#[tokio::test]
async fn whoever_has_been_heard_may_rest() {
    let served = serve(Limits {
        request_time: Duration::from_millis(50),
        ..Limits::default()
    });
    let mut client = served.client().await;
    let mut svids = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    svids.message().await.unwrap();
    let mut silent = UnixStream::connect(&served.path).await.unwrap();
    within(silent.read_to_end(&mut Vec::new())).await.unwrap();
    served.publish(x509("b", 1));
    assert!(
        within(svids.message()).await.unwrap().is_some(),
        "WAPI-07 +"
    );
}

#[tokio::test]
async fn nonsense_ends_its_own_connection() {
    let served = serve(Limits::default());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".as_slice();
    let huge_data = b"\xff\xff\xff\0\0\0\0\0\x01".as_slice();
    let huge_settings = b"\xff\xff\xff\x04\0\0\0\0\0".as_slice();
    let wild_continuation = b"\0\0\x01\x09\0\0\0\0\x01a".as_slice();
    for said in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0; 100],
        [preface, huge_data].concat(),
        [preface, huge_settings].concat(),
        [preface, wild_continuation].concat(),
    ] {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(&said).await.unwrap();
        let mut all = Vec::new();
        let _reset = within(stream.read_to_end(&mut all)).await;
    }
    assert_serves(&served).await;
    until(|| served.stats.connections() == 0).await;
}

#[tokio::test]
async fn too_much_metadata_is_refused() {
    let served = serve(Limits::default());
    let mut raw = served.raw().await;
    let mut request = x509_request();
    request
        .headers_mut()
        .insert("x-filler", "a".repeat(5000).parse().unwrap());
    let response = within(raw.call(request, EMPTY)).await;
    match response {
        Ok(response) => assert_eq!(response.head.status, 431),
        Err(error) => assert!(error.is_reset() || error.is_go_away(), "{error}"),
    }
    assert_serves(&served).await;
}

#[tokio::test]
async fn too_long_a_body_is_refused() {
    let served = serve(Limits::default());
    let mut raw = served.raw().await;
    static LONG: [u8; 65 * 1024] = [0; 65 * 1024];
    let response = within(raw.call(x509_request(), &LONG)).await.unwrap();
    assert_eq!(response.status(), Some(Code::InvalidArgument));
    let response = within(raw.call(x509_request(), EMPTY[..4].into()))
        .await
        .unwrap();
    assert_eq!(
        response.status(),
        Some(Code::InvalidArgument),
        "the connection still serves"
    );
}

/// A message of `len` bytes, in which nobody knows the only field.
fn filler(len: usize) -> bytes::Bytes {
    let mut body = vec![0; 5 + len];
    body[1..5].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    let field = u16::try_from(len - 4).unwrap();
    let [low, middle, high] = [field & 0x7f, field >> 7 & 0x7f, field >> 14].map(|part| part as u8);
    body[5..9].copy_from_slice(&[0x7a, low | 0x80, middle | 0x80, high]);
    body.into()
}

#[tokio::test]
async fn bodies_that_do_not_end_fill_their_own_users_share_only() {
    let served = serve(Limits {
        request_bytes_per_uid: 100_000,
        ..Limits::default()
    });
    let services = [
        "/SpiffeWorkloadAPI/FetchX509SVID",
        "/grpc.health.v1.Health/Check",
    ];
    for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let hoarder = served.raw().await;
        let mut responses = Vec::new();
        for path in [services[first], services[second]] {
            let request = grpc(path).header("workload.spiffe.io", "true");
            let request = request.body(()).unwrap();
            let mut send = hoarder.send.clone().ready().await.unwrap();
            let (response, mut stream) = send.send_request(request, false).unwrap();
            stream
                .send_data(filler(60_000).slice(..59_000), false)
                .unwrap();
            responses.push((Box::pin(response), stream));
        }
        let [(one, _), (other, _)] = &mut responses[..] else {
            unreachable!("there are two");
        };
        // Which of them is too much is for the server to say.
        let refused = within(futures_util::future::select(one, other)).await;
        let refused = refused.factor_first().0.unwrap();
        assert_eq!(refused.headers()["grpc-status"], "14");

        served.stage.uid.store(1001, SeqCst);
        assert_serves(&served).await;
        served.stage.uid.store(1000, SeqCst);
        hoarder.connection.abort();
        drop(responses);
        // What he held is given back.
        let mut raw = served.raw().await;
        until(|| served.stats.connections() == 1).await;
        raw.send = raw.send.ready().await.unwrap();
        let (response, mut stream) = raw.send.send_request(x509_request(), false).unwrap();
        stream.send_data(filler(60_000), true).unwrap();
        assert_eq!(
            within(response).await.unwrap().headers().get("grpc-status"),
            None
        );
        raw.connection.abort();
        until(|| served.stats.connections() == 0).await;
    }
}

#[tokio::test]
async fn a_length_that_is_only_announced_reserves_nothing() {
    let served = serve(Limits::default());
    let mut raw = served.raw().await;
    let request = grpc("/grpc.health.v1.Health/Check").body(()).unwrap();
    let response = within(raw.call(request, b"\0\0\x20\0\0")).await.unwrap();
    assert_eq!(response.status(), Some(Code::OutOfRange));
}

#[tokio::test]
async fn streams_opened_and_reset_in_a_loop_cost_their_caller_the_connection() {
    let served = serve(Limits::default());
    let mut watcher = served.client().await;
    let mut svids = watcher
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    svids.message().await.unwrap();

    let raw = served.raw().await;
    for _ in 0..10_000 {
        let Ok(mut send) = raw.send.clone().ready().await else {
            break;
        };
        let Ok((response, mut stream)) = send.send_request(x509_request(), false) else {
            break;
        };
        let _ = stream.send_data(bytes::Bytes::from_static(EMPTY), true);
        drop((response, stream));
    }
    served.publish(x509("b", 1));
    assert_eq!(
        within(svids.message()).await.unwrap().unwrap().svids[0].spiffe_id,
        "b"
    );
    drop(raw);
    assert_serves(&served).await;
    drop((svids, watcher));
    until(|| served.stats.streams() == 0).await;
}

#[tokio::test]
async fn one_user_fills_his_own_share_only() {
    let served = serve(Limits {
        connections: 8,
        connections_per_uid: 3,
        reserve: 2,
        few: 2,
        refusers: 1,
        flush_time: Duration::from_secs(60),
        ..Limits::default()
    });
    served.stage.uid.store(1, SeqCst);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(served.client().await);
    }
    until(|| served.stats.connections() == 3).await;

    let mut fourth = served.client().await;
    let status = within(fourth.fetch_x509svid(with_header(X509svidRequest {})))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "WEP-19 +");
    assert!(
        status
            .message()
            .contains("too many connections of this user"),
        "{status}"
    );
    let attestations = served.stage.attestations.load(SeqCst);
    assert_eq!(attestations, 3, "limits come before attestation");

    // One refuser at a time is told so; the others are dropped.
    let _told = UnixStream::connect(&served.path).await.unwrap();
    until(|| served.stats.refused(ConnectionRefused::UidLimit) >= 2).await;
    let mut dropped = UnixStream::connect(&served.path).await.unwrap();
    let mut nothing = Vec::new();
    let _reset = within(dropped.read_to_end(&mut nothing)).await;
    assert!(nothing.is_empty());

    served.stage.uid.store(2, SeqCst);
    assert_serves(&served).await;
    served.stage.uid.store(1, SeqCst);
    held.pop();
    until(|| served.stats.connections() == 2).await;
    assert_serves(&served).await;
    assert!(
        served
            .stage
            .refused
            .lock()
            .unwrap()
            .iter()
            .all(|r| r.code == Code::Unavailable)
    );
}

#[tokio::test]
async fn streams_are_limited_by_connection_and_by_user() {
    let served = serve(Limits {
        streams_per_uid: 3,
        streams_per_connection: 2,
        ..Limits::default()
    });
    let (mut a, mut b) = (served.client().await, served.client().await);
    let mut open = Vec::new();
    for client in [&mut a, &mut b] {
        let mut svids = client
            .fetch_x509svid(with_header(X509svidRequest {}))
            .await
            .unwrap()
            .into_inner();
        svids.message().await.unwrap();
        open.push(svids);
    }
    open.push(
        a.fetch_x509svid(with_header(X509svidRequest {}))
            .await
            .unwrap()
            .into_inner(),
    );
    let status = within(b.fetch_x509svid(with_header(X509svidRequest {})))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("too many streams of this user"),
        "{status}"
    );

    // The third stream on one connection waits in the client: the server has said that two are all.
    drop(open.remove(1));
    until(|| served.stats.streams() == 2).await;
    let third = a.fetch_x509svid(with_header(X509svidRequest {}));
    let mut third = std::pin::pin!(third);
    tokio::select! {
        biased;
        got = &mut third => panic!("{got:?}"),
        () = async { assert_serves(&served).await } => {}
    }
    open.clear();
    assert!(within(third).await.is_ok());
}

/// The socket that a process started by a test is to connect to.
const SOCKET: &str = "HOSTILE_SOCKET";
/// How often.
const TIMES: &str = "HOSTILE_TIMES";

#[test]
#[ignore = "run by the test below, in a process with descriptors of its own"]
fn connects_often_and_says_nothing() {
    raise_descriptors();
    let socket = std::env::var_os(SOCKET).unwrap();
    let times: usize = std::env::var(TIMES).unwrap().parse().unwrap();
    let connect = |_| std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let idle: Vec<_> = (0..times).map(connect).collect();
    io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
    drop(idle);
}

/// As many descriptors as this process may have.
fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum;
    let raised = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    most.map_or(usize::MAX, |most| usize::try_from(most).unwrap())
}

#[tokio::test]
async fn ten_thousand_idle_connections_cost_nobody_his_answer() {
    const WANTED: usize = 10_000;
    // Beside what else this process has open.
    let idle = WANTED.min(raise_descriptors().saturating_sub(300));
    if idle < WANTED {
        left_out(format_args!("{} of {WANTED} connections", WANTED - idle));
    }
    let served = serve(Limits {
        connections_per_uid: idle,
        request_time: Duration::from_secs(600),
        ..Limits::for_descriptors(idle + 2000)
    });
    let mut callers = Command::new(std::env::current_exe().unwrap())
        .args(["connects_often_and_says_nothing", "--ignored", "--exact"])
        .env(SOCKET, &served.path)
        .env(TIMES, idle.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let patient = Duration::from_secs(120);
    let all_are_there = async {
        while served.stats.connections() < idle as u64 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patient, all_are_there).await.unwrap();
    served.stage.uid.store(1001, SeqCst);
    assert_serves(&served).await;
    drop(callers.stdin.take());
    assert!(callers.wait().unwrap().success());
    until(|| served.stats.connections() == 0).await;
}

#[tokio::test]
async fn whoever_hangs_up_by_half_keeps_nothing_and_hurts_nobody() {
    let served = serve(Limits::default());
    for how in [Shutdown::Write, Shutdown::Read, Shutdown::Both] {
        for asks in [false, true] {
            let stream = std::os::unix::net::UnixStream::connect(&served.path).unwrap();
            stream.set_nonblocking(true).unwrap();
            // It stays open to the end of the test.
            let still_open = stream.try_clone().unwrap();
            let stream = UnixStream::from_std(stream).unwrap();
            let (mut send, mut connection) = h2::client::handshake(stream).await.unwrap();
            let mut answer = None;
            if asks {
                let (response, mut request) = send.send_request(x509_request(), false).unwrap();
                request
                    .send_data(bytes::Bytes::from_static(EMPTY), true)
                    .unwrap();
                // From here on nobody polls the connection.
                answer = Some(tokio::select! {
                    response = response => response.unwrap(),
                    ended = &mut connection => panic!("{ended:?}"),
                });
                assert_eq!(served.stats.streams(), 1);
            }
            until(|| served.stats.connections() == 1).await;
            still_open.shutdown(how).unwrap();
            // It is not told of somebody who only stopped to listen before it has something to say.
            served.publish(x509("b", 100));
            assert_serves(&served).await;
            let is_gone = || served.stats.connections() == 0 && served.stats.streams() == 0;
            if asks || how != Shutdown::Read {
                until(is_gone).await;
            } else {
                drop((send, connection, still_open));
                until(is_gone).await;
                continue;
            }
            drop((answer, send, connection, still_open));
        }
    }
}

/// A listener that fails before it accepts.
struct Failing {
    listener: UnixListener,
    errors: Vec<i32>,
}

impl Accept for Failing {
    type Connection = UnixStream;

    async fn accept(&mut self) -> io::Result<UnixStream> {
        match self.errors.pop() {
            Some(number) => Err(io::Error::from_raw_os_error(number)),
            None => Accept::accept(&mut self.listener).await,
        }
    }
}

#[tokio::test]
async fn want_of_descriptors_passes() {
    let (emfile, enfile, econnaborted) = (24, 23, 103);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let accept = Failing {
        listener,
        errors: vec![econnaborted, emfile, enfile, emfile],
    };
    let stage = served::stage();
    let server = plastron_workload_api::Server::new(
        served::Attestor(stage.clone()),
        served::Answerer(stage),
        Limits::default(),
    );
    let stats = server.stats();
    tokio::spawn(server.serve(accept, std::future::pending()));
    let stream = UnixStream::connect(&path).await.unwrap();
    let mut raw = Raw::over(stream, h2::client::Builder::new()).await;
    let request = grpc("/SpiffeWorkloadAPI/FetchWITSVID").header("workload.spiffe.io", "true");
    let response = within(raw.call(request.body(()).unwrap(), EMPTY))
        .await
        .unwrap();
    assert_eq!(response.status(), Some(Code::Unimplemented));
    assert_eq!(
        stats.accept_errors(),
        3,
        "an aborted connection is the peer's affair"
    );
}

#[tokio::test]
async fn calls_that_break_off_are_counted_as_cancelled() {
    let served = serve(Limits::default());
    let mut client = served.client().await;
    let mut svids = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    svids.message().await.unwrap();
    drop(svids);
    until(|| served.stats.calls(Method::FetchX509Svid, Code::Cancelled) == 1).await;
    let mut svids = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    svids.message().await.unwrap();
    drop((svids, client));
    until(|| served.stats.calls(Method::FetchX509Svid, Code::Cancelled) == 2).await;
}
