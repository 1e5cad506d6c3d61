//! What our own issuer makes is accepted, and nothing that differs from it in a bit.

use std::time::Duration;

use plastron_keys::KeyType;
use plastron_mint::X509Issuer;
use plastron_svid::{VerifyError, X509Verifier};
use plastron_testing::{Authority, BACKEND, Clock};
use proptest::prelude::*;

use plastron_keys::KeyBackend as _;

/// Leaf and intermediate, and the authority.
fn chain(key_type: KeyType) -> ([Vec<u8>; 2], Authority) {
    let now = Clock::new().now();
    let authority = Authority::with_key_type("td.example", key_type);
    let root = X509Issuer::new(authority.certificate(), authority.key()).unwrap();
    let key = BACKEND.generate(key_type).unwrap();
    let intermediate = root
        .x509_authority(authority.trust_domain().as_ref(), key.public_key())
        .sign(&authority.next_serial(), now)
        .unwrap()
        .der;
    let leaf_key = BACKEND.generate(KeyType::EcP256).unwrap();
    let id = authority.id("/shop/cart");
    let leaf = X509Issuer::new(&intermediate, &*key)
        .unwrap()
        .x509_svid(&id, leaf_key.public_key())
        .dns_names(&["cart.example"])
        .lifetime(Duration::from_secs(3600))
        .sign(&authority.next_serial(), now)
        .unwrap()
        .der;
    ([leaf, intermediate], authority)
}

fn verify(chain: &[Vec<u8>; 2], authority: &Authority) -> Result<(), VerifyError> {
    let [leaf, intermediate] = chain;
    X509Verifier::new(BACKEND.algorithms())
        .verify(
            &[leaf, intermediate],
            &authority.bundle(),
            Clock::new().unix_time(),
        )
        .map(|_| ())
}

#[test]
fn accepts_what_mint_makes_with_every_type_of_key() {
    for key_type in [
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::Ed25519,
        KeyType::Rsa2048,
    ] {
        let (chain, authority) = chain(key_type);
        assert_eq!(verify(&chain, &authority), Ok(()), "{key_type}");
    }
}

#[test]
fn any_set_of_algorithms_will_do() {
    let rust_crypto = plastron_keys::rust_crypto::ALGORITHMS;
    for key_type in [
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::Ed25519,
        KeyType::Rsa2048,
    ] {
        let ([leaf, intermediate], authority) = chain(key_type);
        let svid = X509Verifier::new(rust_crypto).verify(
            &[&leaf, &intermediate],
            &authority.bundle(),
            Clock::new().unix_time(),
        );
        assert!(svid.is_ok(), "{key_type}: {svid:?}");
    }
}

#[test]
fn refuses_a_chain_with_any_bit_flipped() {
    let (chain, authority) = chain(KeyType::EcP256);
    for at in 0..2 {
        for byte in 0..chain[at].len() {
            for bit in 0..8 {
                let mut flipped = chain.clone();
                flipped[at][byte] ^= 1 << bit;
                // X509-52 −
                assert!(
                    verify(&flipped, &authority).is_err(),
                    "certificate {at} byte {byte} bit {bit}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_input_panics(leaf: Vec<u8>, other: Vec<u8>) {
        let authority = Authority::new("td.example");
        prop_assert!(verify(&[leaf, other], &authority).is_err());
    }

    #[test]
    fn a_chain_cut_or_stretched_anywhere_is_refused(cut in 0usize..2000, insert: Vec<u8>) {
        let (mut chain, authority) = chain(KeyType::EcP256);
        let at = cut % chain[0].len();
        let rest = chain[0].split_off(at);
        chain[0].extend_from_slice(&insert);
        if insert.is_empty() {
            chain[0].extend_from_slice(&rest[1..]);
        } else {
            chain[0].extend_from_slice(&rest);
        }
        prop_assert!(verify(&chain, &authority).is_err());
    }
}
