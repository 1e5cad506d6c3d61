//! A pedantic reading of what we mint, by `x509-cert` and not by our own reader.

use std::collections::BTreeSet;

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use plastron_keys::PublicKey;
use plastron_keys_aws_lc::ALGORITHMS;
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
    SubjectKeyIdentifier,
};

const KEY_USAGE: &str = "2.5.29.15";
const SUBJECT_ALT_NAME: &str = "2.5.29.17";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// Checks every rule that binds the issuer of a leaf.
pub(crate) fn check_leaf(der: &[u8], issuer: &[u8], id: &str, dns_names: &[&str], key: &PublicKey) {
    let leaf = Certificate::from_der(der).unwrap();
    let authority = Certificate::from_der(issuer).unwrap();
    check_common(&leaf, der, &authority, key);
    let tbs = leaf.tbs_certificate();

    let names = subject_alt_names(&leaf);
    assert_eq!(uris(&names), [id], "X509-01 +/−: one URI, which is the ID");
    assert_eq!(dns(&names), dns_names, "X509-05 +: DNS names beside it");
    assert_eq!(names.len(), 1 + dns_names.len());
    assert!(
        id.strip_prefix("spiffe://").unwrap().contains('/'),
        "X509-09 +: the ID has a path"
    );
    assert_eq!(
        is_critical(&leaf, SUBJECT_ALT_NAME),
        Some(tbs.subject().is_empty()),
        "X509-07 +/−: an empty subject makes the names critical, and only that does"
    );

    let (critical, basic): (bool, BasicConstraints) = tbs.get_extension().unwrap().unwrap();
    assert!(critical && !basic.ca, "X509-18 −: no leaf is a CA");
    assert_eq!(
        basic.path_len_constraint, None,
        "X509-22 −: no path length on a leaf"
    );
    let raw = extension(&leaf, BASIC_CONSTRAINTS).unwrap();
    assert_eq!(
        raw.extn_value.as_bytes(),
        [0x30, 0x00],
        "X509-20 +: DER leaves FALSE out"
    );

    let (critical, usage): (bool, KeyUsage) = tbs.get_extension().unwrap().unwrap();
    assert!(critical, "X509-29 +/−: key usage of a leaf is critical");
    assert!(
        usage.digital_signature(),
        "X509-32 +/−: a leaf has digitalSignature"
    );
    assert!(
        !usage.key_cert_sign() && !usage.crl_sign(),
        "X509-34 +/−: a leaf signs neither certificates nor CRLs"
    );
    assert_eq!(
        usage.0.into_iter().count(),
        1,
        "X509-33 +, X509-39 +: nothing that is only allowed"
    );

    let (critical, purposes): (bool, ExtendedKeyUsage) = tbs.get_extension().unwrap().unwrap();
    assert!(!critical);
    assert_eq!(
        purposes.0,
        [SERVER_AUTH, CLIENT_AUTH],
        "X509-36 +, X509-37 +: both purposes"
    );

    let want = [
        "2.5.29.14",
        KEY_USAGE,
        SUBJECT_ALT_NAME,
        BASIC_CONSTRAINTS,
        "2.5.29.35",
        EXTENDED_KEY_USAGE,
    ];
    assert_eq!(
        extension_ids(&leaf),
        BTreeSet::from(want.map(str::to_owned)),
        "X509-25 −: no name constraints on a leaf, and nothing else that nobody asked for"
    );

    let (own, above) = (tbs.validity(), authority.tbs_certificate().validity());
    assert!(
        own.not_after.to_unix_duration() <= above.not_after.to_unix_duration(),
        "X509-49 −: no leaf outlives its authority"
    );
}

/// Checks every rule that binds the issuer of a signing certificate.
pub(crate) fn check_authority(der: &[u8], issuer: &[u8], trust_domain: &str, key: &PublicKey) {
    let authority = Certificate::from_der(der).unwrap();
    let above = Certificate::from_der(issuer).unwrap();
    let self_signed = der == issuer;
    check_common(&authority, der, &above, key);
    let tbs = authority.tbs_certificate();

    let names = subject_alt_names(&authority);
    assert_eq!(
        uris(&names),
        [format!("spiffe://{trust_domain}")],
        "X509-12 +/−, X509-13 +, SVID-02 +/−: the one URI is the trust domain, without a path"
    );
    assert_eq!(names.len(), 1);
    assert_eq!(is_critical(&authority, SUBJECT_ALT_NAME), Some(false));

    assert!(
        !tbs.subject().is_empty(),
        "X509-44 +: a subject that others can name as issuer"
    );

    let (critical, basic): (bool, BasicConstraints) = tbs.get_extension().unwrap().unwrap();
    assert!(critical, "X509-19 +/−: basic constraints are critical");
    assert!(basic.ca, "X509-11 +, X509-18 +: an authority is a CA");

    let (critical, usage): (bool, KeyUsage) = tbs.get_extension().unwrap().unwrap();
    assert!(
        critical,
        "X509-29 +/−: key usage of an authority is critical"
    );
    assert!(
        usage.key_cert_sign(),
        "X509-30 +/−: an authority has keyCertSign"
    );
    assert!(usage.crl_sign(), "X509-31 +: an authority has cRLSign");
    assert_eq!(
        usage.0.into_iter().count(),
        2,
        "X509-35 −: nothing of a leaf's"
    );

    let mut want = BTreeSet::from(
        ["2.5.29.14", KEY_USAGE, SUBJECT_ALT_NAME, BASIC_CONSTRAINTS].map(str::to_owned),
    );
    if !self_signed {
        want.insert("2.5.29.35".to_owned());
    }
    assert_eq!(
        extension_ids(&authority),
        want,
        "X509-38 +, X509-24 −: neither extended key usage nor name constraints by default"
    );
}

