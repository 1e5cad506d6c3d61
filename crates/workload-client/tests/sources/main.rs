//! The client against a real server on a socket of its own.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod agent;
#[cfg(feature = "wit")]
mod wit;

use std::future::Future;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use agent::{Agent, jwt_bundles, x509_response};
use plastron_id::SpiffeId;
use plastron_source::{SourceError, X509Context};
use plastron_testing::BACKEND;
use plastron_workload_api::{Message, Refusal};
use plastron_workload_client::{ClientError, Endpoint, WorkloadClient};
use tokio::net::UnixStream;
use tonic::Code;

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .expect("it happens within ten seconds")
}

async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    within(waiting).await;
}

fn path_of(context: &X509Context) -> &str {
    context.default_svid().unwrap().id().path()
}

#[tokio::test]
async fn all_five_calls_give_values() {
    let agent = Agent::running();
    let client = agent.client();
    let name = agent.authority.trust_domain().as_ref();

    let context = within(client.fetch_x509()).await.unwrap();
    assert_eq!(path_of(&context), "/first");
    let bundles = within(client.fetch_x509_bundles()).await.unwrap();
    assert_eq!(bundles.get(name).unwrap().x509_authorities().len(), 1);
    let bundles = within(client.fetch_jwt_bundles()).await.unwrap();
    assert_eq!(bundles.get(name).unwrap().jwt_authorities().len(), 1);

    let tokens = within(client.fetch_jwt_svids(&["x", "y"], None))
        .await
        .unwrap();
    assert_eq!(tokens.len(), 2, "WAPI-42 +");
    let id: SpiffeId = agent.authority.id("/b");
    let tokens = within(client.fetch_jwt_svids(&["x"], Some(&id)))
        .await
        .unwrap();
    assert!(tokens.len() == 1 && tokens[0].id() == &id, "WAPI-41 +");
    let token = within(client.fetch_jwt_svid(&["x"])).await.unwrap();
    let valid = within(client.validate_jwt_svid("x", token.token()))
        .await
        .unwrap();
    assert_eq!(valid.id, agent.authority.id("/a"), "WAPI-56 +");

    let error = within(client.validate_jwt_svid("x", "not-a-token"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::InvalidArgument), "WAPI-55 +");
    let error = within(client.fetch_jwt_svids(&[], None)).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::InvalidArgument), "WAPI-40 −");
    assert_eq!(
        agent.refused.load(SeqCst),
        1,
        "WEP-06 +: the header was on every call, only the empty list was refused"
    );
}

#[tokio::test]
async fn one_stream_carries_many_rotations() {
    let agent = Agent::running();
    let (mut source, driver) = within(agent.client().x509_source()).await.unwrap();
    let driver = tokio::spawn(driver);
    assert_eq!(path_of(&source.current().unwrap()), "/first");
    for n in 0..20 {
        agent.publish(&format!("/{n}"));
        let context = within(source.changed()).await.unwrap();
        assert_eq!(path_of(&context), format!("/{n}"), "WAPI-20 +");
    }
    assert_eq!(agent.asked.load(SeqCst), 1, "WAPI-07 +");
    driver.abort();
    let _aborted = driver.await;
    assert_eq!(source.changed().await.unwrap_err(), SourceError::Closed);
    assert!(source.current().is_ok(), "what there is stays");
}

#[tokio::test]
async fn a_restart_of_the_agent_is_survived() {
    let agent = Agent::running();
    let (mut source, driver) = within(agent.client().x509_source()).await.unwrap();
    let (mut bundles, jwt_driver) = within(agent.client().jwt_source()).await.unwrap();
    tokio::spawn(driver);
    tokio::spawn(jwt_driver);

    agent.stop().await;
    let kept = source.current();
    assert_eq!(path_of(&kept.unwrap()), "/first", "WAPI-33 +, AMB-31 +");
    assert!(bundles.current().is_ok());
    agent.publish("/second");
    agent.start();
    let context = within(source.changed()).await.unwrap();
    assert_eq!(path_of(&context), "/second", "WAPI-08 +, WEP-17 +");
    within(bundles.changed()).await.unwrap();
    assert_eq!(
        agent.refused.load(SeqCst),
        0,
        "WEP-06 +: the header after a reconnection too"
    );
}

