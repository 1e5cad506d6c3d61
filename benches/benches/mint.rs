//! What minting costs beside the signature it contains.
//!
//! Each document is minted beside the bare signature by the same library, under the same key, over as many bytes.
//!
//! ```text
//! cargo bench -p plastron-benches --bench mint
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "a measurement stops at what it cannot do"
)]

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use pki_types::UnixTime;
use plastron_benches::interleaved::Group;
use plastron_bundle::X509Authority;
use plastron_id::{SpiffeId, TrustDomain};
use plastron_keys::{KeyBackend as _, KeyType};
use plastron_keys_aws_lc::AwsLc;
use plastron_mint::{JwtIssuer, X509Issuer, self_signed_authority};

const ID: &str = "spiffe://prod.example.org/ns/payments/sa/api-server-frontend";

fn main() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let unix = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let trust_domain: TrustDomain = "prod.example.org".parse().unwrap();
    let id: SpiffeId = ID.parse().unwrap();
    let random = SystemRandom::new();

    let key = AwsLc.generate(KeyType::EcP256).unwrap();
    let bare = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.to_pkcs8()).unwrap();
    let leaf = AwsLc.generate(KeyType::EcP256).unwrap();
    let (from, to) = (unix(1_800_000_000), unix(1_800_086_400));
    let root = self_signed_authority(&trust_domain, &*key, &[1; 16], from, to).unwrap();

    // As an authority does it that keeps its certificate parsed.
    let authority = X509Authority::parse(&root).unwrap();
    let x509 = || {
        let issuer = X509Issuer::with_certificate(authority.certificate(), &*key).unwrap();
        let svid = issuer
            .x509_svid(&id, leaf.public_key())
            .lifetime(Duration::from_secs(3600))
            .sign(&[0x55; 16], now)
            .unwrap();
        svid.der.len()
    };
    let signed = vec![0x5a; x509() - 90];
    let sign = || bare.sign(&random, &signed).unwrap().as_ref().len();
    compare("X509-SVID, P-256", sign, x509);

    let jwt = || {
        let issuer = JwtIssuer::new(trust_domain.as_ref(), "Q7xkq0VZKN3f2q", &*key, None).unwrap();
        let svid = issuer
            .jwt_svid(&id, &["spiffe://prod.example.org/ns/orders/sa/api"])
            .sign("5f1f0b9c0f0e4c2c9a3d5e6f7a8b9c0d", now)
            .unwrap();
        svid.token.len()
    };
    let signed = vec![0x5a; jwt() - 87];
    let sign = || bare.sign(&random, &signed).unwrap().as_ref().len();
    compare("JWT-SVID, ES256", sign, jwt);

    let key = AwsLc.generate(KeyType::Rsa2048).unwrap();
    let bare = KeyPair::from_pkcs8(&key.to_pkcs8()).unwrap();
    let jwt = || {
        let issuer = JwtIssuer::new(trust_domain.as_ref(), "Q7xkq0VZKN3f2q", &*key, None).unwrap();
        let svid = issuer
            .jwt_svid(&id, &["spiffe://prod.example.org/ns/orders/sa/api"])
            .sign("5f1f0b9c0f0e4c2c9a3d5e6f7a8b9c0d", now)
            .unwrap();
        svid.token.len()
    };
    let signed = vec![0x5a; jwt() - 343];
    let sign = || {
        let mut signature = vec![0; 256];
        bare.sign(&RSA_PKCS1_SHA256, &random, &signed, &mut signature)
            .unwrap();
        signature.len()
    };
    compare("JWT-SVID, RS256 (2048)", sign, jwt);
}

fn compare(title: &'static str, sign: impl Fn() -> usize, mint: impl Fn() -> usize) {
    Group::new(title)
        .row("bare signature", sign)
        .row("minted", mint)
        .run();
}
