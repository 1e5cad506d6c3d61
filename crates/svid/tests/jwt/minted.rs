//! What our own issuer makes is accepted, and nothing that differs from it in a character.

use std::sync::LazyLock;
use std::time::Duration;

use plastron_keys::{KeyBackend as _, KeyType};
use plastron_mint::JwtIssuer;
use plastron_svid::{JwtError, JwtVerifier};
use plastron_testing::{Authority, BACKEND, Clock};
use proptest::prelude::*;

use crate::algorithms::{Algorithms, with_each};
use crate::fixture::*;

/// Those that sign with each type of key for tokens.
static AUTHORITIES: LazyLock<[Authority; 5]> = LazyLock::new(|| {
    use KeyType::{EcP256, EcP384, Rsa2048, Rsa3072, Rsa4096};
    [EcP256, EcP384, Rsa2048, Rsa3072, Rsa4096]
        .map(|key_type| Authority::with_key_type("td.example", key_type))
});

fn judge(authority: &Authority, token: &str) -> Result<String, JwtError> {
    judge_as(
        &["payments"],
        Clock::START,
        authority,
        token,
        BACKEND.algorithms(),
    )
}

fn judge_as(
    audiences: &[&str],
    now: u64,
    authority: &Authority,
    token: &str,
    algorithms: Algorithms,
) -> Result<String, JwtError> {
    let svid = JwtVerifier::new(algorithms).leeway(Duration::ZERO).verify(
        token,
        audiences,
        &authority.bundle(),
        at(now),
    )?;
    Ok(svid.id().path().to_owned())
}

proptest! {
    #[test]
    fn accepts_what_mint_makes_for_whom_and_as_long_as_it_is_meant(
        authority in 0..5usize,
        path in "(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,40}){1,9}",
        audiences in prop::collection::vec("\\PC{1,30}", 1..5),
        meant in any::<prop::sample::Index>(),
        lifetime in 1..86_400u64,
        elapsed in 0..86_400u64,
    ) {
        let authority = &AUTHORITIES[authority];
        let trust_domain = authority.trust_domain().as_ref();
        let issuer = JwtIssuer::new(trust_domain, Authority::KEY_ID, authority.jwt_key(), None).unwrap();
        let token = issuer
            .jwt_svid(&authority.id(&path), &audiences)
            .lifetime(Duration::from_secs(lifetime))
            .sign("jti", Clock::new().now())
            .unwrap()
            .token;
        let verdict = |audience: &str, elapsed| {
            with_each(|algorithms| {
                judge_as(&[audience], Clock::START + elapsed, authority, &token, algorithms)
            })
        };
        let audience = meant.get(&audiences);
        // JWT-22 +, JWT-27 +
        prop_assert_eq!(verdict(audience, elapsed % lifetime), Ok(path));
        // JWT-22 −: nobody's name is so long.
        prop_assert_eq!(verdict(&"x".repeat(31), 0), Err(JwtError::Audience));
        let late = verdict(audience, lifetime);
        // JWT-27 −
        prop_assert!(matches!(late, Err(JwtError::Expired { .. })), "{:?}", late);
    }
}

#[test]
fn refuses_a_token_with_any_bit_flipped() {
    let authority = Authority::new("td.example");
    let token = authority.jwt_svid("/shop/cart", &["payments"], Clock::new().now());
    for byte in 0..token.len() {
        for bit in 0..7 {
            let mut flipped = token.clone().into_bytes();
            flipped[byte] ^= 1 << bit;
            let flipped = String::from_utf8(flipped).unwrap();
            assert!(
                judge(&authority, &flipped).is_err(),
                "byte {byte} bit {bit}"
            );
        }
    }
}

proptest! {
    #[test]
    fn no_input_panics(token: String, header in ".{0,20}", payload in ".{0,20}", signature: Vec<u8>) {
        let authority = Authority::new("td.example");
        prop_assert!(judge(&authority, &token).is_err());
        let shaped = format!("{}.{}.{}", encode(header), encode(payload), encode(signature));
        prop_assert!(judge(&authority, &shaped).is_err());
    }
}
