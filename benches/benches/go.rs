//! What go-spiffe takes for what we do, over the same bytes and in the same run. Needs Go, and its modules.
//!
//! ```text
//! cargo bench -p plastron-benches --bench go
//! ```
//!
//! Its half is the program in `benches/go`. Batches of both take turns, as everywhere here; both run on one thread. What Go's
//! collector of garbage takes falls into the median, and seldom into the minimum.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement stops at what it cannot do"
)]

use std::cell::RefCell;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use pki_types::UnixTime;
use plastron_benches::interleaved::Group;
use plastron_bundle::certificate::Certificate;
use plastron_bundle::{Bundle, JwtAuthority, X509Authority};
use plastron_id::{SpiffeId, SpiffeIdRef, TrustDomain};
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey, rust_crypto};
use plastron_keys_aws_lc::ALGORITHMS;
use plastron_mint::{JwtIssuer, X509Issuer, self_signed_authority};
use plastron_svid::{JwtVerifier, PeerRole, X509Verifier};
use plastron_testing::BACKEND;

const ID: &str = "spiffe://prod.example.org/ns/payments/sa/api-server-frontend";
const AUDIENCE: &str = "spiffe://prod.example.org/ns/orders/sa/api";
const KEY_ID: &str = "Q7xkq0VZKN3f2q";

fn main() {
    let material = Material::new();
    let folder = tempfile::tempdir().unwrap();
    material.write(folder.path());
    let go = Go::start(folder.path());

    Group::new("SPIFFE ID of 60 bytes")
        .batches("go-spiffe: spiffeid.FromString", |calls| {
            go.batch("spiffeid.FromString", calls)
        })
        .row("spiffe: SpiffeId::new", || {
            spiffe::SpiffeId::new(black_box(ID)).unwrap()
        })
        .row("borrowed", || {
            SpiffeIdRef::parse(black_box(ID)).unwrap().path().len()
        })
        .row("owned", || black_box(ID).parse::<SpiffeId>().unwrap())
        .run();
    chains(&material, &go);
    tokens(&material, &go);

    let (jwks, name) = (
        material.bundle.jwks(),
        material.bundle.trust_domain().to_owned(),
    );
    Group::new("JWK Set of six P-256 keys")
        .batches("go-spiffe: jwtbundle.Parse", |calls| {
            go.batch("jwtbundle.Parse", calls)
        })
        .row("as a bundle", || {
            Bundle::parse_jwks(name.clone(), black_box(&jwks)).unwrap()
        })
        .run();
}

fn chains(material: &Material, go: &Go) {
    let presented: Vec<&[u8]> = material.chain.iter().map(Vec::as_slice).collect();
    let verify = |algorithms| {
        X509Verifier::new(algorithms)
            .role(PeerRole::Client)
            .verify(
                black_box(&presented),
                &material.bundle,
                material.unix_time(),
            )
            .unwrap()
            .valid_until()
    };
    let raw_checks = || {
        let issuers = [&material.chain[1], &material.root];
        for (certificate, issuer) in material.chain.iter().zip(issuers) {
            let [certificate, issuer] =
                [certificate, issuer].map(|der| Certificate::parse(der).unwrap());
            let key = issuer.spki().key_bits();
            UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1, key)
                .verify(black_box(certificate.tbs()), certificate.signature())
                .unwrap();
        }
    };
    Group::new("chain of two, P-256, beside Go's raw checks")
        .batches("Go: two ecdsa.VerifyASN1", |calls| {
            go.batch("raw/chain", calls)
        })
        .batches("go-spiffe: x509svid.Verify, parsed before", |calls| {
            go.batch("x509svid.Verify", calls)
        })
        .batches("go-spiffe: x509svid.ParseAndVerify", |calls| {
            go.batch("x509svid.ParseAndVerify", calls)
        })
        .row("verified, parsing included, pure Rust", || {
            verify(rust_crypto::ALGORITHMS)
        })
        .row("verified, parsing included, AWS-LC", || verify(ALGORITHMS))
        .run();
    Group::new("chain of two, P-256, beside AWS-LC's raw checks")
        .row("raw checks", raw_checks)
        .row("verified, parsing included", || verify(ALGORITHMS))
        .run();
}

