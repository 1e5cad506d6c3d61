//! What reading and verifying an X509-SVID costs beside the checks of its signatures and `rustls-webpki`.
//!
//! ```text
//! cargo bench -p plastron-benches --bench x509
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "a measurement stops at what it cannot do"
)]

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use plastron_benches::interleaved::Group;
use plastron_bundle::certificate::Certificate;
use plastron_bundle::{Bundle, MAX_KEYS, X509Authority};
use plastron_id::{SpiffeId, TrustDomain};
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey, rust_crypto};
use plastron_keys_aws_lc::ALGORITHMS;
use plastron_mint::{X509Issuer, self_signed_authority};
use plastron_svid::{PeerRole, VerifiedPaths, X509Verifier};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::RawCertificate;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

const ID: &str = "spiffe://prod.example.org/ns/payments/sa/api-server-frontend";

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn main() {
    parse();
    for (title, key_type, algorithms) in [
        ("chain of two, P-256, AWS-LC", KeyType::EcP256, ALGORITHMS),
        ("chain of two, P-384, AWS-LC", KeyType::EcP384, ALGORITHMS),
        (
            "chain of two, Ed25519, AWS-LC",
            KeyType::Ed25519,
            ALGORITHMS,
        ),
        (
            "chain of two, RSA-2048, AWS-LC",
            KeyType::Rsa2048,
            ALGORITHMS,
        ),
        (
            "chain of two, P-256, pure Rust",
            KeyType::EcP256,
            rust_crypto::ALGORITHMS,
        ),
        (
            "chain of two, P-384, pure Rust",
            KeyType::EcP384,
            rust_crypto::ALGORITHMS,
        ),
        (
            "chain of two, Ed25519, pure Rust",
            KeyType::Ed25519,
            rust_crypto::ALGORITHMS,
        ),
        (
            "chain of two, RSA-2048, pure Rust",
            KeyType::Rsa2048,
            rust_crypto::ALGORITHMS,
        ),
    ] {
        verify(title, &Chain::new(key_type, 1), algorithms);
    }
    for (title, key_type) in [
        (
            "new leaf, known intermediate, P-256, AWS-LC",
            KeyType::EcP256,
        ),
        (
            "new leaf, known intermediate, P-384, AWS-LC",
            KeyType::EcP384,
        ),
        (
            "new leaf, known intermediate, Ed25519, AWS-LC",
            KeyType::Ed25519,
        ),
        (
            "new leaf, known intermediate, RSA-2048, AWS-LC",
            KeyType::Rsa2048,
        ),
    ] {
        known_issuer(title, &Chain::new(key_type, 1), ALGORITHMS);
    }
    lengths();
    bundles();
    hostile();
}

fn parse() {
    let chain = Chain::new(KeyType::EcP256, 1);
    let leaf = &chain.presented[0];
    let webpki_leaf = CertificateDer::from(leaf.as_slice());
    let bundle = chain.bundle(1);
    let later = UnixTime::since_unix_epoch(NOW * 2);
    let verifier = X509Verifier::new(ALGORITHMS);
    Group::new("one leaf")
        .row("rustls-webpki: EndEntityCert", || {
            EndEntityCert::try_from(black_box(&webpki_leaf)).unwrap()
        })
        .row(format!("certificate, {} bytes", leaf.len()), || {
            Certificate::parse(black_box(leaf)).unwrap()
        })
        .row("… and all rules on a leaf", || {
            // Verification ends after them, since the leaf has expired.
            verifier
                .verify(&[black_box(leaf)], &bundle, later)
                .unwrap_err()
        })
        .row("spiffe: spiffe_id_from_der", || {
            spiffe::cert::spiffe_id_from_der(black_box(leaf)).unwrap()
        })
        .run();
}

fn verify(title: &'static str, chain: &Chain, algorithms: Algorithms) {
    let verifier = X509Verifier::new(algorithms).role(PeerRole::Client);
    let bundle = chain.bundle(1);
    let presented = chain.presented();
    let webpki = Webpki::new(chain);
    let anchors = [webpki.anchor()];
    let paths = VerifiedPaths::new(algorithms, 16);
    let remembering = X509Verifier::remembering(&paths).role(PeerRole::Client);
    let mut group = Group::new(title).row("raw checks", chain.raw_checks(algorithms, usize::MAX));
    // It takes no longer paths.
    if presented.len() <= 7 {
        group = group.row("rustls-webpki", || {
            webpki.verify(&anchors, algorithms, chain.now());
        });
    }
    group
        .row("verified", || {
            verifier
                .verify(black_box(&presented), &bundle, chain.now())
                .unwrap()
                .valid_until()
        })
        .row("… remembered", || {
            remembering
                .verify(black_box(&presented), &bundle, chain.now())
                .unwrap()
                .valid_until()
        })
        .run();
}

