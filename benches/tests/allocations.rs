//! How often the hot paths allocate. What AWS-LC allocates in C while it checks a signature is not seen here.

use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_bundle::{BundleDocument, BundleError, certificate::Certificate};
use plastron_id::{SpiffeId, SpiffeIdRef};
use plastron_keys_aws_lc::ALGORITHMS;
use plastron_svid::{JwtVerifier, VerifiedPaths, X509Verifier};
use plastron_testing::Authority;

#[test]
fn the_hot_paths_allocate_as_often_as_the_documentation_says() {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    let authority = Authority::new("prod.example.org");
    let bundle = authority.bundle();
    let svid = authority.x509_svid("/ns/payments/sa/api-server-frontend", then);
    let token = authority.jwt_svid("/ns/payments/sa/api-server-frontend", &["orders"], then);
    let document = bundle.to_document();
    let id = svid.id().as_str();
    let chain = [svid.leaf_der(), authority.certificate()];

    let paths = VerifiedPaths::new(ALGORITHMS, 16);
    let remembering = X509Verifier::remembering(&paths);
    // Without the root, since what stands beside the path keeps a chain from being remembered.
    assert!(remembering.verify(&chain[..1], &bundle, now).is_ok());

    for (what, most, work) in [
        (
            "a borrowed ID",
            0,
            &(|| SpiffeIdRef::parse(id).is_ok()) as &dyn Fn() -> bool,
        ),
        ("an owned ID", 1, &|| id.parse::<SpiffeId>().is_ok()),
        ("a certificate", 0, &|| {
            Certificate::parse(svid.leaf_der()).is_ok()
        }),
        ("a verified chain", 0, &|| {
            let verifier = X509Verifier::new(ALGORITHMS);
            verifier.verify(&chain, &bundle, now).is_ok()
        }),
        ("a remembered chain", 0, &|| {
            remembering.verify(&chain[..1], &bundle, now).is_ok()
        }),
        ("a verified token", 1, &|| {
            let verifier = JwtVerifier::new(ALGORITHMS);
            verifier.verify(&token, &["orders"], &bundle, now).is_ok()
        }),
        ("a borrowed bundle document", 1, &|| {
            BundleDocument::parse(&document).is_ok()
        }),
    ] {
        let counted = allocation_counter::measure(|| assert!(work(), "{what}")).count_total;
        println!("{what}: {counted}");
        assert!(counted <= most, "{what}: {counted} allocations");
    }
}

#[test]
fn keys_beyond_the_limit_take_no_memory() {
    let document = format!("{{\"keys\":[{}0]}}", "0,".repeat(1 << 20));
    let counted = allocation_counter::measure(|| {
        let refused = BundleDocument::parse(document.as_bytes()).unwrap_err();
        assert_eq!(refused, BundleError::TooManyKeys);
    });
    assert!(counted.bytes_max < 4 << 20, "{} bytes", counted.bytes_max);
}
