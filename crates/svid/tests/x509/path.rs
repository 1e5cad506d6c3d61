//! The path from a leaf to an authority.

use std::slice::from_ref;
use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::certificate::CertificateError;
use plastron_bundle::{BundleSet, X509Authority, X509AuthorityError};
use plastron_keys::{KeyBackend as _, KeyType};
use plastron_svid::{LeafError, NameConstraintError, PathError, PeerRole, VerifyError};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::{Extension, RawCertificate, der, general_name as gn};

use crate::fixture::*;
use crate::leaf::rsa_spki;

/// What is said of a right leaf under this intermediate, under a right root.
fn judge(intermediate: RawCertificate) -> Result<String, VerifyError> {
    let chain = [
        by_intermediate(leaf_below("intermediate")),
        by_root(intermediate),
    ];
    verify(&chain, &[by_root(root())])
}

/// What is said of a right leaf and a right intermediate under this root.
fn judge_root(root: RawCertificate) -> Result<String, VerifyError> {
    let chain = [
        by_intermediate(leaf_below("intermediate")),
        by_root(intermediate()),
    ];
    verify(&chain, &[by_root(root)])
}

fn changed(extension: Extension) -> RawCertificate {
    intermediate().with(vec![extension])
}

#[test]
fn accepts_what_a_signing_certificate_may_be() {
    for (rule, what, intermediate) in [
        ("X509-51, X509-54", "a right one", intermediate()),
        (
            "X509-55",
            "cA true",
            changed(Extension::basic_constraints(true, None)),
        ),
        ("X509-56", "no key usage", intermediate().without(15)),
        ("X509-31", "no cRLSign", changed(Extension::key_usage(&[5]))),
        (
            "X509-35",
            "digitalSignature besides",
            changed(Extension::key_usage(&[0, 5, 6])),
        ),
        (
            "X509-38",
            "both purposes",
            changed(Extension::extended_key_usage(&[1, 2])),
        ),
        (
            "X509-21",
            "a path length",
            changed(Extension::basic_constraints(true, Some(0))),
        ),
        (
            "X509-58",
            "an unknown extension",
            changed(Extension::unknown(false)),
        ),
        (
            "X509-13",
            "its trust domain's ID",
            changed(Extension::subject_alt_name(&[gn::uri(
                "spiffe://td.example",
            )])),
        ),
        // The URI of a signing certificate is never looked at.
        (
            "AMB-02",
            "a slash behind the ID",
            changed(Extension::subject_alt_name(&[gn::uri(
                "spiffe://td.example/",
            )])),
        ),
        (
            "AMB-07",
            "another trust domain's ID",
            changed(Extension::subject_alt_name(&[gn::uri("spiffe://other")])),
        ),
    ] {
        assert_eq!(judge(intermediate), accepted(), "{rule} +: {what}");
    }
}

#[test]
fn refuses_what_a_signing_certificate_may_not_be() {
    let mut expired = intermediate();
    expired.not_after = der(0x17, "241231235959Z");
    let mut early = intermediate();
    early.not_before = der(0x17, "250101000001Z");
    let mut weak = intermediate();
    weak.spki = rsa_spki(1024);
    let mut huge = intermediate();
    huge.spki = rsa_spki(16 * 1024);
    for (rule, what, intermediate, error) in [
        (
            "X509-53",
            "expired",
            expired,
            PathError::IntermediateValidity,
        ),
        (
            "X509-53",
            "not yet valid",
            early,
            PathError::IntermediateValidity,
        ),
        (
            "X509-55",
            "no basic constraints",
            intermediate().without(19),
            PathError::NotCa,
        ),
        (
            "X509-55",
            "cA false",
            changed(Extension::basic_constraints(false, None)),
            PathError::NotCa,
        ),
        (
            "X509-56",
            "no keyCertSign",
            changed(Extension::key_usage(&[0, 6])),
            PathError::KeyUsage,
        ),
        (
            "X509-38",
            "servers only",
            changed(Extension::extended_key_usage(&[1])),
            PathError::ExtendedKeyUsage,
        ),
        (
            "X509-58",
            "an unknown critical extension",
            changed(Extension::unknown(true)),
            PathError::UnknownCriticalExtension,
        ),
        ("X509-48", "RSA of 1024 bits", weak, PathError::Key),
        ("X509-61", "RSA of 16384 bits", huge, PathError::Key),
        (
            "X509-54",
            "another name",
            intermediate_named("somebody", "root"),
            PathError::UnknownIssuer,
        ),
    ] {
        assert_eq!(judge(intermediate), path_error(error), "{rule} −: {what}");
    }
}

