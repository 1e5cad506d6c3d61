//! What a token says, signed as it is: our verifier and other judges agree, or a rule makes the difference.
//!
//! The length of the header in two bytes, the header, and the claims, both as JSON.

#![no_main]

#[path = "../../crates/svid/tests/difference/mod.rs"]
mod difference;
#[path = "../../crates/svid/tests/jwt/divergences.rs"]
mod divergences;

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use libfuzzer_sys::fuzz_target;
use pki_types::UnixTime;
use plastron_fuzz::{Authority, token_of, two_parts};
use plastron_keys::rust_crypto::ALGORITHMS;
use plastron_keys::{Jwk, KeyType};
use plastron_svid::JwtVerifier;
use serde_json::{Map, Value};

use difference::{Difference, explain, variant};
use divergences::{JSONWEBTOKEN, SPIFFE};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(KeyType::Ed25519));

fuzz_target!(|bytes: &[u8]| {
    let Some((header, claims)) = two_parts(bytes) else {
        return;
    };
    let token = token_of(header, claims, AUTHORITY.jwt_key());
    let ours = ours(&token);
    differ(JSONWEBTOKEN, &ours, &jsonwebtoken(&token));
    differ(SPIFFE, &ours, &spiffe(&token));
});

fn differ(table: &'static [Difference], ours: &Result<(), String>, theirs: &Result<(), String>) {
    if let Some(Err(difference)) = explain(table, ours, theirs) {
        panic!("{difference}");
    }
}

/// The other judges read the clock of the machine.
fn ours(token: &str) -> Result<(), String> {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    let now = UnixTime::since_unix_epoch(Duration::from_secs(since.as_secs()));
    JwtVerifier::new(ALGORITHMS)
        .leeway(Duration::ZERO)
        .verify(token, &["payments"], &AUTHORITY.bundle, now)
        .map(|_| ())
        .map_err(|error| error.rule().to_owned())
}

fn jsonwebtoken(token: &str) -> Result<(), String> {
    let refused = |error: jsonwebtoken::errors::Error| match error.kind() {
        ErrorKind::MissingRequiredClaim(claim) => format!("MissingRequiredClaim {claim}"),
        ErrorKind::InvalidClaimFormat(claim) => format!("InvalidClaimFormat {claim}"),
        kind => variant(kind),
    };
    let header = jsonwebtoken::decode_header(token).map_err(refused)?;
    if header.kid.as_deref() != Some("key") {
        return Err("no such key".to_owned());
    }
    let Jwk::Ec { x, y, .. } = AUTHORITY.jwt_key().public_key().jwk() else {
        unreachable!("a P-256 key");
    };
    let key = DecodingKey::from_ec_components(&x, &y).map_err(refused)?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.set_audience(&["payments"]);
    validation.set_required_spec_claims(&["exp", "aud", "sub"]);
    jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation)
        .map(|_| ())
        .map_err(refused)
}

fn spiffe(token: &str) -> Result<(), String> {
    static BUNDLES: LazyLock<spiffe::JwtBundleSet> = LazyLock::new(|| {
        let name = spiffe::TrustDomain::new("td.example").expect("a name");
        let bundle = spiffe::JwtBundle::from_jwt_authorities(name, &AUTHORITY.bundle.jwks());
        let mut bundles = spiffe::JwtBundleSet::new();
        bundles.add_bundle(bundle.expect("a JWK Set"));
        bundles
    });
    spiffe::JwtSvid::parse_and_validate(token, &*BUNDLES, &["payments"])
        .map(|_| ())
        .map_err(|error| variant(&error))
}
