//! Which key verifies a token, and with which algorithm.

use plastron_bundle::{Bundle, BundleSet, JwtAuthority, TokenAuthorityError, X509Authority};
use plastron_keys::{JwsAlgorithm, KeyBackend as _, KeyType, PrivateKey};
use plastron_svid::JwtError;
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::RawCertificate;

use crate::fixture::*;

fn header(alg: &str, kid: &str) -> String {
    format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#)
}

#[test]
fn each_key_signs_with_its_algorithm() {
    for (alg, kid, key) in [
        ("ES256", "p256", &KEYS.p256),
        ("ES384", "p384", &KEYS.p384),
        ("ES512", "p521", &KEYS.p521),
        ("RS256", "rsa", &KEYS.rsa),
    ] {
        // JWT-06 +, JWT-07 +, JWT-08 +
        assert_eq!(
            verify(&sign(&header(alg, kid), claims(), &**key)),
            accepted(),
            "{alg}"
        );
    }
}

#[test]
fn the_key_decides_on_the_algorithm() {
    for algorithm in JwsAlgorithm::ALL {
        for kid in ["p256", "p384", "p521", "rsa"] {
            let key: &dyn PrivateKey = match kid {
                "p256" => &*KEYS.p256,
                "p384" => &*KEYS.p384,
                "p521" => &*KEYS.p521,
                _ => &*KEYS.rsa,
            };
            if algorithm.suits(key.public_key().kind()) {
                continue;
            }
            let token = sign(&header(algorithm.as_str(), kid), claims(), key);
            // JWT-07 −
            assert_eq!(
                verify(&token),
                Err(JwtError::WrongKey),
                "{algorithm:?} {kid}"
            );
        }
    }
    // RS256 signed, PS256 said.
    let token = sign(&header("PS256", "rsa"), claims(), &*KEYS.rsa);
    assert_eq!(verify(&token), Err(JwtError::Signature), "JWT-07 −");
}

#[test]
fn ecdsa_signatures_have_the_width_of_the_curve() {
    let (header, payload) = (encode(HEADER), encode(claims()));
    let signed = format!("{header}.{payload}");
    let der = KEYS.p256.sign(signed.as_bytes()).unwrap();
    let raw = JwsAlgorithm::Es256
        .signature_from_x509(der.clone())
        .unwrap();
    for (what, signature, want) in [
        ("JWT-08 +: 64 bytes", raw.clone(), accepted()),
        ("JWT-08 −: DER", der, Err(JwtError::Signature)),
        (
            "JWT-08 −: 63 bytes",
            raw[..63].to_vec(),
            Err(JwtError::Signature),
        ),
        (
            "JWT-08 −: 65 bytes",
            [&raw[..], &[0]].concat(),
            Err(JwtError::Signature),
        ),
        ("JWT-08 −: none", vec![], Err(JwtError::Signature)),
        ("JWT-08 −: zeros", vec![0; 64], Err(JwtError::Signature)),
    ] {
        let token = format!("{signed}.{}", encode(signature));
        assert_eq!(verify(&token), want, "{what}");
    }
}

#[test]
fn the_kid_names_the_key_and_no_other_is_tried() {
    let unknown = |kid: &str| Err(JwtError::UnknownKey { key_id: kid.into() });
    for (what, kid, want) in [
        ("JWT-10 +", "p256", accepted()),
        (
            "JWT-10 −: unknown, though another key would do",
            "p257",
            unknown("p257"),
        ),
        ("JWT-10 −: another case", "P256", unknown("P256")),
        ("JWT-10 −: empty", "", unknown("")),
    ] {
        assert_eq!(verify(&with_header(&header("ES256", kid))), want, "{what}");
    }
}

