//! Name constraints, which apply to every name below.

use plastron_svid::{NameConstraintError, PathError, VerifyError};
use plastron_testing::raw_certificate::{
    Extension, RawCertificate, general_name as gn, name, sequence,
};

use crate::fixture::*;
use NameConstraintError::{Excluded, IpHost, Malformed, NotPermitted, Unsupported};

/// What is said of `leaf` under an authority with these constraints.
fn judge(
    leaf: RawCertificate,
    permitted: &[Vec<u8>],
    excluded: &[Vec<u8>],
) -> Result<(), NameConstraintError> {
    let constrained = root().with(vec![Extension::name_constraints(permitted, excluded)]);
    match verify_any_td(&by_root(leaf), &by_root(constrained)) {
        Ok(()) => Ok(()),
        Err(VerifyError::Untrusted(PathError::NameConstraints(error))) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// Verifies under a bundle for whichever trust domain the leaf names.
fn verify_any_td(leaf: &[u8], root: &[u8]) -> Result<(), VerifyError> {
    let certificate = plastron_bundle::certificate::Certificate::parse(leaf).unwrap();
    let id = plastron_id::SpiffeIdRef::parse_bytes(certificate.uri_san().unwrap()).unwrap();
    let bundle = bundle_of(id.trust_domain().as_str(), &[root.to_vec()]);
    verifier().verify(&[leaf], &bundle, NOW).map(|_| ())
}

fn leaf_of(uri: &str) -> RawCertificate {
    RawCertificate::leaf(uri, "root", KEYS.leaf.public_key())
}

fn leaf_with(other: Vec<u8>) -> RawCertificate {
    leaf().with(vec![Extension::subject_alt_name(&[gn::uri(ID), other])])
}

#[test]
fn uri_constraints_are_about_the_host() {
    for (rule, uri, permitted, excluded, want) in [
        ("X509-26 +", "spiffe://td/a", &["td"][..], &[][..], Ok(())),
        (
            "X509-26 −",
            "spiffe://other/a",
            &["td"],
            &[],
            Err(NotPermitted),
        ),
        (
            "X509-26 −",
            "spiffe://a.td/a",
            &["td"],
            &[],
            Err(NotPermitted),
        ),
        ("X509-26 +", "spiffe://a.td/a", &[".td"], &[], Ok(())),
        ("X509-26 +", "spiffe://b.a.td/a", &[".td"], &[], Ok(())),
        (
            "X509-26 −",
            "spiffe://td/a",
            &[".td"],
            &[],
            Err(NotPermitted),
        ),
        (
            "X509-26 −",
            "spiffe://atd/a",
            &[".td"],
            &[],
            Err(NotPermitted),
        ),
        (
            "X509-26 −",
            "spiffe://other/a",
            &[".td"],
            &[],
            Err(NotPermitted),
        ),
        (
            "X509-26 −",
            "spiffe://.td/a",
            &[".td"],
            &[],
            Err(NotPermitted),
        ),
        ("X509-26 +", "spiffe://td/a", &["other", "td"], &[], Ok(())),
        ("X509-26 +", "spiffe://td/a", &["TD"], &[], Ok(())),
        ("X509-26 −", "spiffe://td/a", &[], &["td"], Err(Excluded)),
        ("X509-26 +", "spiffe://a.td/a", &[], &["td"], Ok(())),
        ("X509-26 −", "spiffe://a.td/a", &[], &[".td"], Err(Excluded)),
        (
            "X509-26 −",
            "spiffe://a.td/a",
            &[".td"],
            &["a.td"],
            Err(Excluded),
        ),
        // A path that looks like the host is none.
        (
            "X509-26 −",
            "spiffe://other/td",
            &["td"],
            &[],
            Err(NotPermitted),
        ),
        ("X509-27 +", "spiffe://td/a", &["td"], &[], Ok(())),
        (
            "X509-27 −",
            "spiffe://10.0.0.1/a",
            &["10.0.0.1"],
            &[],
            Err(IpHost),
        ),
        (
            "X509-27 −",
            "spiffe://10.0.0.1/a",
            &[],
            &["td"],
            Err(IpHost),
        ),
        (
            "X509-27 −",
            "spiffe://999.999.1.1/a",
            &["td"],
            &[],
            Err(IpHost),
        ),
        ("X509-27 +", "spiffe://10.0.0/a", &["10.0.0"], &[], Ok(())),
        ("X509-27 +", "spiffe://a.b.c.d/a", &["a.b.c.d"], &[], Ok(())),
        ("X509-27 +", "spiffe://1..2.3/a", &["1..2.3"], &[], Ok(())),
        // What is not a host must not come to allow, or to exclude, nothing at all.
        (
            "X509-26 −",
            "spiffe://td/a",
            &["spiffe://td"],
            &[],
            Err(Malformed),
        ),
        (
            "X509-26 −",
            "spiffe://td/a",
            &[],
            &["spiffe://td"],
            Err(Malformed),
        ),
        ("X509-26 −", "spiffe://td/a", &[""], &[], Err(Malformed)),
        ("X509-26 −", "spiffe://td/a", &[], &[""], Err(Malformed)),
        ("X509-26 −", "spiffe://td/a", &["."], &[], Err(Malformed)),
        ("X509-26 −", "spiffe://td/a", &["..td"], &[], Err(Malformed)),
        (
            "X509-26 −",
            "spiffe://td/a",
            &["td:443"],
            &[],
            Err(Malformed),
        ),
    ] {
        let bases = |names: &[&str]| names.iter().map(gn::uri).collect::<Vec<_>>();
        let result = judge(leaf_of(uri), &bases(permitted), &bases(excluded));
        assert_eq!(result, want, "{rule}: {uri} +{permitted:?} -{excluded:?}");
    }
}

#[test]
fn uris_of_any_scheme_that_signing_certificates_have_are_constrained() {
    for (rule, uri, permitted, excluded, want) in [
        (
            "X509-26 +",
            "https://user@td/a",
            &["td"][..],
            &[][..],
            Ok(()),
        ),
        ("X509-26 +", "https://u:p@td:443", &["td"], &[], Ok(())),
        ("X509-26 +", "https://td?q#f", &["td"], &[], Ok(())),
        ("X509-26 +", "https://td#f", &["td"], &[], Ok(())),
        (
            "X509-26 −",
            "https://td@other/",
            &["td"],
            &[],
            Err(NotPermitted),
        ),
        ("X509-26 +", "https://td@other/", &[], &["td"], Ok(())),
        ("X509-26 −", "https:///td", &[], &["td"], Err(Malformed)),
        ("X509-26 −", "https://a%62/", &[], &["td"], Err(Malformed)),
        ("X509-26 −", "urn:td", &[], &["td"], Err(Malformed)),
        ("X509-26 −", "td", &[], &["td"], Err(Malformed)),
        ("X509-27 −", "https://[::1]/", &[], &["td"], Err(IpHost)),
        (
            "X509-27 −",
            "https://u@10.0.0.1/",
            &[],
            &["td"],
            Err(IpHost),
        ),
        // Where URIs are not constrained, they may be anything.
        ("X509-26 +", "urn:td", &[], &[], Ok(())),
    ] {
        // The leaf's own host is permitted, and not excluded.
        let bases = |names: &[&str]| names.iter().map(gn::uri).collect::<Vec<_>>();
        let mut permitted = bases(permitted);
        permitted.extend((!permitted.is_empty()).then(|| gn::uri("td.example")));
        let excluded = bases(excluded);
        let mut constrained = root();
        if !(permitted.is_empty() && excluded.is_empty()) {
            let constraints = Extension::name_constraints(&permitted, &excluded);
            constrained = constrained.with(vec![constraints]);
        }
        let named = intermediate().with(vec![Extension::subject_alt_name(&[gn::uri(uri)])]);
        let chain = [by_intermediate(leaf_below("intermediate")), by_root(named)];
        let want = match want {
            Ok(()) => accepted(),
            Err(error) => path_error(error),
        };
        let result = verify(&chain, &[by_root(constrained)]);
        assert_eq!(result, want, "{rule}: {uri} +{permitted:?} -{excluded:?}");
    }
}

#[test]
fn dns_constraints_are_about_dns_names() {
    for (rule, dns, permitted, excluded, want) in [
        (
            "X509-28 +",
            "a.example",
            &["a.example"][..],
            &[][..],
            Ok(()),
        ),
        ("X509-28 +", "b.a.example", &["a.example"], &[], Ok(())),
        ("X509-28 +", "A.EXAMPLE", &["a.example"], &[], Ok(())),
        (
            "X509-28 −",
            "ba.example",
            &["a.example"],
            &[],
            Err(NotPermitted),
        ),
        (
            "X509-28 −",
            "example",
            &["a.example"],
            &[],
            Err(NotPermitted),
        ),
        (
            "X509-28 −",
            "a.example",
            &["b.example"],
            &[],
            Err(NotPermitted),
        ),
        ("X509-28 −", "a.example", &[], &["a.example"], Err(Excluded)),
        (
            "X509-28 −",
            "b.a.example",
            &[],
            &["a.example"],
            Err(Excluded),
        ),
        ("X509-28 +", "b.example", &[], &["a.example"], Ok(())),
        ("X509-28 +", "anything.example", &[""], &[], Ok(())),
        ("X509-28 −", "anything.example", &[], &[""], Err(Excluded)),
        ("X509-28 +", "*.a.example", &["a.example"], &[], Ok(())),
        (
            "X509-28 −",
            "*.example",
            &["a.example"],
            &[],
            Err(NotPermitted),
        ),
        // A wildcard stands for what is excluded.
        ("X509-28 −", "*.example", &[], &["a.example"], Err(Excluded)),
        (
            "X509-28 −",
            "*.example",
            &[],
            &["b.a.example"],
            Err(Excluded),
        ),
        (
            "X509-28 −",
            "*.a.example",
            &[],
            &["a.example"],
            Err(Excluded),
        ),
        ("X509-28 +", "*.b.example", &[], &["a.example"], Ok(())),
        ("X509-28 −", "a.example", &[".example"], &[], Err(Malformed)),
        ("X509-28 −", "a.example", &["example."], &[], Err(Malformed)),
        ("X509-28 −", "a.example.", &["example"], &[], Err(Malformed)),
        ("X509-28 −", "a b", &["example"], &[], Err(Malformed)),
        ("X509-28 −", "", &["example"], &[], Err(Malformed)),
        ("X509-28 −", ".example", &["example"], &[], Err(Malformed)),
        ("X509-28 −", "*.", &["example"], &[], Err(Malformed)),
        ("X509-28 −", "*..example", &["example"], &[], Err(Malformed)),
    ] {
        let bases = |names: &[&str]| names.iter().map(|name| gn::dns(name)).collect::<Vec<_>>();
        let result = judge(leaf_with(gn::dns(dns)), &bases(permitted), &bases(excluded));
        assert_eq!(result, want, "{rule}: {dns} +{permitted:?} -{excluded:?}");
    }
}

#[test]
fn ip_constraints_are_about_ip_addresses() {
    let v4 = [10, 0, 0, 0, 255, 255, 255, 0];
    let v6 = [[0xfd; 16].as_slice(), &[0xff; 16]].concat();
    for (what, address, base, permitted, excluded) in [
        (
            "in the network",
            &[10, 0, 0, 7][..],
            &v4[..],
            Ok(()),
            Err(Excluded),
        ),
        ("in another", &[10, 0, 1, 7], &v4, Err(NotPermitted), Ok(())),
        (
            "of the other family",
            &[0xfd; 16],
            &v4,
            Err(NotPermitted),
            Ok(()),
        ),
        (
            "the address itself",
            &[0xfd; 16],
            &v6,
            Ok(()),
            Err(Excluded),
        ),
        (
            "no address",
            &[10, 0, 0],
            &v4,
            Err(Malformed),
            Err(Malformed),
        ),
        (
            "no mask",
            &[10, 0, 0, 7],
            &v4[..4],
            Err(Malformed),
            Err(Malformed),
        ),
        (
            "a mask with holes",
            &[10, 0, 0, 7],
            &[10, 0, 0, 0, 255, 0, 255, 0],
            Err(Malformed),
            Err(Malformed),
        ),
        (
            "an odd length",
            &[10, 0, 0, 7],
            &v4[..7],
            Err(Malformed),
            Err(Malformed),
        ),
        ("everything", &[1, 2, 3, 4], &[0; 8], Ok(()), Err(Excluded)),
    ] {
        let base = [gn::ip(base)];
        assert_eq!(
            judge(leaf_with(gn::ip(address)), &base, &[]),
            permitted,
            "X509-28 +/−: permitted addresses: {what}"
        );
        assert_eq!(
            judge(leaf_with(gn::ip(address)), &[], &base),
            excluded,
            "X509-28 +/−: excluded addresses: {what}"
        );
    }
}

#[test]
fn a_distinguished_name_is_permitted_by_what_it_begins_with() {
    let named = |common_name| {
        let mut leaf = leaf();
        leaf.subject = name(common_name);
        leaf
    };
    let base = [gn::directory(&name("cart"))];
    let everything = [gn::directory(&sequence(&[]))];
    assert_eq!(judge(named("cart"), &base, &[]), Ok(()), "X509-28 +");
    assert_eq!(
        judge(named("other"), &base, &[]),
        Err(NotPermitted),
        "X509-28 −"
    );
    assert_eq!(judge(named("other"), &everything, &[]), Ok(()));
    for more in [1, 200, 300] {
        let relative = |common_name: &str| {
            let name = name(common_name);
            let header = if name[1] == 0x82 {
                4
            } else {
                2 + usize::from(name[1] >> 7)
            };
            name[header..].to_vec()
        };
        let mut leaf = leaf();
        leaf.subject = sequence(&[&relative("cart"), &relative(&"x".repeat(more))]);
        assert_eq!(judge(leaf, &base, &[]), Ok(()), "X509-28 +: {more}");
    }
    // An empty subject is no name.
    assert_eq!(judge(leaf(), &base, &[]), Ok(()));
    assert_eq!(judge(leaf(), &[], &base), Ok(()));
    // Bytes that differ may still be the same name, so exclusion cannot be judged.
    assert_eq!(
        judge(named("other"), &[], &base),
        Err(Unsupported),
        "X509-26 −"
    );
    assert_eq!(
        judge(leaf_with(gn::directory(&name("other"))), &base, &[]),
        Err(NotPermitted)
    );
}

#[test]
fn constraints_of_other_types_refuse_names_of_that_type() {
    let base = [gn::email("example.org")];
    let mail = || leaf_with(gn::email("a@example.org"));
    assert_eq!(judge(mail(), &base, &[]), Err(Unsupported), "X509-26 −");
    assert_eq!(judge(mail(), &[], &base), Err(Unsupported), "X509-26 −");
    assert_eq!(judge(leaf(), &base, &[]), Ok(()), "X509-26 +: no such name");
    assert_eq!(
        judge(mail(), &[gn::dns("a.example")], &[]),
        Ok(()),
        "X509-28 +: another type"
    );
}

#[test]
fn constraints_bind_the_whole_path_below_but_self_issued_intermediates() {
    let constraints = |host: &str| Extension::name_constraints(&[gn::uri(host)], &[]);
    let uri = |uri: &str| Extension::subject_alt_name(&[gn::uri(uri)]);
    let judge = |root: RawCertificate, intermediate: RawCertificate, leaf: RawCertificate| {
        verify(
            &[by_intermediate(leaf), by_root(intermediate)],
            &[by_root(root)],
        )
    };
    let refused = || path_error(NotPermitted);
    let below = || leaf_below("intermediate");
    let right = constraints("td.example");
    let wrong = constraints("other");
    assert_eq!(
        judge(root().with(vec![right.clone()]), intermediate(), below()),
        accepted(),
        "X509-57 +: of the root"
    );
    assert_eq!(
        judge(root().with(vec![wrong.clone()]), intermediate(), below()),
        refused(),
        "X509-57 −: of the root"
    );
    assert_eq!(
        judge(root(), intermediate().with(vec![right.clone()]), below()),
        accepted(),
        "X509-57 +: of the intermediate"
    );
    assert_eq!(
        judge(root(), intermediate().with(vec![wrong]), below()),
        refused(),
        "X509-57 −: of the intermediate"
    );
    // An intermediate's own names count …
    let foreign = intermediate().with(vec![uri("spiffe://other")]);
    assert_eq!(
        judge(root().with(vec![right.clone()]), foreign, below()),
        refused()
    );
    // … unless it is self-issued.
    let rollover = intermediate_named("root", "root").with(vec![uri("spiffe://other")]);
    assert_eq!(
        judge(root().with(vec![right]), rollover, leaf_below("root")),
        accepted()
    );
}

#[test]
fn malformed_constraints_make_the_certificate_unreadable() {
    use plastron_bundle::certificate::{Certificate, CertificateError, ExtensionKind};
    let with = |value: Vec<u8>| {
        let der = by_root(root().with(vec![Extension::new(30, true, value)]));
        Certificate::parse(&der).map(|_| ())
    };
    let base = gn::uri("td");
    let subtree = |more: &[u8]| sequence(&[&base, more]);
    let list =
        |tag, subtrees: &[u8]| sequence(&[&plastron_testing::raw_certificate::der(tag, subtrees)]);
    assert_eq!(with(list(0xa0, &subtree(&[]))), Ok(()), "X509-25 +");
    for (what, value) in [
        ("X509-25 −: maximum", list(0xa0, &subtree(&[0x81, 1, 5]))),
        ("X509-25 −: minimum", list(0xa0, &subtree(&[0x80, 1, 0]))),
        ("no list", sequence(&[])),
        ("an empty list", list(0xa0, &[])),
        ("another list", list(0xa2, &subtree(&[]))),
    ] {
        let malformed = Err(CertificateError::Extension(ExtensionKind::NameConstraints));
        assert_eq!(with(value), malformed, "{what}");
    }
}
