//! Private keys in PKCS#8: every form that is around is read, one is written, and both backends agree on it (RS-10).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use base64ct::{Base64, Encoding as _};
use getrandom::SysRng;
use pkcs8::der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef};
use pkcs8::der::{AnyRef, Encode as _};
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef};
use plastron_keys::rust_crypto::RustCrypto;
use plastron_keys::{
    KeyBackend, KeyError, KeyType, Pkcs8Key, PrivateKey, PublicKeyError, PublicKeyKind, verify,
};
use plastron_keys_aws_lc::AwsLc;
use plastron_testing::parts::has_program;
use sec1::{EcParameters, EcPrivateKey};

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Loads `der` with every backend that should take it, and checks that all agree.
fn load(der: &[u8]) -> Box<dyn PrivateKey> {
    let key = AwsLc.from_pkcs8(der).unwrap();
    let public = key.public_key();
    let read = Pkcs8Key::parse(der).unwrap();
    assert_eq!(read.public_key(), public);
    assert_eq!(read.der(), &**key.to_pkcs8());
    check_signature(&*key);

    // What it writes, it reads.
    let written = key.to_pkcs8();
    assert_eq!(AwsLc.from_pkcs8(&written).unwrap().to_pkcs8(), written);

    let other = RustCrypto::new(SysRng).from_pkcs8(der);
    if let PublicKeyKind::Rsa { .. } = public.kind() {
        assert_eq!(other.unwrap_err(), KeyError::Unsupported);
    } else {
        let other = other.unwrap();
        assert_eq!(other.public_key(), public);
        assert_eq!(other.to_pkcs8(), written, "one form, whoever writes it");
        check_signature(&*other);
    }
    key
}

/// Signs, and verifies with both sets of algorithms.
fn check_signature(key: &dyn PrivateKey) {
    let signature = key.sign(b"message").unwrap();
    for algorithms in [AwsLc.algorithms(), RustCrypto::new(SysRng).algorithms()] {
        let verify = |message| {
            verify(
                algorithms,
                key.algorithm(),
                key.public_key(),
                message,
                &signature,
            )
        };
        verify(&b"message"[..]).unwrap();
        assert!(verify(b"massage").is_err());
    }
}

#[test]
fn every_type_of_key_survives_being_written_and_read() {
    for (key_type, kind) in [
        (KeyType::EcP256, PublicKeyKind::EcP256),
        (KeyType::EcP384, PublicKeyKind::EcP384),
        (KeyType::Rsa2048, PublicKeyKind::Rsa { bits: 2048 }),
        (KeyType::Rsa3072, PublicKeyKind::Rsa { bits: 3072 }),
        (KeyType::Rsa4096, PublicKeyKind::Rsa { bits: 4096 }),
        (KeyType::Ed25519, PublicKeyKind::Ed25519),
    ] {
        let key = AwsLc.generate(key_type).unwrap();
        assert_eq!(key.algorithm(), key_type.signature_algorithm());
        assert_eq!(key.public_key().kind(), kind);
        let again = load(&key.to_pkcs8());
        assert_eq!(again.public_key(), key.public_key());

        match RustCrypto::new(SysRng).generate(key_type) {
            Ok(key) => assert_eq!(load(&key.to_pkcs8()).public_key(), key.public_key()),
            // RUSTSEC-2023-0071: no private RSA operations here.
            Err(error) => {
                assert_eq!(error, KeyError::Unsupported);
                assert!(key_type.as_str().starts_with("rsa-"));
            }
        }
    }
}

/// A P-256 key to write in various ways: its number, and its point.
fn number_and_point() -> ([u8; 32], Vec<u8>) {
    let number = [0x42; 32];
    let key = AwsLc.from_pkcs8(&ec(&number, None, None, None)).unwrap();
    (number, key.public_key().key_bits().to_vec())
}

/// A PKCS#8 key on P-256: what is in ECPrivateKey beside the number, and what is behind it.
fn ec(
    number: &[u8],
    parameters: Option<ObjectIdentifier>,
    inner: Option<&[u8]>,
    outer: Option<&[u8]>,
) -> Vec<u8> {
    let key = EcPrivateKey {
        private_key: number,
        parameters: parameters.map(EcParameters::NamedCurve),
        public_key: inner,
    };
    info(ID_EC_PUBLIC_KEY, Some(P256), &key.to_der().unwrap(), outer)
}

fn info(
    oid: ObjectIdentifier,
    curve: Option<ObjectIdentifier>,
    key: &[u8],
    public: Option<&[u8]>,
) -> Vec<u8> {
    let parameters = curve.as_ref().map(AnyRef::from);
    let mut info = PrivateKeyInfoRef::new(
        AlgorithmIdentifierRef { oid, parameters },
        OctetStringRef::new(key).unwrap(),
    );
    info.public_key = public.map(|public| BitStringRef::from_bytes(public).unwrap());
    info.to_der().unwrap()
}

