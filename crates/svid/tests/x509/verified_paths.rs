//! What is remembered of a chain never makes a difference but in time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, UnixTime};
use plastron_bundle::certificate::Certificate;
use plastron_bundle::{BundleSet, X509Authority, X509BundleSource};
use plastron_id::TrustDomainRef;
use plastron_keys::{KeyBackend as _, KeyType};
use plastron_svid::{
    LeafError, NameConstraintError, PathError, PeerRole, VerifiedPaths, VerifyError, X509Verifier,
};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::{Extension, RawCertificate, der, general_name, sequence};

use crate::fixture::*;

/// Algorithms that count the signatures they check.
struct Counted {
    algorithms: Vec<CountedAlgorithm>,
}

#[derive(Debug)]
struct CountedAlgorithm {
    inner: &'static dyn SignatureVerificationAlgorithm,
    count: AtomicUsize,
}

impl Counted {
    fn new() -> Self {
        let counted = |inner: &&'static dyn SignatureVerificationAlgorithm| CountedAlgorithm {
            inner: *inner,
            count: AtomicUsize::new(0),
        };
        Self {
            algorithms: BACKEND.algorithms().iter().map(counted).collect(),
        }
    }

    fn list(&self) -> Vec<&dyn SignatureVerificationAlgorithm> {
        self.algorithms.iter().map(|one| one as _).collect()
    }

    /// How many since the last time.
    fn take(&self) -> usize {
        let take = |one: &CountedAlgorithm| one.count.swap(0, Ordering::Relaxed);
        self.algorithms.iter().map(take).sum()
    }
}

impl SignatureVerificationAlgorithm for CountedAlgorithm {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}

/// The verdict of a verifier that remembers, and how many signatures it took.
struct Remembering<'a> {
    counted: &'a Counted,
    paths: VerifiedPaths<'a>,
}

impl Remembering<'_> {
    fn verify_as(
        &self,
        role: PeerRole,
        chain: &[Vec<u8>],
        bundles: &dyn X509BundleSource,
        now: UnixTime,
    ) -> (Result<String, VerifyError>, usize) {
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let verdict = X509Verifier::remembering(&self.paths)
            .role(role)
            .verify(&chain, bundles, now)
            .map(|svid| svid.id().as_str().to_owned());
        (verdict, self.counted.take())
    }

    fn verify(
        &self,
        chain: &[Vec<u8>],
        bundles: &dyn X509BundleSource,
    ) -> (Result<String, VerifyError>, usize) {
        self.verify_as(PeerRole::Any, chain, bundles, NOW)
    }
}

fn with_paths(capacity: usize, test: impl FnOnce(&Remembering<'_>)) {
    let counted = Counted::new();
    let algorithms = counted.list();
    test(&Remembering {
        counted: &counted,
        paths: VerifiedPaths::new(&algorithms, capacity),
    });
}

fn untrusted(error: PathError) -> Result<String, VerifyError> {
    Err(VerifyError::Untrusted(error))
}

/// A leaf below an intermediate.
fn chain() -> Vec<Vec<u8>> {
    vec![
        by_intermediate(leaf_below("intermediate")),
        by_root(intermediate()),
    ]
}

fn roots() -> Vec<Vec<u8>> {
    vec![by_root(root())]
}

/// A leaf directly under the root; each number makes another.
fn numbered(serial: u8) -> Vec<u8> {
    let mut leaf = leaf();
    leaf.serial = vec![0x02, 1, serial];
    by_root(leaf)
}

/// The same, valid until so many seconds after [`NOW`].
fn until(mut certificate: RawCertificate, seconds: u64) -> RawCertificate {
    let midnight = 86_400 - NOW.as_secs() % 86_400;
    assert!(midnight == 86_400 && seconds < 60, "only seconds change");
    certificate.not_after = der(0x17, format!("2501010000{seconds:02}Z"));
    certificate
}

fn after(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW.as_secs() + seconds))
}

