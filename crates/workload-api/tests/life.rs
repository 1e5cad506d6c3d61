//! From attestation to the end of a connection.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod served;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::Bytes;
use plastron_wire::workload::{JwtsvidRequest, X509svidRequest, X509svidResponse};
use plastron_workload_api::{ConnectionRefused, Limits, Refusal};
use served::{EMPTY, Raw, Served, grpc, serve, until, with_header, within, x509};
use tokio::net::UnixStream;
use tonic::{Code, Status, Streaming};

async fn watch(served: &Served) -> Streaming<X509svidResponse> {
    let mut client = served.client().await;
    let mut svids = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    svids.message().await.unwrap();
    svids
}

async fn first_error(served: &Served) -> Status {
    let mut client = served.client().await;
    within(client.fetch_x509svid(with_header(X509svidRequest {})))
        .await
        .unwrap_err()
}

#[tokio::test]
async fn the_caller_is_attested_before_he_says_anything_and_once() {
    let served = serve(Limits::default());
    let stream = UnixStream::connect(&served.path).await.unwrap();
    until(|| served.stage.attestations.load(SeqCst) == 1).await;
    let mut raw = Raw::over(stream, h2::client::Builder::new()).await;
    for _ in 0..3 {
        let request = grpc("/SpiffeWorkloadAPI/FetchWITSVID").header("workload.spiffe.io", "true");
        raw.call(request.body(()).unwrap(), EMPTY).await.unwrap();
    }
    assert_eq!(served.stage.attestations.load(SeqCst), 1);
}

#[tokio::test]
async fn who_cannot_be_attested_is_told_so() {
    let served = serve(Limits::default());
    for refusal in [
        Refusal::unavailable("the process has exited"),
        Refusal::permission_denied("not here"),
    ] {
        *served.stage.attested.lock().unwrap() = Some(Err(refusal.clone()));
        let status = first_error(&served).await;
        assert_eq!(status.code(), refusal.code, "WEP-19");
        assert!(status.message().contains(&*refusal.message), "{status}");
    }
    assert_eq!(served.stats.refused(ConnectionRefused::Attestation), 2);
    *served.stage.attested.lock().unwrap() = Some(Ok(1));
    drop(watch(&served).await);
}

#[tokio::test]
async fn who_is_not_attested_in_time_is_told_so_and_recorded() {
    let served = serve(Limits {
        request_time: Duration::from_millis(100),
        ..Limits::default()
    });
    *served.stage.attested.lock().unwrap() = None;
    let status = first_error(&served).await;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let recorded = served.stage.refused.lock().unwrap();
    assert_eq!(recorded[0].message, status.message());
}

#[tokio::test]
async fn time_without_end_is_time_enough() {
    let served = serve(Limits {
        request_time: Duration::MAX,
        flush_time: Duration::MAX,
        ..Limits::default()
    });
    // That it gets one.
    within(watch(&served)).await;
}

#[tokio::test]
async fn a_slow_attestation_holds_up_nobody_else() {
    let served = serve(Limits::default());
    *served.stage.attested.lock().unwrap() = None;
    let _slow = UnixStream::connect(&served.path).await.unwrap();
    until(|| served.stage.attestations.load(SeqCst) == 1).await;
    *served.stage.attested.lock().unwrap() = Some(Ok(1));
    drop(watch(&served).await);
}

#[tokio::test]
async fn a_lost_caller_loses_all_his_streams_and_the_connection() {
    let served = serve(Limits::default());
    let mut client = served.client().await;
    let mut first = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    let mut second = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    first.message().await.unwrap();
    second.message().await.unwrap();
    served.stage.jwt_gate.send_replace(false);
    let asked = JwtsvidRequest {
        audience: vec!["x".into()],
        spiffe_id: String::new(),
    };
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.fetch_jwtsvid(with_header(asked)).await });
    until(|| served.stats.streams() == 3).await;

    // Both at once: what is new is not handed out any more.
    served
        .stage
        .lost
        .send_replace(Some(Refusal::permission_denied("the program has changed")));
    served.publish(x509("b", 1));
    for svids in [&mut first, &mut second] {
        let status = within(svids.message()).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, "the program has changed"),
            "WAPI-19 +"
        );
    }
    let status = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    until(|| served.stats.connections() == 0).await;
    assert_eq!(
        (served.stats.lost(), served.stage.released.load(SeqCst)),
        (1, 2)
    );

    served.stage.lost.send_replace(None);
    assert_eq!(served.stage.attestations.load(SeqCst), 1);
    drop(watch(&served).await);
    assert_eq!(
        served.stage.attestations.load(SeqCst),
        2,
        "a fresh connection is attested anew"
    );
}

