//! What the desk does when there is much to do: parts, and others between them.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use plastron_attest::BoxFuture;
use plastron_authority::Kind;
use plastron_bundle::JwtAuthority;
use plastron_entry::{EntryIndex, RegistrationEntry};
use plastron_keys::KeyType;
use plastron_keys_aws_lc::AwsLc;
use tokio::sync::Semaphore;

use super::minting::MINTED_AT_ONCE;
use super::*;
use crate::upstream::{AuthorityState, Done, JwtIssued, JwtRequest, X509Issued, X509Request};

/// An authority elsewhere: it signs when the test lets it, and counts what it was asked for.
struct Remote {
    bundle: watch::Sender<Arc<Bundle>>,
    asked: AtomicUsize,
    may_sign: Semaphore,
}

impl Remote {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            bundle: watch::Sender::new(Arc::new(Bundle::new("example.org".parse().unwrap()))),
            asked: AtomicUsize::new(0),
            may_sign: Semaphore::new(0),
        })
    }
}

impl Upstream for Arc<Remote> {
    fn x509_svid(&self, _: X509Request) -> BoxFuture<'_, Result<X509Issued, UpstreamError>> {
        Box::pin(async {
            self.asked.fetch_add(1, Relaxed);
            self.may_sign.acquire().await.unwrap().forget();
            Ok(X509Issued {
                chain: vec![1],
                serial: vec![1],
                issued_at: SystemTime::UNIX_EPOCH,
                expires_at: SystemTime::UNIX_EPOCH + Duration::from_secs(3600),
            })
        })
    }

    fn jwt_svid(&self, _: JwtRequest) -> BoxFuture<'_, Result<JwtIssued, UpstreamError>> {
        unreachable!("the desk asks for none")
    }

    fn bundle(&self) -> watch::Receiver<Arc<Bundle>> {
        self.bundle.subscribe()
    }

    fn rotate(&self, _: &'static [Kind]) -> BoxFuture<'_, Result<Vec<Done>, UpstreamError>> {
        unreachable!("the desk does not rotate")
    }

    fn authorities(&self) -> Vec<AuthorityState> {
        Vec::new()
    }

    fn problem(&self) -> Option<String> {
        None
    }
}

fn desk(upstream: &Arc<Remote>, foreign: BundleSet) -> Answers {
    let (desk, answers, _) = Desk::new(
        Settings::new("example.org".parse().unwrap()),
        Clock::from_fn(|| SystemTime::UNIX_EPOCH),
        Arc::new(AwsLc),
        Arc::new(upstream.clone()),
        Arc::new(foreign),
    );
    tokio::spawn(desk.run());
    answers
}

fn entries(number: usize) -> Vec<TopicKey> {
    let entries = (0..number).map(|number| {
        RegistrationEntry::builder(
            format!("spiffe://example.org/{number}").parse().unwrap(),
            ["test:a:1".parse().unwrap()].into_iter().collect(),
        )
        .build()
        .unwrap()
    });
    EntryIndex::new(entries)
        .iter()
        .map(|entry| TopicKey::Svids(SvidKind::X509, Arc::new([entry.clone()])))
        .collect()
}

fn bundle(trust_domain: &str, key_id: &str) -> Bundle {
    let mut bundle = Bundle::new(trust_domain.parse().unwrap());
    let key = AwsLc.generate(KeyType::EcP256).unwrap();
    bundle
        .add_jwt_authority(JwtAuthority::new(key_id, key.public_key().clone()).unwrap())
        .unwrap();
    bundle
}

fn bundles(some: impl IntoIterator<Item = Bundle>) -> BundleSet {
    let mut set = BundleSet::new();
    for bundle in some {
        set.insert(bundle);
    }
    set
}

async fn ready(answer: &mut watch::Receiver<Content>) {
    answer
        .wait_for(|content| matches!(content, Content::Ready(_)))
        .await
        .unwrap();
}

#[tokio::test]
async fn many_svids_are_asked_for_a_bounded_number_at_a_time() {
    let upstream = Remote::new();
    let answers = desk(&upstream, BundleSet::new());
    let mut watched: Vec<_> = entries(3 * MINTED_AT_ONCE)
        .into_iter()
        .map(|key| answers.watch(key))
        .collect();
    // Whoever asks for a bundle after them is answered when the desk has taken all that was asked before.
    ready(&mut answers.watch(TopicKey::Bundles(BundleKind::Jwt, Vec::new()))).await;
    while upstream.asked.load(Relaxed) < MINTED_AT_ONCE {
        yield_now().await;
    }
    assert_eq!(upstream.asked.load(Relaxed), MINTED_AT_ONCE);
    upstream.may_sign.add_permits(1);
    while upstream.asked.load(Relaxed) == MINTED_AT_ONCE {
        yield_now().await;
    }
    assert_eq!(upstream.asked.load(Relaxed), MINTED_AT_ONCE + 1);
    upstream.may_sign.add_permits(watched.len());
    for answer in &mut watched {
        ready(answer).await;
    }
    assert_eq!(upstream.asked.load(Relaxed), watched.len());
}

#[tokio::test]
async fn a_new_bundle_reaches_all_and_who_comes_meanwhile_does_not_wait_for_them() {
    let upstream = Remote::new();
    let answers = desk(&upstream, BundleSet::new());
    let mut watched = Vec::new();
    for number in 0..20 * REBUILT_AT_ONCE {
        let name = format!("t{number}.example").parse().unwrap();
        let mut answer = answers.watch(TopicKey::Bundles(BundleKind::Jwt, vec![name]));
        ready(&mut answer).await;
        answer.mark_unchanged();
        watched.push(answer);
    }
    upstream
        .bundle
        .send_replace(Arc::new(bundle("example.org", "k")));
    yield_now().await;
    let mut late = answers.watch(TopicKey::Bundles(BundleKind::X509, Vec::new()));
    ready(&mut late).await;
    let told = |watched: &[watch::Receiver<Content>]| {
        watched
            .iter()
            .filter(|answer| answer.has_changed().unwrap())
            .count()
    };
    assert!(told(&watched) < watched.len());
    for answer in &mut watched {
        answer.changed().await.unwrap();
    }
}

#[tokio::test]
async fn a_foreign_bundle_that_comes_changes_or_goes_reaches_those_who_are_shown_it() {
    let upstream = Remote::new();
    let answers = desk(&upstream, BundleSet::new());
    let name = |name: &str| name.parse::<TrustDomain>().unwrap();
    let mut shown = answers.watch(TopicKey::Bundles(
        BundleKind::Jwt,
        vec![name("partner.org")],
    ));
    let mut other = answers.watch(TopicKey::Bundles(BundleKind::Jwt, vec![name("else.org")]));
    ready(&mut shown).await;
    ready(&mut other).await;
    shown.mark_unchanged();
    other.mark_unchanged();
    for set in [
        bundles([bundle("partner.org", "1")]),
        bundles([bundle("partner.org", "2"), bundle("third.org", "1")]),
        bundles([bundle("third.org", "1")]),
    ] {
        answers.foreign_changed(Arc::new(set));
        shown.changed().await.unwrap();
    }
    answers.foreign_changed(Arc::default());
    ready(&mut answers.watch(TopicKey::Bundles(BundleKind::X509, Vec::new()))).await;
    assert!(!shown.has_changed().unwrap());
    assert!(!other.has_changed().unwrap());
}
