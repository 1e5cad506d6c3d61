//! The rules on a leaf. Each row differs from a right leaf in one thing.

use plastron_bundle::certificate::{CertificateError, ExtensionKind};
use plastron_id::SpiffeIdError;
use plastron_keys::{KeyBackend as _, KeyType};
use plastron_svid::{LeafError, PeerRole, VerifyError};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::{Extension, RawCertificate, der, general_name as gn, name};

use crate::fixture::*;

fn with(extension: Extension) -> RawCertificate {
    leaf().with(vec![extension])
}

fn sans(names: &[Vec<u8>]) -> RawCertificate {
    with(Extension::subject_alt_name(names))
}

fn judge(leaf: RawCertificate) -> Result<String, VerifyError> {
    verify(&[by_root(leaf)], &[by_root(root())])
}

#[test]
fn accepts_what_a_leaf_may_be() {
    let explicit_false = Extension::new(19, true, der(0x30, der(0x01, [0x00])));
    let not_critical = |extension: Extension| Extension {
        critical: false,
        ..extension
    };
    let mut named = leaf();
    named.subject = name("spiffe://td.example/other");
    let others = [
        gn::dns("a.example"),
        gn::uri(ID),
        gn::dns("b.example"),
        gn::dns("c.example"),
        gn::ip(&[10, 0, 0, 1]),
    ];
    let any_purpose = Extension::new(37, false, der(0x30, der(0x06, [0x55, 0x1d, 37, 0])));
    for (rule, what, leaf) in [
        ("X509-02, X509-03", "one URI", leaf()),
        ("X509-05", "a URI among names of other types", sans(&others)),
        ("X509-08", "a subject, which means nothing", named),
        (
            "X509-20",
            "empty basic constraints",
            with(Extension::basic_constraints(false, None)),
        ),
        ("X509-20", "cA written out as FALSE", with(explicit_false)),
        ("X509-62", "no basic constraints", leaf().without(19)),
        (
            "X509-63",
            "digitalSignature and nothing else",
            with(Extension::key_usage(&[0])),
        ),
        (
            "X509-33",
            "keyEncipherment besides",
            with(Extension::key_usage(&[0, 2])),
        ),
        (
            "X509-33",
            "keyAgreement besides",
            with(Extension::key_usage(&[0, 4])),
        ),
        (
            "X509-33",
            "both besides",
            with(Extension::key_usage(&[0, 2, 4])),
        ),
        (
            "AMB-10",
            "key usage that is not critical",
            with(not_critical(Extension::key_usage(&[0]))),
        ),
        (
            "X509-37",
            "a third purpose",
            with(Extension::extended_key_usage(&[1, 2, 3])),
        ),
        ("AMB-11", "any purpose", with(any_purpose)),
        ("X509-40", "no extended key usage", leaf().without(37)),
        (
            "X509-58",
            "an unknown extension",
            with(Extension::unknown(false)),
        ),
        (
            "AMB-08",
            "names not critical though the subject is empty",
            with(not_critical(Extension::subject_alt_name(&[gn::uri(ID)]))),
        ),
    ] {
        assert_eq!(judge(leaf), accepted(), "{rule} +: {what}");
    }
}

