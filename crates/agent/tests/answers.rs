//! Who gets what, and what happens to it: a real agent, a real socket, a generated client.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod served;

use std::time::{Duration, SystemTime};

use plastron_agent::Settings;
use plastron_authority::Policy;
use plastron_bundle::certificate::Certificate;
use plastron_bundle::{Bundle, BundleSet};
use plastron_wire::{agent::v1 as operator, workload::*};
use served::{Different, entry, mine, next, own_uid, serve, serve_differently};
use tonic::Code;

#[tokio::test]
async fn a_process_gets_the_identity_that_its_uid_earns() {
    let agent = serve([mine("/shop/cart")
        .hint("cart")
        .dns_names(["cart.internal"])
        .build()
        .unwrap()]);
    let mut stream = agent
        .client()
        .await
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    let response = next(&mut stream).await.unwrap();
    let [svid] = &response.svids[..] else {
        panic!("{} SVIDs", response.svids.len())
    };
    assert_eq!(
        (svid.spiffe_id.as_str(), svid.hint.as_str()),
        ("spiffe://example.org/shop/cart", "cart")
    );
    let (leaf, rest) = Certificate::parse_first(&svid.x509_svid).unwrap();
    // WAPI-24 +: nothing follows a leaf that the root signed.
    assert!(rest.is_empty());
    assert_eq!(leaf.uri_san(), Some(&b"spiffe://example.org/shop/cart"[..]));
    // WAPI-25 +: the key is PKCS#8 and belongs to the leaf.
    let key =
        plastron_keys::KeyBackend::from_pkcs8(&plastron_keys_aws_lc::AwsLc, &svid.x509_svid_key)
            .unwrap();
    assert_eq!(key.public_key().spki_der(), leaf.spki().der());
    let bundle = Bundle::from_der("example.org".parse().unwrap(), &svid.bundle)
        .unwrap()
        .bundle;
    assert_eq!(bundle.x509_authorities().len(), 1, "WAPI-26 +");
    agent.stop().await;
}

#[tokio::test]
async fn a_process_without_entry_gets_permission_denied_from_every_call() {
    let agent = serve([entry("/else", &["unix:uid:4294967"]).build().unwrap()]);
    let mut client = agent.client().await;
    let audience = || vec!["a".to_owned()];
    // WAPI-31 −, WAPI-37 −, WAPI-51 −, WAPI-45 −: nobody is told anything.
    let codes = [
        client
            .fetch_x509svid(X509svidRequest {})
            .await
            .map(drop)
            .unwrap_err()
            .code(),
        client
            .fetch_x509_bundles(X509BundlesRequest {})
            .await
            .map(drop)
            .unwrap_err()
            .code(),
        client
            .fetch_jwt_bundles(JwtBundlesRequest {})
            .await
            .map(drop)
            .unwrap_err()
            .code(),
        client
            .fetch_jwtsvid(JwtsvidRequest {
                audience: audience(),
                spiffe_id: String::new(),
            })
            .await
            .map(drop)
            .unwrap_err()
            .code(),
        client
            .validate_jwtsvid(ValidateJwtsvidRequest {
                audience: "a".into(),
                svid: "x".into(),
            })
            .await
            .map(drop)
            .unwrap_err()
            .code(),
    ];
    assert_eq!(codes, [Code::PermissionDenied; 5]);
}

