//! Certificate signing requests: the key is taken, when its holder signed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod house;

use der::{Decode as _, Encode as _};
use house::key;
use plastron_keys::{KeyBackend as _, KeyType, PublicKeyError, rust_crypto};
use plastron_keys_aws_lc::{ALGORITHMS, AwsLc};
use plastron_mint::{CsrError, verify_csr};
use proptest::prelude::*;

/// A request by `rcgen`, which asks for all sorts of things.
fn request(key_type: KeyType) -> Vec<u8> {
    let pair = rcgen::KeyPair::try_from(key(key_type, 0).to_pkcs8().as_slice()).unwrap();
    let mut params = rcgen::CertificateParams::new(["cart.internal".to_owned()]).unwrap();
    params.subject_alt_names.push(rcgen::SanType::URI(
        "spiffe://other.org/admin".try_into().unwrap(),
    ));
    params.serialize_request(&pair).unwrap().der().to_vec()
}

#[test]
fn the_key_is_taken_from_a_request_that_its_holder_signed() {
    for key_type in KeyType::ALL {
        // X509-50 +: whatever else is asked for, the key is all there is.
        let key = verify_csr(&request(key_type), ALGORITHMS).unwrap();
        assert_eq!(&key, house::key(key_type, 0).public_key(), "{key_type}");
    }
    assert!(verify_csr(&request(KeyType::EcP256), rust_crypto::ALGORITHMS).is_ok());
}

#[test]
fn requests_that_prove_nothing_are_refused() {
    let good = request(KeyType::EcP256);
    let with = |change: &dyn Fn(&mut x509_cert::request::CertReq)| {
        let mut request = x509_cert::request::CertReq::from_der(&good).unwrap();
        change(&mut request);
        request.to_der().unwrap()
    };
    let other = AwsLc.generate(KeyType::EcP256).unwrap();
    let other = x509_cert::spki::SubjectPublicKeyInfoOwned::from_der(other.public_key().spki_der())
        .unwrap();
    for (der, want) in [
        // X509-50 −: the key of somebody else, another subject, an algorithm that nobody has.
        (
            with(&|request| request.info.public_key = other.clone()),
            CsrError::Signature,
        ),
        (
            with(&|request| request.info.subject = "CN=admin".parse().unwrap()),
            CsrError::Signature,
        ),
        (
            with(&|request| request.algorithm.oid = "1.2.840.10045.4.1".parse().unwrap()),
            CsrError::UnsupportedAlgorithm,
        ),
        // An algorithm that is not for this key.
        (
            with(&|request| request.algorithm.oid = "1.3.101.112".parse().unwrap()),
            CsrError::UnsupportedAlgorithm,
        ),
        (
            with(&|request| request.info.public_key.algorithm.oid = "1.3.101.113".parse().unwrap()),
            CsrError::PublicKey(PublicKeyError::UnknownAlgorithm),
        ),
        ([&good[..], &[0]].concat(), CsrError::Malformed),
        (good[..good.len() - 1].to_vec(), CsrError::Malformed),
        (vec![], CsrError::Malformed),
        (vec![0x30; 20_000], CsrError::Malformed),
    ] {
        assert_eq!(verify_csr(&der, ALGORITHMS), Err(want));
    }
    assert_eq!(verify_csr(&good, &[]), Err(CsrError::UnsupportedAlgorithm));
}

proptest! {
    #[test]
    fn no_request_with_a_byte_changed_is_accepted(at in any::<prop::sample::Index>(), by in 1..=255u8) {
        let mut der = request(KeyType::EcP256);
        let at = at.index(der.len());
        der[at] ^= by;
        prop_assert!(verify_csr(&der, ALGORITHMS).is_err(), "byte {at}");
    }

    #[test]
    fn no_bytes_panic(der in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify_csr(&der, ALGORITHMS).is_err());
    }
}