#[test]
fn refuses_what_a_leaf_may_not_be() {
    let second = gn::uri("spiffe://td.example/b");
    let mut named = leaf();
    named.subject = name(ID);
    for (rule, what, leaf, error) in [
        (
            "X509-02",
            "two IDs",
            sans(&[gn::uri(ID), second]),
            LeafError::UriSanCount { count: 2 },
        ),
        (
            "X509-02",
            "an ID and another URI",
            sans(&[gn::uri("https://x.example/"), gn::uri(ID)]),
            LeafError::UriSanCount { count: 2 },
        ),
        (
            "X509-02",
            "one ID twice",
            sans(&[gn::uri(ID), gn::uri(ID)]),
            LeafError::UriSanCount { count: 2 },
        ),
        (
            "X509-03",
            "a DNS name alone",
            sans(&[gn::dns("td.example")]),
            LeafError::UriSanCount { count: 0 },
        ),
        (
            "X509-03",
            "the ID as common name",
            named.without(17),
            LeafError::UriSanCount { count: 0 },
        ),
        (
            "X509-04",
            "another scheme",
            sans(&[gn::uri("https://td.example/a")]),
            LeafError::SpiffeId(SpiffeIdError::Scheme),
        ),
        (
            "X509-10",
            "an ID without path",
            sans(&[gn::uri("spiffe://td.example")]),
            LeafError::NoPath,
        ),
        (
            "X509-62",
            "a CA",
            with(Extension::basic_constraints(true, None)),
            LeafError::Ca,
        ),
        (
            "X509-63",
            "keyCertSign",
            with(Extension::key_usage(&[0, 5])),
            LeafError::KeyUsageSigning,
        ),
        (
            "X509-63",
            "cRLSign",
            with(Extension::key_usage(&[0, 6])),
            LeafError::KeyUsageSigning,
        ),
        (
            "X509-63",
            "both",
            with(Extension::key_usage(&[0, 5, 6])),
            LeafError::KeyUsageSigning,
        ),
        (
            "X509-65",
            "keyEncipherment alone",
            with(Extension::key_usage(&[2])),
            LeafError::KeyUsageDigitalSignature,
        ),
        (
            "AMB-10",
            "no key usage",
            leaf().without(15),
            LeafError::KeyUsageMissing,
        ),
        (
            "X509-37",
            "servers only",
            with(Extension::extended_key_usage(&[1])),
            LeafError::ExtendedKeyUsage {
                role: PeerRole::Any,
            },
        ),
        (
            "X509-37",
            "clients only",
            with(Extension::extended_key_usage(&[2])),
            LeafError::ExtendedKeyUsage {
                role: PeerRole::Any,
            },
        ),
        (
            "X509-37",
            "neither",
            with(Extension::extended_key_usage(&[3])),
            LeafError::ExtendedKeyUsage {
                role: PeerRole::Any,
            },
        ),
        (
            "X509-25",
            "name constraints",
            with(Extension::name_constraints(&[gn::uri("td.example")], &[])),
            LeafError::NameConstraints,
        ),
        (
            "X509-58",
            "an unknown critical extension",
            with(Extension::unknown(true)),
            LeafError::UnknownCriticalExtension,
        ),
    ] {
        assert_eq!(error.rule(), rule, "{what}");
        assert_eq!(judge(leaf), leaf_error(error), "{rule} −: {what}");
    }
}

#[test]
fn a_verifier_shows_what_it_was_told() {
    let verifier = verifier().role(PeerRole::Client).allow_missing_key_usage();
    assert_eq!(
        format!("{verifier:?}"),
        "X509Verifier { role: Client, key_usage: MayBeMissing, .. }"
    );
}

#[test]
fn checks_the_raw_bytes_of_the_uri_as_a_spiffe_id() {
    for uri in [
        "spiffe://td.example/a?x=1",
        "spiffe://td.example/a#f",
        "spiffe://td.example/%61",
        "spiffe://td.example/a/../b",
        "spiffe://td.example//a",
        "spiffe://td.example/",
        "spiffe://td.example/a/",
        "spiffe://TD.example/a",
        "SPIFFE://td.example/a",
        "spiffe://td.example:443/a",
        "spiffe://user@td.example/a",
        "spiffe:///a",
        " spiffe://td.example/a",
        "spiffe://td.example/a\n",
        "spiffe://td.example/a\0",
        "urn:a",
        "",
    ] {
        let result = judge(sans(&[gn::uri(uri)]));
        assert!(
            matches!(result, Err(VerifyError::Leaf(LeafError::SpiffeId(_)))),
            "X509-04 −, X509-64 −: all that SPIFFE-ID forbids: {uri:?}: {result:?}"
        );
    }
    let deep = "spiffe://td.example/a/b".to_owned();
    assert_eq!(
        judge(sans(&[gn::uri(&deep)])),
        Ok(deep),
        "X509-04 +, X509-10 +, X509-64 +: a SPIFFE ID with a path"
    );
    let longest = format!("spiffe://td.example/{}", "a".repeat(2028));
    assert_eq!(
        judge(sans(&[gn::uri(&longest)])),
        Ok(longest),
        "ID-27 +: 2048 bytes"
    );
}

