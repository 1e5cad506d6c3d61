//! X.509 authorities as DER and PEM.

use plastron_bundle::certificate::{MAX_CERTIFICATE_LEN, certificates};
use plastron_bundle::{
    Bundle, BundleError, MAX_KEYS, SkipReason, X509Authority, X509AuthorityError, pem,
};
use plastron_keys::PublicKeyError;
use plastron_testing::raw_certificate::{Extension, RawCertificate, der};

use crate::fixture::*;

#[test]
fn concatenated_der_is_read_to_its_end() {
    let (one, two) = (authority(&*KEYS.p256), authority(&*KEYS.rsa));
    let parsed = Bundle::from_der(td(), &[&one[..], &two].concat()).unwrap();
    assert_eq!(parsed.bundle.x509_authorities().len(), 2, "RS-09 +");
    assert_eq!(
        parsed.bundle.x509_der(),
        [&one[..], &two].concat(),
        "WAPI-26 +"
    );
    assert!(
        Bundle::from_der(td(), &[]).unwrap().bundle.is_empty(),
        "BUNDLE-22 +"
    );
    for (what, der) in [
        ("RS-09 −: a zero byte too many", [&one[..], &[0]].concat()),
        (
            "RS-09 −: cut short",
            [&one[..], &two[..two.len() - 1]].concat(),
        ),
        ("RS-09 −: PEM", pem::certificate(&one).into_bytes()),
    ] {
        assert_eq!(
            Bundle::from_der(td(), &der),
            Err(BundleError::Der),
            "{what}"
        );
        assert!(
            certificates(&der).any(|certificate| certificate.is_err()),
            "{what}"
        );
    }
    assert_eq!(certificates(&[0, 0]).count(), 1, "an error comes once");
}

#[test]
fn lengths_of_every_form_divide_concatenated_der() {
    // Not certificates, and still as long as they say.
    let elements: Vec<Vec<u8>> = [0usize, 1, 127, 128, 255, 256, 511, 65_531]
        .into_iter()
        .map(|len| der(0x30, vec![0; len]))
        .collect();
    for len in 1..=elements.len() {
        let parsed = Bundle::from_der(td(), &elements[..len].concat()).unwrap();
        assert_eq!(parsed.skipped.len(), len, "RS-09 +");
        let cut = elements[..len].concat();
        let cut = Bundle::from_der(td(), &cut[..cut.len() - 1]);
        assert_eq!(cut, Err(BundleError::Der), "RS-09 −");
    }
}

#[test]
fn certificates_that_are_no_authorities_are_left_out() {
    let leaf = raw_authority(&*KEYS.p256).without(19).sign(&*KEYS.p256);
    let one = authority(&*KEYS.p256);
    let from_der = Bundle::from_der(td(), &[&leaf[..], &one].concat()).unwrap();
    let from_pem = Bundle::from_pem(
        td(),
        &[pem::certificate(&leaf), pem::certificate(&one)].concat(),
    )
    .unwrap();
    for parsed in [from_der, from_pem] {
        assert_eq!(parsed.bundle.x509_authorities().len(), 1, "AMB-13 +");
        let [skipped] = &parsed.skipped[..] else {
            panic!("{:?}", parsed.skipped)
        };
        assert_eq!(skipped.index, 0);
        assert_eq!(
            skipped.reason,
            SkipReason::X509Authority(X509AuthorityError::NotCa),
            "AMB-13 −"
        );
    }
}

