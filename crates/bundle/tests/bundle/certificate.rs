//! The certificate reader.

use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::X509Authority;
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
fn says_what_is_not_there() {
    let mut certificate = raw_authority(&*KEYS.p256).with(vec![
        Extension::subject_alt_name(&[gn::dns("a")]),
        Extension::extended_key_usage(&[1]),
    ]);
    certificate.extensions.retain(|extension| {
        let number = extension.oid[2];
        extension.oid.len() == 3 && (number == 17 || number == 37)
    });
    certificate.subject = sequence(&[]);
    let bytes = signed(certificate);
    let parsed = Certificate::parse(&bytes).unwrap();
    assert!(parsed.subject_is_empty() && !parsed.is_self_issued());
    assert_eq!((parsed.uri_san_count(), parsed.uri_san()), (0, None));
    // X509-20 +: without basic constraints it is no CA, and has no limit (X509-23).
    assert_eq!((parsed.is_ca(), parsed.path_len()), (false, None));
    assert!(parsed.key_usage().is_none() && parsed.name_constraints().is_none());
    assert_eq!(
        (parsed.subject_key_id(), parsed.authority_key_id()),
        (None, None)
    );
    assert_eq!(parsed.unknown_critical_extension(), None);
    let purposes = parsed.extended_key_usage().unwrap();
    assert!(purposes.allows_server() && !purposes.allows_client() && !purposes.allows_any());
}

#[test]
fn key_usage_and_extended_key_usage_are_told_bit_by_bit() {
    for set in [0u8, 2, 4, 5, 6] {
        let bytes = signed(with_extension(Extension::key_usage(&[set])));
        let usage = Certificate::parse(&bytes).unwrap().key_usage().unwrap();
        let said = [
            (0, usage.digital_signature()),
            (2, usage.key_encipherment()),
            (4, usage.key_agreement()),
            (5, usage.key_cert_sign()),
            (6, usage.crl_sign()),
        ];
        for (bit, is_set) in said {
            assert_eq!(is_set, bit == set, "bit {bit} of {set}");
        }
    }
    let purpose = |oid: &[u8], critical: bool| {
        let value = sequence(&[&der(0x06, oid)]);
        let bytes = signed(with_extension(Extension::new(37, critical, value)));
        let usage = Certificate::parse(&bytes).unwrap().extended_key_usage();
        usage.map(|usage| {
            let (server, client) = (usage.allows_server(), usage.allows_client());
            (server, client, usage.allows_any(), usage.is_critical())
        })
    };
    let (any, none) = ((true, true, true, true), (false, false, false, false));
    assert_eq!(purpose(&[0x55, 0x1d, 37, 0], true), Some(any));
    assert_eq!(purpose(&[0x2b, 6, 1, 5, 5, 7, 3, 3], false), Some(none));
    let bytes = signed(with_extension(Extension::new(
        15,
        false,
        der(0x03, [7, 0x80]),
    )));
    let usage = Certificate::parse(&bytes).unwrap().key_usage().unwrap();
    assert!(usage.digital_signature() && !usage.is_critical());
}

#[test]
fn path_lengths_of_up_to_32_bits_are_read() {
    for (octets, want) in [
        (&[0][..], 0),
        (&[0x7f], 127),
        (&[0x00, 0x80], 128),
        (&[1, 2, 3, 4], 0x0102_0304),
        (&[0x00, 0xff, 0xff, 0xff, 0xff], u32::MAX),
    ] {
        let value = sequence(&[&der(0x01, [0xff]), &der(0x02, octets)]);
        let bytes = signed(with_extension(Extension::new(19, true, value)));
        let path_len = Certificate::parse(&bytes).unwrap().path_len();
        assert_eq!(path_len, Some(want), "X509-21 +: {octets:x?}");
    }
}

