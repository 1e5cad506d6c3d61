//! What is served beside the Workload API.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod served;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use plastron_wire::agent::v1::agent_client::AgentClient;
use plastron_wire::agent::v1::agent_server::{Agent, AgentServer};
use plastron_wire::agent::v1::{
    self, ExplainRequest, ExplainResponse, GetBundleRequest, GetBundleResponse, GetStatusRequest,
    GetStatusResponse, RotateAuthorityRequest, RotateAuthorityResponse,
};
use plastron_workload_api::{Limits, Method, Refusal};
use served::{Caller, EMPTY, grpc, serve, serve_with, until, with_header, within};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::{v1 as reflection, v1alpha};

/// A service that tells its caller who he is.
struct WhoAmI;

#[tonic::async_trait]
impl Agent for WhoAmI {
    async fn explain(
        &self,
        _: tonic::Request<ExplainRequest>,
    ) -> Result<tonic::Response<ExplainResponse>, Status> {
        Err(Status::not_found("no such process: 100 %"))
    }

    async fn get_bundle(
        &self,
        _: tonic::Request<GetBundleRequest>,
    ) -> Result<tonic::Response<GetBundleResponse>, Status> {
        std::future::pending().await
    }

    async fn rotate_authority(
        &self,
        _: tonic::Request<RotateAuthorityRequest>,
    ) -> Result<tonic::Response<RotateAuthorityResponse>, Status> {
        Err(Status::permission_denied("not you"))
    }

    async fn get_status(
        &self,
        request: tonic::Request<GetStatusRequest>,
    ) -> Result<tonic::Response<GetStatusResponse>, Status> {
        let caller = request.extensions().get::<Arc<Caller>>();
        let uid = caller.expect("every request has its caller").uid;
        Ok(tonic::Response::new(GetStatusResponse {
            version: format!("for {uid}"),
            ..Default::default()
        }))
    }
}

fn with_agent() -> served::Served {
    serve_with(Limits::default(), |server| {
        server.service(AgentServer::new(WhoAmI), v1::FILE_DESCRIPTOR_SET)
    })
}

#[tokio::test]
async fn a_service_of_ones_own_knows_its_caller() {
    let served = with_agent();
    let mut client = AgentClient::new(served.channel().await);
    let status = client
        .get_status(with_header(GetStatusRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(status.version, "for 1");
    let refused = client
        .explain(with_header(ExplainRequest { pid: 1 }))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::NotFound, "no such process: 100 %")
    );
    assert_eq!(served.stats.calls(Method::OtherService, Code::Ok), 1);
    assert_eq!(served.stats.calls(Method::OtherService, Code::NotFound), 1);
}

#[tokio::test]
async fn a_service_of_ones_own_needs_the_security_header_too() {
    let served = with_agent();
    let mut client = AgentClient::new(served.channel().await);
    let refused = client.get_status(GetStatusRequest {}).await.unwrap_err();
    assert_eq!(
        refused.code(),
        Code::InvalidArgument,
        "WEP-08 +, AMB-33 +: an operator's call without the header"
    );
}

#[tokio::test]
async fn a_lost_caller_loses_other_services_too() {
    let served = with_agent();
    let mut client = AgentClient::new(served.channel().await);
    let waiting = tokio::spawn(async move {
        client
            .get_bundle(with_header(GetBundleRequest::default()))
            .await
    });
    until(|| served.stats.streams() == 1).await;
    served
        .stage
        .lost
        .send_replace(Some(Refusal::permission_denied("gone")));
    let status = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn health_needs_no_header_and_says_what_it_is_told() {
    let served = serve(Limits::default());
    let mut client = HealthClient::new(served.channel().await);
    let ask = |service: &str| HealthCheckRequest {
        service: service.into(),
    };
    for service in ["", "SpiffeWorkloadAPI"] {
        let answer = client.check(ask(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "AMB-33 +");
    }
    let mut watch = client.watch(ask("")).await.unwrap().into_inner();
    assert_eq!(
        within(watch.message()).await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    served.health.set_serving(false).await;
    assert_eq!(
        within(watch.message()).await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    assert_eq!(
        client.check(ask("nobody")).await.unwrap_err().code(),
        Code::NotFound
    );

    served.stop.send(()).unwrap();
    assert_eq!(
        within(watch.message()).await.unwrap_err().code(),
        Code::Unavailable
    );
    within(served.running).await.unwrap();
}

#[tokio::test]
async fn reflection_lists_and_describes_every_service() {
    let served = with_agent();
    let mut client = ServerReflectionClient::new(served.channel().await);
    let ask = |what| reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(what),
    };
    let asked = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "SpiffeWorkloadAPI".into(),
        )),
        ask(MessageRequest::FileContainingSymbol(
            "plastron.agent.v1.Agent".into(),
        )),
    ];
    let mut answers = client
        .server_reflection_info(tokio_stream::iter(asked))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("a list");
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for name in [
        "SpiffeWorkloadAPI",
        "plastron.agent.v1.Agent",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    ] {
        assert!(names.contains(&name), "WEP-24 +: {name} in {names:?}");
    }
    for _ in 0..2 {
        let answer = answers.message().await.unwrap().unwrap().message_response;
        assert!(
            matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))),
            "{answer:?}"
        );
    }

    let mut client =
        v1alpha::server_reflection_client::ServerReflectionClient::new(served.channel().await);
    let asked = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut answers = client
        .server_reflection_info(tokio_stream::iter([asked]))
        .await
        .unwrap()
        .into_inner();
    assert!(
        answers.message().await.unwrap().is_some(),
        "WEP-24 +: for older tools"
    );
    let end = answers.message().await;
    assert!(
        end.unwrap().is_none(),
        "the stream ends when the caller's does"
    );
}

/// A service that never reads, and answers without trailers.
#[derive(Clone)]
struct Terse;

impl NamedService for Terse {
    const NAME: &'static str = "test.Terse";
}

impl tower::Service<Request<Body>> for Terse {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let body = http_body_util::Full::new(bytes::Bytes::from_static(EMPTY));
        std::future::ready(Ok(Response::new(Body::new(body))))
    }
}

#[tokio::test]
async fn a_service_that_ends_without_a_status_still_ends() {
    let served = serve_with(Limits::default(), |server| {
        server.service(Terse, v1::FILE_DESCRIPTOR_SET)
    });
    let mut raw = served.raw().await;
    for _ in 0..300 {
        let request = grpc("/test.Terse/Any")
            .header("workload.spiffe.io", "true")
            .body(())
            .unwrap();
        let response = within(raw.call(request, EMPTY)).await.unwrap();
        assert_eq!((response.data.as_slice(), response.status()), (EMPTY, None));
    }
}
