//! The certificate reader.

use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::certificate::{
    Certificate, CertificateError, ExtensionKind, GeneralName, MAX_CERTIFICATE_LEN, MAX_EXTENSIONS,
};
use plastron_testing::raw_certificate::{
    Extension, RawCertificate, der, general_name as gn, name, sequence,
};
use proptest::prelude::*;

use crate::fixture::*;

fn signed(certificate: RawCertificate) -> Vec<u8> {
    certificate.sign(&*KEYS.p256)
}

fn error(certificate: RawCertificate) -> Option<CertificateError> {
    Certificate::parse(&signed(certificate)).err()
}

fn with_extension(extension: Extension) -> RawCertificate {
    raw_authority(&*KEYS.p256).with(vec![extension])
}

#[test]
fn finds_every_field() {
    let names = [
        gn::dns("a.example"),
        gn::uri("spiffe://td.example"),
        gn::ip(&[10, 0, 0, 1]),
        gn::uri("urn:x"),
        gn::email("a@b"),
        gn::directory(&name("x")),
    ];
    let certificate = raw_authority(&*KEYS.p256).with(vec![
        Extension::subject_alt_name(&names),
        Extension::basic_constraints(true, Some(3)),
        Extension::key_usage(&[0, 2, 4, 5, 6]),
        Extension::extended_key_usage(&[1, 2]),
        Extension::subject_key_id(b"subject"),
        Extension::authority_key_id(b"issuer"),
        Extension::name_constraints(&[gn::dns("p")], &[gn::uri("e"), gn::uri("f")]),
        Extension::unknown(true),
    ]);
    let bytes = signed(certificate.clone());
    let parsed = Certificate::parse(&bytes).unwrap();
    assert_eq!(parsed.der(), bytes);
    assert_eq!(parsed.tbs(), certificate.to_tbs(&*KEYS.p256));
    assert_eq!(parsed.serial(), [0x2a]);
    assert_eq!(
        sequence(&[parsed.signature_algorithm()]),
        KEYS.p256.algorithm().identifier_der()
    );
    assert_eq!(parsed.issuer(), name("root"));
    assert_eq!(parsed.subject(), name("root"));
    assert!(parsed.is_self_issued() && !parsed.subject_is_empty());
    let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    assert_eq!(parsed.not_before(), time(946_684_800), "X509-43 +: UTCTime");
    assert_eq!(
        parsed.not_after(),
        time(4_102_444_799),
        "X509-43 +: GeneralizedTime"
    );
    assert_eq!(parsed.spki().der(), KEYS.p256.public_key().spki_der());
    assert_eq!(parsed.spki().key_bits(), KEYS.p256.public_key().key_bits());
    assert_eq!(parsed.spki().rsa_modulus_bits(), None);
    assert_eq!(
        (parsed.uri_san_count(), parsed.uri_san()),
        (2, Some(&b"spiffe://td.example"[..]))
    );
    let kinds: Vec<u8> = parsed
        .subject_alt_names()
        .map(|name| name.number())
        .collect();
    assert_eq!(kinds, [2, 6, 7, 6, 1, 4]);
    assert_eq!((parsed.is_ca(), parsed.path_len()), (true, Some(3)));
    let usage = parsed.key_usage().unwrap();
    assert!(usage.digital_signature() && usage.key_encipherment() && usage.key_agreement());
    assert!(usage.key_cert_sign() && usage.crl_sign() && usage.is_critical());
    let purposes = parsed.extended_key_usage().unwrap();
    assert!(purposes.allows_client() && purposes.allows_server());
    assert!(!purposes.allows_any() && !purposes.is_critical());
    assert_eq!(parsed.subject_key_id(), Some(&b"subject"[..]));
    assert_eq!(parsed.authority_key_id(), Some(&b"issuer"[..]));
    let constraints = parsed.name_constraints().unwrap();
    assert_eq!(
        constraints.permitted().collect::<Vec<_>>(),
        [GeneralName::Dns(b"p")]
    );
    assert_eq!(
        constraints.excluded().collect::<Vec<_>>(),
        [GeneralName::Uri(b"e"), GeneralName::Uri(b"f")]
    );
    assert_eq!(
        parsed.unknown_critical_extension(),
        Some(&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 99][..])
    );
    let rsa = authority(&*KEYS.rsa);
    assert_eq!(
        Certificate::parse(&rsa).unwrap().spki().rsa_modulus_bits(),
        Some(2048)
    );
}

