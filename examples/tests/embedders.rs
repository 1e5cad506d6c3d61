//! The examples of `docs/embedders` do what the pages say, and the pages quote them as they are.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "examples are programs, whose main is not called here"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../examples/mutual_tls.rs"]
mod mutual_tls;
#[path = "../examples/tower_service.rs"]
mod tower_service;
#[path = "../examples/verify.rs"]
mod verify;

use std::{fs, path::Path, time::Duration};

use http::{HeaderValue, Request, header::AUTHORIZATION};
use pki_types::UnixTime;
use plastron_bundle::pem;
use plastron_source::{X509Context, source};
use plastron_testing::{Authority, Clock};
use tokio::net::TcpListener;
use tower::{ServiceExt as _, service_fn};

const CART: &str = "spiffe://example.org/shop/cart";

#[test]
fn a_chain_and_a_token_are_verified_in_ten_lines() {
    let (authority, clock) = (Authority::new("example.org"), Clock::new());
    let (bundle, now) = (authority.bundle(), clock.unix_time());
    let svid = authority.x509_svid("/shop/cart", clock.now());
    let text = pem::certificate(svid.leaf_der());
    assert_eq!(verify::chain(&text, &bundle, now).unwrap().as_str(), CART);
    let token = authority.jwt_svid("/shop/cart", &["payments"], clock.now());
    let id = verify::token(&token, "payments", &bundle, now).unwrap();
    assert_eq!(id.as_str(), CART);
    assert!(verify::token(&token, "stock", &bundle, now).is_err());
}

#[tokio::test]
async fn two_workloads_talk() {
    let authority = Authority::new("example.org");
    let svid = authority.x509_svid_for("/shop/cart", long_ago(), Duration::from_secs(LONG));
    let context = X509Context::new(vec![svid], [authority.bundle()].into_iter().collect());
    let (_publisher, source) = source(context);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let peers = |pattern: &str| pattern.parse().unwrap();
    let serving = mutual_tls::serve(source.clone(), peers("spiffe://example.org/**"), &listener);
    let calling = async {
        let said = mutual_tls::call(
            source.clone(),
            peers("spiffe://example.org/shop/*"),
            &address,
        )
        .await
        .unwrap();
        assert_eq!(said, format!("hello {CART}\n"));
        let other = peers("spiffe://example.org/other");
        assert!(
            mutual_tls::call(source.clone(), other, &address)
                .await
                .is_err()
        );
    };
    tokio::select! {
        served = serving => panic!("{served:?}"),
        () = calling => (),
    }
}

/// The examples read the clock themselves, so what is shown to them is valid for long.
const LONG: u64 = 60 * 365 * 24 * 3600;

fn long_ago() -> std::time::SystemTime {
    Clock::new().now()
}

#[tokio::test]
async fn a_service_lets_in_by_token() {
    let authority = Authority::new("example.org");
    let (_publisher, bundles) = source([authority.bundle()].into_iter().collect());
    let service = tower_service::Bearer {
        inner: service_fn(tower_service::hello),
        audience: "payments",
        callers: "spiffe://example.org/shop/*".parse().unwrap(),
        bundles,
        now: || UnixTime::since_unix_epoch(Duration::from_secs(Clock::START)),
    };
    let token = |path, audience| authority.jwt_svid(path, &[audience], long_ago());
    let right = token("/shop/cart", "payments");
    let other = token("/other", "payments");
    for (what, authorization, status) in [
        ("JWT-43 +", vec![format!("Bearer {right}")], 200),
        (
            "JWT-43 +: a scheme has no case",
            vec![format!("bEARER {right}")],
            200,
        ),
        (
            "another audience",
            vec![format!("Bearer {}", token("/shop/cart", "stock"))],
            401,
        ),
        ("another caller", vec![format!("Bearer {other}")], 401),
        ("JWT-43 −: no scheme", vec![right.clone()], 401),
        (
            "JWT-43 −: another scheme",
            vec![format!("Basic {right}")],
            401,
        ),
        ("JWT-43 −: no token", vec!["Bearer ".to_owned()], 401),
        (
            "JWT-43 −: two spaces",
            vec![format!("Bearer  {right}")],
            401,
        ),
        ("JWT-43 −: no header", vec![], 401),
        (
            "JWT-43 −: two headers",
            vec![format!("Bearer {right}"), format!("Bearer {other}")],
            401,
        ),
    ] {
        let mut request = Request::new(());
        for value in authorization {
            let value = HeaderValue::from_str(&value).unwrap();
            request.headers_mut().append(AUTHORIZATION, value);
        }
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{what}");
        assert_eq!(response.body().contains(CART), status == 200, "{what}");
    }
}

#[test]
fn pages_quote_the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines =
        |text: &str| -> Vec<String> { text.lines().map(|line| line.trim().to_owned()).collect() };
    for (page, example) in [
        ("verify.md", "verify.rs"),
        ("tls.md", "mutual_tls.rs"),
        ("tower.md", "tower_service.rs"),
    ] {
        let page_text = fs::read_to_string(root.join("../docs/embedders").join(page)).unwrap();
        let code = lines(&fs::read_to_string(root.join("examples").join(example)).unwrap());
        let quotes: Vec<_> = page_text.split("```rust\n").skip(1).collect();
        assert!(!quotes.is_empty(), "{page}");
        for quote in quotes {
            let quote = lines(quote.split("```").next().unwrap());
            let is_there = code.windows(quote.len()).any(|window| window == quote);
            assert!(
                is_there,
                "{page} quotes what {example} does not say: {quote:#?}"
            );
        }
    }
}