#[test]
fn a_chain_takes_its_signatures_once() {
    with_paths(16, |paths| {
        let bundle = bundle(&roots());
        assert_eq!(paths.verify(&chain(), &bundle), (accepted(), 2));
        // Minted anew each time: ECDSA signatures are random.
        let chain = chain();
        assert_eq!(paths.verify(&chain, &bundle).0, accepted());
        assert_eq!(paths.verify(&chain, &bundle), (accepted(), 0));
        let copy = bundle.clone();
        let set: BundleSet = [bundle].into_iter().collect();
        assert_eq!(paths.verify(&chain, &set), (accepted(), 0));
        assert_eq!(
            paths.verify(&chain, &copy),
            (accepted(), 0),
            "a clone has the same authorities"
        );
    });
}

#[test]
fn a_known_intermediate_takes_one_signature() {
    with_paths(16, |paths| {
        let bundle = bundle(&roots());
        let intermediate = by_root(intermediate());
        let chain = || {
            [
                by_intermediate(leaf_below("intermediate")),
                intermediate.clone(),
            ]
        };
        assert_eq!(paths.verify(&chain(), &bundle), (accepted(), 2));
        assert_eq!(paths.verify(&chain(), &bundle), (accepted(), 1));
        assert_eq!(paths.verify(&chain(), &bundle), (accepted(), 1));
    });
}

#[test]
fn nothing_outlives_a_certificate() {
    for (expires, chain, root, error) in [
        (
            "leaf",
            [
                by_intermediate(until(leaf_below("intermediate"), 30)),
                by_root(intermediate()),
            ],
            by_root(root()),
            None,
        ),
        (
            "intermediate",
            [
                by_intermediate(leaf_below("intermediate")),
                by_root(until(intermediate(), 30)),
            ],
            by_root(root()),
            Some(PathError::IntermediateValidity),
        ),
        (
            "authority",
            [
                by_intermediate(leaf_below("intermediate")),
                by_root(intermediate()),
            ],
            by_root(until(root(), 30)),
            Some(PathError::AuthorityValidity),
        ),
    ] {
        with_paths(16, |paths| {
            let bundle = bundle(&[root]);
            let at = |now| paths.verify_as(PeerRole::Any, &chain, &bundle, now);
            assert_eq!(at(NOW), (accepted(), 2), "{expires}");
            assert_eq!(at(after(30)), (accepted(), 0), "{expires}: its last second");
            let expired = match error {
                Some(error) => VerifyError::Untrusted(error),
                None => VerifyError::Expired {
                    not_after: after(30),
                    now: after(31),
                },
            };
            assert_eq!(at(after(31)), (Err(expired), 0), "{expires}");
            assert_eq!(
                at(NOW),
                (accepted(), 0),
                "{expires}: the clock was set back"
            );
        });
    }
}

#[test]
fn nothing_is_valid_before_its_certificates() {
    with_paths(16, |paths| {
        let mut late = intermediate();
        late.not_before = der(0x17, "250101000010Z");
        let chain = [by_intermediate(leaf_below("intermediate")), by_root(late)];
        let bundle = bundle(&roots());
        let at = |now| paths.verify_as(PeerRole::Any, &chain, &bundle, now).0;
        assert_eq!(at(after(10)), accepted());
        assert_eq!(
            at(after(9)),
            untrusted(PathError::IntermediateValidity),
            "the clock was set back"
        );
    });
}

#[test]
fn another_path_is_found_when_the_remembered_one_ends() {
    with_paths(16, |paths| {
        let bundle = bundle(&[by_root(until(root(), 30)), by_root(root())]);
        let chain = chain();
        let at = |now| paths.verify_as(PeerRole::Any, &chain, &bundle, now);
        assert_eq!(at(NOW), (accepted(), 2));
        // The intermediate is known to be signed by that key, which both certificates are of.
        assert_eq!(at(after(31)), (accepted(), 1));
        assert_eq!(at(after(31)), (accepted(), 0));
    });
}

