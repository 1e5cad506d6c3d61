//! What goes over the wire, call by call.

mod served;

use plastron_wire::workload::{
    JwtBundlesRequest, JwtsvidRequest, ValidateJwtsvidRequest, WitBundlesRequest, WitsvidRequest,
    X509BundlesRequest, X509svidRequest,
};
use plastron_workload_api::{Limits, Method};
use served::{EMPTY, grpc, serve, with_header, within, x509};
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
    assert_eq!(first.svids[0].spiffe_id, "a", "WAPI-12 +, WAPI-21 +");
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
