//! How long a path may be, and how much a chain may cost.

use std::slice::from_ref;

use plastron_keys::{KeyBackend as _, KeyType, PublicKey};
use plastron_svid::{MAX_CHAIN_LEN, MAX_INTERMEDIATES, PathError, VerifyError};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::{Extension, RawCertificate, general_name as gn};

use crate::fixture::*;

/// Intermediates one below the other, each with its own key, and a leaf below the last one.
fn ladder(len: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    ladder_named("i", len)
}

/// The same, with names that begin so.
fn ladder_named(name: &str, len: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let keys: Vec<_> = (0..len)
        .map(|_| BACKEND.generate(KeyType::EcP256).unwrap())
        .collect();
    let mut intermediates = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        let issuer = if at == 0 {
            "root".to_owned()
        } else {
            format!("{name}{}", at - 1)
        };
        let certificate =
            RawCertificate::authority(&format!("{name}{at}"), &issuer, key.public_key());
        let signer = if at == 0 { &*KEYS.root } else { &*keys[at - 1] };
        intermediates.push(certificate.sign(signer));
    }
    let leaf = leaf_below(&format!("{name}{}", len - 1)).sign(&*keys[len - 1]);
    (intermediates, leaf)
}

#[test]
fn intermediates_may_come_in_any_order_and_up_to_a_limit() {
    let roots = [by_root(root())];
    for len in [1, 2, 3, 6, MAX_INTERMEDIATES] {
        let (intermediates, leaf) = ladder(len);
        // Root first, then leaf first, then from the middle.
        for by in 0..len {
            let mut chain = intermediates.clone();
            chain.rotate_left(by);
            chain.insert(0, leaf.clone());
            assert_eq!(
                verify(&chain, &roots),
                accepted(),
                "X509-15 +, X509-61 +: {len} by {by}"
            );
        }
        let mut chain = intermediates;
        chain.reverse();
        chain.insert(0, leaf);
        chain.remove(1 + len / 2);
        let missing = path_error(PathError::UnknownIssuer);
        assert_eq!(
            verify(&chain, &roots),
            missing,
            "X509-15 −: {len} with one missing"
        );
    }
    // Names of usual length cost nothing more.
    let (intermediates, leaf) = ladder_named(&"n".repeat(100), MAX_INTERMEDIATES);
    let chain = [vec![leaf], intermediates].concat();
    assert_eq!(verify(&chain, &roots), accepted(), "X509-61 +");
    let (intermediates, leaf) = ladder(MAX_INTERMEDIATES + 1);
    let chain = [vec![leaf], intermediates].concat();
    assert_eq!(
        verify(&chain, &roots),
        path_error(PathError::TooLong),
        "X509-61 −"
    );
}

