//! WIT-SVIDs and their bundles.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use plastron_bundle::{BundleSet, JsonError, WitBundleSource as _};
use plastron_keys::KeyError;
use plastron_source::{NoSuchSvid, SourceError, SvidPicker};
use plastron_svid::{WitError, WitSvid, WitSvidError};
use plastron_testing::{Authority, BACKEND};
use plastron_wire::workload::{JwtBundlesResponse, WitBundlesResponse, Witsvid, WitsvidResponse};
use plastron_workload_api::{Message, Refusal};
use plastron_workload_client::{ClientError, ResponseError};
use tonic::Code;

use super::{until, within};
use crate::agent::{Agent, now};

const DAY: Duration = Duration::from_secs(86_400);

fn wire(authority: &Authority, path: &str, hint: &str) -> Witsvid {
    let svid = authority.wit_svid(path, now());
    Witsvid {
        spiffe_id: authority.id(path).to_string(),
        wit_svid: svid.token,
        wit_svid_key: svid.private_jwk,
        hint: hint.into(),
    }
}

fn svids(svids: Vec<Witsvid>) -> Message {
    Message::encode(&WitsvidResponse { svids })
}

/// A bundle of the trust domain whose content says this.
fn bundle(key: &str, jwks: impl Into<String>) -> Message {
    Message::encode(&WitBundlesResponse {
        bundles: [(key.to_owned(), jwks.into())].into(),
    })
}

fn jwks(authority: &Authority) -> String {
    String::from_utf8(authority.wit_bundle().wit_jwks()).unwrap()
}

/// An agent with the profile.
fn running() -> Arc<Agent> {
    let agent = Agent::running();
    tell(&agent, svids(vec![wire(&agent.authority, "/first", "")]));
    tell_bundles(
        &agent,
        bundle("spiffe://example.org", jwks(&agent.authority)),
    );
    agent
}

fn tell(agent: &Agent, message: Message) {
    let _before = agent.wit.send_replace(Ok(message));
}

fn tell_bundles(agent: &Agent, message: Message) {
    let _before = agent.wit_bundles.send_replace(Ok(message));
}

fn paths(svids: &[WitSvid]) -> Vec<&str> {
    svids.iter().map(|svid| svid.id().path()).collect()
}

fn response(error: ClientError) -> ResponseError {
    match error {
        ClientError::Response(error) => error,
        error => panic!("{error:?}"),
    }
}

fn keys(bundles: &BundleSet, authority: &Authority) -> usize {
    let authorities = bundles.wit_authorities(authority.trust_domain().as_ref());
    authorities.map_or(0, <[_]>::len)
}

#[tokio::test]
async fn all_identities_come_in_their_order_the_first_of_each_hint() {
    let agent = running();
    let client = agent.client();
    let own = |path, hint| wire(&agent.authority, path, hint);
    tell(
        &agent,
        svids(vec![
            own("/b", "main"),
            own("/a", ""),
            own("/c", "main"),
            own("/d", "other"),
            own("/e", ""),
        ]),
    );
    let got = within(client.fetch_wit_svids(None)).await.unwrap();
    assert_eq!(
        *agent.wit_id.lock().unwrap(),
        "",
        "WAPI-60 +: nobody in particular"
    );
    assert_eq!(paths(&got), ["/b", "/a", "/d", "/e"], "WAPI-64 +");
    let pick = |picker: SvidPicker<WitSvid>| picker.pick(&got).map(|svid| svid.id().path());
    assert_eq!(pick(SvidPicker::First), Ok("/b"), "WAPI-68 +");
    assert_eq!(
        pick(SvidPicker::Hint("other".into())),
        Ok("/d"),
        "WAPI-69 +"
    );
    let missing = pick(SvidPicker::Hint("none".into()));
    assert_eq!(missing, Err(NoSuchSvid), "WAPI-69 −");
    for svid in &got {
        let key = svid.private_key(&BACKEND);
        assert!(key.is_ok(), "WAPI-62 +: {svid:?}");
    }

    let bundles = within(client.fetch_wit_bundles()).await.unwrap();
    assert_eq!(keys(&bundles, &agent.authority), 1, "WAPI-65 +");
    assert_eq!(
        agent.refused.load(SeqCst),
        0,
        "WEP-06 +: the header was on both"
    );
}

#[tokio::test]
async fn one_identity_may_be_asked_for_and_no_other_is_taken() {
    let agent = running();
    let asked = agent.authority.id("/asked");
    tell(&agent, svids(vec![wire(&agent.authority, "/asked", "")]));
    let (mut source, driver) = within(agent.client().wit_source(Some(&asked)))
        .await
        .unwrap();
    tokio::spawn(driver);
    assert_eq!(paths(&source.current().unwrap()), ["/asked"]);
    assert_eq!(*agent.wit_id.lock().unwrap(), asked.as_str(), "WAPI-60 +");

    tell(&agent, svids(vec![wire(&agent.authority, "/first", "")]));
    let refused = within(agent.client().fetch_wit_svids(Some(&asked))).await;
    let not_asked = ResponseError::NotAsked {
        asked,
        found: agent.authority.id("/first"),
    };
    assert_eq!(response(refused.unwrap_err()), not_asked, "WAPI-60 −");
    until(|| agent.told.load(SeqCst) == 3).await;
    tell(
        &agent,
        svids(vec![wire(&agent.authority, "/asked", "again")]),
    );
    let again = within(source.changed()).await.unwrap();
    assert_eq!(again[0].hint(), "again", "the other one was not shown");
}