#[test]
fn an_authority_is_held_to_its_certificate() {
    let mut expired = root();
    expired.not_after = der(0x17, "241231235959Z");
    let mut early = root();
    early.not_before = der(0x17, "250101000001Z");
    let path_len = |most| root().with(vec![Extension::basic_constraints(true, Some(most))]);
    for (rule, what, root, want) in [
        ("AMB-12 +", "in its validity", root(), accepted()),
        (
            "AMB-12 −",
            "expired",
            expired,
            path_error(PathError::AuthorityValidity),
        ),
        (
            "AMB-12 −",
            "not yet valid",
            early,
            path_error(PathError::AuthorityValidity),
        ),
        (
            "X509-23 +",
            "one intermediate allowed",
            path_len(1),
            accepted(),
        ),
        (
            "X509-23 −",
            "no intermediate allowed",
            path_len(0),
            path_error(PathError::PathLength),
        ),
        (
            "X509-58 −",
            "an unknown critical extension",
            root().with(vec![Extension::unknown(true)]),
            path_error(PathError::UnknownCriticalExtension),
        ),
        (
            "X509-54 −",
            "another name",
            RawCertificate::authority("other", "other", KEYS.root.public_key()),
            path_error(PathError::UnknownIssuer),
        ),
        (
            "ID-15 −, X509-52 −",
            "another key",
            RawCertificate::authority("root", "root", KEYS.other_root.public_key()),
            path_error(PathError::Signature),
        ),
    ] {
        assert_eq!(judge_root(root), want, "{rule}: {what}");
    }
}

#[test]
fn only_signing_certificates_are_authorities() {
    let not_ca = X509Authority::parse(&by_root(root().without(19)));
    assert_eq!(
        not_ca,
        Err(X509AuthorityError::NotCa),
        "X509-69 −, AMB-13 −"
    );
    let key_usage = root().with(vec![Extension::key_usage(&[0])]);
    assert_eq!(
        X509Authority::parse(&by_root(key_usage)),
        Err(X509AuthorityError::KeyUsage)
    );
    assert_eq!(
        X509Authority::parse(&leaf_below("").sign(&*KEYS.leaf)),
        Err(X509AuthorityError::NotCa),
        "X509-69 −: a leaf is not its own authority"
    );
    // Nor is a signing certificate anybody's identity.
    let roots = [by_root(root())];
    assert_eq!(
        verify(&[by_root(leaf())], &roots),
        accepted(),
        "X509-16 +: a leaf"
    );
    let san = Extension::subject_alt_name(&[gn::uri(ID)]);
    let signing = by_root(changed(san.clone()));
    assert_eq!(
        verify(
            &[signing, by_intermediate(leaf_below("intermediate"))],
            &roots
        ),
        leaf_error(LeafError::Ca),
        "X509-16 −, X509-17 −: an intermediate with a workload's ID"
    );
    assert_eq!(
        verify(&[by_root(root().with(vec![san]))], &roots),
        leaf_error(LeafError::Ca),
        "X509-16 −: an authority with a workload's ID"
    );
}

