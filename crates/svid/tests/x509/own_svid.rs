//! An X509-SVID of one's own.

use plastron_bundle::certificate::CertificateError;
use plastron_keys::{KeyBackend as _, KeyError, KeyType};
use plastron_svid::{LeafError, X509Svid, X509SvidError};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::{Extension, RawCertificate, general_name as gn};

use crate::fixture::*;

fn parse(chain: &[Vec<u8>]) -> Result<X509Svid, X509SvidError> {
    X509Svid::parse(&chain.concat(), &KEYS.leaf.to_pkcs8(), &BACKEND)
}

#[test]
fn takes_a_chain_and_the_key_of_its_leaf() {
    let chain = [
        by_intermediate(leaf_below("intermediate")),
        by_root(intermediate()),
    ];
    let svid = parse(&chain).unwrap().with_hint("cart");
    assert_eq!(svid.id().as_str(), ID, "X509-71 +");
    assert_eq!(svid.leaf_der(), chain[0]);
    assert_eq!(svid.chain_der(), chain.concat(), "WAPI-24 +");
    assert_eq!(svid.certificates().count(), 2);
    assert_eq!(*svid.key_pkcs8(), **KEYS.leaf.to_pkcs8());
    assert_eq!(svid.serial(), [0x2a]);
    assert_eq!(svid.hint(), "cart");
    assert!(svid.not_before() < NOW && NOW < svid.not_after());
    let renamed = svid.clone().with_hint("other");
    assert_eq!((svid.hint(), renamed.hint()), ("cart", "other"));
}

#[test]
fn keys_of_every_type_are_matched() {
    for key_type in [
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::Ed25519,
        KeyType::Rsa2048,
    ] {
        let key = BACKEND.generate(key_type).unwrap();
        let leaf = by_root(RawCertificate::leaf(ID, "root", key.public_key()));
        assert!(
            X509Svid::parse(&leaf, &key.to_pkcs8(), &BACKEND).is_ok(),
            "X509-71 +: {key_type}"
        );
        let other = X509Svid::parse(&leaf, &KEYS.root.to_pkcs8(), &BACKEND);
        assert_eq!(
            other.unwrap_err(),
            X509SvidError::OtherKey,
            "X509-71 −: {key_type}"
        );
    }
}

#[test]
fn refuses_what_does_not_belong_together() {
    let ca = Extension::basic_constraints(true, None);
    let without_path = Extension::subject_alt_name(&[gn::uri("spiffe://td.example")]);
    let right = || by_root(leaf());
    for (what, chain, error) in [
        ("X509-71 −: nothing", vec![], X509SvidError::EmptyChain),
        (
            "X509-71 −: a CA first",
            vec![by_root(leaf().with(vec![ca]))],
            X509SvidError::Leaf(LeafError::Ca),
        ),
        (
            "X509-10 −: no path",
            vec![by_root(leaf().with(vec![without_path]))],
            X509SvidError::Leaf(LeafError::NoPath),
        ),
        (
            "AMB-10 −: no key usage",
            vec![by_root(leaf().without(15))],
            X509SvidError::Leaf(LeafError::KeyUsageMissing),
        ),
        (
            "X509-11 −, X509-71 −: a leaf second",
            vec![right(), right()],
            X509SvidError::NotSigning,
        ),
        (
            "X509-11 −, X509-71 −: a CA that may not sign",
            vec![
                right(),
                by_root(intermediate().with(vec![Extension::key_usage(&[6])])),
            ],
            X509SvidError::NotSigning,
        ),
        (
            "RS-09 −: a byte too many",
            vec![right(), vec![0]],
            X509SvidError::Certificate(CertificateError::Der { at: 0 }),
        ),
    ] {
        assert_eq!(parse(&chain).unwrap_err(), error, "{what}");
    }
    let no_key = X509Svid::parse(&right(), b"not a key", &BACKEND).unwrap_err();
    assert_eq!(no_key, X509SvidError::Key(KeyError::Malformed), "WAPI-25 −");
}

#[test]
fn errors_name_the_rule_that_was_broken() {
    for (rule, error) in [
        ("X509-71", X509SvidError::EmptyChain),
        ("X509-71", X509SvidError::NotSigning),
        ("X509-71", X509SvidError::OtherKey),
        ("X509-71", X509SvidError::Key(KeyError::Malformed)),
        ("X509-62", X509SvidError::Leaf(LeafError::Ca)),
        (
            "X509-41",
            X509SvidError::Certificate(CertificateError::Version),
        ),
    ] {
        assert_eq!(error.rule(), rule, "{error}");
    }
}

#[test]
fn debug_shows_no_key() {
    let svid = parse(&[by_root(leaf())]).unwrap();
    let text = format!("{svid:?}");
    assert!(text.contains(ID) && text.contains(".."), "{text}");
    assert!(!text.contains("key"), "SVID-08 −, RS-15 −: {text}");
}
