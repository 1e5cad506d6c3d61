//! What our own issuer makes is accepted, and nothing that differs from it in a character.

use plastron_keys::{KeyBackend as _, KeyType};
use plastron_svid::{JwtError, JwtVerifier};
use plastron_testing::{Authority, BACKEND, Clock};
use proptest::prelude::*;

use crate::fixture::*;

fn judge(authority: &Authority, token: &str) -> Result<(), JwtError> {
    JwtVerifier::new(BACKEND.algorithms())
        .verify(
            token,
            &["payments"],
            &authority.bundle(),
            Clock::new().unix_time(),
        )
        .map(|_| ())
}

#[test]
fn accepts_what_mint_makes_with_every_type_of_key() {
    for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
        let authority = Authority::with_key_type("td.example", key_type);
        let token = authority.jwt_svid("/shop/cart", &["other", "payments"], Clock::new().now());
        assert_eq!(judge(&authority, &token), Ok(()), "{key_type}");
    }
}

#[test]
fn any_set_of_algorithms_will_do() {
    for (alg, kid, key) in [
        ("ES256", "p256", &KEYS.p256),
        ("ES384", "p384", &KEYS.p384),
        ("ES512", "p521", &KEYS.p521),
        ("RS256", "rsa", &KEYS.rsa),
    ] {
        let token = sign(
            &format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#),
            claims(),
            &**key,
        );
        let rust_crypto = JwtVerifier::new(plastron_keys::rust_crypto::ALGORITHMS);
        let svid = rust_crypto.verify(&token, &[AUDIENCE], &bundle(), at(NOW));
        assert!(svid.is_ok(), "{alg}: {svid:?}");
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
