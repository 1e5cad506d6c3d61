//! The RustCrypto set of algorithms before foreign judges.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod vectors;

use plastron_keys::rust_crypto::ALGORITHMS;

#[test]
fn ecdsa_in_certificates_verifies_as_it_should() {
    vectors::ecdsa_in_x509(ALGORITHMS);
}

#[test]
fn ecdsa_in_tokens_verifies_as_it_should() {
    vectors::ecdsa_in_jws(ALGORITHMS);
}

#[test]
fn ecdsa_with_other_hashes_verifies_as_it_should() {
    vectors::ecdsa_with_other_hashes(ALGORITHMS);
}

#[test]
fn ed25519_verifies_as_it_should() {
    vectors::ed25519(ALGORITHMS);
}

#[test]
fn rsa_pkcs1_verifies_as_it_should() {
    vectors::rsa_pkcs1(ALGORITHMS);
}

#[test]
fn rsa_pss_verifies_as_it_should() {
    vectors::rsa_pss(ALGORITHMS);
}