#[test]
fn ec_keys_are_read_in_every_form_and_written_in_one() {
    let (number, point) = number_and_point();
    let written = load(&ec(&number, None, None, None)).to_pkcs8();
    // RS-10 +: v1, with the public key inside.
    assert_eq!(*written, ec(&number, None, Some(&point), None));
    for (parameters, inner, outer, why) in [
        (None, Some(&*point), None, "v1 with public key: Go, OpenSSL"),
        (None, None, None, "v1 without"),
        (
            Some(P256),
            Some(&*point),
            None,
            "the curve said twice: Java",
        ),
        (
            Some(P256),
            None,
            None,
            "the curve said twice, no public key",
        ),
        (None, None, Some(&*point), "v2"),
        (
            None,
            Some(&*point),
            Some(&*point),
            "v2 with two public keys",
        ),
    ] {
        let key = load(&ec(&number, parameters, inner, outer));
        assert_eq!(key.to_pkcs8(), written, "{why}");
    }
}

#[test]
fn ed25519_keys_are_read_in_every_form_and_written_in_one() {
    let seed = [&[0x04, 0x20][..], &[0x42; 32]].concat();
    let v1 = info(ED25519, None, &seed, None);
    let key = load(&v1);
    assert_eq!(*key.to_pkcs8(), v1);
    let v2 = info(ED25519, None, &seed, Some(key.public_key().key_bits()));
    assert_eq!(*load(&v2).to_pkcs8(), v1);
}

#[test]
fn keys_that_are_none_are_refused_by_all() {
    let (number, point) = number_and_point();
    let other = AwsLc.generate(KeyType::EcP256).unwrap();
    let other = other.public_key().key_bits();
    let seed = [&[0x04, 0x20][..], &[0x42; 32]].concat();
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let good = ec(&number, None, Some(&point), None);
    let sec1 = EcPrivateKey {
        private_key: &number,
        parameters: Some(EcParameters::NamedCurve(P256)),
        public_key: None,
    };
    for (der, want, why) in [
        (vec![], KeyError::Malformed, "nothing"),
        (good[..good.len() - 1].to_vec(), KeyError::Malformed, "cut"),
        (
            [&good[..], &[0]].concat(),
            KeyError::Malformed,
            "more behind it",
        ),
        (
            ec(&number, None, Some(other), None),
            KeyError::Malformed,
            "the public key of another",
        ),
        (
            ec(&number, None, None, Some(other)),
            KeyError::Malformed,
            "the public key of another, as v2 has it",
        ),
        (
            ec(&number, Some(P384), None, None),
            KeyError::Malformed,
            "two different curves",
        ),
        (ec(&[0; 32], None, None, None), KeyError::Malformed, "zero"),
        (
            ec(&order, None, None, None),
            KeyError::Malformed,
            "the order of the curve",
        ),
        (
            info(ED25519, None, &seed, Some(&[7; 32])),
            KeyError::Malformed,
            "an Ed25519 key with another's public key",
        ),
        (
            info(ED25519, None, &seed[..33], None),
            KeyError::Malformed,
            "a short seed",
        ),
        (
            sec1.to_der().unwrap(),
            KeyError::Malformed,
            "SEC 1, not PKCS#8",
        ),
        (
            info(ID_EC_PUBLIC_KEY, Some(SECP256K1), &[], None),
            KeyError::Unsupported,
            "secp256k1",
        ),
        (
            info("1.3.101.110".parse().unwrap(), None, &seed, None),
            KeyError::Unsupported,
            "X25519",
        ),
    ] {
        assert_eq!(AwsLc.from_pkcs8(&der).unwrap_err(), want, "{why}");
        assert_eq!(
            RustCrypto::new(SysRng).from_pkcs8(&der).unwrap_err(),
            want,
            "{why}"
        );
        assert_eq!(Pkcs8Key::parse(&der).unwrap_err(), want, "{why}");
    }
}

#[test]
fn rsa_keys_whose_numbers_do_not_fit_are_refused() {
    let mut der = AwsLc
        .generate(KeyType::Rsa2048)
        .unwrap()
        .to_pkcs8()
        .to_vec();
    // The last number is the CRT coefficient.
    *der.last_mut().unwrap() ^= 1;
    assert_eq!(AwsLc.from_pkcs8(&der).unwrap_err(), KeyError::Malformed);
}