#[tokio::test]
async fn a_lost_caller_who_does_not_read_is_cut_off() {
    let served = serve(Limits {
        flush_time: std::time::Duration::from_millis(50),
        ..Limits::default()
    });
    served.publish(x509("a", 1_000_000));
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1);
    let stream = UnixStream::connect(&served.path).await.unwrap();
    let mut raw = Raw::over(stream, builder).await;
    let request = grpc("/SpiffeWorkloadAPI/FetchX509SVID").header("workload.spiffe.io", "true");
    let (response, mut stream) = raw
        .send
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    stream
        .send_data(bytes::Bytes::from_static(EMPTY), true)
        .unwrap();
    let _unread = within(response).await.unwrap();
    served
        .stage
        .lost
        .send_replace(Some(Refusal::permission_denied("gone")));
    until(|| served.stats.connections() == 0).await;
}

#[tokio::test]
async fn a_check_that_fails_on_a_call_ends_all_calls() {
    let served = serve(Limits::default());
    let mut client = served.client().await;
    let mut svids = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    svids.message().await.unwrap();
    *served.stage.checked.lock().unwrap() = Err(Refusal::permission_denied("another user now"));
    let status = within(client.fetch_x509svid(with_header(X509svidRequest {})))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = within(svids.message()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::PermissionDenied, "another user now")
    );
    until(|| served.stats.connections() == 0).await;
}

#[tokio::test]
async fn calls_that_come_together_are_checked_together_and_later_ones_again() {
    let served = serve(Limits::default());
    let mut raw = served.raw().await;
    let validate = || {
        grpc("/SpiffeWorkloadAPI/FetchJWTSVID")
            .header("workload.spiffe.io", "true")
            .body(())
            .unwrap()
    };
    // What is sent before the connection gets its turn leaves in one piece.
    let together: Vec<_> = (0..3)
        .map(|_| {
            let (response, mut body) = raw.send.send_request(validate(), false).unwrap();
            body.send_data(Bytes::from_static(ONE_AUDIENCE), true)
                .unwrap();
            response
        })
        .collect();
    for response in together {
        let mut body = within(response).await.unwrap().into_body();
        while let Some(data) = within(body.data()).await {
            assert!(!data.unwrap().is_empty());
        }
        let trailers = within(body.trailers()).await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
    }
    assert_eq!(served.stage.checks.load(SeqCst), 1);

    for checks in [2, 3] {
        let response = raw.call(validate(), ONE_AUDIENCE).await.unwrap();
        assert_eq!(response.status(), Some(Code::Ok));
        assert_eq!(served.stage.checks.load(SeqCst), checks);
    }
    *served.stage.checked.lock().unwrap() = Err(Refusal::permission_denied("somebody else"));
    let response = raw.call(validate(), ONE_AUDIENCE).await.unwrap();
    assert_eq!(response.status(), Some(Code::PermissionDenied));
}

/// A `JWTSVIDRequest` for the audience `x`.
const ONE_AUDIENCE: &[u8] = b"\0\0\0\0\x03\x0a\x01x";

#[tokio::test]
async fn an_answerer_ends_a_stream_with_his_refusal() {
    let served = serve(Limits::default());
    let mut svids = watch(&served).await;
    let gone = Err(Refusal::permission_denied("no entry matches"));
    let _before = served.stage.state.send_replace(gone);
    let status = within(svids.message()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::PermissionDenied, "no entry matches"),
        "WAPI-19 +"
    );
    assert_eq!(
        first_error(&served).await.code(),
        Code::PermissionDenied,
        "WAPI-31 +"
    );
}

#[tokio::test]
async fn stopping_ends_streams_and_finishes_what_is_under_way() {
    let served = serve(Limits::default());
    let mut svids = watch(&served).await;
    served.stage.jwt_gate.send_replace(false);
    let mut client = served.client().await;
    let asked = JwtsvidRequest {
        audience: vec!["x".into()],
        spiffe_id: String::new(),
    };
    let waiting = tokio::spawn(async move { client.fetch_jwtsvid(with_header(asked)).await });
    until(|| served.stats.streams() == 2).await;
    let _idle = served.channel().await;

    served.stop.send(()).unwrap();
    let status = within(svids.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "WEP-19 +");
    served.stage.jwt_gate.send_replace(true);
    assert!(within(waiting).await.unwrap().is_ok());
    within(served.running).await.unwrap();
    assert!(UnixStream::connect(&served.path).await.is_err());
    assert_eq!(served.stats.connections(), 0);
}

#[tokio::test]
async fn stopping_does_not_wait_for_those_who_do_not_read() {
    let served = serve(Limits {
        flush_time: std::time::Duration::from_millis(50),
        ..Limits::default()
    });
    served.stage.jwt_gate.send_replace(false);
    let mut client = served.client().await;
    let asked = JwtsvidRequest {
        audience: vec!["x".into()],
        spiffe_id: String::new(),
    };
    let waiting = tokio::spawn(async move { client.fetch_jwtsvid(with_header(asked)).await });
    let _mute = UnixStream::connect(&served.path).await.unwrap();
    until(|| served.stats.streams() == 1 && served.stats.connections() == 2).await;
    *served.stage.attested.lock().unwrap() = None;
    let _attested_for_ever = UnixStream::connect(&served.path).await.unwrap();
    until(|| served.stage.attestations.load(SeqCst) == 3).await;

    served.stop.send(()).unwrap();
    within(served.running).await.unwrap();
    assert!(within(waiting).await.unwrap().is_err());
}