/// Leaves of one issuer in turn, so many that none comes again while it is remembered.
fn known_issuer(title: &'static str, chain: &Chain, algorithms: Algorithms) {
    let bundle = chain.bundle(1);
    let paths = VerifiedPaths::new(algorithms, 32);
    let verifier = X509Verifier::remembering(&paths);
    let chains: Vec<Chain> = (0..128).map(|_| chain.with_another_leaf()).collect();
    let checks: Vec<_> = chains
        .iter()
        .map(|chain| chain.raw_checks(algorithms, 1))
        .collect();
    let presented: Vec<_> = chains.iter().map(Chain::presented).collect();
    let mut checks = checks.iter().cycle();
    let mut presented = presented.iter().cycle();
    Group::new(title)
        .row("raw check of the leaf", || checks.next().unwrap()())
        .row("verified", || {
            verifier
                .verify(presented.next().unwrap(), &bundle, chain.now())
                .unwrap()
                .valid_until()
        })
        .run();
}

fn lengths() {
    for (title, intermediates) in [
        ("chain of one, P-256, AWS-LC", 0),
        ("chain of three, P-256, AWS-LC", 2),
        ("chain of five, P-256, AWS-LC", 4),
        ("chain of nine, P-256, AWS-LC", 8),
    ] {
        verify(
            title,
            &Chain::new(KeyType::EcP256, intermediates),
            ALGORITHMS,
        );
    }
}

fn bundles() {
    let chain = Chain::new(KeyType::EcP256, 1);
    let presented = chain.presented();
    let verifier = X509Verifier::new(ALGORITHMS);
    let mut sizes =
        Group::new("chain of two, P-256, AWS-LC, against the authorities of the bundle");
    for authorities in [1, 10, 100, 1000] {
        let bundle = chain.bundle(authorities);
        let (verifier, presented, now) = (&verifier, &presented, chain.now());
        sizes = sizes.row(format!("{authorities} authorities"), move || {
            verifier
                .verify(black_box(presented), &bundle, now)
                .unwrap()
                .valid_until()
        });
    }
    sizes.run();
}

fn hostile() {
    let chain = Chain::new(KeyType::EcP256, 1);
    let bundle = chain.bundle(1);
    let mut flipped = chain.presented[0].clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut long = chain.presented[0].clone();
    long.resize(1 << 20, 0);
    let intermediate = &chain.presented[1];
    let verifier = X509Verifier::new(ALGORITHMS);
    let mut group = Group::new("hostile chains, P-256, AWS-LC");
    for (name, presented) in [
        (
            "a flipped signature",
            vec![flipped.clone(), intermediate.clone()],
        ),
        (
            "… with the intermediate fifteen times",
            [vec![flipped], vec![intermediate.clone(); 15]].concat(),
        ),
        ("a megabyte behind the leaf", vec![long]),
        ("a thousand certificates", vec![intermediate.clone(); 1000]),
    ] {
        let (bundle, now) = (&bundle, chain.now());
        group = group.row(name, move || {
            let presented: Vec<&[u8]> = presented.iter().map(Vec::as_slice).collect();
            let verdict = verifier.verify(black_box(&presented), bundle, now);
            verdict.map(|_| ()).unwrap_err()
        });
    }
    group.run();

    // Each could have issued every other, so that there is no end of steps.
    let key = generate(KeyType::EcP256);
    let same_name = |_| {
        let subject = generate(KeyType::EcP256);
        RawCertificate::authority("a", "a", subject.public_key()).sign(&*key)
    };
    let leaf = RawCertificate::leaf(ID, "a", key.public_key()).sign(&*key);
    let tangle: Vec<Vec<u8>> = [leaf].into_iter().chain((0..15).map(same_name)).collect();
    let tangle: Vec<&[u8]> = tangle.iter().map(Vec::as_slice).collect();
    let mut group =
        Group::new("sixteen certificates of one name against the authorities of the bundle");
    for authorities in [1, 64, 1024, MAX_KEYS] {
        let (bundle, now, tangle) = (chain.bundle(authorities), chain.now(), &tangle);
        group = group.row(format!("{authorities} authorities"), move || {
            let verdict = verifier.verify(black_box(tangle), &bundle, now);
            verdict.map(|_| ()).unwrap_err()
        });
    }
    group.run();
}

/// A chain, leaf first, and the authority above it; all keys that sign are of one type.
#[derive(Clone)]
struct Chain {
    presented: Vec<Vec<u8>>,
    root: Vec<u8>,
    /// Who signed the leaf.
    issuer: Vec<u8>,
    key: Rc<dyn PrivateKey>,
}