#[test]
fn nothing_outlives_a_change_of_the_bundle_or_a_revocation() {
    let other_root = RawCertificate::authority("root", "root", KEYS.other_root.public_key())
        .sign(&*KEYS.other_root);
    with_paths(16, |paths| {
        let chain = chain();
        let before = bundle(&roots());
        assert_eq!(paths.verify(&chain, &before), (accepted(), 2));

        // The authority is gone, and one of the same name is there.
        let revoked = bundle(std::slice::from_ref(&other_root));
        assert_eq!(
            paths.verify(&chain, &revoked),
            (untrusted(PathError::Signature), 1)
        );
        let none = bundle(&[]);
        assert_eq!(
            paths.verify(&chain, &none),
            (
                Err(VerifyError::NoAuthorities("td.example".parse().unwrap())),
                0
            )
        );
        let unknown = bundle_of("other.example", &roots());
        assert_eq!(
            paths.verify(&chain, &unknown),
            (
                Err(VerifyError::UnknownTrustDomain(
                    "td.example".parse().unwrap()
                )),
                0
            )
        );

        // One was added: the leaf is verified again, and then remembered again.
        let mut added = before.clone();
        added.add_x509_authority(X509Authority::parse(&other_root).unwrap());
        assert_eq!(paths.verify(&chain, &added).0, accepted());
        assert_eq!(paths.verify(&chain, &added), (accepted(), 0));

        assert_eq!(
            paths.verify(&chain, &before),
            (accepted(), 1),
            "one list for each chain, the last one"
        );

        // The same authorities, read again, are another list.
        let again = bundle(&roots());
        assert_eq!(paths.verify(&chain, &again), (accepted(), 1));
    });
}

#[test]
fn a_bundle_gets_another_identity_with_each_authority() {
    let mut changed = bundle(&roots());
    let before = changed.clone();
    assert_eq!(changed.x509_authorities_id(), before.x509_authorities_id());
    changed.set_sequence(Some(7));
    changed.add_x509_authority(X509Authority::parse(&roots()[0]).unwrap());
    // ECDSA: that was another certificate of the same key.
    assert_eq!(changed.x509_authorities().len(), 2);
    assert_ne!(changed.x509_authorities_id(), before.x509_authorities_id());
    let same = changed.clone();
    changed.add_x509_authority(same.x509_authorities()[0].clone());
    assert_eq!(
        changed.x509_authorities_id(),
        same.x509_authorities_id(),
        "one that is there already is no change"
    );
}

#[test]
fn a_source_that_cannot_tell_its_lists_apart_has_nothing_remembered() {
    struct Untold(plastron_bundle::Bundle);
    impl X509BundleSource for Untold {
        fn x509_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[X509Authority]> {
            X509BundleSource::x509_authorities(&self.0, trust_domain)
        }
    }
    with_paths(16, |paths| {
        let source = Untold(bundle(&roots()));
        let chain = [by_root(leaf())];
        assert_eq!(paths.verify(&chain, &source), (accepted(), 1));
        assert_eq!(paths.verify(&chain, &source), (accepted(), 1));
    });
}

#[test]
fn one_role_does_not_stand_for_another() {
    let servers_only = Extension::extended_key_usage(&[1]);
    with_paths(16, |paths| {
        let bundle = bundle(&roots());
        // The leaf may be both; its issuer may vouch for servers alone.
        let chain = [
            by_intermediate(leaf_below("intermediate")),
            by_root(intermediate().with(vec![servers_only.clone()])),
        ];
        let as_role = |role| paths.verify_as(role, &chain, &bundle, NOW).0;
        assert_eq!(as_role(PeerRole::Server), accepted());
        for role in [PeerRole::Client, PeerRole::Any] {
            assert_eq!(as_role(role), untrusted(PathError::ExtendedKeyUsage));
        }
        assert_eq!(as_role(PeerRole::Server), accepted());
    });
}

