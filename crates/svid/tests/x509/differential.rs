//! Chains that differ from a right one in some fields or bytes, before our verifier, `rustls-webpki` and the crate `spiffe`.
//!
//! They agree, or the difference stands in a table with the rule that makes it. A difference that nobody wrote down fails, and so
//! does a row that nothing shows. Everything is signed after it was changed, so that it is not always the signature that fails.

use std::collections::BTreeSet;

use pki_types::CertificateDer;
use plastron_bundle::X509Authority;
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey};
use plastron_svid::{PeerRole, VerifyError, X509Svid, X509SvidError};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::{
    Extension, RawCertificate, der, general_name as gn, name, sequence,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::divergences::{SPIFFE, WEBPKI, has_reason};
use crate::difference::{ACCEPTED, Difference, explain, variant};
use crate::fixture::*;

/// A certificate of the chain, by what it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Piece {
    Leaf,
    Ca,
    Root,
}

use Piece::{Ca, Leaf, Root};

/// What a chain and its authority are made of.
struct Parts {
    leaf: RawCertificate,
    ca: RawCertificate,
    root: RawCertificate,
    /// Who signs each of them.
    signers: [&'static dyn PrivateKey; 3],
    /// What is presented, in order.
    presented: Vec<Piece>,
    /// One bit of a certificate, changed before it is signed.
    flipped: Option<(Piece, usize)>,
}

struct OtherKeys {
    p384: Box<dyn PrivateKey>,
    ed25519: Box<dyn PrivateKey>,
    rsa: Box<dyn PrivateKey>,
}

static OTHER_KEYS: std::sync::LazyLock<OtherKeys> = std::sync::LazyLock::new(|| {
    let key = |key_type| BACKEND.generate(key_type).unwrap();
    OtherKeys {
        p384: key(KeyType::EcP384),
        ed25519: key(KeyType::Ed25519),
        rsa: key(KeyType::Rsa2048),
    }
});

impl Parts {
    /// A leaf with basic constraints, which `spiffe` wants to see (X509-20), below an intermediate.
    fn right() -> Self {
        let no_ca = Extension::basic_constraints(false, None);
        Self {
            leaf: leaf_below("intermediate").with(vec![no_ca]),
            ca: intermediate(),
            root: root(),
            signers: [&*KEYS.intermediate, &*KEYS.root, &*KEYS.root],
            presented: vec![Leaf, Ca],
            flipped: None,
        }
    }

    fn changed(changes: &[&Change]) -> Self {
        let mut parts = Self::right();
        for (_, change) in changes {
            change(&mut parts);
        }
        parts
    }

    fn sign(&self, piece: Piece) -> Vec<u8> {
        let (certificate, signer) = match piece {
            Leaf => (&self.leaf, self.signers[0]),
            Ca => (&self.ca, self.signers[1]),
            Root => (&self.root, self.signers[2]),
        };
        match self.flipped {
            Some((flipped, bit)) if flipped == piece => {
                let mut tbs = certificate.to_tbs(signer);
                let bit = bit % (tbs.len() * 8);
                tbs[bit / 8] ^= 0x80 >> (bit % 8);
                sign_tbs(&tbs, certificate, signer)
            }
            _ => certificate.sign(signer),
        }
    }

    fn chain(&self) -> Vec<Vec<u8>> {
        self.presented
            .iter()
            .map(|piece| self.sign(*piece))
            .collect()
    }

    /// All of a CA's keys become this one.
    fn ca_key(&mut self, key: &'static dyn PrivateKey) {
        self.ca.spki = key.public_key().spki_der().to_vec();
        self.signers[0] = key;
    }

    fn root_key(&mut self, key: &'static dyn PrivateKey) {
        self.root.spki = key.public_key().spki_der().to_vec();
        self.signers[1] = key;
        self.signers[2] = key;
    }

    fn leaf_extension(&mut self, extension: Extension) {
        self.leaf = self.leaf.clone().with(vec![extension]);
    }