#[test]
fn pem_is_read_with_what_people_write_around_it() {
    let (one, two) = (authority(&*KEYS.p256), authority(&*KEYS.p384));
    let key = pem_rfc7468::encode_string(
        "PRIVATE KEY",
        pem_rfc7468::LineEnding::LF,
        &KEYS.p256.to_pkcs8(),
    )
    .unwrap();
    let text = format!(
        "# roots\n{}\n{key}subject=CN=two\n{}trailing",
        pem::certificate(&one),
        pem::certificate(&two).replace('\n', "\r\n")
    );
    let bundle = Bundle::from_pem(td(), &text).unwrap().bundle;
    assert_eq!(bundle.x509_der(), [&one[..], &two].concat());
    assert_eq!(
        bundle.x509_pem(),
        [pem::certificate(&one), pem::certificate(&two)].concat()
    );

    // Lines of another width, which some people's tools write.
    let one_line: String = pem::certificate(&one)
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    for width in [48, 76, one_line.len()] {
        let lines: Vec<_> = one_line
            .as_bytes()
            .chunks(width)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let text = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        );
        assert_eq!(
            Bundle::from_pem(td(), &text).map(|parsed| parsed.bundle.x509_der()),
            Ok(one.clone()),
            "{width}"
        );
    }

    let right = pem::certificate(&one);
    let broken_base64 = right.replacen("MII", "M-I", 1).replacen("MI", "M!", 1);
    for (what, text) in [
        ("nothing", ""),
        ("no certificate", key.as_str()),
        ("no end", &right[..right.len() - 30]),
        ("not base64", &broken_base64),
        (
            "an endless one",
            &format!("-----BEGIN CERTIFICATE-----\n{}", "A\n".repeat(200_000)),
        ),
    ] {
        assert_eq!(
            Bundle::from_pem(td(), text),
            Err(BundleError::Pem),
            "{what}"
        );
    }
}

#[test]
fn what_is_no_authority_says_which_rule_it_breaks() {
    let signed = |certificate: RawCertificate| certificate.sign(&*KEYS.p256);
    let raw = || raw_authority(&*KEYS.p256);
    let no_signing = signed(raw().with(vec![Extension::key_usage(&[0])]));
    let of = |der: &[u8]| X509Authority::parse(der).unwrap_err();
    for (error, rule) in [
        (of(&signed(raw())[..20]), "X509-51"),
        (of(&signed(raw().without(19))), "AMB-13"),
        (of(&no_signing), "X509-11"),
        (
            X509AuthorityError::from(PublicKeyError::Malformed),
            "X509-48",
        ),
    ] {
        assert_eq!(error.rule(), rule, "{error}");
    }
}

#[test]
fn a_block_of_pem_is_no_longer_than_a_certificate_may_be() {
    let right = pem::certificate(&authority(&*KEYS.p256));
    let frame = "-----BEGIN CERTIFICATE-----".len() + "-----END CERTIFICATE-----\n".len();
    let with_body_of = |len: usize| {
        let fill = "\n".repeat(len + frame - right.len());
        Bundle::from_pem(td(), &right.replace("-----END", &format!("{fill}-----END")))
    };
    let most = 2 * MAX_CERTIFICATE_LEN;
    let read = with_body_of(most).unwrap().bundle;
    assert_eq!(
        read.x509_authorities().len(),
        1,
        "BUNDLE-25 +, X509-61 +: PEM"
    );
    for len in [most + 1, most + 2] {
        assert_eq!(
            with_body_of(len),
            Err(BundleError::Pem),
            "BUNDLE-25 −, X509-61 −: PEM"
        );
    }
}

#[test]
fn der_and_pem_have_as_many_certificates_as_a_document_has_keys() {
    // Two bytes are the shortest that pass for one, so that a file of a few megabytes could have millions.
    let empty = [0x30, 0];
    let read = |count: usize| {
        let der = empty.repeat(count);
        let pem = pem::certificate(&empty).repeat(count);
        [Bundle::from_der(td(), &der), Bundle::from_pem(td(), &pem)]
    };
    for parsed in read(MAX_KEYS) {
        let skipped = parsed.map(|parsed| parsed.skipped.len());
        assert_eq!(skipped, Ok(MAX_KEYS), "BUNDLE-25 +");
    }
    for parsed in read(MAX_KEYS + 1) {
        assert_eq!(parsed, Err(BundleError::TooManyKeys), "BUNDLE-25 −");
    }
}

#[test]
fn an_authority_that_comes_again_is_not_added_again() {
    let (one, two) = (authority(&*KEYS.p256), authority(&*KEYS.rsa));
    let parsed = Bundle::from_der(td(), &[&one[..], &two, &one, &two].concat()).unwrap();
    assert_eq!(
        parsed.bundle.x509_der(),
        [&one[..], &two].concat(),
        "BUNDLE-24 +: in the order in which they first came"
    );
    let mut bundle = Bundle::new(td());
    for der in [&one, &two, &one, &two] {
        bundle.add_x509_authority(X509Authority::parse(der).unwrap());
    }
    assert_eq!(
        bundle.x509_der(),
        [&one[..], &two].concat(),
        "BUNDLE-24 +: one by one"
    );
}
