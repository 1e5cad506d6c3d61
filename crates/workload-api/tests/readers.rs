//! Callers who do not read, or not for now.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod served;

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::sync::atomic::Ordering::SeqCst;

use plastron_wire::workload::X509svidRequest;
use plastron_workload_api::Limits;
use served::{
    EMPTY, Raw, assert_serves, grpc, pipelined, serve, until, with_header, within, x509,
    x509_request,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

#[tokio::test]
async fn a_reader_that_stops_gets_the_latest_and_holds_up_nobody() {
    let served = serve(Limits::default());
    let mut held = Vec::new();
    // Windows so large that only the socket pushes back, and others so small that one byte fits.
    for window in [1 << 30, 1] {
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(window)
            .initial_connection_window_size(1 << 30);
        let stream = UnixStream::connect(&served.path).await.unwrap();
        let (mut send, mut connection) = builder.handshake(stream).await.unwrap();
        let (response, mut request) = send.send_request(x509_request(), false).unwrap();
        request
            .send_data(bytes::Bytes::from_static(EMPTY), true)
            .unwrap();
        // From here on nobody polls the connection: it stays open, unread.
        let stopped = tokio::select! {
            response = response => response.unwrap(),
            ended = &mut connection => panic!("{ended:?}"),
        };
        let released = served.stage.released.load(SeqCst);
        let mut reader = served.client().await;
        let mut svids = reader
            .fetch_x509svid(with_header(X509svidRequest {}))
            .await
            .unwrap()
            .into_inner();
        svids.message().await.unwrap();
        for n in 0..50 {
            served.publish(x509(&format!("{n}"), 1_000_000));
            let got = within(svids.message()).await.unwrap().unwrap();
            assert_eq!(
                got.svids[0].spiffe_id,
                format!("{n}"),
                "WAPI-09 −: the other reader"
            );
        }
        let released = served.stage.released.load(SeqCst) - released - 51;
        assert!(
            released < 10,
            "WAPI-09 −: {released} taken for those who do not read"
        );
        held.push((stopped, connection, send));
    }
}

#[tokio::test]
async fn tokens_that_nobody_reads_count_as_streams_of_their_user() {
    let served = serve(Limits {
        streams_per_uid: 3,
        ..Limits::default()
    });
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let stream = UnixStream::connect(&served.path).await.unwrap();
    let raw = Raw::over(stream, builder).await;
    let mut unread = Vec::new();
    for number in 0..6 {
        let request = grpc("/SpiffeWorkloadAPI/FetchJWTSVID").header("workload.spiffe.io", "true");
        let mut send = raw.send.clone().ready().await.unwrap();
        let (response, mut stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
        stream
            .send_data(bytes::Bytes::from_static(b"\0\0\0\0\x03\x0a\x01a"), true)
            .unwrap();
        let response = within(response).await.unwrap();
        let status = response.headers().get("grpc-status").cloned();
        let refused = status.as_ref().map(|status| status.as_bytes());
        assert_eq!(refused, (number >= 3).then_some(&b"14"[..]), "{number}");
        unread.push(response);
    }
    drop(unread);
    raw.connection.abort();
    until(|| served.stats.connections() == 0).await;
    assert_serves(&served).await;
}

#[tokio::test]
async fn who_makes_room_for_exactly_the_answer_gets_its_end() {
    let served = serve(Limits::default());
    static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        // Eight audiences of a thousand bytes.
        let audience = [&b"\x0a\xe8\x07"[..], &[b'a'; 1000]].concat();
        let message = audience.repeat(8);
        let [a, b] = u16::try_from(message.len()).unwrap().to_be_bytes();
        [&[0, 0, 0, a, b], &*message].concat()
    });
    let ask = async |window: u32| {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        let stream = UnixStream::connect(&served.path).await.unwrap();
        let mut raw = Raw::over(stream, builder).await;
        let request = grpc("/SpiffeWorkloadAPI/FetchJWTSVID").header("workload.spiffe.io", "true");
        // Its windows stay as they are.
        within(raw.call(request.body(()).unwrap(), &LARGE))
            .await
            .unwrap()
    };
    let length = ask(1 << 20).await.data.len();
    assert!(length > 8000, "{length}");
    let response = ask(u32::try_from(length).unwrap()).await;
    assert_eq!(response.data.len(), length);
    assert_eq!(response.status(), Some(tonic::Code::Ok));
}