#[test]
fn both_bounds_of_validity_are_included() {
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let mut leaf = leaf();
    leaf.not_before = der(0x17, "250101000000Z");
    leaf.not_after = der(0x17, "250101010000Z");
    let leaf = by_root(leaf);
    let (first, last) = (NOW.as_secs(), NOW.as_secs() + 3600);
    let bundle = bundle(&[by_root(root())]);
    let judge = |now| verifier().verify(&[&leaf], &bundle, at(now)).map(|_| ());
    let (not_before, not_after) = (at(first), at(last));
    assert_eq!(judge(first), Ok(()), "X509-53 +");
    assert_eq!(judge(last), Ok(()), "X509-53 +");
    let early = VerifyError::NotYetValid {
        not_before,
        now: at(first - 1),
    };
    assert_eq!(judge(first - 1), Err(early), "X509-53 −");
    let late = VerifyError::Expired {
        not_after,
        now: at(last + 1),
    };
    assert_eq!(judge(last + 1), Err(late), "X509-53 −");

    let svid = verifier().verify(&[&leaf], &bundle, NOW).unwrap();
    assert_eq!(
        (svid.valid_from(), svid.valid_until()),
        (not_before, not_after)
    );
}

#[test]
fn the_bundle_is_that_of_the_leafs_own_trust_domain() {
    let leaf = by_root(leaf());
    let root = by_root(root());
    let other = RawCertificate::authority("root", "root", KEYS.other_root.public_key())
        .sign(&*KEYS.other_root);
    let judge = |bundles: &BundleSet| {
        verifier()
            .verify(&[&leaf], bundles, NOW)
            .map(|svid| svid.id().to_string())
    };
    let td = || "td.example".parse().unwrap();

    let right: BundleSet = [
        bundle(from_ref(&root)),
        bundle_of("other", from_ref(&other)),
    ]
    .into_iter()
    .collect();
    assert_eq!(judge(&right), accepted(), "X509-66 +, X509-67 +");
    let swapped: BundleSet = [bundle(&[other]), bundle_of("other", from_ref(&root))]
        .into_iter()
        .collect();
    assert_eq!(
        judge(&swapped),
        path_error(PathError::Signature),
        "X509-66 −, SVID-06 −, BUNDLE-05 −"
    );
    let unknown: BundleSet = [bundle_of("other", from_ref(&root))].into_iter().collect();
    assert_eq!(
        judge(&unknown),
        Err(VerifyError::UnknownTrustDomain(td())),
        "X509-66 −"
    );
    // A sub-domain is another trust domain.
    let parent: BundleSet = [bundle_of("example", &[root])].into_iter().collect();
    assert_eq!(
        judge(&parent),
        Err(VerifyError::UnknownTrustDomain(td())),
        "ID-17 −"
    );
    let empty: BundleSet = [bundle(&[])].into_iter().collect();
    assert_eq!(
        judge(&empty),
        Err(VerifyError::NoAuthorities(td())),
        "X509-67 −, BUNDLE-22 −"
    );
}

#[test]
fn a_root_is_trusted_for_being_in_the_bundle_and_not_in_the_chain() {
    let (leaf, root) = (by_root(leaf()), by_root(root()));
    let other = RawCertificate::authority("other", "other", KEYS.other_root.public_key())
        .sign(&*KEYS.other_root);
    let with_root = [leaf, root.clone()];
    assert_eq!(
        verify(&with_root, &[root]),
        accepted(),
        "X509-61 +: redundant root"
    );
    assert_eq!(
        verify(&with_root, &[other]),
        path_error(PathError::UnknownIssuer),
        "X509-68 −"
    );
    assert_eq!(verify(&[], &[]), Err(VerifyError::EmptyChain), "X509-68 −");
}

#[test]
fn path_length_counts_intermediates_that_are_not_self_issued() {
    // root → a (path length 0) → a again, with a new key → leaf.
    let rollover = BACKEND.generate(KeyType::EcP256).unwrap();
    let path_len = |most| Extension::basic_constraints(true, Some(most));
    let a = by_root(intermediate_named("a", "root").with(vec![path_len(0)]));
    let again = by_intermediate(RawCertificate::authority("a", "a", rollover.public_key()));
    let leaf = leaf_below("a").sign(&*rollover);
    let roots = [by_root(root())];
    assert_eq!(
        verify(&[leaf, again, a.clone()], &roots),
        accepted(),
        "X509-59 +"
    );

    let b = by_intermediate(RawCertificate::authority("b", "a", rollover.public_key()));
    let leaf = leaf_below("b").sign(&*rollover);
    assert_eq!(
        verify(&[leaf, b, a], &roots),
        path_error(PathError::PathLength),
        "X509-59 −, X509-23 −"
    );
}