#[test]
fn every_type_of_name_has_its_number_and_content() {
    let directory = name("x");
    for (element, number, content, want) in [
        (
            der(0xa0, b"other"),
            0,
            &b"other"[..],
            GeneralName::Other {
                number: 0,
                content: b"other",
            },
        ),
        (gn::email("a@b"), 1, b"a@b", GeneralName::Email(b"a@b")),
        (gn::dns("a.b"), 2, b"a.b", GeneralName::Dns(b"a.b")),
        (
            gn::directory(&directory),
            4,
            &directory,
            GeneralName::Directory(&directory),
        ),
        (gn::uri("a:b"), 6, b"a:b", GeneralName::Uri(b"a:b")),
        (gn::ip(&[1, 2]), 7, &[1, 2], GeneralName::Ip(&[1, 2])),
        (
            der(0x88, [0x2a]),
            8,
            &[0x2a],
            GeneralName::Other {
                number: 8,
                content: &[0x2a],
            },
        ),
    ] {
        let extension = Extension::subject_alt_name(&[element]);
        let bytes = signed(with_extension(extension));
        let names = Certificate::parse(&bytes).unwrap().subject_alt_names();
        let names: Vec<_> = names.collect();
        assert_eq!(names, [want]);
        assert_eq!((names[0].number(), names[0].content()), (number, content));
    }
}

#[test]
fn name_constraints_are_one_list_at_least_and_bases_alone() {
    let base = gn::dns("a");
    let subtree = |more: &[u8]| sequence(&[&base, more]);
    let lists = |permitted: &[u8], excluded: &[u8]| sequence(&[permitted, excluded]);
    let (permitted, excluded) = (der(0xa0, subtree(&[])), der(0xa1, subtree(&[])));
    let malformed = Some(CertificateError::Extension(ExtensionKind::NameConstraints));
    for (what, value, want) in [
        ("X509-25 +: permitted alone", lists(&permitted, &[]), None),
        ("X509-25 +: excluded alone", lists(&[], &excluded), None),
        ("X509-25 +: both", lists(&permitted, &excluded), None),
        (
            "X509-25 −: an empty list beside",
            lists(&der(0xa0, []), &excluded),
            malformed,
        ),
        (
            "X509-25 −: an empty list beside",
            lists(&permitted, &der(0xa1, [])),
            malformed,
        ),
        (
            "X509-25 −: minimum",
            lists(&permitted, &der(0xa1, subtree(&[0x80, 1, 0]))),
            malformed,
        ),
        (
            "X509-25 −: maximum",
            lists(&der(0xa0, subtree(&[0x81, 1, 5])), &excluded),
            malformed,
        ),
        (
            "X509-25 −: a third list",
            lists(&permitted, &der(0xa2, subtree(&[]))),
            malformed,
        ),
    ] {
        let extension = Extension::new(30, true, value);
        assert_eq!(error(with_extension(extension)), want, "{what}");
    }
}

#[test]
fn is_valid_from_its_first_second_to_its_last() {
    let bytes = authority(&*KEYS.p256);
    let certificate = Certificate::parse(&bytes).unwrap();
    let first = certificate.not_before().as_secs();
    let last = certificate.not_after().as_secs();
    for (seconds, want) in [
        (first - 1, false), // X509-53 −
        (first, true),      // X509-53 +
        (first + 1, true),
        (last, true),      // X509-53 +
        (last + 1, false), // X509-53 −
    ] {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        assert_eq!(certificate.is_valid_at(now), want, "{seconds}");
    }
}

#[test]
fn bits_of_an_rsa_modulus_are_counted_without_zeros_in_front() {
    let bits = |modulus: &[u8]| {
        let numbers = sequence(&[&der(0x02, modulus), &der(0x02, [1, 0, 1])]);
        let key_bits = der(0x03, [&[0], &numbers[..]].concat());
        let rsa = pki_types::alg_id::RSA_ENCRYPTION;
        let mut certificate = raw_authority(&*KEYS.p256);
        certificate.spki = sequence(&[&sequence(&[rsa.as_ref()]), &key_bits]);
        let bytes = signed(certificate);
        let spki = Certificate::parse(&bytes).unwrap().spki();
        assert_eq!(spki.algorithm(), rsa.as_ref());
        spki.rsa_modulus_bits()
    };
    for (modulus, want) in [
        (&[0x80, 0x01][..], Some(16)),
        (&[0x00, 0x80, 0x01], Some(16)),
        (&[0x40, 0x00, 0x01], Some(23)),
        (&[0x00, 0x00, 0x01], Some(1)),
        (&[0x00, 0x00], None),
        (&[], None),
    ] {
        assert_eq!(bits(modulus), want, "{modulus:x?}");
    }
}

