//! What our own issuer makes is accepted, and nothing that differs from it in a bit.

use std::sync::LazyLock;
use std::time::Duration;

use pki_types::UnixTime;
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey};
use plastron_mint::X509Issuer;
use plastron_svid::{VerifyError, X509Verifier};
use plastron_testing::{Authority, BACKEND, Clock};
use proptest::prelude::*;

use crate::algorithms::{Algorithms, with_each};

/// For each type of key an authority, and a key for whoever is below it.
static KEYS: LazyLock<[(Authority, Box<dyn PrivateKey>); 6]> = LazyLock::new(|| {
    KeyType::ALL.map(|key_type| {
        let authority = Authority::with_key_type("td.example", key_type);
        (authority, BACKEND.generate(key_type).unwrap())
    })
});

/// What somebody asks for.
#[derive(Clone, Debug)]
struct Wish {
    path: String,
    dns_names: Vec<String>,
    lifetime: Duration,
}

/// Leaf and intermediate, of keys of these types, below an authority with one of that type.
fn chain(root: usize, intermediate: usize, leaf: usize, wish: &Wish) -> [Vec<u8>; 2] {
    let now = Clock::new().now();
    let (authority, _) = &KEYS[root];
    let (_, key) = &KEYS[intermediate];
    let issuer = X509Issuer::new(authority.certificate(), authority.key()).unwrap();
    let intermediate = issuer
        .x509_authority(authority.trust_domain().as_ref(), key.public_key())
        .sign(&authority.next_serial(), now)
        .unwrap()
        .der;
    let leaf = X509Issuer::new(&intermediate, &**key)
        .unwrap()
        .x509_svid(&authority.id(&wish.path), KEYS[leaf].1.public_key())
        .dns_names(&wish.dns_names)
        .lifetime(wish.lifetime)
        .sign(&authority.next_serial(), now)
        .unwrap()
        .der;
    [leaf, intermediate]
}

/// One of P-256, for those who look at its bits.
fn usual_chain() -> ([Vec<u8>; 2], &'static Authority) {
    let wish = Wish {
        path: "/shop/cart".to_owned(),
        dns_names: vec!["cart.example".to_owned()],
        lifetime: Duration::from_secs(3600),
    };
    (chain(0, 0, 0, &wish), &KEYS[0].0)
}

fn verify(chain: &[Vec<u8>; 2], authority: &Authority) -> Result<String, VerifyError> {
    verify_after(Duration::ZERO, chain, authority, BACKEND.algorithms())
}

/// The verdict so long after the chain was made.
fn verify_after(
    elapsed: Duration,
    [leaf, intermediate]: &[Vec<u8>; 2],
    authority: &Authority,
    algorithms: Algorithms,
) -> Result<String, VerifyError> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(Clock::START) + elapsed);
    let svid =
        X509Verifier::new(algorithms).verify(&[leaf, intermediate], &authority.bundle(), now)?;
    Ok(svid.id().path().to_owned())
}

fn wish() -> impl Strategy<Value = Wish> {
    let dns_names = prop::collection::vec("[a-z][a-z0-9]{0,20}(\\.[a-z]{2,9}){0,4}", 0..4);
    // A day is what the intermediate lives.
    let lifetime = (1..=86_400u64).prop_map(Duration::from_secs);
    (
        "(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,40}){1,9}",
        dns_names,
        lifetime,
    )
        .prop_map(|(path, dns_names, lifetime)| Wish {
            path,
            dns_names,
            lifetime,
        })
}

proptest! {
    #[test]
    fn accepts_what_mint_makes_for_as_long_as_it_lives(
        root in 0..6usize,
        intermediate in 0..6usize,
        leaf in 0..6usize,
        wish in wish(),
        elapsed in 0..86_400u64,
    ) {
        let chain = chain(root, intermediate, leaf, &wish);
        let elapsed = Duration::from_secs(elapsed % wish.lifetime.as_secs());
        let verdict = |elapsed| {
            with_each(|algorithms| verify_after(elapsed, &chain, &KEYS[root].0, algorithms))
        };
        // X509-48 +, X509-53 +
        prop_assert_eq!(verdict(elapsed), Ok(wish.path.clone()));
        let late = verdict(wish.lifetime + Duration::from_secs(1));
        // X509-53 −
        prop_assert!(matches!(late, Err(VerifyError::Expired { .. })), "{:?}", late);
    }
}

#[test]
fn refuses_a_chain_with_any_bit_flipped() {
    let (chain, authority) = usual_chain();
    for at in 0..2 {
        for byte in 0..chain[at].len() {
            for bit in 0..8 {
                let mut flipped = chain.clone();
                flipped[at][byte] ^= 1 << bit;
                // X509-52 −
                assert!(
                    verify(&flipped, authority).is_err(),
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
        let (mut chain, authority) = usual_chain();
        let at = cut % chain[0].len();
        let rest = chain[0].split_off(at);
        chain[0].extend_from_slice(&insert);
        if insert.is_empty() {
            chain[0].extend_from_slice(&rest[1..]);
        } else {
            chain[0].extend_from_slice(&rest);
        }
        prop_assert!(verify(&chain, authority).is_err());
    }
}