#[test]
fn tolerates_what_is_harmless() {
    let serial = |content: &[u8]| {
        let mut certificate = raw_authority(&*KEYS.p256);
        certificate.serial = der(0x02, content);
        certificate
    };
    let explicit = |value: Vec<u8>| with_extension(Extension::new(19, true, der(0x30, value)));
    let trailing_zeros = Extension::new(15, true, der(0x03, [0, 0x04, 0x00]));
    let mut unique_ids = raw_authority(&*KEYS.p256);
    unique_ids.spki = [unique_ids.spki, der(0x81, [0, 1]), der(0x82, [0, 1])].concat();
    let twenty = [&[0x00][..], &[0xff; 20]].concat();
    for (what, certificate) in [
        ("X509-20 +: an explicit FALSE", explicit(der(0x01, [0]))),
        ("X509-20 +: empty basic constraints", explicit(vec![])),
        ("X509-42 +: serial zero", serial(&[0])),
        ("X509-42 +: negative serial", serial(&[0x80])),
        ("X509-42 +: serial of 20 octets", serial(&twenty)),
        (
            "zero bits at the end of key usage",
            with_extension(trailing_zeros),
        ),
        ("unique identifiers", unique_ids),
        (
            "X509-06 +: unknown extension",
            with_extension(Extension::unknown(false)),
        ),
    ] {
        assert_eq!(error(certificate), None, "{what}");
    }
}

#[test]
fn refuses_what_is_malformed() {
    let mut certificates = Vec::new();
    let mut add =
        |what: &'static str, error: CertificateError, change: &dyn Fn(&mut RawCertificate)| {
            let mut certificate = raw_authority(&*KEYS.p256);
            change(&mut certificate);
            certificates.push((what, certificate, error));
        };
    let algorithm = |oid: u8| der(0x30, der(0x06, [0x2b, 0x65, oid]));
    add("X509-41 −: version 2", CertificateError::Version, &|c| {
        c.version[4] = 1;
    });
    add("X509-41 −: no version", CertificateError::Version, &|c| {
        c.version.clear();
    });
    add(
        "X509-42 −: serial of 21 octets",
        CertificateError::SerialTooLong,
        &|c| c.serial = der(0x02, [1; 21]),
    );
    add("X509-43 −: fraction", CertificateError::Time, &|c| {
        c.not_after = der(0x18, "20991231235959.5Z");
    });
    add("X509-43 −: offset", CertificateError::Time, &|c| {
        c.not_after = der(0x17, "240101000000+0000");
    });
    add("X509-45 −", CertificateError::SignatureAlgorithms, &|c| {
        c.inner_algorithm = Some(algorithm(1));
    });
    add("X509-45 −", CertificateError::SignatureAlgorithms, &|c| {
        c.outer_algorithm = Some(algorithm(2));
    });
    let twice = |extension: Extension| {
        move |c: &mut RawCertificate| c.extensions.extend([extension.clone(), extension.clone()])
    };
    add(
        "X509-06 −: names twice",
        CertificateError::DuplicateExtension,
        &twice(Extension::subject_alt_name(&[gn::uri("a:b")])),
    );
    add(
        "X509-06 −: unknown twice",
        CertificateError::DuplicateExtension,
        &twice(Extension::unknown(false)),
    );
    add(
        "X509-61 −: extensions",
        CertificateError::TooManyExtensions,
        &|c| {
            c.extensions = (0..=MAX_EXTENSIONS as u8)
                .map(|n| Extension::new(100 + n % 100, false, vec![n]))
                .collect();
            for (n, extension) in c.extensions.iter_mut().enumerate() {
                extension.oid = vec![0x2b, 6, n as u8];
            }
        },
    );
    for (what, certificate, want) in certificates {
        assert_eq!(error(certificate), Some(want), "{what}");
    }
    let long = Certificate::parse(&vec![0; MAX_CERTIFICATE_LEN + 1]).unwrap_err();
    assert_eq!(
        long,
        CertificateError::TooLong {
            len: MAX_CERTIFICATE_LEN + 1
        },
        "X509-61 −"
    );
}