#[test]
fn the_rules_on_a_leaf_are_checked_each_time() {
    let no_key_usage = by_root(leaf().without(15));
    with_paths(16, |paths| {
        let bundle = bundle(&roots());
        let chain = [no_key_usage.as_slice()];
        let lenient = X509Verifier::remembering(&paths.paths).allow_missing_key_usage();
        assert!(lenient.verify(&chain, &bundle, NOW).is_ok());
        assert_eq!(
            paths.verify(std::slice::from_ref(&no_key_usage), &bundle).0,
            leaf_error(LeafError::KeyUsageMissing)
        );
    });
}

#[test]
fn another_chain_is_another_chain() {
    with_paths(16, |paths| {
        let bundle = bundle(&roots());
        let chain = chain();
        assert_eq!(paths.verify(&chain, &bundle), (accepted(), 2));

        // Each byte of the leaf's signature, and one of each certificate's other parts.
        for (certificate, at) in (1..60).map(|from_end| (0, chain[0].len() - from_end)) {
            let mut flipped = chain.clone();
            flipped[certificate][at] ^= 1;
            assert_ne!(paths.verify(&flipped, &bundle).0, accepted(), "byte {at}");
        }
        let mut flipped = chain.clone();
        *flipped[1].last_mut().unwrap() ^= 1;
        assert_eq!(
            paths.verify(&flipped, &bundle),
            (untrusted(PathError::Signature), 1),
            "of the intermediate"
        );

        // Cut between other bytes, in another order, with more or with less.
        let joined = [chain.concat()];
        assert!(paths.verify(&joined, &bundle).0.is_err());
        let turned = [chain[1].clone(), chain[0].clone()];
        assert!(paths.verify(&turned, &bundle).0.is_err());
        assert_eq!(
            paths.verify(&chain[..1], &bundle).0,
            untrusted(PathError::UnknownIssuer)
        );
        let more = [chain[0].clone(), chain[1].clone(), chain[1].clone()];
        assert_eq!(paths.verify(&more, &bundle), (accepted(), 1));
    });
}

#[test]
fn a_certificate_that_comes_again_takes_no_more_signatures() {
    with_paths(16, |paths| {
        let forged = leaf_below("intermediate").sign(&*KEYS.other_root);
        let chain = [vec![forged], vec![by_root(intermediate()); 15]].concat();
        assert_eq!(
            paths.verify(&chain, &bundle(&roots())),
            (untrusted(PathError::Signature), 2)
        );
    });
}

#[test]
fn a_known_intermediate_still_has_to_keep_its_rules() {
    let permits = |uri: &str| Extension::name_constraints(&[general_name::uri(uri)], &[]);
    with_paths(16, |paths| {
        let bundle = bundle(&roots());
        let narrow = by_root(intermediate().with(vec![permits("td.example")]));
        let good = [by_intermediate(leaf_below("intermediate")), narrow.clone()];
        assert_eq!(paths.verify(&good, &bundle), (accepted(), 2));

        let forged = [leaf_below("intermediate").sign(&*KEYS.other_root), narrow];
        assert_eq!(
            paths.verify(&forged, &bundle),
            (untrusted(PathError::Signature), 1),
            "another key signed the leaf"
        );

        let other = by_root(intermediate().with(vec![permits("other.example")]));
        let unpermitted = [by_intermediate(leaf_below("intermediate")), other];
        assert_eq!(
            paths.verify(&unpermitted, &bundle),
            (untrusted(NameConstraintError::NotPermitted.into()), 0)
        );

        let below = by_intermediate(intermediate_named("below", "intermediate"));
        let no_more =
            by_root(intermediate().with(vec![Extension::basic_constraints(true, Some(0))]));
        let short = [by_intermediate(leaf_below("intermediate")), no_more.clone()];
        assert_eq!(paths.verify(&short, &bundle), (accepted(), 2));
        let long = [by_intermediate(leaf_below("below")), below, no_more];
        assert_eq!(
            paths.verify(&long, &bundle),
            (untrusted(PathError::PathLength), 0)
        );
    });
}