/// What holds for leaves and authorities alike.
fn check_common(certificate: &Certificate, der: &[u8], issuer: &Certificate, key: &PublicKey) {
    let tbs = certificate.tbs_certificate();
    let above = issuer.tbs_certificate();
    let self_signed = certificate == issuer;

    assert_eq!(
        certificate.to_der().unwrap(),
        der,
        "written again it is the same: DER"
    );
    assert_eq!(tbs.version(), Version::V3, "X509-41 +/−: version 3");

    let serial = tbs.serial_number().as_bytes();
    assert!(
        (1..=20).contains(&serial.len())
            && serial[0] < 0x80
            && serial.iter().any(|byte| *byte != 0),
        "X509-42 +: a serial is positive and has at most 20 octets"
    );

    assert_eq!(
        tbs.issuer().to_der().unwrap(),
        above.subject().to_der().unwrap(),
        "X509-44 +: byte-equal names"
    );

    assert_eq!(
        tbs.signature(),
        certificate.signature_algorithm(),
        "X509-45 +: the same identifier twice"
    );
    let algorithm = certificate.signature_algorithm();
    let has_null = algorithm
        .parameters
        .as_ref()
        .is_some_and(|any| any.is_null());
    let is_rsa = algorithm.oid.to_string().starts_with("1.2.840.113549.1.1.");
    assert_eq!(has_null, is_rsa, "X509-47 +: NULL for RSA");
    assert_eq!(
        algorithm.parameters.is_some(),
        is_rsa,
        "X509-47 +: no parameters for ECDSA"
    );

    let (critical, subject_key): (bool, SubjectKeyIdentifier) =
        tbs.get_extension().unwrap().unwrap();
    assert!(
        !critical && subject_key.0.as_bytes() == key.key_identifier(),
        "X509-46 +/−: a subject key identifier everywhere"
    );
    let authority_key = tbs.get_extension::<AuthorityKeyIdentifier>().unwrap();
    match (self_signed, authority_key) {
        (true, None) => {}
        (false, Some((false, authority_key))) => {
            let (_, above): (bool, SubjectKeyIdentifier) = above.get_extension().unwrap().unwrap();
            assert_eq!(
                authority_key.key_identifier,
                Some(above.0),
                "X509-46 +: that of the issuer's key"
            );
            assert!(authority_key.authority_cert_issuer.is_none());
            assert!(authority_key.authority_cert_serial_number.is_none());
        }
        (_, other) => panic!("X509-46 −: {other:?}"),
    }

    assert_eq!(
        extension_ids(certificate).len(),
        tbs.extensions().unwrap().len(),
        "X509-06 +: no extension twice"
    );

    assert_eq!(
        tbs.subject_public_key_info().to_der().unwrap(),
        key.spki_der(),
        "SVID-07 +: the key that was asked for, in the signed portion"
    );

    check_signature(certificate, issuer);
}

/// Checks that what is signed is verified by the issuer's key.
fn check_signature(certificate: &Certificate, issuer: &Certificate) {
    let key = issuer.tbs_certificate().subject_public_key_info();
    let content = |identifier: &[u8]| identifier[2..].to_vec();
    let key_id = content(&key.algorithm.to_der().unwrap());
    let signature_id = content(&certificate.signature_algorithm().to_der().unwrap());
    let algorithm = ALGORITHMS
        .iter()
        .find(|a| *a.public_key_alg_id() == *key_id && *a.signature_alg_id() == *signature_id)
        .unwrap();
    algorithm
        .verify_signature(
            key.subject_public_key.raw_bytes(),
            &certificate.tbs_certificate().to_der().unwrap(),
            certificate.signature().raw_bytes(),
        )
        .expect("X509-52 +: the issuer's key verifies what is signed");
}

pub(crate) fn subject_alt_names(certificate: &Certificate) -> Vec<GeneralName> {
    let tbs = certificate.tbs_certificate();
    let (_, SubjectAltName(names)) = tbs.get_extension().unwrap().unwrap();
    names
}

fn uris(names: &[GeneralName]) -> Vec<&str> {
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        })
        .collect()
}

fn dns(names: &[GeneralName]) -> Vec<&str> {
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

fn extension<'c>(certificate: &'c Certificate, id: &str) -> Option<&'c x509_cert::ext::Extension> {
    let extensions = certificate.tbs_certificate().extensions()?;
    extensions
        .iter()
        .find(|extension| extension.extn_id.to_string() == id)
}

fn is_critical(certificate: &Certificate, id: &str) -> Option<bool> {
    extension(certificate, id).map(|extension| extension.critical)
}

fn extension_ids(certificate: &Certificate) -> BTreeSet<String> {
    let extensions = certificate.tbs_certificate().extensions().unwrap();
    extensions
        .iter()
        .map(|extension| extension.extn_id.to_string())
        .collect()
}
