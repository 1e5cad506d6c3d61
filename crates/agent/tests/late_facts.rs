//! What an attestor cannot say in time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "other tests need the rest of it")]
mod served;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use plastron_attest::{
    AttestError, Attested, BoxFuture, Evidence, Interest, Peer, WorkloadAttestor,
};
use plastron_attest_unix::UnixAttestorOptions;
use plastron_wire::workload::{X509svidRequest, X509svidResponse};
use served::{Different, PATIENCE, entry, mine, next, serve_differently};
use sha2::{Digest as _, Sha256};
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

#[tokio::test]
async fn an_identity_by_uid_is_there_at_once_and_one_by_digest_follows_on_the_same_stream() {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let digest: String = Sha256::digest(program)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let by_uid = mine("/by-uid").build().unwrap();
    let by_digest = entry("/by-digest", &[&format!("unix:sha256:{digest}")]);
    let agent = serve_differently(
        [by_uid, by_digest.build().unwrap()],
        Different {
            // Nobody waits for a file that is not read yet.
            unix: UnixAttestorOptions::default().patience(Duration::ZERO),
            ..Different::default()
        },
    );
    let mut client = agent.client().await;
    let opened = client.fetch_x509svid(X509svidRequest {}).await;
    let mut stream = opened.unwrap().into_inner();
    let names = |response: X509svidResponse| {
        let mut ids: Vec<_> = response
            .svids
            .into_iter()
            .map(|svid| svid.spiffe_id)
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(
        names(next(&mut stream).await.unwrap()),
        ["spiffe://example.org/by-uid"]
    );
    assert_eq!(
        names(next(&mut stream).await.unwrap()),
        [
            "spiffe://example.org/by-digest",
            "spiffe://example.org/by-uid"
        ]
    );
}