#[test]
fn keys_made_by_go_are_read() {
    let data = include_str!("data/go_pkcs8.txt");
    let mut seen = 0;
    for line in data.lines().filter(|line| !line.starts_with('#')) {
        let (name, base64) = line.split_once(' ').unwrap();
        let der = Base64::decode_vec(base64).unwrap();
        let key = load(&der);
        // X509-48 +: Go writes what we write.
        assert_eq!(*key.to_pkcs8(), der, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn keys_made_by_openssl_are_read() {
    if !has_program("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "openssl {arguments}");
        output.stdout
    };
    let too_short = PublicKeyError::ModulusBits { bits: 1024 };
    for (options, want) in [
        (
            "EC -pkeyopt ec_paramgen_curve:P-256",
            Ok(PublicKeyKind::EcP256),
        ),
        (
            "EC -pkeyopt ec_paramgen_curve:P-384",
            Ok(PublicKeyKind::EcP384),
        ),
        (
            "EC -pkeyopt ec_paramgen_curve:P-521",
            Ok(PublicKeyKind::EcP521),
        ),
        ("ED25519", Ok(PublicKeyKind::Ed25519)),
        (
            "RSA -pkeyopt rsa_keygen_bits:2048",
            Ok(PublicKeyKind::Rsa { bits: 2048 }),
        ),
        (
            "RSA -pkeyopt rsa_keygen_bits:3072",
            Ok(PublicKeyKind::Rsa { bits: 3072 }),
        ),
        // X509-48 −, and what nobody here uses.
        (
            "RSA -pkeyopt rsa_keygen_bits:1024",
            Err(KeyError::PublicKey(too_short)),
        ),
        (
            "EC -pkeyopt ec_paramgen_curve:secp256k1",
            Err(KeyError::Unsupported),
        ),
        (
            "EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            Err(KeyError::Malformed),
        ),
        ("X25519", Err(KeyError::Unsupported)),
    ] {
        openssl(&format!("genpkey -algorithm {options} -out key.pem"));
        let der = openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER");
        match want {
            Ok(kind) => assert_eq!(load(&der).public_key().kind(), kind),
            Err(want) => assert_eq!(AwsLc.from_pkcs8(&der).unwrap_err(), want, "{options}"),
        }
    }
}

#[test]
fn debug_shows_no_private_key() {
    for backend in [&AwsLc as &dyn KeyBackend, &RustCrypto::new(SysRng)] {
        for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519] {
            let key = backend.generate(key_type).unwrap();
            // RS-15 −, SVID-08 −
            let shown = format!("{key:?}");
            assert_eq!(shown, format!("PrivateKey({:?})", key.public_key()));
        }
    }
    let key = AwsLc.generate(KeyType::Rsa2048).unwrap();
    assert_eq!(
        format!("{key:?}"),
        format!("PrivateKey({:?})", key.public_key())
    );
}

#[test]
fn randomness_does_not_repeat() {
    for backend in [&AwsLc as &dyn KeyBackend, &RustCrypto::new(SysRng)] {
        // X509-42 +: serials.
        let mut serials = std::collections::HashSet::new();
        for _ in 0..100_000 {
            let mut serial = [0; 16];
            backend.random(&mut serial).unwrap();
            assert!(serials.insert(serial));
        }
    }
}

#[test]
fn a_generator_that_fails_makes_no_key() {
    #[derive(Debug)]
    struct Broken;
    #[derive(Debug, thiserror::Error)]
    #[error("broken")]
    struct Failure;
    impl getrandom::rand_core::TryRng for Broken {
        type Error = Failure;
        fn try_next_u32(&mut self) -> Result<u32, Failure> {
            Err(Failure)
        }
        fn try_next_u64(&mut self) -> Result<u64, Failure> {
            Err(Failure)
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Failure> {
            Err(Failure)
        }
    }
    impl getrandom::rand_core::TryCryptoRng for Broken {}
    for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519] {
        assert_eq!(
            RustCrypto::new(Broken).generate(key_type).unwrap_err(),
            KeyError::Backend
        );
    }
}

#[test]
fn a_key_in_json_is_the_same_key() {
    for key_type in KeyType::ALL {
        let key = AwsLc.generate(key_type).unwrap();
        let jwk = Pkcs8Key::parse(&key.to_pkcs8()).unwrap().jwk();
        let names: Vec<_> = jwk.members().into_iter().map(|(name, _)| name).collect();
        if let PublicKeyKind::Rsa { .. } = key.public_key().kind() {
            // WAPI-62 +
            assert_eq!(names, ["e", "kty", "n", "d", "p", "q", "dp", "dq", "qi"]);
        }
        let again = Pkcs8Key::from_jwk(&jwk).unwrap();
        let again = AwsLc.from_pkcs8(again.der()).unwrap();
        assert_eq!(*again.to_pkcs8(), *key.to_pkcs8(), "{key_type}");
    }
    let rsa = AwsLc.generate(KeyType::Rsa2048).unwrap();
    let rsa = Pkcs8Key::parse(&rsa.to_pkcs8()).unwrap();
    let mut without_primes = rsa.jwk();
    without_primes.primes = None;
    assert_eq!(
        Pkcs8Key::from_jwk(&without_primes).err(),
        Some(KeyError::Malformed)
    );
    let mut swapped = rsa.jwk();
    let primes = swapped.primes.as_mut().unwrap();
    primes.swap(2, 3);
    let swapped = Pkcs8Key::from_jwk(&swapped).unwrap();
    assert!(
        AwsLc.from_pkcs8(swapped.der()).is_err(),
        "numbers that do not fit"
    );
}