#[tokio::test]
async fn a_denied_permission_withdraws_and_a_late_entry_brings_back() {
    let agent = Agent::running();
    agent.refuse(Refusal::permission_denied("no entry matches"));
    let client = agent.client();
    let waiting = tokio::spawn(async move { client.x509_source().await });
    until(|| agent.asked.load(SeqCst) >= 3).await;
    agent.publish("/late");
    let (mut source, driver) = within(waiting).await.unwrap().unwrap();
    tokio::spawn(driver);
    assert_eq!(
        path_of(&source.current().unwrap()),
        "/late",
        "WEP-18 +, WAPI-32 +"
    );

    agent.refuse(Refusal::permission_denied("no entry matches"));
    let withdrawn = within(source.changed()).await.unwrap_err();
    assert_eq!(withdrawn, SourceError::Withdrawn, "WAPI-33 −, AMB-31");
    assert_eq!(source.current().unwrap_err(), SourceError::Withdrawn);
    agent.publish("/back");
    assert_eq!(
        path_of(&within(source.changed()).await.unwrap()),
        "/back",
        "WAPI-32 +"
    );
}

#[tokio::test]
async fn jwt_bundles_are_withdrawn_as_well() {
    let agent = Agent::running();
    let (mut source, driver) = within(agent.client().jwt_source()).await.unwrap();
    tokio::spawn(driver);
    let refusal = Refusal::permission_denied("no entry matches");
    let _before = agent.jwt.send_replace(Err(refusal));
    let withdrawn = within(source.changed()).await.unwrap_err();
    assert_eq!(withdrawn, SourceError::Withdrawn, "WAPI-51 −, WAPI-37");
    let _before = agent.jwt.send_replace(Ok(jwt_bundles(&agent.authority)));
    within(source.changed()).await.unwrap();
}

#[tokio::test]
async fn what_can_never_succeed_ends_the_watch() {
    for code in [Code::InvalidArgument, Code::Unimplemented] {
        let agent = Agent::running();
        let (source, driver) = within(agent.client().x509_source()).await.unwrap();
        let driver = tokio::spawn(driver);
        agent.refuse(Refusal::new(code, "never"));
        let error = within(driver).await.unwrap();
        assert_eq!(error.code(), Some(code), "WEP-16 +, WEP-20 +");
        assert!(error.to_string().contains("never"));
        assert_eq!(
            agent.asked.load(SeqCst),
            1,
            "WEP-16 −, WAPI-59 −: not tried again"
        );
        assert!(source.current().is_ok());

        let error = within(agent.client().x509_source()).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
    }
}

#[tokio::test]
async fn a_bad_answer_is_discarded_and_the_stream_goes_on() {
    let agent = Agent::running();
    let (mut source, driver) = within(agent.client().x509_source()).await.unwrap();
    tokio::spawn(driver);
    let mut without_key = x509_response(&agent.authority, "/bad");
    without_key.svids[0].x509_svid_key.clear();
    let _before = agent.x509.send_replace(Ok(Message::encode(&without_key)));
    // The bad one has been taken before the good one is there.
    until(|| agent.told.load(SeqCst) == 2).await;
    agent.publish("/good");
    assert_eq!(
        path_of(&within(source.changed()).await.unwrap()),
        "/good",
        "WAPI-17 +"
    );
    assert_eq!(agent.asked.load(SeqCst), 1, "WAPI-17 +: the stream stays");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unavailable() {
    let endpoint = "unix:/nonexistent/agent.sock".parse().unwrap();
    let client = WorkloadClient::new(endpoint, BACKEND);
    let error = within(client.fetch_x509()).await.unwrap_err();
    let ClientError::Status { code, message } = error else {
        panic!("{error:?}");
    };
    assert_eq!(code, Code::Unavailable, "WEP-17");
    assert!(message.contains("No such file"), "{message}");
}

#[tokio::test]
async fn a_tcp_endpoint_works_too() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("tcp://{}", listener.local_addr().unwrap());
    let endpoint: Endpoint = uri.parse().unwrap();
    let agent = Agent::running();
    // A pipe between the TCP port and the agent's socket.
    let socket = agent.socket();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut unix = UnixStream::connect(socket).await.unwrap();
        tokio::io::copy_bidirectional(&mut tcp, &mut unix).await
    });
    let client = WorkloadClient::new(endpoint, BACKEND);
    let context = within(client.fetch_x509()).await.unwrap();
    assert_eq!(path_of(&context), "/first", "WEP-04 +, WEP-09 +");
}
