//! The Rust crate `spiffe`, a client that nobody here wrote.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod served;

use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_id::SpiffeId;
use plastron_keys::{KeyBackend as _, KeyType};
use plastron_keys_aws_lc::AwsLc;
use plastron_mint::{X509Issuer, self_signed_authority};
use plastron_wire::workload::{X509svid, X509svidResponse};
use plastron_workload_api::{Limits, Message, Refusal};
use served::{serve, within};
use spiffe::WorkloadApiClient;
use tokio_stream::StreamExt as _;

#[expect(
    clippy::disallowed_methods,
    reason = "a foreign client reads the clock"
)]
fn response(path: &str) -> Message {
    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let id: SpiffeId = format!("spiffe://example.org{path}").parse().unwrap();
    let ca_key = AwsLc.generate(KeyType::EcP256).unwrap();
    let key = AwsLc.generate(KeyType::EcP256).unwrap();
    let authority = self_signed_authority(
        &"example.org".parse().unwrap(),
        &*ca_key,
        &[1; 16],
        UnixTime::since_unix_epoch(seconds),
        UnixTime::since_unix_epoch(seconds + Duration::from_secs(3600)),
    )
    .unwrap();
    let svid = X509Issuer::new(&authority, &*ca_key)
        .unwrap()
        .x509_svid(&id, key.public_key())
        .lifetime(Duration::from_secs(600))
        .sign(&[2; 16], now)
        .unwrap();
    Message::encode(&X509svidResponse {
        svids: vec![X509svid {
            spiffe_id: id.to_string(),
            x509_svid: svid.der.into(),
            x509_svid_key: key.to_pkcs8().to_vec().into(),
            bundle: authority.into(),
            hint: "main".into(),
        }],
        ..Default::default()
    })
}

#[tokio::test]
async fn gets_and_watches_x509_svids() {
    let served = serve(Limits::default());
    served.publish(response("/first"));
    let client = WorkloadApiClient::connect_to(served.uri()).await.unwrap();

    let svid = within(client.fetch_x509_svid()).await.unwrap();
    assert_eq!(
        svid.spiffe_id().to_string(),
        "spiffe://example.org/first",
        "WEP-03 +"
    );
    let context = within(client.fetch_x509_context()).await.unwrap();
    assert_eq!(context.default_svid().unwrap().hint(), Some("main"));

    let mut contexts = client.stream_x509_contexts().await.unwrap();
    let first = within(contexts.next()).await.unwrap().unwrap();
    assert_eq!(first.default_svid().unwrap().spiffe_id().path(), "/first");
    served.publish(response("/second"));
    let second = within(contexts.next()).await.unwrap().unwrap();
    assert_eq!(
        second.default_svid().unwrap().spiffe_id().path(),
        "/second",
        "WAPI-11 +"
    );

    let gone = Err(Refusal::permission_denied("no entry matches"));
    let _before = served.stage.state.send_replace(gone);
    let error = within(contexts.next()).await.unwrap().unwrap_err();
    assert!(
        error.to_string().contains("no entry matches")
            || format!("{error:?}").contains("PermissionDenied"),
        "{error:?}"
    );
}

#[tokio::test]
async fn is_told_that_its_token_is_no_good() {
    let served = serve(Limits::default());
    let client = WorkloadApiClient::connect_to(served.uri()).await.unwrap();
    let error = within(client.validate_jwt_token("x", "bad"))
        .await
        .unwrap_err();
    assert!(error.is_invalid_argument(), "WAPI-55 +: {error:?}");
}
