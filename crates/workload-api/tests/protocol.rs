//! What goes over the wire, call by call.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod served;

use plastron_wire::workload::{
    JwtBundlesRequest, JwtsvidRequest, ValidateJwtsvidRequest, WitBundlesRequest, WitsvidRequest,
    X509BundlesRequest, X509svidRequest,
};
use plastron_workload_api::{Limits, Method};
use served::{EMPTY, grpc, serve, with_header, within, x509};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tonic::Code;

#[tokio::test]
async fn all_five_calls_answer_a_client_of_tonic() {
    let served = serve(Limits::default());
    let mut client = served.client().await;

    let mut svids = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    let first = svids.message().await.unwrap().unwrap();
    assert_eq!(
        first.svids[0].spiffe_id, "a",
        "WAPI-12 +, WAPI-21 +, WEP-07 +: with the header"
    );
    served.publish(x509("b", 100));
    let second = svids.message().await.unwrap().unwrap();
    assert_eq!(
        second.svids[0].spiffe_id, "b",
        "WAPI-11 +: the same stream, a second message"
    );

    let mut bundles = client
        .fetch_x509_bundles(with_header(X509BundlesRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert!(bundles.message().await.unwrap().is_some(), "WAPI-35 +");
    let mut bundles = client
        .fetch_jwt_bundles(with_header(JwtBundlesRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert!(bundles.message().await.unwrap().is_some(), "WAPI-46 +");

    let asked = JwtsvidRequest {
        audience: vec!["x".into(), "y".into()],
        spiffe_id: String::new(),
    };
    let tokens = client
        .fetch_jwtsvid(with_header(asked))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(tokens.svids[0].svid, "x y", "WAPI-39 +");

    let asked = ValidateJwtsvidRequest {
        audience: "x".into(),
        svid: "good".into(),
    };
    let valid = client
        .validate_jwtsvid(with_header(asked))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(valid.spiffe_id, "spiffe://example.org/a", "WAPI-52 +");

    drop((svids, bundles, client));
    served.stop.send(()).unwrap();
    within(served.running).await.unwrap();
    assert_eq!(served.stats.calls(Method::FetchJwtSvid, Code::Ok), 1);
    assert_eq!((served.stats.streams(), served.stats.connections()), (0, 0));
}

#[tokio::test]
async fn a_refusal_comes_with_its_code_and_words() {
    let served = serve(Limits::default());
    let mut client = served.client().await;
    let asked = ValidateJwtsvidRequest {
        audience: "x".into(),
        svid: "bad".into(),
    };
    let status = client
        .validate_jwtsvid(with_header(asked))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "zu kurz: 100 %"),
        "WAPI-55 +"
    );
}

#[tokio::test]
async fn the_wit_profile_is_unimplemented() {
    let served = serve(Limits::default());
    let mut client = served.client().await;
    let svids = client
        .fetch_witsvid(with_header(WitsvidRequest::default()))
        .await
        .unwrap_err();
    assert_eq!(svids.code(), Code::Unimplemented, "WAPI-58 +, STAB-03 +");
    let bundles = client
        .fetch_wit_bundles(with_header(WitBundlesRequest {}))
        .await
        .unwrap_err();
    assert_eq!(bundles.code(), Code::Unimplemented, "WAPI-58 +");
}

#[tokio::test]
async fn every_call_needs_the_security_header_exactly_once() {
    let served = serve(Limits::default());
    let mut raw = served.raw().await;
    for method in Method::ALL.into_iter().take(7) {
        let path = format!("/SpiffeWorkloadAPI/{}", method.as_str());
        for values in [
            &[][..],
            &["True"],
            &["1"],
            &["true", "true"],
            &["true,true"],
            &[""],
            &["false"],
            &[" true x"],
        ] {
            let mut request = grpc(&path);
            for value in values {
                request = request.header("workload.spiffe.io", *value);
            }
            let response = within(raw.call(request.body(()).unwrap(), EMPTY))
                .await
                .unwrap();
            assert_eq!(
                response.status(),
                Some(Code::InvalidArgument),
                "WEP-07 −: {path} {values:?}"
            );
            assert_eq!(response.head.status, 200);
            assert!(
                response.trailers.is_none() && response.data.is_empty(),
                "trailers only"
            );
        }
    }
    let refused = served.stage.refused.lock().unwrap().len();
    assert_eq!(refused, 7 * 8, "each is on record");
}

#[tokio::test]
async fn what_is_not_there_is_unimplemented() {
    let served = serve(Limits::default());
    let mut raw = served.raw().await;
    for path in [
        "/SpiffeWorkloadAPI/FetchSSHSVID",
        "/SpiffeWorkloadAPI/",
        "/WorkloadAPI/FetchX509SVID",
        "/spiffe.workload.SpiffeWorkloadAPI/FetchX509SVID",
        "/",
    ] {
        let request = grpc(path).header("workload.spiffe.io", "true");
        let response = within(raw.call(request.body(()).unwrap(), EMPTY))
            .await
            .unwrap();
        assert_eq!(
            response.status(),
            Some(Code::Unimplemented),
            "WAPI-05 −: {path}"
        );
        assert!(response.trailers.is_none(), "trailers only");
    }
}

#[tokio::test]
async fn what_is_not_grpc_gets_an_http_status() {
    let served = serve(Limits::default());
    let mut raw = served.raw().await;
    let path = "/SpiffeWorkloadAPI/FetchX509SVID";
    for (method, content_type, want) in [
        ("GET", "application/grpc", 405),
        ("PUT", "application/grpc", 405),
        ("POST", "application/json", 415),
        ("POST", "application/grpc-web", 415),
        ("POST", "application/grpcx", 415),
        ("POST", "application/grpc+json", 415),
        ("POST", "application/grpc+proto", 200),
        ("POST", "application/grpc;x=y", 200),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://localhost{path}"))
            .header("content-type", content_type)
            .body(())
            .unwrap();
        let response = within(raw.call(request, EMPTY)).await.unwrap();
        assert_eq!(
            response.head.status, want,
            "WEP-03 +/−: gRPC and nothing else: {method} {content_type}"
        );
    }
}

#[tokio::test]
async fn requests_are_one_whole_uncompressed_message() {
    let served = serve(Limits::default());
    let mut raw = served.raw().await;
    for (method, body, want) in [
        (
            "FetchX509SVID",
            b"\x01\0\0\0\0".as_slice(),
            Code::Unimplemented,
        ),
        ("FetchX509SVID", b"\0\0\0\0\x05", Code::InvalidArgument),
        ("FetchX509SVID", b"", Code::InvalidArgument),
        ("FetchJWTSVID", EMPTY, Code::InvalidArgument),
        (
            "FetchJWTSVID",
            b"\0\0\0\0\x02\x0a\x00",
            Code::InvalidArgument,
        ),
        ("ValidateJWTSVID", EMPTY, Code::InvalidArgument),
    ] {
        let request =
            grpc(&format!("/SpiffeWorkloadAPI/{method}")).header("workload.spiffe.io", "true");
        let response = within(raw.call(request.body(()).unwrap(), body))
            .await
            .unwrap();
        assert_eq!(
            response.status(),
            Some(want),
            "WAPI-16 −: {method} {body:?}"
        );
        let encodings = response.head.headers.get("grpc-accept-encoding");
        assert_eq!(encodings.is_some(), want == Code::Unimplemented);
    }
}

#[tokio::test]
async fn a_request_may_come_in_pieces() {
    let served = serve(Limits::default());
    let mut raw = served.raw().await;
    let request = grpc("/SpiffeWorkloadAPI/FetchJWTSVID").header("workload.spiffe.io", "true");
    let (response, mut stream) = raw
        .send
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    for piece in ["\0", "\0\0\0", "\x03\x0a", "", "\x01", "x"] {
        stream.send_data(piece.into(), false).unwrap();
        tokio::task::yield_now().await;
    }
    stream.send_trailers(http::HeaderMap::new()).unwrap();
    let mut body = within(response).await.unwrap().into_body();
    let data = within(body.data()).await.unwrap().unwrap();
    assert!(
        data.ends_with(b"\x12\x01x"),
        "the token for audience x: {data:?}"
    );
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_nothing_else() {
    let served = serve(Limits::default());
    served.stage.jwt_gate.send_replace(false);
    let mut client = served.client().await;
    let mut patient = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    patient.message().await.unwrap();

    let mut raw = served.raw().await;
    for (method, body) in [
        ("FetchJWTSVID", b"\0\0\0\0\x03\x0a\x01x".as_slice()),
        ("FetchX509SVID", EMPTY),
    ] {
        let request = grpc(&format!("/SpiffeWorkloadAPI/{method}"))
            .header("workload.spiffe.io", "true")
            .header("grpc-timeout", "20m");
        let response = within(raw.call(request.body(()).unwrap(), body))
            .await
            .unwrap();
        assert_eq!(response.status(), Some(Code::DeadlineExceeded), "{method}");
    }
    served.publish(x509("b", 1));
    assert_eq!(
        patient.message().await.unwrap().unwrap().svids[0].spiffe_id,
        "b",
        "RS-14"
    );
}

#[tokio::test]
async fn an_answer_larger_than_every_window_arrives_whole() {
    let served = serve(Limits::default());
    served.publish(x509("large", 3_000_000));
    let mut client = served.client().await;
    let mut svids = client
        .fetch_x509svid(with_header(X509svidRequest {}))
        .await
        .unwrap()
        .into_inner();
    let first = within(svids.message()).await.unwrap().unwrap();
    assert_eq!(first.svids[0].x509_svid_key.len(), 3_000_000);
    served.publish(x509("small", 1));
    let second = within(svids.message()).await.unwrap().unwrap();
    assert_eq!(second.svids[0].spiffe_id, "small");
}

#[tokio::test]
async fn an_authority_that_is_an_encoded_path_does_not_matter() {
    let served = serve(Limits::default());
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let len = u8::try_from(payload.len()).unwrap();
        [&[0, 0, len, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // As gRPC's C core writes it: literals, none of them in Huffman's code.
    let block = [
        b"\x83\x86\x40\x05:path\x20/SpiffeWorkloadAPI/FetchX509SVID".as_slice(),
        b"\x40\x0a:authority\x0ftmp%2Fa%2Fb.sck\x40\x0ccontent-type\x10application/grpc",
        b"\x40\x12workload.spiffe.io\x04true",
    ]
    .concat();
    let mut stream = UnixStream::connect(&served.path).await.unwrap();
    let said = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &block),
        frame(0, 1, 1, EMPTY),
    ];
    stream.write_all(&said.concat()).await.unwrap();
    let data_frame = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut payload).await.unwrap();
            match head[3] {
                0 => break payload,
                3 | 7 => panic!("WEP-03, RS-13 −: reset: {head:?} {payload:?}"),
                _ => {}
            }
        }
    };
    let payload = within(data_frame).await;
    assert_eq!(payload[5..], *x509("a", 100).payload(), "WEP-03 +, RS-13 +");
}
