//! What is read of a certificate lies in it, and is what `x509-cert` reads, where that reads it too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plastron_bundle::X509Authority;
use plastron_bundle::certificate::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

fuzz_target!(|bytes: &[u8]| {
    let Ok(certificate) = Certificate::parse(bytes) else {
        assert!(X509Authority::parse(bytes).is_err());
        return;
    };
    let (first, rest) = Certificate::parse_first(bytes).expect("parsed before");
    assert!(first.der() == bytes && rest.is_empty());
    let longer = [bytes, b"rest"].concat();
    let (_, rest) = Certificate::parse_first(&longer).expect("parsed before");
    assert_eq!(rest, b"rest");

    // Reading lazily finds as much as reading at once did.
    let uris = certificate
        .subject_alt_names()
        .filter(|name| name.number() == 6);
    assert_eq!(uris.count(), certificate.uri_san_count());
    let constraints = certificate.name_constraints();
    assert!(constraints.is_none_or(|c| c.permitted().count() + c.excluded().count() > 0));

    if let Ok(authority) = X509Authority::parse(bytes) {
        assert!(authority.certificate().is_ca());
        assert_eq!(authority.certificate().tbs(), certificate.tbs());
        assert_eq!(authority.public_key().spki_der(), certificate.spki().der());
    }

    // It looks into names, algorithms and extensions, which are bytes here.
    let Ok(theirs) = x509_cert::Certificate::from_der(bytes) else {
        return;
    };
    let tbs = theirs.tbs_certificate();
    assert_eq!(tbs.serial_number().as_bytes(), certificate.serial());
    assert_eq!(tbs.issuer().to_der().as_deref(), Ok(certificate.issuer()));
    assert_eq!(tbs.subject().to_der().as_deref(), Ok(certificate.subject()));
    assert_eq!(theirs.signature().as_bytes(), Some(certificate.signature()));
    let spki = tbs.subject_public_key_info();
    assert_eq!(
        spki.subject_public_key.as_bytes(),
        Some(certificate.spki().key_bits())
    );
    let validity = tbs.validity();
    assert_eq!(
        validity.not_before.to_unix_duration().as_secs(),
        certificate.not_before().as_secs()
    );
    assert_eq!(
        validity.not_after.to_unix_duration().as_secs(),
        certificate.not_after().as_secs()
    );
});