#[tokio::test]
async fn bundles_are_for_everybody_when_the_operator_says_so() {
    let mut settings = Settings::new("example.org".parse().unwrap());
    settings.unauthenticated_bundles = true;
    let agent = serve_differently(
        [],
        Different {
            settings,
            ..Different::default()
        },
    );
    let mut client = agent.client().await;
    let mut bundles = client
        .fetch_x509_bundles(X509BundlesRequest {})
        .await
        .unwrap()
        .into_inner();
    let bundles = next(&mut bundles).await.unwrap().bundles;
    // WAPI-36 +: the own domain, by its SPIFFE ID.
    assert_eq!(bundles.keys().collect::<Vec<_>>(), ["spiffe://example.org"]);
    assert_eq!(
        client
            .fetch_x509svid(X509svidRequest {})
            .await
            .map(drop)
            .unwrap_err()
            .code(),
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn entries_that_come_and_go_reach_open_streams() {
    let cart = || mine("/cart").build().unwrap();
    let agent = serve([cart()]);
    let mut stream = agent
        .client()
        .await
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    let first = next(&mut stream).await.unwrap();
    assert_eq!(
        agent
            .replace([cart(), mine("/bank").build().unwrap()])
            .await,
        1
    );
    let second = next(&mut stream).await.unwrap();
    let ids: Vec<&str> = second
        .svids
        .iter()
        .map(|svid| svid.spiffe_id.as_str())
        .collect();
    assert_eq!(
        ids,
        ["spiffe://example.org/cart", "spiffe://example.org/bank"],
        "WAPI-10 +/−, WAPI-68 +: the whole state, with the default identity first"
    );
    assert_eq!(
        second.svids[0].x509_svid, first.svids[0].x509_svid,
        "what did not change is not signed anew"
    );
    assert_eq!(agent.replace([]).await, 1);
    assert_eq!(
        next(&mut stream).await.unwrap_err().code(),
        Code::PermissionDenied,
        "WAPI-19 +, WAPI-22 −: an entitlement that is gone ends the stream, and no empty list is sent"
    );
}

#[tokio::test]
async fn an_entry_that_expires_ends_the_stream() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the agent under test reads this clock"
    )]
    let end = SystemTime::now() + Duration::from_millis(1500);
    let agent = serve([mine("/brief").expires_at(end).build().unwrap()]);
    let mut stream = agent
        .client()
        .await
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    next(&mut stream).await.unwrap();
    assert_eq!(
        next(&mut stream).await.unwrap_err().code(),
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn svids_are_renewed_while_somebody_watches() {
    let agent = serve([mine("/cart")
        .x509_svid_ttl(Duration::from_secs(2))
        .build()
        .unwrap()]);
    let mut stream = agent
        .client()
        .await
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut leaves = Vec::new();
    for _ in 0..3 {
        let response = next(&mut stream).await.unwrap();
        let (leaf, _) = Certificate::parse_first(&response.svids[0].x509_svid).unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "what is delivered is judged by the clock that is"
        )]
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert!(
            leaf.not_after().as_secs() >= now.as_secs(),
            "nobody is given an expired one"
        );
        leaves.push((leaf.serial().to_vec(), leaf.spki().der().to_vec()));
    }
    leaves.sort();
    leaves.dedup();
    assert_eq!(leaves.len(), 3, "each with a serial and a key of its own");
}