#[test]
fn shows_what_tells_it_from_others() {
    let bytes = signed(
        raw_authority(&*KEYS.p256).with(vec![Extension::subject_alt_name(&[gn::uri(
            "spiffe://td.example",
        )])]),
    );
    let authority = X509Authority::parse(&bytes).unwrap();
    let certificate = authority.certificate();
    let shown = "Certificate { serial: 2a, uri_san: Some(\"spiffe://td.example\"), \
                 is_ca: true, not_after: 4102444799, .. }";
    assert_eq!(format!("{certificate:?}"), shown);
    assert_eq!(format!("{authority:?}"), format!("X509Authority({shown})"));
    let spki = format!("{:?}", certificate.spki());
    assert!(spki.starts_with("Spki(30"), "{spki}");
    assert_eq!((certificate.der(), authority.der()), (&*bytes, &*bytes));
    assert_eq!(authority.subject(), name("root"));
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
    let mut extended = raw_authority(&*KEYS.p256);
    for number in extended.extensions.len()..MAX_EXTENSIONS {
        let mut extension = Extension::unknown(false);
        extension.oid.push(number as u8);
        extended.extensions.push(extension);
    }
    assert_eq!(extended.extensions.len(), 32);
    for (what, certificate) in [
        ("X509-20 +: an explicit FALSE", explicit(der(0x01, [0]))),
        ("X509-20 +: empty basic constraints", explicit(vec![])),
        ("serial zero", serial(&[0])),
        ("negative serial", serial(&[0x80])),
        ("X509-42 +: serial of 20 octets", serial(&twenty)),
        (
            "zero bits at the end of key usage",
            with_extension(trailing_zeros),
        ),
        ("unique identifiers", unique_ids),
        ("X509-61 +: extensions", extended),
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
    for extension in [
        Extension::key_usage(&[5]),
        Extension::extended_key_usage(&[1]),
        Extension::basic_constraints(true, None),
        Extension::name_constraints(&[gn::dns("a")], &[]),
        Extension::subject_key_id(b"a"),
        Extension::authority_key_id(b"a"),
    ] {
        add(
            "X509-06 −: any twice",
            CertificateError::DuplicateExtension,
            &twice(extension),
        );
    }
    for (what, certificate, want) in certificates {
        assert_eq!(error(certificate), Some(want), "{what}");
        assert!(what.starts_with(want.rule()), "{what}: {want:?}");
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
    let named = [
        (SubjectAltName, "X509-06", "subject alternative name"),
        (BasicConstraints, "X509-21", "basic constraints"),
        (KeyUsage, "X509-39", "key usage"),
        (ExtendedKeyUsage, "X509-39", "extended key usage"),
        (NameConstraints, "X509-25", "name constraints"),
        (SubjectKeyIdentifier, "X509-51", "subject key identifier"),
        (
            AuthorityKeyIdentifier,
            "X509-51",
            "authority key identifier",
        ),
    ];
    for (kind, rule, shown) in named {
        let error = CertificateError::Extension(kind);
        assert_eq!(error.rule(), rule);
        assert_eq!(error.to_string(), format!("malformed {shown} extension"));
    }
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
fn the_first_unknown_critical_extension_is_told() {
    let unknown = |last: u8, critical| {
        let mut extension = Extension::unknown(critical);
        extension.oid.push(last);
        extension
    };
    let bytes = signed(raw_authority(&*KEYS.p256).with(vec![
        unknown(1, false),
        unknown(2, true),
        unknown(3, true),
    ]));
    let parsed = Certificate::parse(&bytes).unwrap();
    assert_eq!(
        parsed.unknown_critical_extension(),
        Some(&*unknown(2, true).oid)
    );
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