#[tokio::test]
async fn svids_that_break_a_rule_are_refused_whole() {
    let agent = running();
    let own = || wire(&agent.authority, "/a", "");
    let of = |source| ResponseError::WitSvid {
        id: agent.authority.id("/a"),
        source,
    };
    let yesterday = agent.authority.wit_svid("/a", now() - DAY);
    for (rule, svid, want) in [
        (
            "WAPI-61 −",
            Witsvid {
                spiffe_id: String::new(),
                ..own()
            },
            ResponseError::Empty("spiffe_id"),
        ),
        (
            "WAPI-61 −",
            Witsvid {
                wit_svid: String::new(),
                ..own()
            },
            ResponseError::Empty("wit_svid"),
        ),
        (
            "WAPI-61 −",
            Witsvid {
                wit_svid_key: String::new(),
                ..own()
            },
            ResponseError::Empty("wit_svid_key"),
        ),
        (
            "WAPI-63 −: another's key",
            Witsvid {
                wit_svid_key: own().wit_svid_key,
                ..own()
            },
            of(WitSvidError::OtherKey),
        ),
        (
            "WAPI-63 −: another's token",
            Witsvid {
                wit_svid: wire(&agent.authority, "/b", "").wit_svid,
                ..own()
            },
            of(WitSvidError::OtherId),
        ),
        (
            "WAPI-62 −: a public key",
            Witsvid {
                wit_svid_key: own().wit_svid_key.replace("\"d\":", "\"D\":"),
                ..own()
            },
            of(WitSvidError::Key(KeyError::Malformed)),
        ),
        (
            "WAPI-62 −: no JSON",
            Witsvid {
                wit_svid_key: "-----BEGIN PRIVATE KEY-----".into(),
                ..own()
            },
            of(WitSvidError::Json(JsonError::Syntax)),
        ),
    ] {
        tell(&agent, svids(vec![own(), svid]));
        let error = within(agent.client().fetch_wit_svids(None))
            .await
            .unwrap_err();
        assert_eq!(response(error), want, "{rule}");
    }
    let expired = Witsvid {
        wit_svid: yesterday.token,
        wit_svid_key: yesterday.private_jwk,
        ..own()
    };
    tell(&agent, svids(vec![expired]));
    let error = within(agent.client().fetch_wit_svids(None))
        .await
        .unwrap_err();
    let ResponseError::WitSvid { source, .. } = response(error) else {
        panic!("an expired token");
    };
    let is_expired = matches!(source, WitSvidError::Token(WitError::Expired { .. }));
    assert!(is_expired, "WIT-49 −: {source:?}");

    tell(&agent, svids(vec![]));
    let error = within(agent.client().fetch_wit_svids(None))
        .await
        .unwrap_err();
    assert_eq!(response(error), ResponseError::Empty("svids"), "WAPI-61 −");
}

#[tokio::test]
async fn bundles_have_keys_for_wit_svids_alone() {
    let agent = running();
    let jwks = jwks(&agent.authority);
    let without_use = jwks.replace("\"use\":\"wit-svid\",", "");
    assert_ne!(without_use, jwks);
    let key = "spiffe://example.org";
    for (rule, content, want) in [
        ("WAPI-67 +", jwks.clone(), 1),
        ("WAPI-67 +: no use", without_use, 1),
        ("WAPI-67 −", jwks.replace("wit-svid", "jwt-svid"), 0),
        ("WAPI-66 −: no kid", jwks.replace("\"kid\":", "\"id\":"), 0),
    ] {
        tell_bundles(&agent, bundle(key, content));
        let bundles = within(agent.client().fetch_wit_bundles()).await.unwrap();
        assert_eq!(keys(&bundles, &agent.authority), want, "{rule}");
        let name = agent.authority.trust_domain().as_ref();
        let jwt = bundles.get(name).unwrap().jwt_authorities();
        assert!(jwt.is_empty(), "WAPI-66 −: for no JWT-SVID");
    }
}