#[test]
fn what_does_not_verify_drives_nothing_out() {
    with_paths(2, |paths| {
        let bundle = bundle(&roots());
        let good = [by_root(leaf())];
        assert_eq!(paths.verify(&good, &bundle), (accepted(), 1));
        for _ in 0..20 {
            let bad = [leaf().sign(&*KEYS.other_root)];
            assert_eq!(
                paths.verify(&bad, &bundle),
                (untrusted(PathError::Signature), 1)
            );
        }
        assert_eq!(paths.verify(&good, &bundle), (accepted(), 0));
    });
}

#[test]
fn a_chain_with_certificates_beside_its_path_is_not_remembered() {
    with_paths(2, |paths| {
        let bundle = bundle(&roots());
        let good = [by_root(leaf())];
        assert_eq!(paths.verify(&good, &bundle), (accepted(), 1));
        for _ in 0..20 {
            // A copy of what anybody may have seen, and something behind it.
            let padded = [good[0].clone(), by_root(intermediate())];
            assert_eq!(paths.verify(&padded, &bundle), (accepted(), 1));
        }
        assert_eq!(paths.verify(&good, &bundle), (accepted(), 0));
    });
}

/// A leaf below five intermediates, each with its own key, leaf first and each before its issuer.
fn long_chain() -> Vec<Vec<u8>> {
    let keys: Vec<_> = (0..5)
        .map(|_| BACKEND.generate(KeyType::EcP256).unwrap())
        .collect();
    let mut chain = Vec::new();
    let (mut issuer, mut signer) = ("root".to_owned(), &*KEYS.root);
    for (at, key) in keys.iter().enumerate() {
        let name = format!("i{at}");
        let certificate = RawCertificate::authority(&name, &issuer, key.public_key());
        chain.insert(0, certificate.sign(signer));
        (issuer, signer) = (name, &**key);
    }
    chain.insert(0, leaf_below(&issuer).sign(signer));
    chain
}

#[test]
fn one_chain_in_many_orders_drives_nothing_out() {
    with_paths(16, |paths| {
        let bundle = bundle(&roots());
        let good = [by_root(leaf())];
        assert_eq!(paths.verify(&good, &bundle), (accepted(), 1));
        let long = long_chain();
        assert_eq!(paths.verify(&long, &bundle), (accepted(), 6));
        for first in 1..=5 {
            for by in 0..4 {
                let mut turned = long.clone();
                turned.swap(1, first);
                turned[2..].rotate_left(by);
                if turned != long {
                    assert_eq!(paths.verify(&turned, &bundle), (accepted(), 1));
                }
            }
        }
        assert_eq!(paths.verify(&good, &bundle), (accepted(), 0));
        assert_eq!(paths.verify(&long, &bundle), (accepted(), 0), "in order");
    });
}

/// The same certificate under the twin of its ECDSA signature, which holds as well: `s` for `n − s`.
fn twin(certificate: &[u8]) -> Vec<u8> {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let parsed = Certificate::parse(certificate).unwrap();
    let signature = parsed.signature();
    let r_len = usize::from(signature[3]);
    let (r, s) = (&signature[2..4 + r_len], &signature[6 + r_len..]);
    let s = &s[s.iter().take_while(|byte| **byte == 0).count()..];
    let mut padded = [0; 32];
    padded[32 - s.len()..].copy_from_slice(s);
    let mut other = [0; 32];
    let mut borrow = 0;
    for at in (0..32).rev() {
        let digit = i16::from(N[at]) - i16::from(padded[at]) - borrow;
        borrow = i16::from(digit < 0);
        other[at] = digit.rem_euclid(256) as u8;
    }
    let zeros = other.iter().take_while(|byte| **byte == 0).count();
    let sign: &[u8] = if other[zeros] >= 0x80 { &[0] } else { &[] };
    let other = der(0x02, [sign, &other[zeros..]].concat());
    let bits = der(0x03, [&[0][..], &sequence(&[r, &other])].concat());
    let algorithm = KEYS.root.algorithm().identifier_der().to_vec();
    sequence(&[parsed.tbs(), &algorithm, &bits])
}

