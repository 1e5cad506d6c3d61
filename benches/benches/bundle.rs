//! What reading a bundle document costs, borrowed from its text and as a bundle of one's own.
//!
//! ```text
//! cargo bench -p plastron-benches --bench bundle
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "a measurement stops at what it cannot do"
)]

use std::hint::black_box;

use plastron_benches::interleaved::Group;
use plastron_bundle::{Bundle, BundleDocument, JwtAuthority, X509Authority};
use plastron_id::TrustDomain;
use plastron_keys::{KeyBackend as _, KeyType};
use plastron_testing::{Authority, BACKEND};

fn main() {
    let trust_domain: TrustDomain = "prod.example.org".parse().unwrap();
    let document = bundle(3, 3).to_document();
    let text = str::from_utf8(&document).unwrap();
    Group::new("document of six keys, three of them certificates")
        .row("serde_json::Value", || {
            serde_json::from_str::<serde_json::Value>(black_box(text)).unwrap()
        })
        .row(format!("borrowed, {} bytes", document.len()), || {
            BundleDocument::parse(black_box(&document)).unwrap()
        })
        .row("owned", || {
            Bundle::parse(trust_domain.clone(), black_box(&document)).unwrap()
        })
        .run();

    let document = bundle(0, 6).jwks();
    let theirs = spiffe::TrustDomain::new("prod.example.org").unwrap();
    Group::new("JWK Set of six P-256 keys")
        .row("spiffe: JwtBundle::from_jwt_authorities", || {
            spiffe::JwtBundle::from_jwt_authorities(theirs.clone(), black_box(&document)).unwrap()
        })
        .row(format!("borrowed, {} bytes", document.len()), || {
            BundleDocument::parse(black_box(&document)).unwrap()
        })
        .row("owned", || {
            Bundle::parse_jwks(trust_domain.clone(), black_box(&document)).unwrap()
        })
        .run();

    let mut sizes = Group::new("borrowed, against size");
    for keys in [1, 10, 100, 1000] {
        let document = bundle(keys, 0).to_document();
        let name = format!("{keys} certificates, {} bytes", document.len());
        sizes = sizes.row(name, move || {
            let document = BundleDocument::parse(black_box(&document)).unwrap();
            document.keys().len()
        });
    }
    sizes.run();

    let mut hostile = Group::new("hostile documents of a megabyte");
    for (name, document) in [
        (
            "members of an unknown name",
            members(|at| format!("\"m{at}\":0")),
        ),
        (
            "names with escapes",
            members(|at| format!("\"\\u006d{at}\":0")),
        ),
        (
            "one list in the other",
            "{\"keys\":".to_owned() + &"[".repeat(1 << 20),
        ),
        (
            "keys that are numbers",
            "{\"keys\":[".to_owned() + &"0,".repeat(1 << 19) + "0]}",
        ),
    ] {
        hostile = hostile.row(name, move || {
            BundleDocument::parse(black_box(document.as_bytes())).is_ok()
        });
    }
    hostile.run();
}

fn members(member: impl Fn(usize) -> String) -> String {
    let mut document = "{\"keys\":[]".to_owned();
    for at in 0.. {
        document.push(',');
        document.push_str(&member(at));
        if document.len() > 1 << 20 {
            break;
        }
    }
    document.push('}');
    document
}

fn bundle(x509: usize, jwt: usize) -> Bundle {
    let mut bundle = Bundle::new("prod.example.org".parse().unwrap());
    for _ in 0..x509 {
        let authority = Authority::new("prod.example.org");
        bundle.add_x509_authority(X509Authority::parse(authority.certificate()).unwrap());
    }
    for at in 0..jwt {
        let key = BACKEND.generate(KeyType::EcP256).unwrap();
        let authority = JwtAuthority::new(format!("Q7xkq0VZKN3f2{at}"), key.public_key().clone());
        bundle.add_jwt_authority(authority.unwrap()).unwrap();
    }
    bundle.set_sequence(Some(12));
    bundle.set_refresh_hint(Some(std::time::Duration::from_secs(300)));
    bundle
}
