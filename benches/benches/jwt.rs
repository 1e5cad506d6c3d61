//! What verifying a JWT-SVID costs beside the check of its signature, `jsonwebtoken` and `spiffe`, all on AWS-LC.
//!
//! ```text
//! cargo bench -p plastron-benches --bench jwt
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "a measurement stops at what it cannot do"
)]

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use pki_types::UnixTime;
use plastron_benches::interleaved::Group;
use plastron_bundle::{Bundle, JwtAuthority};
use plastron_keys::rust_crypto;
use plastron_keys::{Jwk, KeyBackend as _, KeyType};
use plastron_keys_aws_lc::ALGORITHMS;
use plastron_mint::JwtIssuer;
use plastron_svid::JwtVerifier;
use plastron_testing::BACKEND;
use serde_json::{Map, Value};

const ID: &str = "spiffe://prod.example.org/ns/payments/sa/api-server-frontend";
const AUDIENCE: &str = "spiffe://prod.example.org/ns/orders/sa/api";
const KEY_ID: &str = "Q7xkq0VZKN3f2q";

fn main() {
    let es256 = Token::new(KeyType::EcP256, Algorithm::ES256, &ECDSA_P256_SHA256_FIXED);
    es256.compare("JWT-SVID, ES256");
    let rs256 = Token::new(
        KeyType::Rsa2048,
        Algorithm::RS256,
        &RSA_PKCS1_2048_8192_SHA256,
    );
    rs256.compare("JWT-SVID, RS256 (2048)");

    let mut sizes = Group::new("JWT-SVID, ES256, against the keys of the bundle");
    for keys in [1, 10, 100, 1000] {
        let bundle = es256.bundle(keys);
        let es256 = &es256;
        sizes = sizes.row(format!("{keys} keys"), move || es256.verify(&bundle));
    }
    sizes.run();

    let bundle = es256.bundle(2);
    let mut hostile = Group::new("hostile tokens");
    for (name, token) in [
        ("96 KiB of dots", ".".repeat(96 * 1024)),
        ("96 KiB of payload", large_payload(&es256.token)),
        ("a flipped signature", flipped(&es256.token)),
    ] {
        let verifier = JwtVerifier::new(ALGORITHMS);
        let (bundle, now) = (&bundle, es256.now());
        hostile = hostile.row(name, move || {
            let verdict = verifier.verify(black_box(&token), &[AUDIENCE], bundle, now);
            verdict.map(|_| ()).unwrap_err()
        });
    }
    hostile.run();
}

/// A token of three minutes from now: the other libraries read the clock of the machine.
struct Token {
    token: String,
    now: SystemTime,
    algorithm: Algorithm,
    raw: &'static dyn VerificationAlgorithm,
    key: plastron_keys::PublicKey,
}

impl Token {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    fn new(
        key_type: KeyType,
        algorithm: Algorithm,
        raw: &'static dyn VerificationAlgorithm,
    ) -> Self {
        let key = BACKEND.generate(key_type).unwrap();
        let now = SystemTime::now();
        let trust_domain: plastron_id::TrustDomain = "prod.example.org".parse().unwrap();
        let token = JwtIssuer::new(trust_domain.as_ref(), KEY_ID, &*key, None)
            .unwrap()
            .jwt_svid(&ID.parse().unwrap(), &[AUDIENCE])
            .sign("5f1f0b9c0f0e4c2c9a3d5e6f7a8b9c0d", now)
            .unwrap()
            .token;
        Self {
            token,
            now,
            algorithm,
            raw,
            key: key.public_key().clone(),
        }
    }

    fn now(&self) -> UnixTime {
        let since = self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        UnixTime::since_unix_epoch(Duration::from_secs(since.as_secs()))
    }

    /// The key of the token, the last of so many.
    fn bundle(&self, keys: usize) -> Bundle {
        let mut bundle = Bundle::new("prod.example.org".parse().unwrap());
        for at in 1..keys {
            let authority = JwtAuthority::new(format!("Q7xkq0VZKN{at}"), self.key.clone()).unwrap();
            bundle.add_jwt_authority(authority).unwrap();
        }
        let authority = JwtAuthority::new(KEY_ID, self.key.clone()).unwrap();
        bundle.add_jwt_authority(authority).unwrap();
        bundle
    }

    fn verify(&self, bundle: &Bundle) -> u64 {
        JwtVerifier::new(ALGORITHMS)
            .verify(black_box(&self.token), &[AUDIENCE], bundle, self.now())
            .unwrap()
            .expires_at()
            .as_secs()
    }

    fn compare(&self, title: &'static str) {
        let (signed, signature) = self.token.rsplit_once('.').unwrap();
        let signature = decode_base64(signature);
        let unparsed = UnparsedPublicKey::new(self.raw, self.key.key_bits());
        let parsed = ParsedPublicKey::new(self.raw, self.key.key_bits()).unwrap();

        let bundle = self.bundle(2);
        let rust_crypto = JwtVerifier::new(rust_crypto::ALGORITHMS);

        let jwk = self.key.jwk();
        let decoding_key = match &jwk {
            Jwk::Rsa { n, e } => DecodingKey::from_rsa_components(n, e).unwrap(),
            Jwk::Ec { x, y, .. } => DecodingKey::from_ec_components(x, y).unwrap(),
            Jwk::Okp { .. } => unreachable!("no such token"),
        };
        let mut validation = Validation::new(self.algorithm);
        validation.set_audience(&[AUDIENCE]);

        let trust_domain = spiffe::TrustDomain::new("prod.example.org").unwrap();
        let theirs = spiffe::JwtBundle::from_jwt_authorities(trust_domain, &bundle.jwks()).unwrap();
        let mut their_bundles = spiffe::JwtBundleSet::new();
        their_bundles.add_bundle(theirs);

        Group::new(title)
            .row("raw check", || {
                unparsed
                    .verify(black_box(signed.as_bytes()), black_box(&signature))
                    .unwrap();
            })
            .row("raw check, key parsed before", || {
                parsed
                    .verify_sig(black_box(signed.as_bytes()), black_box(&signature))
                    .unwrap();
            })
            .row(format!("verified, {} bytes", self.token.len()), || {
                self.verify(&bundle)
            })
            .row("jsonwebtoken: decode", || {
                jsonwebtoken::decode::<Map<String, Value>>(
                    black_box(&self.token),
                    &decoding_key,
                    &validation,
                )
                .unwrap()
            })
            .row("spiffe: JwtSvid::parse_and_validate", || {
                spiffe::JwtSvid::parse_and_validate(
                    black_box(&self.token),
                    &their_bundles,
                    &[AUDIENCE],
                )
                .unwrap()
            })
            .row("verified, in pure Rust", || {
                rust_crypto
                    .verify(black_box(&self.token), &[AUDIENCE], &bundle, self.now())
                    .unwrap()
                    .expires_at()
            })
            .run();
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    Base64UrlUnpadded::decode_vec(text).unwrap()
}

/// The token with as much payload as fits, under the old signature.
fn large_payload(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let claims = format!("{{\"sub\":\"{ID}\",\"x\":\"{}\"}}", "a".repeat(72_000));
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    let payload = Base64UrlUnpadded::encode_string(claims.as_bytes());
    format!("{header}.{payload}.{signature}")
}

fn flipped(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", &signature[1..])
}
