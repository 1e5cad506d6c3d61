//! The WIT-SVID profile: who gets what, and what happens to it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod served;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_agent::{Settings, audit::AuditOptions, key_store::DataDir};
use plastron_authority::{Authority, KeyStore as _, Policy};
use plastron_bundle::Bundle;
use plastron_id::TrustDomain;
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey, PublicKey};
use plastron_keys_aws_lc::AwsLc;
use plastron_mint::WorkloadProofRequest;
use plastron_source::SourceError;
use plastron_svid::{WitSvid, WitVerifier, WorkloadProof};
use plastron_wire::{agent::v1 as operator, workload::*};
use plastron_workload_client::{Endpoint, WorkloadClient};
use served::{Different, PATIENCE, Served, mine, next, serve, serve_differently};
use tonic::Code;

const OWN: &str = "spiffe://example.org";

/// Settings and policy with the profile on.
fn on() -> Different {
    let mut settings = Settings::new("example.org".parse().unwrap());
    settings.wit_svid = true;
    Different {
        settings,
        policy: Policy {
            wit_key_type: Some(KeyType::EcP256),
            ..Policy::default()
        },
        ..Different::default()
    }
}

fn asking(spiffe_id: &str) -> WitsvidRequest {
    WitsvidRequest {
        spiffe_id: spiffe_id.into(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the agent under test reads this clock"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn unix_now() -> UnixTime {
    UnixTime::since_unix_epoch(now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

/// A client that refuses token, key and ID that do not belong together.
fn client(agent: &Served) -> WorkloadClient {
    WorkloadClient::new(Endpoint::unix(&agent.socket).unwrap(), AwsLc)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("an agent that answers")
}

async fn bundle(agent: &Served) -> Arc<Bundle> {
    let bundles = within(client(agent).fetch_wit_bundles()).await.unwrap();
    assert_eq!(bundles.len(), 1, "nobody else's");
    let own = bundles.get(trust_domain().as_ref());
    own.expect("WAPI-66 +: the own domain").clone()
}

fn trust_domain() -> TrustDomain {
    "example.org".parse().unwrap()
}

/// The public half of its key.
fn key(svid: &WitSvid) -> PublicKey {
    svid.private_key(&AwsLc).unwrap().public_key().clone()
}

#[tokio::test]
async fn both_calls_are_unimplemented_while_the_profile_is_off() {
    let agent = serve([mine("/cart").build().unwrap()]);
    let mut client = agent.client().await;
    for spiffe_id in ["", "spiffe://example.org/cart", "no ID"] {
        let refused = client.fetch_witsvid(asking(spiffe_id)).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Code::Unimplemented,
            "WAPI-03 +, WAPI-58 +/−, STAB-03 −: tokens"
        );
    }
    let refused = client.fetch_wit_bundles(WitBundlesRequest {}).await;
    assert_eq!(
        refused.unwrap_err().code(),
        Code::Unimplemented,
        "WAPI-58 +/−: bundles"
    );
    let rotation = operator::RotateAuthorityRequest {
        kind: operator::AuthorityKind::Wit.into(),
    };
    let refused = agent.operator().await.rotate_authority(rotation).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    agent.stop().await;
}

#[tokio::test]
async fn a_process_gets_tokens_for_all_its_identities_with_their_keys() {
    let agent = serve_differently(
        [
            mine("/cart").hint("cart").build().unwrap(),
            mine("/bank").build().unwrap(),
        ],
        on(),
    );
    let svids = within(client(&agent).fetch_wit_svids(None)).await.unwrap();
    let names: Vec<_> = svids
        .iter()
        .map(|svid| (svid.id().as_str(), svid.hint()))
        .collect();
    // WAPI-61 +, WAPI-64 +, WAPI-68 +
    assert_eq!(
        names,
        [
            ("spiffe://example.org/cart", "cart"),
            ("spiffe://example.org/bank", "")
        ]
    );
    let bundle = bundle(&agent).await;
    for svid in &svids {
        // WAPI-62 +
        let key = svid.private_key(&AwsLc).unwrap();
        let proof = WorkloadProofRequest::new(svid.token(), &*key, "audience")
            .unwrap()
            .sign("1", now())
            .unwrap();
        let proof = WorkloadProof::new(&proof.token, &["audience"]);
        let verified = WitVerifier::new(AwsLc.algorithms())
            .verify(svid.token(), &proof, &*bundle, unix_now())
            .unwrap();
        assert_eq!(verified.id(), svid.id().as_ref());
        let lifetime = verified.expires_at().as_secs() - verified.issued_at().unwrap().as_secs();
        // WIT-30 +
        assert_eq!(lifetime, 3600);
    }
    // WIT-49 +: a key for each identity.
    assert_ne!(key(&svids[0]), key(&svids[1]));
    agent.stop().await;
}

#[tokio::test]
async fn one_identity_may_be_asked_for() {
    let agent = serve_differently(
        [
            mine("/cart").build().unwrap(),
            mine("/bank").build().unwrap(),
        ],
        on(),
    );
    let bank = "spiffe://example.org/bank".parse().unwrap();
    let (mut source, driver) = within(client(&agent).wit_source(Some(&bank)))
        .await
        .unwrap();
    tokio::spawn(driver);
    let svids = source.current().unwrap();
    assert_eq!(svids.len(), 1, "WAPI-60 +");
    assert_eq!(*svids[0].id(), bank, "WAPI-60 +");
    let mut client = agent.client().await;
    for (spiffe_id, code) in [
        ("spiffe://example.org/other", Code::PermissionDenied),
        ("spiffe://example.org/bank/", Code::InvalidArgument),
    ] {
        let refused = client.fetch_witsvid(asking(spiffe_id)).await.unwrap_err();
        assert_eq!(refused.code(), code, "WAPI-64 −: {spiffe_id}");
    }
    // An entitlement that is gone ends the stream, though others are left.
    agent.replace([mine("/cart").build().unwrap()]).await;
    let withdrawn = within(source.changed()).await.unwrap_err();
    assert_eq!(withdrawn, SourceError::Withdrawn, "WAPI-19 +");
}

#[tokio::test]
async fn a_process_without_entry_gets_permission_denied() {
    let agent = serve_differently([], on());
    let mut client = agent.client().await;
    let refused = client.fetch_witsvid(asking("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "WAPI-64 −");
    let refused = client.fetch_wit_bundles(WitBundlesRequest {}).await;
    assert_eq!(
        refused.unwrap_err().code(),
        Code::PermissionDenied,
        "WAPI-66 −"
    );
}

#[tokio::test]
async fn tokens_are_renewed_while_somebody_watches_each_with_a_new_key() {
    let mut different = on();
    different.settings.wit_svid_ttl = Duration::from_secs(2);
    let agent = serve_differently([mine("/cart").build().unwrap()], different);
    let (mut source, driver) = within(client(&agent).wit_source(None)).await.unwrap();
    tokio::spawn(driver);
    // None of them was expired: the client takes no such.
    let mut keys = vec![key(&source.current().unwrap()[0])];
    for _ in 0..2 {
        keys.push(key(&within(source.changed()).await.unwrap()[0]));
    }
    keys.dedup();
    assert_eq!(keys.len(), 3, "WIT-49 +");
}

#[tokio::test]
async fn the_same_token_goes_to_all_who_are_one_workload() {
    let agent = serve_differently([mine("/cart").build().unwrap()], on());
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let svids = within(client(&agent).fetch_wit_svids(None)).await.unwrap();
        tokens.push(svids[0].token().to_owned());
    }
    assert_eq!(tokens[0], tokens[1], "WIT-32 +");
}

#[tokio::test]
async fn keys_of_one_kind_are_in_no_set_of_another() {
    let agent = serve_differently([mine("/cart").build().unwrap()], on());
    let before = bundle(&agent).await;
    assert_eq!(before.wit_authorities().len(), 1);
    let rotation = operator::RotateAuthorityRequest {
        kind: operator::AuthorityKind::Wit.into(),
    };
    let mut operator = agent.operator().await;
    let rotated = operator.rotate_authority(rotation).await.unwrap();
    assert_eq!(rotated.into_inner().done.len(), 2);
    let after = bundle(&agent).await;
    // WIT-04 +, WIT-43 +
    assert_eq!(after.wit_authorities().len(), 2);
    assert_eq!(after.wit_authorities()[0], before.wit_authorities()[0]);

    let bundles = within(client(&agent).fetch_jwt_bundles()).await.unwrap();
    let jwt = bundles.get(trust_domain().as_ref()).unwrap();
    // WAPI-48 −, AMB-32 −
    assert_eq!(jwt.jwt_authorities().len(), 1);
    for authority in after.wit_authorities() {
        assert!(jwt.jwt_authority(authority.key_id()).is_none());
        // WIT-44 +
        assert!(before.jwt_authority(authority.key_id()).is_none());
    }
}

#[tokio::test]
async fn bundles_are_text_by_trust_domain() {
    let agent = serve_differently([mine("/cart").build().unwrap()], on());
    let mut client = agent.client().await;
    let stream = client.fetch_wit_bundles(WitBundlesRequest {}).await;
    let bundles = next(&mut stream.unwrap().into_inner()).await.unwrap();
    // WAPI-65 +
    assert_eq!(bundles.bundles.keys().collect::<Vec<_>>(), [OWN]);
    let jwks = bundles.bundles[OWN].as_bytes();
    let parsed = Bundle::parse_wit_jwks(trust_domain(), jwks).unwrap();
    assert_eq!(parsed.skipped, [], "WAPI-66 +: a kid everywhere");
}

#[tokio::test]
async fn each_release_is_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.jsonl");
    let key: Arc<dyn PrivateKey> = AwsLc.generate(KeyType::EcP256).unwrap().into();
    let options = AuditOptions::new(file.clone(), key, "example.org");
    let (audit, thread) = options.start().unwrap();
    let agent = serve_differently(
        [mine("/cart").build().unwrap()],
        Different { audit, ..on() },
    );
    let mut client = agent.client().await;
    let mut stream = client.fetch_witsvid(asking("")).await.unwrap().into_inner();
    let svid = next(&mut stream).await.unwrap().svids.remove(0);
    drop(stream);
    let refused = client.fetch_witsvid(asking("spiffe://example.org/x")).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    drop(client);
    agent.stop().await;
    tokio::task::spawn_blocking(move || thread.stop())
        .await
        .unwrap();
    let log = std::fs::read_to_string(&file).unwrap();
    assert!(log.contains("\"wit_svid\""), "{log}");
    assert!(log.contains("spiffe://example.org/cart"), "{log}");
    assert!(log.contains("FetchWITSVID"), "{log}");
    let payload = svid.wit_svid.split('.').nth(1).unwrap();
    assert!(!log.contains(payload), "the token is in no record");
}

#[test]
fn the_file_of_keys_is_one_that_older_programs_read_where_there_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = |name: &str| {
        let path = dir.path().join(name);
        let store = DataDir::open(&path).unwrap();
        let store = store.authority("example.org".parse().unwrap());
        (store, path.join("authority.json"))
    };
    let state = |wit_key_type| {
        let policy = Policy {
            wit_key_type,
            ..Policy::default()
        };
        let mut authority = Authority::new("example.org".parse().unwrap(), policy);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        authority.poll(start, &AwsLc).unwrap();
        authority.state()
    };
    for (name, state) in [
        ("without", state(None)),
        ("with", state(Some(KeyType::EcP256))),
    ] {
        let (store, file) = store(name);
        store.store(&state).unwrap();
        assert_eq!(store.load().unwrap().as_ref(), Some(&state), "{name}");
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text.contains("\"wit\""), name == "with", "{name}");
    }
}