impl Chain {
    fn new(key_type: KeyType, intermediates: usize) -> Self {
        let then = SystemTime::UNIX_EPOCH + NOW;
        let unix = |days: u64| UnixTime::since_unix_epoch(NOW + Duration::from_secs(86_400 * days));
        let trust_domain: TrustDomain = "prod.example.org".parse().unwrap();
        let mut key = generate(key_type);
        let root =
            self_signed_authority(&trust_domain, &*key, &[1; 16], unix(0), unix(365)).unwrap();
        let mut presented = Vec::new();
        let mut issuer = root.clone();
        for at in 0..intermediates {
            let next = generate(key_type);
            let der = X509Issuer::new(&issuer, &*key)
                .unwrap()
                .x509_authority(trust_domain.as_ref(), next.public_key())
                .sign(&[2 + at as u8; 16], then)
                .unwrap()
                .der;
            presented.insert(0, der.clone());
            (issuer, key) = (der, next);
        }
        presented.insert(0, Vec::new());
        let unfinished = Self {
            presented,
            root,
            issuer,
            key: Rc::from(key),
        };
        unfinished.with_another_leaf()
    }

    /// The same but for the leaf, which has a P-256 key.
    fn with_another_leaf(&self) -> Self {
        let id: SpiffeId = ID.parse().unwrap();
        let mut chain = self.clone();
        chain.presented[0] = X509Issuer::new(&self.issuer, &*self.key)
            .unwrap()
            .x509_svid(&id, generate(KeyType::EcP256).public_key())
            .sign(&[0x55; 16], SystemTime::UNIX_EPOCH + NOW)
            .unwrap()
            .der;
        chain
    }

    fn presented(&self) -> Vec<&[u8]> {
        self.presented.iter().map(Vec::as_slice).collect()
    }

    fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(NOW + Duration::from_secs(60))
    }

    /// Its authority, the last of so many.
    fn bundle(&self, authorities: usize) -> Bundle {
        let mut bundle = Bundle::new("prod.example.org".parse().unwrap());
        for _ in 1..authorities {
            let other = plastron_testing::Authority::new("prod.example.org");
            bundle.add_x509_authority(X509Authority::parse(other.certificate()).unwrap());
        }
        bundle.add_x509_authority(X509Authority::parse(&self.root).unwrap());
        bundle
    }

    /// The signatures of so many certificates, each checked under the key of the next.
    fn raw_checks(&self, algorithms: Algorithms, most: usize) -> impl Fn() {
        let ders: Vec<&Vec<u8>> = self.presented.iter().chain([&self.root]).collect();
        let checks: Vec<_> = ders
            .windows(2)
            .take(most)
            .map(|pair| {
                let [certificate, issuer] =
                    [pair[0], pair[1]].map(|der| Certificate::parse(der).unwrap());
                let algorithm = *algorithms
                    .iter()
                    .find(|algorithm| {
                        algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm()
                            && algorithm.public_key_alg_id().as_ref() == issuer.spki().algorithm()
                    })
                    .unwrap();
                (algorithm, issuer.spki().key_bits(), certificate)
            })
            .collect();
        move || {
            for (algorithm, key, certificate) in &checks {
                algorithm
                    .verify_signature(
                        black_box(key),
                        black_box(certificate.tbs()),
                        certificate.signature(),
                    )
                    .unwrap();
            }
        }
    }
}

/// The same chain as `rustls-webpki` wants it.
struct Webpki<'c> {
    leaf: CertificateDer<'c>,
    intermediates: Vec<CertificateDer<'c>>,
    root: CertificateDer<'c>,
}

impl<'c> Webpki<'c> {
    fn new(chain: &'c Chain) -> Self {
        let mut presented = chain.presented().into_iter().map(CertificateDer::from);
        Self {
            leaf: presented.next().unwrap(),
            intermediates: presented.collect(),
            root: CertificateDer::from(chain.root.as_slice()),
        }
    }

    fn anchor(&self) -> TrustAnchor<'_> {
        anchor_from_trusted_cert(&self.root).unwrap()
    }

    fn verify(&self, anchors: &[TrustAnchor<'_>], algorithms: Algorithms, now: UnixTime) {
        let leaf = EndEntityCert::try_from(black_box(&self.leaf)).unwrap();
        leaf.verify_for_usage(
            algorithms,
            anchors,
            &self.intermediates,
            now,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .unwrap();
    }
}

fn generate(key_type: KeyType) -> Box<dyn PrivateKey> {
    BACKEND.generate(key_type).unwrap()
}
