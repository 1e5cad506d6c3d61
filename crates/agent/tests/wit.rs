//! The WIT-SVID profile: who gets what, and what happens to it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod served;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_agent::{Settings, audit::AuditOptions, key_store::DataDir};
use plastron_authority::{Authority, KeyStore as _, Policy};
use plastron_bundle::Bundle;
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey};
use plastron_keys_aws_lc::AwsLc;
use plastron_mint::WorkloadProofRequest;
use plastron_svid::{WitSvid, WitVerifier, WorkloadProof};
use plastron_wire::{agent::v1 as operator, workload::*};
use served::{Different, Served, mine, next, serve, serve_differently};
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

fn parse(svid: &Witsvid) -> WitSvid {
    let id = svid.spiffe_id.parse().unwrap();
    // WAPI-62 +, WAPI-63 +
    WitSvid::parse_insecure(
        &id,
        &svid.wit_svid,
        &svid.wit_svid_key,
        &svid.hint,
        unix_now(),
    )
    .unwrap()
}

async fn bundle(agent: &Served) -> Bundle {
    let mut client = agent.client().await;
    let stream = client.fetch_wit_bundles(WitBundlesRequest {}).await;
    let bundles = next(&mut stream.unwrap().into_inner()).await.unwrap();
    // WAPI-65 +, WAPI-66 +: the own domain, by its SPIFFE ID.
    assert_eq!(bundles.bundles.keys().collect::<Vec<_>>(), [OWN]);
    let jwks = bundles.bundles[OWN].as_bytes();
    let parsed = Bundle::parse_wit_jwks("example.org".parse().unwrap(), jwks).unwrap();
    assert_eq!(parsed.skipped, [], "WAPI-66 +: a kid everywhere");
    parsed.bundle
}

#[tokio::test]
async fn both_calls_are_unimplemented_while_the_profile_is_off() {
    let agent = serve([mine("/cart").build().unwrap()]);
    let mut client = agent.client().await;
    for spiffe_id in ["", "spiffe://example.org/cart", "no ID"] {
        let refused = client.fetch_witsvid(asking(spiffe_id)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "WAPI-58 +, STAB-03 −");
    }
    let refused = client.fetch_wit_bundles(WitBundlesRequest {}).await;
    assert_eq!(
        refused.unwrap_err().code(),
        Code::Unimplemented,
        "WAPI-58 +"
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
    let mut client = agent.client().await;
    let mut stream = client.fetch_witsvid(asking("")).await.unwrap().into_inner();
    let svids = next(&mut stream).await.unwrap().svids;
    let names: Vec<_> = svids
        .iter()
        .map(|svid| (svid.spiffe_id.as_str(), svid.hint.as_str()))
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
    for svid in svids.iter().map(parse) {
        let key = svid.private_key(&AwsLc).unwrap();
        let proof = WorkloadProofRequest::new(svid.token(), &*key, "audience")
            .unwrap()
            .sign("1", now())
            .unwrap();
        let proof = WorkloadProof::new(&proof.token, &["audience"]);
        let verified = WitVerifier::new(AwsLc.algorithms())
            .verify(svid.token(), &proof, &bundle, unix_now())
            .unwrap();
        assert_eq!(verified.id(), svid.id().as_ref());
        let lifetime = verified.expires_at().as_secs() - verified.issued_at().unwrap().as_secs();
        // WIT-30 +
        assert_eq!(lifetime, 3600);
    }
    // WIT-49 +: a key for each identity.
    assert_ne!(svids[0].wit_svid_key, svids[1].wit_svid_key);
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
    let mut client = agent.client().await;
    let bank = "spiffe://example.org/bank";
    let mut stream = client
        .fetch_witsvid(asking(bank))
        .await
        .unwrap()
        .into_inner();
    let svids = next(&mut stream).await.unwrap().svids;
    assert_eq!(svids.len(), 1, "WAPI-60 +");
    assert_eq!(svids[0].spiffe_id, bank, "WAPI-60 +");
    for (spiffe_id, code) in [
        ("spiffe://example.org/other", Code::PermissionDenied),
        ("spiffe://example.org/bank/", Code::InvalidArgument),
    ] {
        let refused = client.fetch_witsvid(asking(spiffe_id)).await.unwrap_err();
        assert_eq!(refused.code(), code, "WAPI-64 −: {spiffe_id}");
    }
    // An entitlement that is gone ends the stream, though others are left.
    agent.replace([mine("/cart").build().unwrap()]).await;
    let ended = next(&mut stream).await.unwrap_err();
    assert_eq!(ended.code(), Code::PermissionDenied, "WAPI-19 +");
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
    let mut client = agent.client().await;
    let mut stream = client.fetch_witsvid(asking("")).await.unwrap().into_inner();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let svid = next(&mut stream).await.unwrap().svids.remove(0);
        // Nobody is given an expired one.
        parse(&svid);
        keys.push(svid.wit_svid_key);
    }
    keys.dedup();
    assert_eq!(keys.len(), 3, "WIT-49 +");
}

#[tokio::test]
async fn the_same_token_goes_to_all_who_are_one_workload() {
    let agent = serve_differently([mine("/cart").build().unwrap()], on());
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let mut client = agent.client().await;
        let mut stream = client.fetch_witsvid(asking("")).await.unwrap().into_inner();
        tokens.push(next(&mut stream).await.unwrap().svids.remove(0).wit_svid);
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

    let mut client = agent.client().await;
    let stream = client.fetch_jwt_bundles(JwtBundlesRequest {}).await;
    let jwks = next(&mut stream.unwrap().into_inner()).await.unwrap();
    let jwks = Bundle::parse_jwks("example.org".parse().unwrap(), &jwks.bundles[OWN]).unwrap();
    // WAPI-48 −, AMB-32 −
    assert_eq!(jwks.bundle.jwt_authorities().len(), 1);
    for authority in after.wit_authorities() {
        assert!(jwks.bundle.jwt_authority(authority.key_id()).is_none());
        // WIT-44 +
        assert!(before.jwt_authority(authority.key_id()).is_none());
    }
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