#[test]
fn twins_of_signatures_share_the_place_of_their_leaf() {
    with_paths(2, |paths| {
        let bundle = bundle(&roots());
        let good = [by_root(leaf())];
        let chain = chain();
        let twins = [
            [twin(&chain[0]), chain[1].clone()],
            [chain[0].clone(), twin(&chain[1])],
            [twin(&chain[0]), twin(&chain[1])],
        ];
        assert_eq!(paths.verify(&good, &bundle), (accepted(), 1));
        assert_eq!(paths.verify(&chain, &bundle), (accepted(), 2));
        for twin in twins.iter().cycle().take(12) {
            let (verdict, signatures) = paths.verify(twin, &bundle);
            assert_eq!(verdict, accepted());
            assert_ne!(signatures, 0, "another chain");
            assert_eq!(paths.verify(twin, &bundle), (accepted(), 0));
            assert_eq!(paths.verify(&good, &bundle), (accepted(), 0));
        }
    });
}

#[test]
fn what_is_used_stays_and_the_rest_goes() {
    with_paths(8, |paths| {
        let bundle = bundle(&roots());
        let used = [numbered(100)];
        let unused = [numbered(101)];
        assert_eq!(paths.verify(&used, &bundle), (accepted(), 1));
        assert_eq!(paths.verify(&unused, &bundle), (accepted(), 1));
        for serial in 0..20 {
            assert_eq!(paths.verify(&[numbered(serial)], &bundle), (accepted(), 1));
            assert_eq!(paths.verify(&used, &bundle), (accepted(), 0));
        }
        assert_eq!(paths.verify(&unused, &bundle), (accepted(), 1));
        let shown = format!("{:?}", paths.paths);
        let count: usize = shown
            .split_once("paths: ")
            .and_then(|(_, rest)| rest.split(',').next()?.parse().ok())
            .unwrap();
        assert!(count <= 8, "{shown}");
    });
}

#[test]
fn a_chain_beyond_sixteen_kilobytes_is_verified_each_time() {
    let leaf_of = |len: usize| {
        // The length of a signature is not known before it is made.
        let mut padding = len / 2;
        loop {
            let mut extension = Extension::unknown(false);
            extension.value = vec![0; padding];
            let leaf = by_root(leaf().with(vec![extension]));
            if leaf.len() == len {
                return leaf;
            }
            padding = padding + len - leaf.len();
        }
    };
    with_paths(16, |paths| {
        let bundle = bundle(&roots());
        for (len, again) in [(16 * 1024, 0), (16 * 1024 + 1, 1)] {
            let chain = [leaf_of(len)];
            assert_eq!(paths.verify(&chain, &bundle), (accepted(), 1));
            assert_eq!(paths.verify(&chain, &bundle), (accepted(), again), "{len}");
        }
    });
}

#[test]
fn shows_how_much_is_remembered() {
    with_paths(4, |paths| {
        let bundle = bundle(&roots());
        for count in 1..=4 {
            assert_eq!(paths.verify(&[numbered(count)], &bundle), (accepted(), 1));
            let shown = format!("VerifiedPaths {{ paths: {count}, signatures: 0, .. }}");
            assert_eq!(format!("{:?}", paths.paths), shown);
        }
    });
}

#[test]
fn threads_share_what_is_remembered() {
    let paths = VerifiedPaths::new(BACKEND.algorithms(), 64);
    let bundle = bundle(&roots());
    let chains: Vec<Vec<u8>> = (0..8).map(numbered).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for chain in chains.iter().cycle().take(64) {
                    let verifier = X509Verifier::remembering(&paths);
                    assert!(verifier.verify(&[chain], &bundle, NOW).is_ok());
                }
            });
        }
    });
}
