//! What an attestor cannot say in time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "other tests need the rest of it")]
mod served;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use plastron_attest::{
    AttestError, Attested, BoxFuture, Evidence, Interest, Peer, WorkloadAttestor,
};
use plastron_wire::workload::X509svidRequest;
use served::{Different, PATIENCE, entry, next, serve_differently};
use tonic::Code;

/// Cannot say everything at the first look.
struct Slow(AtomicBool);

impl WorkloadAttestor for Slow {
    fn selector_kind(&self) -> &'static str {
        "slow"
    }

    fn attest<'a>(
        &'a self,
        _: &'a Peer,
        _: &'a Interest,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        let unfinished = !self.0.swap(true, Relaxed);
        let selectors: &[&str] = if unfinished { &[] } else { &["slow:name:x"] };
        let evidence = Evidence {
            selectors: selectors.iter().map(|text| text.parse().unwrap()).collect(),
            unfinished,
            ..Evidence::default()
        };
        Box::pin(async { Ok(Attested::Evidence(evidence)) })
    }
}

#[tokio::test]
async fn what_could_not_be_established_in_time_reaches_the_same_connection_later() {
    let slow = entry("/slow", &["slow:name:x"]).build().unwrap();
    let agent = serve_differently(
        [slow],
        Different {
            attestors: vec![Box::new(Slow(false.into()))],
            ..Different::default()
        },
    );
    let mut client = agent.client().await;
    let mut ask = async || {
        let opened = client.fetch_x509svid(X509svidRequest {}).await;
        next(&mut opened?.into_inner()).await
    };
    let refused = ask().await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "it is not known yet");
    let again = async {
        loop {
            match ask().await {
                Err(status) if status.code() == Code::Unavailable => {}
                done => return done,
            }
        }
    };
    let response = tokio::time::timeout(PATIENCE, again).await;
    let svids = response.unwrap().unwrap().svids;
    assert_eq!(svids[0].spiffe_id, "spiffe://example.org/slow");
}