#[test]
fn may_be_told_to_try_all_keys_on_a_token_without_kid() {
    let token = with_header(r#"{"alg":"ES256"}"#);
    let lenient = verifier().allow_missing_key_id();
    assert_eq!(verify_with(lenient, &token), accepted(), "AMB-20 +");
    let forged = sign(r#"{"alg":"ES256"}"#, claims(), &*KEYS.other_p256);
    assert_eq!(
        verify_with(lenient, &forged),
        Err(JwtError::Signature),
        "AMB-20 −"
    );
    // A `kid` that is there counts all the same.
    let unknown = Err(JwtError::UnknownKey { key_id: "x".into() });
    assert_eq!(
        verify_with(lenient, &with_header(&header("ES256", "x"))),
        unknown,
        "JWT-10 −"
    );
}

#[test]
fn the_keys_are_those_of_the_subjects_trust_domain() {
    let own = || bundle_of("td.example", &[("p256", KEYS.p256.public_key())]);
    let foreign = || bundle_of("other", &[("p256", KEYS.other_p256.public_key())]);
    let judge = |bundles: &BundleSet, token: &str| {
        verifier()
            .verify(token, &[AUDIENCE], bundles, at(NOW))
            .map(|svid| svid.id().to_string())
    };
    let token = with_header(HEADER);
    let both: BundleSet = [own(), foreign()].into_iter().collect();
    assert_eq!(
        judge(&both, &token),
        accepted(),
        "JWT-38 +, WAPI-57 +: its own"
    );
    let by_other = sign(HEADER, claims(), &*KEYS.other_p256);
    assert_eq!(
        judge(&both, &by_other),
        Err(JwtError::Signature),
        "JWT-38 −: the other's, of the same `kid`"
    );
    let only_other: BundleSet = [foreign()].into_iter().collect();
    let td = || "td.example".parse().unwrap();
    assert_eq!(
        judge(&only_other, &token),
        Err(JwtError::UnknownTrustDomain(td())),
        "JWT-38 −, WAPI-57 −: none"
    );
    let empty: BundleSet = [Bundle::new(td()), foreign()].into_iter().collect();
    assert_eq!(
        judge(&empty, &token),
        Err(JwtError::NoAuthorities(td())),
        "JWT-51 −, BUNDLE-22 −"
    );
}

#[test]
fn a_key_for_other_svids_is_none_for_tokens() {
    let key = KEYS.p256.public_key();
    let certificate = RawCertificate::authority("root", "root", key).sign(&*KEYS.p256);
    let td = || "td.example".parse().unwrap();
    let mut bundle = Bundle::new(td());
    bundle.add_x509_authority(X509Authority::parse(&certificate).unwrap());
    #[cfg(feature = "wit")]
    bundle
        .add_wit_authority(plastron_bundle::WitAuthority::new("p256", key.clone()).unwrap())
        .unwrap();
    let judge = |bundle: &Bundle| {
        verifier()
            .verify(&with_header(HEADER), &[AUDIENCE], bundle, at(NOW))
            .map(|svid| svid.id().to_string())
    };
    assert_eq!(
        judge(&bundle),
        Err(JwtError::NoAuthorities(td())),
        "JWT-39 −: the same key as X.509 and as WIT authority"
    );
    let bundle = bundle_of("td.example", &[("p256", key)]);
    assert_eq!(judge(&bundle), accepted(), "JWT-39 +: as JWT authority");
}

#[test]
fn an_embedded_key_is_not_taken() {
    let jwk = KEYS.other_p256.public_key().jwk();
    let members: Vec<String> = jwk
        .members()
        .iter()
        .map(|(name, value)| format!(r#""{name}":"{value}""#))
        .collect();
    let header = format!(
        r#"{{"alg":"ES256","kid":"p256","jwk":{{{}}}}}"#,
        members.join(",")
    );
    let token = sign(&header, claims(), &*KEYS.other_p256);
    assert_eq!(
        verify(&token),
        Err(JwtError::HeaderMember { member: "jwk" }),
        "JWT-15 −: a token signed by the key that it brings along"
    );
}

#[test]
fn ed25519_is_no_key_for_tokens() {
    let key = BACKEND.generate(KeyType::Ed25519).unwrap();
    let authority = JwtAuthority::new("ed", key.public_key().clone());
    assert_eq!(authority, Err(TokenAuthorityError::Algorithm), "JWT-05 −");
}

#[test]
fn an_algorithm_that_was_not_given_is_not_used() {
    let none: &[&dyn pki_types::SignatureVerificationAlgorithm] = &[];
    let result = plastron_svid::JwtVerifier::new(none).verify(
        &with_header(HEADER),
        &[AUDIENCE],
        &bundle(),
        at(NOW),
    );
    assert_eq!(
        result.unwrap_err(),
        JwtError::UnsupportedAlgorithm,
        "RS-06 −"
    );
}