#[test]
fn tries_every_path_that_the_names_allow() {
    let roots = [by_root(root())];
    let leaf = by_intermediate(leaf_below("intermediate"));
    let mut expired = intermediate();
    expired.not_after = der(0x17, "241231235959Z");
    let expired = by_root(expired);
    let right = by_root(intermediate());
    // Same name, same key, one of them expired.
    for others in [[expired.clone(), right.clone()], [right.clone(), expired]] {
        let chain = [vec![leaf.clone()], others.to_vec()].concat();
        assert_eq!(verify(&chain, &roots), accepted(), "X509-51 +");
    }
    // Same name, another key.
    let impostor = RawCertificate::authority("intermediate", "root", KEYS.other_root.public_key());
    let chain = [leaf, by_root(impostor), right];
    assert_eq!(verify(&chain, &roots), accepted(), "X509-51 +");

    // A rotated authority: old and new have one name, and only the new one signed.
    let old = RawCertificate::authority("root", "root", KEYS.other_root.public_key())
        .sign(&*KEYS.other_root);
    let direct = [by_root(self::leaf())];
    assert_eq!(
        verify(&direct, &[old.clone(), roots[0].clone()]),
        accepted(),
        "BUNDLE-01 +"
    );
    assert_eq!(
        verify(&direct, from_ref(&old)),
        path_error(PathError::Signature),
        "BUNDLE-06 −"
    );

    // Cross-signed: the root below the old one too, for those who have only that.
    let cross =
        RawCertificate::authority("root", "root", KEYS.root.public_key()).sign(&*KEYS.other_root);
    let old_only = verify(&[direct[0].clone(), cross.clone()], &[old]);
    assert_eq!(old_only, accepted(), "X509-51 +: cross-signed");
    assert_eq!(verify(&[direct[0].clone(), cross], &roots), accepted());
}

#[test]
fn key_identifiers_are_hints_and_no_more() {
    let leaf = by_root(leaf().with(vec![Extension::authority_key_id(b"one")]));
    let root = by_root(root().with(vec![Extension::subject_key_id(b"another")]));
    assert_eq!(verify(&[leaf], &[root]), accepted(), "X509-51 +");
}

#[test]
fn every_signature_is_checked_with_an_algorithm_that_was_given() {
    let roots = [by_root(root())];
    let forged = leaf().sign(&*KEYS.other_root);
    assert_eq!(
        verify(&[forged], &roots),
        path_error(PathError::Signature),
        "X509-52 −"
    );
    let forged = intermediate().sign(&*KEYS.other_root);
    let chain = [by_intermediate(leaf_below("intermediate")), forged];
    assert_eq!(
        verify(&chain, &roots),
        path_error(PathError::Signature),
        "X509-52 −"
    );

    // X509-47 −: NULL after ecdsa-with-SHA256.
    let mut null = leaf();
    let with_null = der(
        0x30,
        [
            der(0x06, [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]),
            vec![0x05, 0],
        ]
        .concat(),
    );
    null.inner_algorithm = Some(with_null.clone());
    null.outer_algorithm = Some(with_null);
    assert_eq!(
        verify(&[by_root(null)], &roots),
        path_error(PathError::UnsupportedAlgorithm)
    );
    // X509-48 −: SHA-1.
    let mut sha1 = leaf();
    let ecdsa_with_sha1 = der(0x30, der(0x06, [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]));
    sha1.inner_algorithm = Some(ecdsa_with_sha1.clone());
    sha1.outer_algorithm = Some(ecdsa_with_sha1);
    assert_eq!(
        verify(&[by_root(sha1)], &roots),
        path_error(PathError::UnsupportedAlgorithm)
    );
}

