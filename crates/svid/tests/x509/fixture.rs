//! Keys, certificates and a verifier that these tests share.

use std::sync::LazyLock;
use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::Bundle;
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey};
use plastron_svid::{LeafError, PathError, PeerRole, VerifyError, X509Verifier};
use plastron_testing::raw_certificate::RawCertificate;
use plastron_testing::{BACKEND, Clock};

use crate::algorithms::with_each;

pub(crate) struct Keys {
    pub(crate) root: Box<dyn PrivateKey>,
    pub(crate) other_root: Box<dyn PrivateKey>,
    pub(crate) intermediate: Box<dyn PrivateKey>,
    pub(crate) leaf: Box<dyn PrivateKey>,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = || BACKEND.generate(KeyType::EcP256).unwrap();
    Keys {
        root: key(),
        other_root: key(),
        intermediate: key(),
        leaf: key(),
    }
});

pub(crate) const ID: &str = "spiffe://td.example/shop/cart";

/// 2025-01-01.
pub(crate) const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(Clock::START));

/// A right leaf, directly under [`root`].
pub(crate) fn leaf() -> RawCertificate {
    leaf_below("root")
}

pub(crate) fn leaf_below(issuer: &str) -> RawCertificate {
    RawCertificate::leaf(ID, issuer, KEYS.leaf.public_key())
}

pub(crate) fn root() -> RawCertificate {
    RawCertificate::authority("root", "root", KEYS.root.public_key())
}

/// A right intermediate called `intermediate`, under [`root`].
pub(crate) fn intermediate() -> RawCertificate {
    intermediate_named("intermediate", "root")
}

pub(crate) fn intermediate_named(name: &str, issuer: &str) -> RawCertificate {
    RawCertificate::authority(name, issuer, KEYS.intermediate.public_key())
}

pub(crate) fn by_root(certificate: RawCertificate) -> Vec<u8> {
    certificate.sign(&*KEYS.root)
}

pub(crate) fn by_intermediate(certificate: RawCertificate) -> Vec<u8> {
    certificate.sign(&*KEYS.intermediate)
}

/// The bundle of `td.example` with these authorities.
pub(crate) fn bundle(authorities: &[Vec<u8>]) -> Bundle {
    bundle_of("td.example", authorities)
}

pub(crate) fn bundle_of(trust_domain: &str, authorities: &[Vec<u8>]) -> Bundle {
    let der = authorities.concat();
    let parsed = Bundle::from_der(trust_domain.parse().unwrap(), &der).unwrap();
    assert_eq!(parsed.skipped, []);
    parsed.bundle
}

pub(crate) fn verifier() -> X509Verifier<'static> {
    X509Verifier::new(BACKEND.algorithms())
}

/// What the verifier says of a chain for a peer in either role.
pub(crate) fn verify(chain: &[Vec<u8>], authorities: &[Vec<u8>]) -> Result<String, VerifyError> {
    verify_as(PeerRole::Any, chain, authorities)
}

pub(crate) fn verify_as(
    role: PeerRole,
    chain: &[Vec<u8>],
    authorities: &[Vec<u8>],
) -> Result<String, VerifyError> {
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let bundle = bundle(authorities);
    with_each(|algorithms| {
        let verifier = X509Verifier::new(algorithms).role(role);
        let svid = verifier.verify(&chain, &bundle, NOW)?;
        Ok(svid.id().as_str().to_owned())
    })
}

pub(crate) fn leaf_error(error: LeafError) -> Result<String, VerifyError> {
    Err(VerifyError::Leaf(error))
}

pub(crate) fn path_error(error: impl Into<PathError>) -> Result<String, VerifyError> {
    Err(VerifyError::Untrusted(error.into()))
}

pub(crate) fn accepted() -> Result<String, VerifyError> {
    Ok(ID.to_owned())
}
