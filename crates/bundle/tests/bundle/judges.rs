//! Bundles that other software made, and other software's reading of ours.

use plastron_bundle::certificate::Certificate;
use plastron_bundle::{Bundle, pem};
use plastron_keys::KeyType;
use plastron_testing::Authority;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};

use crate::fixture::*;

#[test]
fn reads_what_rcgen_makes() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_ECDSA_P521_SHA512,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(2));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.subject_alt_names = vec![SanType::URI("spiffe://td.example".try_into().unwrap())];
        let certificate = params.self_signed(&key).unwrap();
        let ours = Certificate::parse(certificate.der()).unwrap();
        assert_eq!(
            (ours.is_ca(), ours.path_len(), ours.uri_san()),
            (true, Some(2), Some(&b"spiffe://td.example"[..]))
        );
        assert_eq!(
            pem::certificates(&certificate.pem()).unwrap(),
            [certificate.der().to_vec()]
        );
        assert_eq!(
            Bundle::from_der(td(), certificate.der())
                .unwrap()
                .bundle
                .x509_authorities()
                .len(),
            1
        );
    }
}

#[test]
fn the_crate_spiffe_reads_our_bundles() {
    for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
        let bundle = Authority::with_key_type("td.example", key_type).bundle();
        let name = spiffe::TrustDomain::new("td.example").unwrap();
        let x509 = spiffe::X509Bundle::parse_from_der(name.clone(), &bundle.x509_der()).unwrap();
        assert_eq!(x509.authorities().len(), 1);
        let jwt = spiffe::JwtBundle::from_jwt_authorities(name, &bundle.jwks()).unwrap();
        assert!(jwt.find_jwt_authority(Authority::KEY_ID).is_some());
    }
}