#[test]
fn refuses_certificates_that_cannot_be_read() {
    let san = || Extension::subject_alt_name(&[gn::uri(ID)]);
    let twice = |extension: Extension| {
        let mut leaf = leaf();
        leaf.extensions.push(extension);
        leaf
    };
    let mut version_1 = leaf();
    version_1.version.clear();
    version_1.extensions.clear();
    let mut other_algorithm = leaf();
    other_algorithm.outer_algorithm = Some(der(0x30, der(0x06, [0x2b, 0x65, 0x70])));
    let malformed = |kind| CertificateError::Extension(kind);
    for (rule, what, leaf, error) in [
        (
            "X509-06",
            "names twice",
            twice(san()),
            CertificateError::DuplicateExtension,
        ),
        (
            "X509-06",
            "key usage twice",
            twice(Extension::key_usage(&[0])),
            CertificateError::DuplicateExtension,
        ),
        (
            "X509-06",
            "purposes twice",
            twice(Extension::extended_key_usage(&[1, 2])),
            CertificateError::DuplicateExtension,
        ),
        (
            "X509-06",
            "no name",
            sans(&[]),
            malformed(ExtensionKind::SubjectAltName),
        ),
        (
            "X509-06",
            "UTF-8 in a URI",
            sans(&[gn::uri("spiffe://td.example/ñ")]),
            malformed(ExtensionKind::SubjectAltName),
        ),
        ("X509-41", "version 1", version_1, CertificateError::Version),
        (
            "X509-58",
            "a critical extension without a name",
            twice(Extension {
                oid: Vec::new(),
                ..Extension::unknown(true)
            }),
            CertificateError::Der { at: 272 },
        ),
        (
            "X509-45",
            "two algorithms",
            other_algorithm,
            CertificateError::SignatureAlgorithms,
        ),
    ] {
        let want = Err(VerifyError::Certificate { index: 0, error });
        assert_eq!(judge(leaf), want, "{rule} −: {what}");
    }
}

#[test]
fn purposes_count_for_the_role_of_the_peer() {
    let (client, server, any) = (PeerRole::Client, PeerRole::Server, PeerRole::Any);
    let refused = |role| leaf_error(LeafError::ExtendedKeyUsage { role });
    for (purposes, role, want) in [
        (&[1][..], server, accepted()),  // AMB-11 +
        (&[1], client, refused(client)), // AMB-11 −
        (&[2], client, accepted()),      // AMB-11 +
        (&[2], server, refused(server)), // AMB-11 −
        (&[1, 2], any, accepted()),
        (&[3], server, refused(server)),
    ] {
        let leaf = by_root(with(Extension::extended_key_usage(purposes)));
        let result = verify_as(role, &[leaf], &[by_root(root())]);
        assert_eq!(result, want, "{purposes:?} {role:?}");
    }
}

#[test]
fn may_be_told_to_accept_a_leaf_without_key_usage() {
    let lenient = verifier().allow_missing_key_usage();
    let bundle = bundle(&[by_root(root())]);
    let without = by_root(leaf().without(15));
    assert!(
        lenient.verify(&[&without], &bundle, NOW).is_ok(),
        "AMB-10 +: without what the standard asks of issuers"
    );
    // AMB-10 −: one that is there still has to be right.
    let wrong = by_root(with(Extension::key_usage(&[2])));
    let error = lenient.verify(&[&wrong], &bundle, NOW).unwrap_err();
    assert_eq!(
        error,
        VerifyError::Leaf(LeafError::KeyUsageDigitalSignature)
    );
}

#[test]
fn the_key_of_a_leaf_is_one_that_can_be_used() {
    for key_type in [
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::Ed25519,
        KeyType::Rsa2048,
    ] {
        let key = BACKEND.generate(key_type).unwrap();
        let leaf = by_root(RawCertificate::leaf(ID, "root", key.public_key()));
        assert_eq!(
            verify(&[leaf], &[by_root(root())]),
            accepted(),
            "X509-48 +: {key_type}"
        );
    }
    let mut weak = leaf();
    weak.spki = rsa_spki(1024);
    assert_eq!(
        judge(weak),
        leaf_error(LeafError::Key),
        "X509-48 −: RSA of 1024 bits"
    );
    let mut huge = leaf();
    huge.spki = rsa_spki(16 * 1024);
    assert_eq!(
        judge(huge),
        leaf_error(LeafError::Key),
        "X509-61 −: RSA of 16384 bits"
    );
    let mut unknown = leaf();
    unknown.spki = der(
        0x30,
        [der(0x30, der(0x06, [0x2b, 0x65, 0x71])), der(0x03, [0; 58])].concat(),
    );
    assert_eq!(
        judge(unknown),
        leaf_error(LeafError::Key),
        "X509-48 −: Ed448"
    );
}

/// An RSA key whose modulus has this many bits, all of them ones.
pub(crate) fn rsa_spki(bits: usize) -> Vec<u8> {
    let modulus = [&[0][..], &vec![0xff; bits / 8]].concat();
    let numbers = der(0x30, [der(0x02, modulus), der(0x02, [1, 0, 1])].concat());
    let algorithm = [
        0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0,
    ];
    der(
        0x30,
        [algorithm.to_vec(), der(0x03, [vec![0], numbers].concat())].concat(),
    )
}