#[tokio::test]
async fn a_rotated_authority_reaches_every_stream() {
    let agent = serve([mine("/cart").build().unwrap()]);
    let mut client = agent.client().await;
    let mut svids = client
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut jwt = client
        .fetch_jwt_bundles(JwtBundlesRequest {})
        .await
        .unwrap()
        .into_inner();
    let before = next(&mut svids).await.unwrap();
    next(&mut jwt).await.unwrap();
    let rotated = agent
        .operator()
        .await
        .rotate_authority(operator::RotateAuthorityRequest { kind: 0 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(rotated.done.len(), 4, "{:?}", rotated.done);
    let after = next(&mut svids).await.unwrap();
    let bundle = |response: &X509svidResponse| {
        Bundle::from_der("example.org".parse().unwrap(), &response.svids[0].bundle)
            .unwrap()
            .bundle
            .x509_authorities()
            .len()
    };
    assert_eq!((bundle(&before), bundle(&after)), (1, 2));
    let jwks = next(&mut jwt).await.unwrap().bundles["spiffe://example.org"].clone();
    let keys = Bundle::parse_jwks("example.org".parse().unwrap(), &jwks)
        .unwrap()
        .bundle;
    // WAPI-48 +: JWT keys and no others.
    assert_eq!(
        (keys.jwt_authorities().len(), keys.x509_authorities().len()),
        (2, 0)
    );
}

#[tokio::test]
async fn one_signature_serves_many_simultaneous_callers() {
    let agent = serve([mine("/cart").build().unwrap()]);
    let client = agent.client().await;
    let calls = (0..64).map(|_| {
        let mut client = client.clone();
        async move {
            let request = JwtsvidRequest {
                audience: vec!["bank".into()],
                spiffe_id: String::new(),
            };
            client
                .fetch_jwtsvid(request)
                .await
                .unwrap()
                .into_inner()
                .svids
                .remove(0)
                .svid
        }
    });
    let mut tokens = futures_util::future::join_all(calls).await;
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
}

#[tokio::test]
async fn a_token_is_valid_for_its_audience_and_for_no_other() {
    let agent = serve([mine("/cart").build().unwrap()]);
    let mut client = agent.client().await;
    let request = JwtsvidRequest {
        audience: vec!["bank".into(), "shop".into()],
        spiffe_id: "spiffe://example.org/cart".into(),
    };
    let svid = client
        .fetch_jwtsvid(request)
        .await
        .unwrap()
        .into_inner()
        .svids
        .remove(0);
    // WAPI-43 +: all fields are set but the hint, which the entry has not.
    assert_eq!(svid.spiffe_id, "spiffe://example.org/cart");
    assert_eq!(svid.svid.split('.').count(), 3, "{}", svid.svid);
    let validate = |audience: &str, svid: &str| ValidateJwtsvidRequest {
        audience: audience.into(),
        svid: svid.into(),
    };
    let valid = client
        .validate_jwtsvid(validate("shop", &svid.svid))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(valid.spiffe_id, "spiffe://example.org/cart");
    // WAPI-53 +: the claims that SPIFFE defines are there.
    let claims = valid.claims.unwrap().fields;
    assert!(
        ["sub", "aud", "exp", "iat", "jti"]
            .iter()
            .all(|claim| claims.contains_key(*claim)),
        "{claims:?}"
    );
    for (audience, svid) in [("bank2", svid.svid.as_str()), ("bank", "no.token.this")] {
        // WAPI-55 −: the code for what does not validate.
        assert_eq!(
            client
                .validate_jwtsvid(validate(audience, svid))
                .await
                .unwrap_err()
                .code(),
            Code::InvalidArgument
        );
    }
}

#[tokio::test]
async fn a_caller_may_ask_for_one_of_its_identities_and_for_nobody_elses() {
    let agent = serve([
        mine("/cart").build().unwrap(),
        mine("/bank").build().unwrap(),
    ]);
    let mut client = agent.client().await;
    for (asked, want) in [
        ("", Ok(2)),
        ("spiffe://example.org/bank", Ok(1)),
        ("spiffe://example.org/else", Err(Code::PermissionDenied)),
        ("spiffe://example.org/bank/", Err(Code::InvalidArgument)),
    ] {
        let request = JwtsvidRequest {
            audience: vec!["a".into()],
            spiffe_id: asked.into(),
        };
        let got = client
            .fetch_jwtsvid(request)
            .await
            .map(|response| response.into_inner().svids.len())
            .map_err(|status| status.code());
        // WAPI-41 +, WAPI-42 +, WAPI-43 +, WAPI-45 −
        assert_eq!(got, want, "{asked:?}");
    }
}

#[tokio::test]
async fn a_user_who_asks_for_ever_new_tokens_is_told_to_wait() {
    let mut settings = Settings::new("example.org".parse().unwrap());
    settings.jwt_signatures_per_uid = (1, 5);
    let agent = serve_differently(
        [mine("/cart").build().unwrap()],
        Different {
            settings,
            ..Different::default()
        },
    );
    let mut client = agent.client().await;
    let mut codes = Vec::new();
    for audience in 0..8 {
        let request = JwtsvidRequest {
            audience: vec![audience.to_string()],
            spiffe_id: String::new(),
        };
        codes.push(
            client
                .fetch_jwtsvid(request)
                .await
                .map_or_else(|status| status.code(), |_| Code::Ok),
        );
    }
    assert_eq!(codes.iter().filter(|code| **code == Code::Ok).count(), 5);
    assert_eq!(codes[7], Code::Unavailable);
    let kept = JwtsvidRequest {
        audience: vec!["0".into()],
        spiffe_id: String::new(),
    };
    client
        .fetch_jwtsvid(kept)
        .await
        .expect("what is kept costs no signature");
}

#[tokio::test]
async fn an_entry_on_the_program_is_answered_once_the_program_has_spoken() {
    let program = std::env::current_exe().unwrap();
    let path = format!("unix:path:{}", program.display());
    let agent = serve([
        entry("/tested", &[&format!("unix:uid:{}", own_uid()), &path])
            .build()
            .unwrap(),
    ]);
    let mut stream = agent
        .client()
        .await
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        next(&mut stream).await.unwrap().svids[0].spiffe_id,
        "spiffe://example.org/tested"
    );
}

#[tokio::test]
async fn an_entry_that_asks_for_more_than_was_looked_at_reaches_open_streams() {
    let cart = || mine("/cart").build().unwrap();
    let agent = serve([cart()]);
    let mut stream = agent
        .client()
        .await
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    next(&mut stream).await.unwrap();
    let path = format!("unix:path:{}", std::env::current_exe().unwrap().display());
    agent
        .replace([
            cart(),
            entry("/tested", &[&format!("unix:uid:{}", own_uid()), &path])
                .build()
                .unwrap(),
        ])
        .await;
    assert_eq!(next(&mut stream).await.unwrap().svids.len(), 2);
}

#[tokio::test]
async fn a_caller_keeps_its_stream_when_its_entry_gives_way_to_one_on_another_fact() {
    let agent = serve([mine("/cart").build().unwrap()]);
    let mut client = agent.client().await;
    let opened = client.fetch_x509svid(X509svidRequest {}).await;
    let mut stream = opened.unwrap().into_inner();
    next(&mut stream).await.unwrap();
    let path = format!("unix:path:{}", std::env::current_exe().unwrap().display());
    let selectors = [format!("unix:uid:{}", own_uid()), path];
    let on_path = entry("/tested", &selectors.each_ref().map(String::as_str));
    agent.replace([on_path.build().unwrap()]).await;
    let request = JwtsvidRequest {
        audience: vec!["bank".into()],
        spiffe_id: String::new(),
    };
    let tokens = client.fetch_jwtsvid(request).await.unwrap().into_inner();
    // WAPI-19 −: at no moment without an entitlement, so nothing is denied.
    for id in [
        &tokens.svids[0].spiffe_id,
        &next(&mut stream).await.unwrap().svids[0].spiffe_id,
    ] {
        assert_eq!(id, "spiffe://example.org/tested");
    }
}

#[tokio::test]
async fn foreign_bundles_go_with_the_entries_that_federate() {
    let partner = serve([mine("/x").build().unwrap()]);
    let foreign = {
        let mut stream = partner
            .client()
            .await
            .fetch_x509svid(X509svidRequest {})
            .await
            .unwrap()
            .into_inner();
        let own = next(&mut stream).await.unwrap().svids[0].bundle.clone();
        Bundle::from_der("partner.org".parse().unwrap(), &own)
            .unwrap()
            .bundle
    };
    let mut bundles = BundleSet::new();
    bundles.insert(foreign);
    let entries = [mine("/cart")
        .federates_with([
            "partner.org".parse().unwrap(),
            "unknown.org".parse().unwrap(),
        ])
        .build()
        .unwrap()];
    let agent = serve_differently(
        entries,
        Different {
            foreign: bundles,
            ..Different::default()
        },
    );
    let mut stream = agent
        .client()
        .await
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    let federated = next(&mut stream).await.unwrap().federated_bundles;
    assert_eq!(
        federated.keys().collect::<Vec<_>>(),
        ["spiffe://partner.org"]
    );
}

#[tokio::test]
async fn lives_of_seconds_never_outlive_their_authority() {
    let policy = Policy {
        ttl: Duration::from_secs(6),
        ..Policy::default()
    };
    let agent = serve_differently(
        [mine("/cart").build().unwrap()],
        Different {
            policy,
            ..Different::default()
        },
    );
    let mut stream = agent
        .client()
        .await
        .fetch_x509svid(X509svidRequest {})
        .await
        .unwrap()
        .into_inner();
    for _ in 0..3 {
        let svid = next(&mut stream).await.unwrap().svids.remove(0);
        let (leaf, _) = Certificate::parse_first(&svid.x509_svid).unwrap();
        let bundle = Bundle::from_der("example.org".parse().unwrap(), &svid.bundle)
            .unwrap()
            .bundle;
        let ends = bundle
            .x509_authorities()
            .iter()
            .map(|authority| authority.certificate().not_after().as_secs())
            .max()
            .unwrap();
        // X509-49 −: no SVID outlives its authority.
        assert!(leaf.not_after().as_secs() <= ends);
    }
}

#[tokio::test]
async fn explain_says_what_is_seen_and_what_an_entry_lacks() {
    let agent = serve([
        mine("/cart").build().unwrap(),
        entry(
            "/bank",
            &[&format!("unix:uid:{}", own_uid()), "unix:gid:4294967"],
        )
        .build()
        .unwrap(),
    ]);
    let pid = i32::try_from(std::process::id()).unwrap();
    let told = agent
        .operator()
        .await
        .explain(operator::ExplainRequest { pid })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(told.facts.unwrap().uid, Some(own_uid()));
    assert_eq!(told.matching[0].spiffe_id, "spiffe://example.org/cart");
    assert_eq!(
        told.near[0].entry.as_ref().unwrap().spiffe_id,
        "spiffe://example.org/bank"
    );
    assert_eq!(told.near[0].missing_selectors, ["unix:gid:4294967"]);
    assert!(
        told.selectors
            .iter()
            .any(|selector| selector.starts_with("unix:path:")),
        "{:?}",
        told.selectors
    );
}