#[test]
fn refuses_extensions_that_are_not_what_their_type_says() {
    use ExtensionKind::*;
    let seq = |content: Vec<u8>| der(0x30, content);
    for (number, kind, what, value) in [
        (17, SubjectAltName, "X509-06 −: no names", seq(vec![])),
        (
            17,
            SubjectAltName,
            "X509-06 −: UTF-8",
            seq(gn::uri("spiffe://td/ñ")),
        ),
        (
            17,
            SubjectAltName,
            "X509-06 −: UTF-8",
            seq(der(0x82, [0xc3, 0xb1])),
        ),
        (
            17,
            SubjectAltName,
            "a type of name that is not",
            seq(der(0x89, [])),
        ),
        (
            17,
            SubjectAltName,
            "bytes behind",
            [seq(gn::uri("a:b")), vec![0]].concat(),
        ),
        (17, SubjectAltName, "no list", gn::uri("a:b")),
        (
            19,
            BasicConstraints,
            "X509-21 −: negative",
            seq([der(0x01, [0xff]), der(0x02, [0xff])].concat()),
        ),
        (
            19,
            BasicConstraints,
            "X509-21 −: huge",
            seq([der(0x01, [0xff]), der(0x02, [1; 5])].concat()),
        ),
        (
            19,
            BasicConstraints,
            "X509-21 −: not minimal",
            seq([der(0x01, [0xff]), der(0x02, [0, 1])].concat()),
        ),
        (
            19,
            BasicConstraints,
            "a BOOLEAN that is neither",
            seq(der(0x01, [1])),
        ),
        (
            19,
            BasicConstraints,
            "a third thing",
            seq([der(0x01, [0xff]), der(0x02, [1]), der(0x02, [1])].concat()),
        ),
        (15, KeyUsage, "X509-39 −: no bits", der(0x03, [0])),
        (
            15,
            KeyUsage,
            "bits set that are not used",
            der(0x03, [7, 0xff]),
        ),
        (15, KeyUsage, "eight unused bits", der(0x03, [8, 0])),
        (37, ExtendedKeyUsage, "X509-39 −: no purposes", seq(vec![])),
        (
            37,
            ExtendedKeyUsage,
            "not an identifier",
            seq(der(0x05, [])),
        ),
        (30, NameConstraints, "X509-25 −: nothing", seq(vec![])),
        (14, SubjectKeyIdentifier, "not octets", der(0x05, [])),
        (35, AuthorityKeyIdentifier, "not a sequence", der(0x04, [1])),
    ] {
        let certificate = with_extension(Extension::new(number, false, value));
        assert_eq!(
            error(certificate),
            Some(CertificateError::Extension(kind)),
            "{what}"
        );
    }
}

#[test]
fn bytes_before_behind_and_between_are_refused() {
    let right = signed(raw_authority(&*KEYS.p256));
    assert_eq!(
        Certificate::parse(&[&right[..], &[0]].concat()).unwrap_err(),
        CertificateError::TrailingData
    );
    assert!(Certificate::parse(&right[..right.len() - 1]).is_err());
    let (first, rest) = Certificate::parse_first(&[&right[..], b"rest"].concat())
        .map(|(c, rest)| (c.der().to_vec(), rest.to_vec()))
        .unwrap();
    assert_eq!((first, &*rest), (right, &b"rest"[..]), "RS-09 +");
}

/// Whatever both we and `x509-cert` can read says the same to both. (It looks into names and algorithms too, which are
/// compared as bytes here.)
fn agrees_with_x509_cert(bytes: &[u8]) -> Result<(), TestCaseError> {
    use x509_cert::der::{Decode as _, Encode as _};
    let (Ok(ours), Ok(theirs)) = (
        Certificate::parse(bytes),
        x509_cert::Certificate::from_der(bytes),
    ) else {
        return Ok(());
    };
    let tbs = theirs.tbs_certificate();
    // It writes defaults away that both tolerate (X509-20), and a GeneralizedTime before 2050 as a UTCTime.
    if theirs.to_der().as_deref() == Ok(bytes) {
        prop_assert_eq!(ours.tbs(), tbs.to_der().unwrap());
    }
    prop_assert_eq!(ours.serial(), tbs.serial_number().as_bytes());
    prop_assert_eq!(ours.issuer(), tbs.issuer().to_der().unwrap());
    prop_assert_eq!(ours.subject(), tbs.subject().to_der().unwrap());
    prop_assert_eq!(
        ours.spki().der(),
        tbs.subject_public_key_info().to_der().unwrap()
    );
    prop_assert_eq!(
        ours.not_after().as_secs(),
        tbs.validity().not_after.to_unix_duration().as_secs()
    );
    prop_assert_eq!(ours.signature(), theirs.signature().as_bytes().unwrap());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_input_panics(bytes: Vec<u8>) {
        let _ = Certificate::parse(&bytes);
        let _ = Certificate::parse_first(&bytes);
    }

    #[test]
    fn a_certificate_with_bytes_changed_is_read_as_others_read_it_if_at_all(
        changes in proptest::collection::vec((0usize..600, any::<u8>()), 1..4),
    ) {
        let mut bytes = signed(raw_authority(&*KEYS.p256).with(vec![
            Extension::subject_alt_name(&[gn::uri("spiffe://td.example"), gn::dns("a")]),
            Extension::extended_key_usage(&[1, 2]),
            Extension::authority_key_id(b"issuer"),
        ]));
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        agrees_with_x509_cert(&bytes)?;
    }
}