    fn ca_extension(&mut self, extension: Extension) {
        self.ca = self.ca.clone().with(vec![extension]);
    }

    fn root_extension(&mut self, extension: Extension) {
        self.root = self.root.clone().with(vec![extension]);
    }
}

/// The TBS as it is, under a true signature.
fn sign_tbs(tbs: &[u8], certificate: &RawCertificate, signer: &dyn PrivateKey) -> Vec<u8> {
    let signature = signer.sign(tbs).unwrap();
    let algorithm = signer.algorithm().identifier_der().to_vec();
    let algorithm = certificate.outer_algorithm.as_ref().unwrap_or(&algorithm);
    let bits = der(0x03, [&[0][..], &signature].concat());
    sequence(&[tbs, algorithm, &bits])
}

/// One field that is not as usual, and how.
type Change = (&'static str, fn(&mut Parts));

fn sans(names: &[Vec<u8>]) -> Extension {
    Extension::subject_alt_name(&[&[gn::uri(ID)], names].concat())
}

fn permits(base: Vec<u8>) -> Extension {
    Extension::name_constraints(&[base], &[])
}

fn excludes(base: Vec<u8>) -> Extension {
    Extension::name_constraints(&[], &[base])
}

fn critical(number: u8, value: &[u8]) -> Extension {
    Extension::new(number, true, value.to_vec())
}

/// Each is good or bad by itself; what a second one does to it is found out by pairs.
#[rustfmt::skip]
const CHANGES: &[Change] = &[
    // Validity (X509-53, AMB-12).
    ("leaf expired", |p| p.leaf.not_after = der(0x17, "241231235959Z")),
    ("leaf of this second", |p| p.leaf.not_after = der(0x17, "250101000000Z")),
    ("leaf of tomorrow", |p| p.leaf.not_before = der(0x17, "250102000000Z")),
    ("CA expired", |p| p.ca.not_after = der(0x17, "241231235959Z")),
    ("CA of tomorrow", |p| p.ca.not_before = der(0x17, "250102000000Z")),
    ("root expired", |p| p.root.not_after = der(0x17, "241231235959Z")),
    ("root of tomorrow", |p| p.root.not_before = der(0x17, "250102000000Z")),
    ("leaf from before 1970", |p| p.leaf.not_before = der(0x17, "600101000000Z")),
    ("CA from before 1970", |p| p.ca.not_before = der(0x17, "600101000000Z")),
    ("time without seconds", |p| p.leaf.not_before = der(0x17, "0001010000Z")),
    ("time with zone", |p| p.leaf.not_before = der(0x17, "000101000000+0100")),
    ("GeneralizedTime before 2050", |p| p.leaf.not_before = der(0x18, "20000101000000Z")),
    // Key usage (X509-56, X509-63, X509-65, AMB-10).
    ("leaf without key usage", |p| p.leaf = p.leaf.clone().without(15)),
    ("leaf that signs certificates", |p| p.leaf_extension(Extension::key_usage(&[0, 5]))),
    ("leaf that signs CRLs", |p| p.leaf_extension(Extension::key_usage(&[0, 6]))),
    ("leaf that enciphers", |p| p.leaf_extension(Extension::key_usage(&[2]))),
    ("leaf that also enciphers", |p| p.leaf_extension(Extension::key_usage(&[0, 2]))),
    ("leaf with key usage of no bits", |p| p.leaf_extension(Extension::key_usage(&[]))),
    ("leaf with key usage that is no bits", |p| p.leaf_extension(critical(15, &[0x05, 0]))),
    ("CA without keyCertSign", |p| p.ca_extension(Extension::key_usage(&[6]))),
    ("CA without key usage", |p| p.ca = p.ca.clone().without(15)),
    ("root without keyCertSign", |p| p.root_extension(Extension::key_usage(&[6]))),
    ("root without key usage", |p| p.root = p.root.clone().without(15)),
    // Extended key usage (X509-37, X509-38, X509-40).
    ("leaf for clients", |p| p.leaf_extension(Extension::extended_key_usage(&[2]))),
    ("leaf for servers", |p| p.leaf_extension(Extension::extended_key_usage(&[1]))),
    ("leaf for OCSP", |p| p.leaf_extension(Extension::extended_key_usage(&[9]))),
    ("leaf without extended key usage", |p| p.leaf = p.leaf.clone().without(37)),
    ("leaf with extended key usage of nothing", |p| p.leaf_extension(Extension::extended_key_usage(&[]))),
    ("CA for clients", |p| p.ca_extension(Extension::extended_key_usage(&[2]))),
    ("CA for servers", |p| p.ca_extension(Extension::extended_key_usage(&[1]))),
    ("root for clients", |p| p.root_extension(Extension::extended_key_usage(&[2]))),
    // Basic constraints (X509-20, X509-55, X509-62).
    ("leaf without basic constraints", |p| p.leaf = p.leaf.clone().without(19)),
    ("leaf that is a CA", |p| p.leaf_extension(Extension::basic_constraints(true, None))),
    ("leaf with a path length", |p| p.leaf_extension(Extension::basic_constraints(false, Some(0)))),
    ("CA that is none", |p| p.ca_extension(Extension::basic_constraints(false, None))),
    ("CA without basic constraints", |p| p.ca = p.ca.clone().without(19)),
    ("root that is no CA", |p| p.root_extension(Extension::basic_constraints(false, None))),
    ("root without basic constraints", |p| p.root = p.root.clone().without(19)),
    // Path length (X509-23).
    ("CA of path length 0", |p| p.ca_extension(Extension::basic_constraints(true, Some(0)))),
    ("CA of path length -1", |p| p.ca_extension(Extension::basic_constraints(true, Some(0xff)))),
    ("root of path length 0", |p| p.root_extension(Extension::basic_constraints(true, Some(0)))),
    ("root of path length 1", |p| p.root_extension(Extension::basic_constraints(true, Some(1)))),
    // Names (X509-02 to X509-10).
    ("no names", |p| p.leaf = p.leaf.clone().without(17)),
    ("no URI", |p| p.leaf_extension(Extension::subject_alt_name(&[gn::dns("a.example")]))),
    ("two URIs", |p| p.leaf_extension(sans(&[gn::uri(ID)]))),
    ("a DNS name beside", |p| p.leaf_extension(sans(&[gn::dns("a.example")]))),
    ("a wildcard beside", |p| p.leaf_extension(sans(&[gn::dns("*.example")]))),
    ("a DNS name of odd bytes beside", |p| p.leaf_extension(sans(&[gn::dns("a b")]))),
    ("an address beside", |p| p.leaf_extension(sans(&[gn::ip(&[10, 0, 0, 1])]))),
    ("an address of five bytes beside", |p| p.leaf_extension(sans(&[gn::ip(&[10, 0, 0, 1, 2])]))),
    ("a mail address beside", |p| p.leaf_extension(sans(&[gn::email("a@a.example")]))),
    ("a directory name beside", |p| p.leaf_extension(sans(&[gn::directory(&name("a"))]))),
    ("names that are not critical", |p| { let mut names = sans(&[]); names.critical = false; p.leaf_extension(names); }),
    ("a URI that is no SPIFFE ID", |p| p.leaf_extension(Extension::subject_alt_name(&[gn::uri("https://td.example/a")]))),
    ("a SPIFFE ID in upper case", |p| p.leaf_extension(Extension::subject_alt_name(&[gn::uri("spiffe://TD.example/a")]))),
    ("a SPIFFE ID without a path", |p| p.leaf_extension(Extension::subject_alt_name(&[gn::uri("spiffe://td.example")]))),
    ("a SPIFFE ID of elsewhere", |p| p.leaf_extension(Extension::subject_alt_name(&[gn::uri("spiffe://other.example/a")]))),
    ("a CA with a SPIFFE ID", |p| p.ca_extension(Extension::subject_alt_name(&[gn::uri("spiffe://td.example")]))),
    ("a subject on the leaf", |p| p.leaf.subject = name("leaf")),
    ("the issuer's name on the leaf", |p| p.leaf.subject = name("intermediate")),
    // Name constraints (X509-25 to X509-27).
    ("constraints on the leaf", |p| p.leaf_extension(permits(gn::uri("td.example")))),
    ("CA permits the URI", |p| p.ca_extension(permits(gn::uri("td.example")))),
    ("CA permits another URI", |p| p.ca_extension(permits(gn::uri("other.example")))),
    ("CA excludes the URI", |p| p.ca_extension(excludes(gn::uri("td.example")))),
    ("CA excludes another URI", |p| p.ca_extension(excludes(gn::uri("other.example")))),
    ("CA permits a DNS name", |p| p.ca_extension(permits(gn::dns("a.example")))),
    ("CA permits another DNS name", |p| p.ca_extension(permits(gn::dns("b.example")))),
    ("CA excludes a DNS name", |p| p.ca_extension(excludes(gn::dns("a.example")))),
    ("CA permits addresses", |p| p.ca_extension(permits(gn::ip(&[10, 0, 0, 0, 255, 0, 0, 0])))),
    ("CA permits other addresses", |p| p.ca_extension(permits(gn::ip(&[11, 0, 0, 0, 255, 0, 0, 0])))),
    ("CA permits addresses under a mask with holes", |p| p.ca_extension(permits(gn::ip(&[10, 0, 0, 0, 255, 0, 255, 0])))),
    ("CA permits mail addresses", |p| p.ca_extension(permits(gn::email("a.example")))),
    ("CA permits other mail addresses", |p| p.ca_extension(permits(gn::email("b.example")))),
    ("CA permits a directory", |p| p.ca_extension(permits(gn::directory(&name("a"))))),
    ("CA permits another directory", |p| p.ca_extension(permits(gn::directory(&name("b"))))),
    ("CA permits nothing and excludes nothing", |p| p.ca_extension(Extension::name_constraints(&[], &[]))),
    ("root permits another URI", |p| p.root_extension(permits(gn::uri("other.example")))),
    ("root permits another DNS name", |p| p.root_extension(permits(gn::dns("b.example")))),
    // Extensions that nobody knows (X509-58), and those that come twice (X509-06).
    ("something unknown on the leaf", |p| p.leaf_extension(Extension::unknown(false))),
    ("something critical on the leaf", |p| p.leaf_extension(Extension::unknown(true))),
    ("something critical on the CA", |p| p.ca_extension(Extension::unknown(true))),
    ("something critical on the root", |p| p.root_extension(Extension::unknown(true))),
    ("policies, critical, on the leaf", |p| p.leaf_extension(critical(32, &[0x30, 0]))),
    ("names twice", |p| { let names = sans(&[]); p.leaf.extensions.push(names); }),
    ("key usage twice on the CA", |p| { let usage = Extension::key_usage(&[5]); p.ca.extensions.push(usage); }),
    ("no extensions on the leaf", |p| p.leaf.extensions.clear()),
    // Extensions that are not what they should be (X509-06, X509-21, X509-39).
    ("names that are no list", |p| p.leaf_extension(critical(17, &[0x31, 0]))),
    ("a name of a number that no name has", |p| p.leaf_extension(sans(&[der(0x89, [])]))),
    ("names on the CA that are no list", |p| p.ca_extension(critical(17, &[0x31, 0]))),
    ("a name on the CA of a number that no name has", |p| p.ca_extension(Extension::subject_alt_name(&[der(0x89, [])]))),
    ("an issuer's key identifier on the CA that is none", |p| p.ca_extension(Extension::new(35, false, vec![0x31, 0]))),
    ("a truth for names on the root", |p| p.root_extension(critical(17, &[0x30, 3, 1, 1, 0xff]))),
    ("basic constraints on the leaf that are none", |p| p.leaf_extension(critical(19, &[0x31, 0]))),
    ("basic constraints on the CA that are none", |p| p.ca_extension(critical(19, &[0x31, 0]))),
    ("basic constraints on the CA of another truth", |p| p.ca_extension(critical(19, &[0x30, 3, 1, 1, 1]))),
    ("basic constraints on the root that are none", |p| p.root_extension(critical(19, &[0x31, 0]))),
    ("basic constraints on the root of another truth", |p| p.root_extension(critical(19, &[0x30, 3, 1, 1, 1]))),
    ("key usage twice on the root", |p| { let usage = Extension::key_usage(&[5]); p.root.extensions.push(usage); }),
    ("CA with key usage that is no bits", |p| p.ca_extension(critical(15, &[0x05, 0]))),
    ("root with key usage that is no bits", |p| p.root_extension(critical(15, &[0x05, 0]))),
    ("root of times that are none", |p| p.root.not_before = der(0x17, "000101")),
    ("root with a serial number of no bytes", |p| p.root.serial = vec![2, 0]),
    ("root with a serial number of 21 bytes", |p| p.root.serial = der(2, [1; 21])),
    // Key identifiers are hints.
    ("an issuer's key identifier that fits", |p| { p.leaf_extension(Extension::authority_key_id(b"a")); p.ca_extension(Extension::subject_key_id(b"a")); }),
    ("an issuer's key identifier that does not", |p| { p.leaf_extension(Extension::authority_key_id(b"a")); p.ca_extension(Extension::subject_key_id(b"b")); }),
    // Signatures and algorithms (X509-45, X509-47, X509-48, X509-52).
    ("the root signed the leaf", |p| p.signers[0] = &*KEYS.root),
    ("another root signed the CA", |p| p.signers[1] = &*KEYS.other_root),
    ("another root signed the root", |p| p.signers[2] = &*KEYS.other_root),
    ("CA of P-384", |p| p.ca_key(&*OTHER_KEYS.p384)),
    ("CA of Ed25519", |p| p.ca_key(&*OTHER_KEYS.ed25519)),
    ("CA of RSA", |p| p.ca_key(&*OTHER_KEYS.rsa)),
    ("root of P-384", |p| p.root_key(&*OTHER_KEYS.p384)),
    ("root of Ed25519", |p| p.root_key(&*OTHER_KEYS.ed25519)),
    ("root of RSA", |p| p.root_key(&*OTHER_KEYS.rsa)),
    ("leaf of RSA", |p| p.leaf.spki = OTHER_KEYS.rsa.public_key().spki_der().to_vec()),
    ("leaf of Ed25519", |p| p.leaf.spki = OTHER_KEYS.ed25519.public_key().spki_der().to_vec()),
    ("leaf of a key that nobody knows", |p| p.leaf.spki = sequence(&[&sequence(&[&[0x06, 1, 0x2a]]), &der(0x03, [0, 1])])),
    ("CA of a key that nobody knows", |p| p.ca.spki = sequence(&[&sequence(&[&[0x06, 1, 0x2a]]), &der(0x03, [0, 1])])),
    ("leaf of a point that is none", |p| *p.leaf.spki.last_mut().unwrap() ^= 1),
    ("another algorithm inside", |p| p.leaf.inner_algorithm = Some(OTHER_KEYS.p384.algorithm().identifier_der().to_vec())),
    ("another algorithm outside", |p| p.leaf.outer_algorithm = Some(OTHER_KEYS.ed25519.algorithm().identifier_der().to_vec())),
    ("another algorithm on both sides", |p| { let other = Some(OTHER_KEYS.p384.algorithm().identifier_der().to_vec()); p.leaf.inner_algorithm = other.clone(); p.leaf.outer_algorithm = other; }),
    // Version and serial number (X509-41, X509-42).
    ("version 1", |p| p.leaf.version = vec![]),
    ("version 2", |p| p.leaf.version = vec![0xa0, 3, 2, 1, 1]),
    ("version 4", |p| p.leaf.version = vec![0xa0, 3, 2, 1, 3]),
    ("CA of version 1", |p| p.ca.version = vec![]),
    ("root of version 1", |p| p.root.version = vec![]),
    ("serial number 0", |p| p.leaf.serial = vec![2, 1, 0]),
    ("a negative serial number", |p| p.leaf.serial = vec![2, 1, 0x80]),
    ("a serial number of 21 bytes", |p| p.leaf.serial = der(2, [1; 21])),
    ("a serial number of no bytes", |p| p.leaf.serial = vec![2, 0]),
    // Who is presented, and in which order (X509-15, X509-68).
    ("another issuer", |p| p.leaf.issuer = name("nobody")),
    ("issuer without a name", |p| p.leaf.issuer = name("")),
    ("CA of another issuer", |p| p.ca.issuer = name("nobody")),
    ("root of another name", |p| p.root.subject = name("other")),
    ("the root as an intermediate", |p| p.root.issuer = name("above")),
    ("the leaf alone", |p| p.presented = vec![Leaf]),
    ("the root sent along", |p| p.presented.push(Root)),
    ("the root between", |p| p.presented.insert(1, Root)),
    ("the CA twice", |p| p.presented.push(Ca)),
    ("the leaf behind itself", |p| p.presented.insert(1, Leaf)),
    ("turned", |p| p.presented.reverse()),
    ("the CA as leaf", |p| p.presented = vec![Ca]),
];

/// Asks all judges, and returns the rows that explain where they differ.
fn judge(parts: &Parts) -> Result<Vec<&'static Difference>, String> {
    let (chain, root) = (parts.chain(), parts.sign(Root));
    let webpki = explain(WEBPKI, &ours(&chain, &root), &webpki(&chain, &root));
    let webpki = webpki
        .transpose()
        .map_err(|difference| format!("rustls-webpki: {difference}"))?;
    let all: Vec<&[u8]> = chain.iter().chain([&root]).map(Vec::as_slice).collect();
    if let Some(row) = webpki.filter(|row| row.ours == ACCEPTED)
        && !has_reason(row, &all)
    {
        let theirs = row.theirs;
        return Err(format!(
            "rustls-webpki says {theirs:?}, for no reason that we know"
        ));
    }
    let spiffe = explain(SPIFFE, &own(&chain, parts), &spiffe(&chain, parts));
    let spiffe = spiffe
        .transpose()
        .map_err(|difference| format!("spiffe: {difference}"))?;
    Ok([webpki, spiffe].into_iter().flatten().collect())
}

/// What the verifier says of a peer that is a server, with the rule where it refuses.
fn ours(chain: &[Vec<u8>], root: &[u8]) -> Result<(), String> {
    let authority =
        X509Authority::parse(root).map_err(|error| format!("authority: {}", error.rule()))?;
    let mut bundle = plastron_bundle::Bundle::new("td.example".parse().unwrap());
    bundle.add_x509_authority(authority);
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    verifier()
        .role(PeerRole::Server)
        .verify(&chain, &bundle, NOW)
        .map(|_| ())
        .map_err(|error| match error {
            VerifyError::Certificate { index, error } if index > 0 => {
                format!("above the leaf: {}", error.rule())
            }
            error => error.rule().to_owned(),
        })
}

fn webpki(chain: &[Vec<u8>], root: &[u8]) -> Result<(), String> {
    let refused = |error: webpki::Error| variant(&error);
    let root = CertificateDer::from(root);
    let anchor = webpki::anchor_from_trusted_cert(&root).map_err(refused)?;
    let leaf = CertificateDer::from(&*chain[0]);
    let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(refused)?;
    let others: Vec<_> = chain[1..]
        .iter()
        .map(|der| CertificateDer::from(&**der))
        .collect();
    leaf.verify_for_usage(
        BACKEND.algorithms(),
        &[anchor],
        &others,
        NOW,
        webpki::KeyUsage::server_auth(),
        None,
        None,
    )
    .map(|_| ())
    .map_err(refused)
}

/// What the reader of one's own SVID says, which looks at no signature.
fn own(chain: &[Vec<u8>], parts: &Parts) -> Result<(), String> {
    let key = key_of(parts);
    X509Svid::parse(&chain.concat(), &key, &BACKEND)
        .map(|_| ())
        .map_err(|error| match &error {
            X509SvidError::OtherKey => "X509-71: other key".to_owned(),
            error => error.rule().to_owned(),
        })
}

fn spiffe(chain: &[Vec<u8>], parts: &Parts) -> Result<(), String> {
    spiffe::X509Svid::parse_from_der(&chain.concat(), &key_of(parts))
        .map(|_| ())
        .map_err(|error| variant(&error))
}

/// The private key of the leaf.
fn key_of(parts: &Parts) -> Vec<u8> {
    let keys = [&KEYS.leaf, &OTHER_KEYS.rsa, &OTHER_KEYS.ed25519];
    let key = keys
        .into_iter()
        .find(|key| key.public_key().spki_der() == parts.leaf.spki);
    key.unwrap_or(&KEYS.leaf).to_pkcs8().to_vec()
}

fn judge_changed(changes: &[&Change], flipped: Option<(Piece, usize)>) -> Vec<&'static Difference> {
    let mut parts = Parts::changed(changes);
    parts.flipped = flipped;
    let names: Vec<&str> = changes.iter().map(|(name, _)| *name).collect();
    match judge(&parts) {
        Ok(rows) => rows,
        Err(difference) => panic!("{names:?}, {flipped:?}: {difference}"),
    }
}