#[tokio::test]
async fn who_opens_a_stream_with_its_window_shut_gets_the_latest_first() {
    let served = serve(Limits::default());
    served.publish(x509("0", 100));
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let stream = UnixStream::connect(&served.path).await.unwrap();
    let (send, mut connection) = builder.handshake(stream).await.unwrap();
    let mut raw = send.ready().await.unwrap();
    let (response, mut request) = raw.send_request(x509_request(), false).unwrap();
    request
        .send_data(bytes::Bytes::from_static(EMPTY), true)
        .unwrap();
    let mut response = pin!(response);
    let response = poll_fn(|cx| {
        assert!(Pin::new(&mut connection).poll(cx).is_pending());
        response.as_mut().poll(cx)
    });
    let mut body = within(response).await.unwrap().into_body();
    for n in 1..=20 {
        let taken = served.stage.released.load(SeqCst);
        served.publish(x509(&n.to_string(), 100));
        until(|| served.stage.released.load(SeqCst) > taken).await;
    }

    connection.set_initial_window_size(65_535).unwrap();
    let first = poll_fn(|cx| {
        assert!(Pin::new(&mut connection).poll(cx).is_pending());
        body.poll_data(cx)
    });
    let first = within(first).await.unwrap().unwrap();
    assert!(first.ends_with(x509("20", 100).payload()), "WAPI-09 +");
}

#[tokio::test]
async fn a_reader_that_comes_back_skips_to_the_latest() {
    let served = serve(Limits::default());
    served.publish(x509("0", 10_000));
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(100);
    let stream = UnixStream::connect(&served.path).await.unwrap();
    let mut raw = Raw::over(stream, builder).await;
    let (response, mut request) = raw.send.send_request(x509_request(), false).unwrap();
    request
        .send_data(bytes::Bytes::from_static(EMPTY), true)
        .unwrap();
    let mut body = within(response).await.unwrap().into_body();
    let released = served.stage.released.load(SeqCst);
    assert_eq!(released, 1, "the state at the request");

    let mut watcher = served.client().await;
    let mut svids = watcher
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    svids.message().await.unwrap();
    for n in 1..=20 {
        served.publish(x509(&n.to_string(), 10_000));
        within(svids.message()).await.unwrap();
    }
    assert_eq!(
        served.stage.released.load(SeqCst),
        1 + 1 + 20,
        "WAPI-09 +: nothing more was taken for the one who does not read"
    );

    let mut got = Vec::new();
    let wanted = x509("0", 10_000).payload().len() + x509("20", 10_000).payload().len() + 10;
    while got.len() < wanted {
        let chunk = within(body.data()).await.unwrap().unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        got.extend_from_slice(&chunk);
    }
    let second = x509("20", 10_000);
    assert!(
        got.ends_with(second.payload()),
        "WAPI-09 +: the latest, not the second"
    );
    assert_eq!(got.len(), wanted);
}

#[tokio::test]
async fn while_a_thousand_streams_open_that_nobody_reads_others_are_answered() {
    // With its windows shut, all open. With windows so large that only the socket pushes back, as many as that lets.
    for window in [0, 1 << 20] {
        let served = serve(Limits {
            streams_per_connection: 1000,
            ..Limits::for_descriptors(4096)
        });
        served.publish(x509("a", 3000));
        let mut unread = UnixStream::connect(&served.path).await.unwrap();
        until(|| served.stats.connections() == 1).await;
        served.stage.uid.store(1001, SeqCst);
        let words = pipelined(1000, window, "FetchX509SVID", &[]);
        let mut saying = pin!(unread.write_all(&words));
        let mut answered = pin!(assert_serves(&served));
        // While they are being opened; their user reads nothing, now or later.
        let mut was_said = false;
        poll_fn(|cx| {
            was_said = was_said || saying.as_mut().poll(cx).map(Result::unwrap).is_ready();
            answered.as_mut().poll(cx)
        })
        .await;
        if window == 0 {
            if !was_said {
                within(saying).await.unwrap();
            }
            until(|| served.stats.streams() == 1000).await;
        }
        until(|| served.stats.streams() > 1).await;
        assert_serves(&served).await;
    }
}