#[tokio::test]
async fn bundles_that_break_a_rule_are_refused_whole() {
    let agent = running();
    let other = jwks(&Authority::new("example.org"));
    let own = "spiffe://example.org";
    type Expected = fn(&ResponseError) -> bool;
    let cases: [(&str, Message, Expected); 4] = [
        (
            "WAPI-66 −",
            Message::encode(&WitBundlesResponse::default()),
            |e| *e == ResponseError::Empty("bundles"),
        ),
        ("WAPI-65 −", bundle(own, "-----BEGIN"), |e| {
            matches!(e, ResponseError::Bundle { .. })
        }),
        (
            "AMB-42 −",
            bundle("spiffe://example.org/a", other.clone()),
            |e| matches!(e, ResponseError::TrustDomain(_)),
        ),
        (
            "AMB-36 −",
            Message::encode(&WitBundlesResponse {
                bundles: [
                    (own.to_owned(), jwks(&agent.authority)),
                    ("example.org".to_owned(), other),
                ]
                .into(),
            }),
            |e| matches!(e, ResponseError::ConflictingBundles(_)),
        ),
    ];
    for (rule, message, is_expected) in cases {
        tell_bundles(&agent, message);
        let error = within(agent.client().fetch_wit_bundles())
            .await
            .unwrap_err();
        let error = response(error);
        assert!(is_expected(&error), "{rule}: {error:?}");
    }
    // JWT bundles have the same fields, of bytes.
    let not_utf8 = JwtBundlesResponse {
        bundles: [(own.to_owned(), vec![b'{', 0xff, b'}'].into())].into(),
    };
    tell_bundles(&agent, Message::encode(&not_utf8));
    let error = within(agent.client().fetch_wit_bundles())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::Internal), "WAPI-65 −: {error}");
}

#[tokio::test]
async fn sources_follow_rotations_and_keep_what_they_have_over_a_bad_answer() {
    let agent = running();
    let client = agent.client();
    let (mut source, driver) = within(client.wit_source(None)).await.unwrap();
    let (mut bundles, bundle_driver) = within(client.wit_bundle_source()).await.unwrap();
    tokio::spawn(driver);
    tokio::spawn(bundle_driver);
    let first = source.current().unwrap();
    tell(&agent, svids(vec![wire(&agent.authority, "/first", "")]));
    let renewed = within(source.changed()).await.unwrap();
    let public = |svid: &WitSvid| svid.private_key(&BACKEND).unwrap().public_key().clone();
    assert_ne!(
        public(&first[0]),
        public(&renewed[0]),
        "WIT-49 +: the key is new too"
    );

    let next = Authority::new("example.org");
    tell_bundles(&agent, bundle("example.org", jwks(&next)));
    let rotated = within(bundles.changed()).await.unwrap();
    let key = |bundles: &BundleSet| {
        let name = next.trust_domain().as_ref();
        bundles.get(name).unwrap().wit_authorities()[0]
            .public_key()
            .clone()
    };
    assert_eq!(
        key(&rotated),
        next.wit_bundle().wit_authorities()[0].public_key().clone()
    );

    let told = agent.told.load(SeqCst);
    tell(&agent, svids(vec![]));
    tell_bundles(&agent, bundle("example.org", "no JSON"));
    // The bad ones have been taken before the good ones are there.
    until(|| agent.told.load(SeqCst) == told + 2).await;
    tell(&agent, svids(vec![wire(&agent.authority, "/good", "")]));
    assert_eq!(
        paths(&within(source.changed()).await.unwrap()),
        ["/good"],
        "WAPI-17 +"
    );
    tell_bundles(&agent, bundle("example.org", jwks(&agent.authority)));
    let good = within(bundles.changed()).await.unwrap();
    assert_ne!(key(&good), key(&rotated), "WAPI-17 +");
    assert_eq!(agent.asked.load(SeqCst), 2, "WAPI-07 +: the streams stay");
}

#[tokio::test]
async fn a_denied_permission_withdraws_both() {
    let agent = running();
    let client = agent.client();
    let (mut source, driver) = within(client.wit_source(None)).await.unwrap();
    let (mut bundles, bundle_driver) = within(client.wit_bundle_source()).await.unwrap();
    tokio::spawn(driver);
    tokio::spawn(bundle_driver);
    let refusal = || Err(Refusal::permission_denied("no entry matches"));
    let _before = agent.wit.send_replace(refusal());
    let withdrawn = within(source.changed()).await.unwrap_err();
    assert_eq!(withdrawn, SourceError::Withdrawn, "WAPI-64 −");
    let _before = agent.wit_bundles.send_replace(refusal());
    let withdrawn = within(bundles.changed()).await.unwrap_err();
    assert_eq!(withdrawn, SourceError::Withdrawn, "WAPI-66 −");

    tell(&agent, svids(vec![wire(&agent.authority, "/back", "")]));
    let back = within(source.changed()).await.unwrap();
    assert_eq!(paths(&back), ["/back"], "WAPI-64 +: tried again");
    tell_bundles(&agent, bundle("example.org", jwks(&agent.authority)));
    let back = within(bundles.changed()).await.unwrap();
    assert_eq!(keys(&back, &agent.authority), 1, "WAPI-66 +: tried again");
}

#[tokio::test]
async fn an_agent_without_the_profile_is_asked_once() {
    let agent = Agent::running();
    let client = agent.client();
    let error = within(client.fetch_wit_svids(None)).await.unwrap_err();
    assert!(error.is_unimplemented(), "{error}");
    let error = within(client.wit_bundle_source()).await.unwrap_err();
    assert!(error.is_unimplemented(), "{error}");
    let error = within(client.wit_source(None)).await.unwrap_err();
    assert!(error.is_unimplemented() && error.to_string().contains("profile"));
    assert_eq!(agent.asked.load(SeqCst), 3, "WAPI-59 −: not tried again");
}
