//! What a leaf and its issuer say, each signed as it is: our verifier and other judges agree, or a rule makes the difference.
//!
//! The length of the leaf's TBS in two bytes, that TBS, and the TBS of the issuer.

#![no_main]

#[path = "../../crates/svid/tests/difference/mod.rs"]
mod difference;
#[path = "../../crates/svid/tests/x509/divergences.rs"]
mod divergences;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pki_types::CertificateDer;
use plastron_fuzz::{Authority, certificate_of, now, two_parts};
use plastron_keys::KeyType;
use plastron_keys::rust_crypto::{ALGORITHMS, RustCrypto};
use plastron_svid::{PeerRole, VerifyError, X509Svid, X509SvidError, X509Verifier};

use difference::{ACCEPTED, Difference, explain, variant};
use divergences::{SPIFFE, WEBPKI, has_reason};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(KeyType::Ed25519));

fuzz_target!(|bytes: &[u8]| {
    let Some((leaf, ca)) = two_parts(bytes) else {
        return;
    };
    let chain = [
        certificate_of(leaf, AUTHORITY.leaf_key()),
        certificate_of(ca, AUTHORITY.key()),
    ];
    let row = differ(WEBPKI, &ours(&chain), &webpki(&chain));
    if let Some(row) = row.filter(|row| row.ours == ACCEPTED) {
        assert!(has_reason(row, &[&chain[0], &chain[1]]));
    }
    differ(SPIFFE, &own(&chain), &spiffe(&chain));
});

fn differ(
    table: &'static [Difference],
    ours: &Result<(), String>,
    theirs: &Result<(), String>,
) -> Option<&'static Difference> {
    explain(table, ours, theirs).map(|row| row.unwrap_or_else(|difference| panic!("{difference}")))
}

fn ours(chain: &[Vec<u8>; 2]) -> Result<(), String> {
    let verifier = X509Verifier::new(ALGORITHMS).role(PeerRole::Server);
    verifier
        .verify(&[&chain[0], &chain[1]], &AUTHORITY.bundle, now())
        .map(|_| ())
        .map_err(|error| match error {
            VerifyError::Certificate { index, error } if index > 0 => {
                format!("above the leaf: {}", error.rule())
            }
            error => error.rule().to_owned(),
        })
}

fn webpki(chain: &[Vec<u8>; 2]) -> Result<(), String> {
    let refused = |error: webpki::Error| variant(&error);
    let root = CertificateDer::from(AUTHORITY.certificate());
    let anchor = webpki::anchor_from_trusted_cert(&root).map_err(refused)?;
    let [leaf, ca] = [&chain[0], &chain[1]].map(|der| CertificateDer::from(&**der));
    let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(refused)?;
    leaf.verify_for_usage(
        ALGORITHMS,
        &[anchor],
        &[ca],
        now(),
        webpki::KeyUsage::server_auth(),
        None,
        None,
    )
    .map(|_| ())
    .map_err(refused)
}

fn own(chain: &[Vec<u8>; 2]) -> Result<(), String> {
    let backend = RustCrypto::new(plastron_fuzz::Counter(0));
    X509Svid::parse(&chain.concat(), &AUTHORITY.leaf_key().to_pkcs8(), &backend)
        .map(|_| ())
        .map_err(|error| match &error {
            X509SvidError::OtherKey => "X509-71: other key".to_owned(),
            error => error.rule().to_owned(),
        })
}

fn spiffe(chain: &[Vec<u8>; 2]) -> Result<(), String> {
    spiffe::X509Svid::parse_from_der(&chain.concat(), &AUTHORITY.leaf_key().to_pkcs8())
        .map(|_| ())
        .map_err(|error| variant(&error))
}