fn tokens(material: &Material, go: &Go) {
    let token = &material.token;
    let verify = |algorithms| {
        JwtVerifier::new(algorithms)
            .verify(
                black_box(token),
                &[AUDIENCE],
                &material.bundle,
                material.unix_time(),
            )
            .unwrap()
            .expires_at()
    };
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = {
        use base64ct::{Base64UrlUnpadded, Encoding as _};
        Base64UrlUnpadded::decode_vec(signature).unwrap()
    };
    let key = material.token_key.public_key();
    let raw = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.key_bits());
    Group::new("JWT-SVID, ES256, beside Go's raw check")
        .batches("Go: ecdsa.VerifyASN1", |calls| go.batch("raw/token", calls))
        .batches("go-spiffe: jwtsvid.ParseAndValidate", |calls| {
            go.batch("jwtsvid.ParseAndValidate", calls)
        })
        .row("verified, pure Rust", || verify(rust_crypto::ALGORITHMS))
        .row("verified, AWS-LC", || verify(ALGORITHMS))
        .run();
    Group::new("JWT-SVID, ES256, beside AWS-LC's raw check")
        .row("raw check", || {
            raw.verify(black_box(signed.as_bytes()), black_box(&signature))
                .unwrap();
        })
        .row("verified", || verify(ALGORITHMS))
        .run();
}

/// What both halves verify.
struct Material {
    now: SystemTime,
    /// Leaf and intermediate.
    chain: [Vec<u8>; 2],
    root: Vec<u8>,
    token: String,
    token_key: Box<dyn PrivateKey>,
    bundle: Bundle,
}

impl Material {
    /// All of it begins now, since go-spiffe reads the clock of the machine for tokens.
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    fn new() -> Self {
        let key = || BACKEND.generate(KeyType::EcP256).unwrap();
        let now = SystemTime::now();
        let trust_domain: TrustDomain = "prod.example.org".parse().unwrap();
        let id: SpiffeId = ID.parse().unwrap();
        let [root_key, ca_key, leaf_key, token_key] = [key(), key(), key(), key()];

        let days = |days: u64| now + Duration::from_secs(86_400 * days);
        let (from, until) = (unix_time(now), unix_time(days(365)));
        let root = self_signed_authority(&trust_domain, &*root_key, &[1; 16], from, until).unwrap();
        let ca = X509Issuer::new(&root, &*root_key)
            .unwrap()
            .x509_authority(trust_domain.as_ref(), ca_key.public_key())
            .sign(&[2; 16], now)
            .unwrap()
            .der;
        let leaf = X509Issuer::new(&ca, &*ca_key)
            .unwrap()
            .x509_svid(&id, leaf_key.public_key())
            .sign(&[0x55; 16], now)
            .unwrap()
            .der;
        let token = JwtIssuer::new(trust_domain.as_ref(), KEY_ID, &*token_key, None)
            .unwrap()
            .jwt_svid(&id, &[AUDIENCE])
            .lifetime(Duration::from_secs(3600))
            .sign("5f1f0b9c0f0e4c2c9a3d5e6f7a8b9c0d", now)
            .unwrap()
            .token;

        let mut bundle = Bundle::new(trust_domain);
        bundle.add_x509_authority(X509Authority::parse(&root).unwrap());
        for at in 1..6 {
            let authority =
                JwtAuthority::new(format!("Q7xkq0VZKN{at}"), key().public_key().clone());
            bundle.add_jwt_authority(authority.unwrap()).unwrap();
        }
        let authority = JwtAuthority::new(KEY_ID, token_key.public_key().clone()).unwrap();
        bundle.add_jwt_authority(authority).unwrap();
        Self {
            now,
            chain: [leaf, ca],
            root,
            token,
            token_key,
            bundle,
        }
    }

    fn unix_time(&self) -> UnixTime {
        unix_time(self.now)
    }

    fn write(&self, folder: &Path) {
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
        write("id", ID.as_bytes());
        write("audience", AUDIENCE.as_bytes());
        write("now", self.unix_time().as_secs().to_string().as_bytes());
        write("chain", &self.chain.concat());
        write("root", &self.root);
        write("token", self.token.as_bytes());
        write("jwks", &self.bundle.jwks());
    }
}

fn unix_time(time: SystemTime) -> UnixTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    UnixTime::since_unix_epoch(Duration::from_secs(since.as_secs()))
}

/// The program in `benches/go`, which waits for work.
struct Go {
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    process: Child,
}

impl Go {
    fn start(folder: &Path) -> Self {
        let program = folder.join("go-spiffe");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(source)
            .status()
            .expect("Go is there");
        assert!(built.success(), "go build");
        let mut process = Command::new(program)
            .arg(folder)
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self {
            pipes: RefCell::new((input, output)),
            process,
        }
    }

    /// So many calls of some work, and the nanoseconds that each took.
    fn batch(&self, work: &str, calls: u32) -> f64 {
        let (input, output) = &mut *self.pipes.borrow_mut();
        writeln!(input, "{work} {calls}").unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        answer
            .trim()
            .parse()
            .expect("the program says why it stopped")
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