#[test]
fn judges_differ_where_a_rule_makes_them_and_nowhere_else() {
    let right = Parts::right();
    let (chain, root) = (right.chain(), right.sign(Root));
    assert_eq!(ours(&chain, &root), Ok(()));
    assert_eq!(webpki(&chain, &root), Ok(()));
    assert_eq!(own(&chain, &right), Ok(()));
    assert_eq!(spiffe(&chain, &right), Ok(()));

    let mut shown = BTreeSet::new();
    for change in CHANGES {
        shown.extend(judge_changed(&[change], None));
    }
    let unshown: Vec<_> = WEBPKI
        .iter()
        .chain(SPIFFE)
        .filter(|row| !shown.contains(row))
        .collect();
    assert!(unshown.is_empty(), "rows that nothing shows: {unshown:?}");
}

#[test]
#[ignore = "takes two minutes: run it after a change of the verifier, or of a judge"]
fn judges_differ_for_no_two_changes_together_and_no_bit() {
    for (at, one) in CHANGES.iter().enumerate() {
        for other in &CHANGES[at + 1..] {
            judge_changed(&[one, other], None);
        }
    }
    let right = Parts::right();
    for piece in [Leaf, Ca, Root] {
        for bit in 0..right.sign(piece).len() * 8 {
            judge_changed(&[], Some((piece, bit)));
        }
    }
}

proptest! {
    // The same each time: searching is for the fuzz target.
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn judges_differ_for_no_changes_at_random(
        changes in prop::collection::vec(prop::sample::select(CHANGES), 2..5),
    ) {
        judge_changed(&changes.iter().collect::<Vec<_>>(), None);
    }

    #[test]
    fn judges_differ_for_no_bit_that_was_changed_before_signing(
        changes in prop::collection::vec(prop::sample::select(CHANGES), 0..2),
        piece in prop::sample::select(&[Leaf, Ca, Root][..]),
        bit: usize,
    ) {
        judge_changed(&changes.iter().collect::<Vec<_>>(), Some((piece, bit)));
    }
}