#[test]
fn every_type_of_key_may_sign() {
    for key_type in [
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::Ed25519,
        KeyType::Rsa2048,
    ] {
        let key = BACKEND.generate(key_type).unwrap();
        let root = RawCertificate::authority("root", "root", key.public_key()).sign(&*key);
        assert_eq!(
            verify(&[leaf().sign(&*key)], &[root]),
            accepted(),
            "X509-48 +: {key_type}"
        );
    }
}

#[test]
fn intermediates_that_cannot_be_read_spoil_the_chain() {
    let result = verify(&[by_root(leaf()), vec![0x30, 0]], &[by_root(root())]);
    assert!(
        matches!(result, Err(VerifyError::Certificate { index: 1, .. })),
        "X509-51 −: {result:?}"
    );
}

#[test]
fn the_role_binds_signing_certificates_that_have_purposes() {
    let servers = changed(Extension::extended_key_usage(&[1]));
    let chain = [
        by_intermediate(leaf_below("intermediate")),
        by_root(servers),
    ];
    let roots = [by_root(root())];
    assert_eq!(
        verify_as(PeerRole::Server, &chain, &roots),
        accepted(),
        "X509-38 +"
    );
    let refused = path_error(PathError::ExtendedKeyUsage);
    assert_eq!(
        verify_as(PeerRole::Client, &chain, &roots),
        refused,
        "X509-38 −"
    );
}

#[test]
fn errors_name_the_rule_that_was_broken() {
    let td = || "td".parse().unwrap();
    let leaf = |role| VerifyError::Leaf(LeafError::ExtendedKeyUsage { role });
    let path = VerifyError::Untrusted;
    let constraint = |error| path(PathError::NameConstraints(error));
    for (rule, error) in [
        ("X509-68", VerifyError::EmptyChain),
        ("X509-61", VerifyError::ChainTooLong { len: 17 }),
        (
            "X509-41",
            VerifyError::Certificate {
                index: 0,
                error: CertificateError::Version,
            },
        ),
        (
            "X509-53",
            VerifyError::NotYetValid {
                not_before: NOW,
                now: NOW,
            },
        ),
        (
            "X509-53",
            VerifyError::Expired {
                not_after: NOW,
                now: NOW,
            },
        ),
        ("X509-66", VerifyError::UnknownTrustDomain(td())),
        ("X509-67", VerifyError::NoAuthorities(td())),
        ("X509-48", VerifyError::Leaf(LeafError::Key)),
        ("X509-37", leaf(PeerRole::Any)),
        ("AMB-11", leaf(PeerRole::Client)),
        ("AMB-11", leaf(PeerRole::Server)),
        ("X509-54", path(PathError::UnknownIssuer)),
        ("X509-52", path(PathError::Signature)),
        ("X509-47", path(PathError::UnsupportedAlgorithm)),
        ("X509-48", path(PathError::Key)),
        ("X509-53", path(PathError::IntermediateValidity)),
        ("AMB-12", path(PathError::AuthorityValidity)),
        ("X509-55", path(PathError::NotCa)),
        ("X509-56", path(PathError::KeyUsage)),
        ("X509-38", path(PathError::ExtendedKeyUsage)),
        ("X509-58", path(PathError::UnknownCriticalExtension)),
        ("X509-23", path(PathError::PathLength)),
        ("X509-27", constraint(NameConstraintError::IpHost)),
        ("X509-26", constraint(NameConstraintError::NotPermitted)),
        ("X509-61", path(PathError::TooLong)),
        ("X509-61", path(PathError::TooMuchWork)),
    ] {
        assert_eq!(error.rule(), rule, "{error}");
    }
    for (role, shown) in [
        (PeerRole::Client, "clients"),
        (PeerRole::Server, "servers"),
        (PeerRole::Any, "both clients and servers"),
    ] {
        assert_eq!(
            leaf(role).to_string(),
            format!("extended key usage does not allow {shown}")
        );
    }
}

#[test]
fn errors_show_no_key() {
    let error = verify(&[leaf().sign(&*KEYS.other_root)], &[by_root(root())]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no path to an authority: invalid signature",
        "X509-70 −: the error says which check failed, and nothing of a key"
    );
}