#[test]
fn work_is_bounded() {
    let roots = [by_root(root())];
    let (leaf, other) = (
        by_intermediate(leaf_below("a")),
        by_intermediate(intermediate_named("a", "a")),
    );

    let long = [vec![leaf.clone()], vec![other; 9_999]].concat();
    assert_eq!(
        verify(&long, &roots),
        Err(VerifyError::ChainTooLong { len: 10_000 }),
        "X509-61 −"
    );

    // Signing certificates of one name, each of which could have issued every other.
    let same_name = |_| {
        let key = BACKEND.generate(KeyType::EcP256).unwrap();
        by_intermediate(RawCertificate::authority("a", "a", key.public_key()))
    };
    let tangle: Vec<_> = [leaf]
        .into_iter()
        .chain((1..MAX_CHAIN_LEN).map(same_name))
        .collect();
    assert_eq!(
        verify(&tangle, &roots),
        path_error(PathError::TooMuchWork),
        "X509-61 −: steps"
    );

    // Authorities of one name, none of which signed.
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let key = BACKEND.generate(KeyType::EcP256).unwrap();
            RawCertificate::authority("root", "root", key.public_key()).sign(&*key)
        })
        .collect();
    let result = verify(&[by_root(self::leaf())], &crowd);
    assert_eq!(
        result,
        path_error(PathError::TooMuchWork),
        "X509-61 −: signatures"
    );

    // Few steps, but each looks through a bundle of thousands.
    let others: Vec<_> = (0..4_000)
        .map(|n| RawCertificate::authority(&format!("r{n}"), "r", KEYS.other_root.public_key()))
        .map(|authority| authority.sign(&*KEYS.other_root))
        .collect();
    let few = &tangle[..5];
    assert_eq!(verify(few, &roots), path_error(PathError::UnknownIssuer));
    assert_eq!(
        verify(few, &others),
        path_error(PathError::TooMuchWork),
        "X509-61 −: authorities"
    );
    let (mut longest, leaf_of_longest) = ladder(MAX_INTERMEDIATES);
    longest.insert(0, leaf_of_longest);
    assert_eq!(
        verify(&longest, &[others, roots.to_vec()].concat()),
        accepted(),
        "X509-61 +: authorities"
    );

    // Key identifiers say which of them to try first.
    let known = by_root(self::leaf().with(vec![Extension::authority_key_id(b"right")]));
    let with_id = |id: &[u8], key: &PublicKey| {
        RawCertificate::authority("root", "root", key).with(vec![Extension::subject_key_id(id)])
    };
    let mut crowd: Vec<_> = (0..100u8)
        .map(|n| by_root(with_id(&[n], KEYS.other_root.public_key())))
        .collect();
    crowd.push(by_root(with_id(b"right", KEYS.root.public_key())));
    assert_eq!(verify(&[known], &crowd), accepted(), "X509-61 +");

    // Names and constraints, thousands of each.
    let names: Vec<_> = [gn::uri(ID)]
        .into_iter()
        .chain((0..2_000).map(|n| gn::dns(&format!("n{n}.example"))))
        .collect();
    let bases: Vec<_> = (0..2_000)
        .map(|n| gn::dns(&format!("b{n}.example")))
        .collect();
    let constrained = by_root(root().with(vec![Extension::name_constraints(&[], &bases)]));
    let leaf = by_root(self::leaf().with(vec![Extension::subject_alt_name(&names)]));
    assert_eq!(
        verify(&[leaf], &[constrained]),
        path_error(PathError::TooMuchWork),
        "X509-61 −: names"
    );

    // What one may well have costs too little to matter: 200 names under 100 constraints.
    let name = |n: usize| gn::dns(&format!("{n:03}{}.example", "n".repeat(32)));
    let names: Vec<_> = [gn::uri(ID)]
        .into_iter()
        .chain((0..200).map(name))
        .collect();
    let leaf = by_root(self::leaf().with(vec![Extension::subject_alt_name(&names)]));
    let mut bases: Vec<_> = (200..299).map(name).collect();
    let excluded = by_root(root().with(vec![Extension::name_constraints(&[], &bases)]));
    bases.push(gn::dns("example"));
    let permitted = by_root(root().with(vec![Extension::name_constraints(&bases, &[])]));
    for constrained in [excluded, permitted] {
        let result = verify(from_ref(&leaf), &[constrained]);
        assert_eq!(result, accepted(), "X509-61 +: names");
    }

    // Few names, but long ones: what counts is the bytes that are looked at.
    let names = [gn::uri(ID), gn::dns(&"a".repeat(30_000))];
    let bases: Vec<_> = (0..2_000).map(|_| gn::dns("b")).collect();
    let constrained = by_root(root().with(vec![Extension::name_constraints(&[], &bases)]));
    let leaf = by_root(self::leaf().with(vec![Extension::subject_alt_name(&names)]));
    assert_eq!(
        verify(&[leaf], &[constrained]),
        path_error(PathError::TooMuchWork),
        "X509-61 −: long names"
    );
}
