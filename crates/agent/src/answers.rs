//! The answers that streams wait for: each encoded once, shared by every stream that has the same.
//!
//! A [`Topic`] is one answer: the X.509-SVIDs of a set of entries, or the bundles of a set of trust domains. Callers find or
//! open theirs under a short lock and then only watch it. One task, the [`Desk`], owns the SVIDs and rebuilds what a
//! change touches: a renewed SVID its topics, a foreign bundle those that show it, the own bundle all of them. What comes out
//! equal is not sent again. Where much is to be done at a time, it is done in parts, between which others get their turn.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use plastron_bundle::{Bundle, BundleSet};
use plastron_entry::RegistrationEntry;
use plastron_id::TrustDomain;
use plastron_keys::{KeyBackend, KeyType, PrivateKey};
use plastron_wire::workload as proto;
use plastron_workload_api::{Message, Refusal};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, yield_now},
};

use crate::{
    Settings,
    audit::CredentialFragment,
    clock::Clock,
    refusal,
    svids::{Standing, Step, Svid, SvidBook, SvidKey, SvidKind},
    upstream::{Upstream, UpstreamError, X509Request},
};

#[cfg(feature = "wit")]
mod wit;

/// Answers that are made again in one go: a millisecond.
const REBUILT_AT_ONCE: usize = 64;
/// SVIDs that are minted at a time, each a signature on the thread that serves or some milliseconds on another.
const MINTED_AT_ONCE: usize = 32;

/// What one answer is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum TopicKey {
    /// The SVIDs of these entries.
    Svids(SvidKind, Arc<[Arc<RegistrationEntry>]>),
    /// The bundles of the own domain and these.
    Bundles(BundleKind, Vec<TrustDomain>),
}

/// Which keys of a bundle.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum BundleKind {
    X509,
    Jwt,
    #[cfg(feature = "wit")]
    Wit,
}

impl TopicKey {
    /// Whether the answer shows the bundle of one of these foreign trust domains.
    fn shows_any(&self, trust_domains: &BTreeSet<TrustDomain>) -> bool {
        let shown = |federated: &[TrustDomain]| {
            federated
                .iter()
                .any(|trust_domain| trust_domains.contains(trust_domain))
        };
        match self {
            Self::Svids(kind, entries) => {
                kind.comes_with_bundles()
                    && entries.iter().any(|entry| shown(&entry.federates_with))
            }
            Self::Bundles(_, federated) => shown(federated),
        }
    }
}

impl Hash for TopicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Svids(kind, entries) => {
                kind.hash(state);
                entries.iter().for_each(|entry| entry.id.hash(state));
            }
            Self::Bundles(kind, federated) => (kind, federated).hash(state),
        }
    }
}

/// An answer as it stands.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// It is being made for the first time.
    Awaited,
    /// It can be sent.
    Ready(Arc<Release>),
    /// It cannot be made now.
    Failed(Refusal),
}

/// Something that can be sent, and what the audit says when it is.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) message: Message,
    /// The credentials in the message; none in a bundle answer.
    pub(crate) credentials: Vec<CredentialFragment>,
    /// When the first of them expires: after that nobody is given it.
    pub(crate) expires_at: Option<SystemTime>,
}

/// One answer and those who wait for it.
struct Topic {
    key: TopicKey,
    content: watch::Sender<Content>,
}

/// Where callers find their answers.
#[derive(Clone)]
pub(crate) struct Answers {
    topics: Arc<Mutex<HashMap<TopicKey, Arc<Topic>>>>,
    desk: mpsc::UnboundedSender<Event>,
}

enum Event {
    Opened(Arc<Topic>),
    ForeignChanged(Arc<BundleSet>),
}

impl Answers {
    /// Watches the answer for `key`, which is opened if nobody asked before. What stands already counts as news.
    pub(crate) fn watch(&self, key: TopicKey) -> watch::Receiver<Content> {
        let mut topics = lock(&self.topics);
        if let Some(topic) = topics.get(&key) {
            let mut receiver = topic.content.subscribe();
            receiver.mark_changed();
            return receiver;
        }
        let (content, receiver) = watch::channel(Content::Awaited);
        let topic = Arc::new(Topic {
            key: key.clone(),
            content,
        });
        topics.insert(key, topic.clone());
        drop(topics);
        // The desk is gone only when the agent is; the receiver tells.
        let _ = self.desk.send(Event::Opened(topic));
        receiver
    }

    /// Says which foreign bundles there are now.
    pub(crate) fn foreign_changed(&self, foreign: Arc<BundleSet>) {
        let _ = self.desk.send(Event::ForeignChanged(foreign));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Owns the SVIDs, makes the answers.
pub(crate) struct Desk {
    settings: Settings,
    clock: Clock,
    keys: Arc<dyn KeyBackend>,
    upstream: Arc<dyn Upstream>,
    bundle: watch::Receiver<Arc<Bundle>>,
    foreign: Arc<BundleSet>,
    topics: Arc<Mutex<HashMap<TopicKey, Arc<Topic>>>>,
    /// What is to be made again when others have had their turn.
    stale: VecDeque<Arc<Topic>>,
    events: mpsc::UnboundedReceiver<Event>,
    book: SvidBook,
    /// The topics that an SVID is part of.
    by_svid: HashMap<SvidKey, Vec<Arc<Topic>>>,
    /// How many SVIDs there are before room is made again.
    room_at: usize,
    /// What is to be minted when fewer are being minted.
    to_mint: VecDeque<SvidKey>,
    minting: JoinSet<Result<Svid, UpstreamError>>,
    /// What each of them is for.
    minted: HashMap<tokio::task::Id, SvidKey>,
    counts: Arc<DeskCounts>,
}

/// What the desk counts, for metrics.
#[derive(Debug, Default)]
pub(crate) struct DeskCounts {
    pub(crate) x509: SvidCounts,
    #[cfg(feature = "wit")]
    pub(crate) wit: SvidCounts,
}

/// What it counts of one kind of SVID.
#[derive(Debug, Default)]
pub(crate) struct SvidCounts {
    pub(crate) minted: std::sync::atomic::AtomicU64,
    /// Attempts to mint that failed.
    pub(crate) failed: std::sync::atomic::AtomicU64,
    pub(crate) held: std::sync::atomic::AtomicU64,
}

impl DeskCounts {
    fn of(&self, kind: SvidKind) -> &SvidCounts {
        match kind {
            SvidKind::X509 => &self.x509,
            #[cfg(feature = "wit")]
            SvidKind::Wit => &self.wit,
        }
    }
}

impl Desk {
    pub(crate) fn new(
        settings: Settings,
        clock: Clock,
        keys: Arc<dyn KeyBackend>,
        upstream: Arc<dyn Upstream>,
        foreign: Arc<BundleSet>,
    ) -> (Self, Answers, Arc<DeskCounts>) {
        let topics = Arc::new(Mutex::new(HashMap::new()));
        let (desk, events) = mpsc::unbounded_channel();
        let counts = Arc::new(DeskCounts::default());
        let bundle = upstream.bundle();
        let answers = Answers {
            topics: topics.clone(),
            desk,
        };
        let room_at = settings.x509_cache_entries;
        let desk = Self {
            settings,
            clock,
            keys,
            upstream,
            bundle,
            foreign,
            topics,
            stale: VecDeque::new(),
            events,
            book: SvidBook::default(),
            by_svid: HashMap::new(),
            room_at,
            to_mint: VecDeque::new(),
            minting: JoinSet::new(),
            minted: HashMap::new(),
            counts: counts.clone(),
        };
        (desk, answers, counts)
    }

    /// Works until everybody who could ask is gone.
    pub(crate) async fn run(mut self) {
        loop {
            self.rebuild_some();
            let due = self.book.next_due();
            tokio::select! {
                () = yield_now(), if !self.stale.is_empty() => {}
                event = self.events.recv() => match event {
                    None => return,
                    Some(Event::Opened(topic)) => self.open(&topic),
                    Some(Event::ForeignChanged(foreign)) => self.change_foreign(foreign),
                },
                Some(outcome) = self.minting.join_next_with_id() => {
                    let (task, outcome) = match outcome {
                        Ok((task, outcome)) => (task, outcome),
                        Err(error) => (error.id(), Err(broke_off("minting an SVID", &error))),
                    };
                    if let Some(key) = self.minted.remove(&task) {
                        self.settle(&key, outcome);
                    }
                    self.mint_more();
                }
                changed = self.bundle.changed() => match changed {
                    Ok(()) => {
                        self.bundle.mark_unchanged();
                        self.stale = lock(&self.topics).values().cloned().collect();
                    }
                    // The upstream is gone: what is held is served until it expires.
                    Err(_) => {
                        let last = self.bundle.borrow().clone();
                        self.bundle = watch::Sender::new(last).subscribe();
                    }
                },
                () = self.clock.sleep_until(due) => self.renew(),
            }
            self.count_held();
        }
    }

    fn count_held(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        let held = self.book.len();
        #[cfg(feature = "wit")]
        let held = held - self.book.wit_len();
        self.counts.x509.held.store(held as u64, Relaxed);
        #[cfg(feature = "wit")]
        self.counts
            .wit
            .held
            .store(self.book.wit_len() as u64, Relaxed);
    }

    fn open(&mut self, topic: &Arc<Topic>) {
        if let TopicKey::Svids(kind, entries) = &topic.key {
            let now = self.clock.now();
            for entry in entries.iter() {
                let key = SvidKey::new(*kind, entry);
                let users = self.by_svid.entry(key.clone()).or_default();
                if !users.iter().any(|user| Arc::ptr_eq(user, topic)) {
                    users.push(topic.clone());
                }
                let steps = self.book.want(&key, now);
                self.take(steps);
            }
            if self.book.len() > self.room_at {
                self.make_room();
            }
        }
        self.rebuild(topic);
    }

    /// Mints what is to be minted and still wanted, a bounded number at a time.
    fn mint_more(&mut self) {
        while self.minting.len() < MINTED_AT_ONCE
            && let Some(key) = self.to_mint.pop_front()
        {
            if self.by_svid.contains_key(&key) {
                self.mint(key);
            }
        }
    }

    /// Makes a key and has it signed. Slow key types do not hold up others.
    fn mint(&mut self, key: SvidKey) {
        let entry = key.entry.clone();
        let keys = self.keys.clone();
        let upstream = self.upstream.clone();
        #[cfg(feature = "wit")]
        if key.kind == SvidKind::Wit {
            let lifetime = self.settings.wit_svid_ttl;
            let task = self
                .minting
                .spawn(async move { wit::mint(&entry, &*keys, &*upstream, lifetime).await });
            self.minted.insert(task.id(), key);
            return;
        }
        let key_type = self.settings.x509_svid_key_type;
        let lifetime = entry.x509_svid_ttl.unwrap_or(self.settings.x509_svid_ttl);
        let task = self
            .minting
            .spawn(async move { mint(&entry, keys, &*upstream, key_type, lifetime).await });
        self.minted.insert(task.id(), key);
    }

    fn settle(&mut self, key: &SvidKey, outcome: Result<Svid, UpstreamError>) {
        use std::sync::atomic::Ordering::Relaxed;
        let now = self.clock.now();
        let counts = self.counts.of(key.kind);
        let steps = match outcome {
            Ok(svid) => {
                counts.minted.fetch_add(1, Relaxed);
                self.book.minted(key, Arc::new(svid), now)
            }
            Err(error) => {
                counts.failed.fetch_add(1, Relaxed);
                tracing::warn!(spiffe_id = %key.entry.spiffe_id, entry = %key.entry.id, %error, "{} not renewed", key.kind.name());
                self.book.failed(key, error, now)
            }
        };
        self.take(steps);
        self.rebuild_with(key);
    }

    fn renew(&mut self) {
        let by_svid = &self.by_svid;
        let watched = |key: &SvidKey| {
            by_svid
                .get(key)
                .is_some_and(|topics| topics.iter().any(|topic| topic.is_watched()))
        };
        let steps = self.book.poll(self.clock.now(), watched);
        self.take(steps);
    }

    fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Mint(key) => self.to_mint.push_back(key),
                Step::Dropped(key) => self.close_with(&key),
                Step::Expired(key) => self.rebuild_with(&key),
            }
        }
        self.mint_more();
    }

    /// Closes the topics of an SVID that nobody watches any more.
    fn close_with(&mut self, key: &SvidKey) {
        for topic in self.by_svid.remove(key).unwrap_or_default() {
            self.close(&topic);
        }
    }

    /// Closes a topic, unless somebody came for it meanwhile: then its SVIDs are wanted again.
    fn close(&mut self, topic: &Arc<Topic>) {
        let TopicKey::Svids(kind, entries) = &topic.key else {
            return;
        };
        let mut topics = lock(&self.topics);
        if topic.is_watched() {
            drop(topics);
            self.open(topic);
            return;
        }
        topics.remove(&topic.key);
        drop(topics);
        for entry in entries.iter() {
            let key = SvidKey::new(*kind, entry);
            let Some(users) = self.by_svid.get_mut(&key) else {
                continue;
            };
            users.retain(|user| !Arc::ptr_eq(user, topic));
            if users.is_empty() {
                self.by_svid.remove(&key);
                self.book.forget(&key);
            }
        }
    }

    /// Closes unwatched topics until an eighth of the room is free, or none is left.
    fn make_room(&mut self) {
        let most = self.settings.x509_cache_entries;
        let idle: Vec<Arc<Topic>> = self
            .by_svid
            .values()
            .flatten()
            .filter(|topic| !topic.is_watched())
            .cloned()
            .collect();
        for topic in idle {
            if self.book.len() <= most / 8 * 7 {
                break;
            }
            self.close(&topic);
        }
        self.room_at = most.max(self.book.len() + self.book.len() / 8);
    }

    /// Forgets the bundle answers of combinations that nobody watches.
    fn drop_idle_bundles(&mut self) {
        lock(&self.topics)
            .retain(|key, topic| matches!(key, TopicKey::Svids(..)) || topic.is_watched());
    }

    fn change_foreign(&mut self, foreign: Arc<BundleSet>) {
        let before = std::mem::replace(&mut self.foreign, foreign);
        self.drop_idle_bundles();
        let changed = differing(&before, &self.foreign);
        if !changed.is_empty() {
            let topics = lock(&self.topics);
            let showing = topics
                .values()
                .filter(|topic| topic.key.shows_any(&changed));
            self.stale.extend(showing.cloned());
        }
    }

    fn rebuild_some(&mut self) {
        for _ in 0..REBUILT_AT_ONCE {
            let Some(topic) = self.stale.pop_front() else {
                return;
            };
            self.rebuild(&topic);
        }
    }

    fn rebuild_with(&mut self, key: &SvidKey) {
        for topic in self.by_svid.get(key).cloned().unwrap_or_default() {
            self.rebuild(&topic);
        }
    }

    fn rebuild(&self, topic: &Topic) {
        let bundles = |release| Content::Ready(Arc::new(release));
        let content = match &topic.key {
            TopicKey::Svids(SvidKind::X509, entries) => self.x509_svids(entries),
            TopicKey::Bundles(BundleKind::X509, of) => bundles(self.x509_bundles(of)),
            TopicKey::Bundles(BundleKind::Jwt, of) => bundles(self.jwt_bundles(of)),
            #[cfg(feature = "wit")]
            TopicKey::Svids(SvidKind::Wit, entries) => self.wit_svids(entries),
            #[cfg(feature = "wit")]
            TopicKey::Bundles(BundleKind::Wit, of) => bundles(self.wit_bundles(of)),
        };
        topic.publish(content);
    }

    /// The SVIDs that can be had. One that cannot does not keep the others from their workload.
    ///
    /// # Errors
    ///
    /// What stands instead, where none can, or one is waited for.
    fn held<'s>(
        &'s self,
        kind: SvidKind,
        entries: &'s [Arc<RegistrationEntry>],
    ) -> Result<HeldSvids<'s>, Content> {
        let now = self.clock.now();
        let mut held = HeldSvids::default();
        let mut failure = None;
        for entry in entries {
            match self.book.standing(&SvidKey::new(kind, entry), now) {
                Standing::Held(svid) => {
                    let earliest = held.expires_at.unwrap_or(svid.expires_at);
                    held.expires_at = Some(earliest.min(svid.expires_at));
                    held.credentials.push(svid.credential.clone());
                    held.svids.push((entry, svid));
                }
                Standing::Awaited => return Err(Content::Awaited),
                Standing::Failed(error) => failure = Some(error),
            }
        }
        if held.svids.is_empty() {
            let refusal = failure.map_or_else(refusal::no_identity, refusal::from_upstream);
            return Err(Content::Failed(refusal));
        }
        Ok(held)
    }

    fn x509_svids(&self, entries: &[Arc<RegistrationEntry>]) -> Content {
        let held = match self.held(SvidKind::X509, entries) {
            Ok(held) => held,
            Err(content) => return content,
        };
        let bundle = bytes::Bytes::from(self.bundle.borrow().x509_der());
        let svid = |&(entry, svid): &(&RegistrationEntry, &Svid)| proto::X509svid {
            spiffe_id: entry.spiffe_id.as_str().to_owned(),
            x509_svid: svid.document.clone().into(),
            // Wiped like the one that is held.
            x509_svid_key: bytes::Bytes::from_owner(svid.key.clone()),
            bundle: bundle.clone(),
            hint: entry.hint.to_string(),
        };
        let svids = held.svids.iter().map(svid).collect();
        let federated_bundles = federated_x509(
            entries.iter().flat_map(|entry| &entry.federates_with),
            &self.foreign,
        );
        held.release(Message::encode(&proto::X509svidResponse {
            svids,
            crl: Vec::new(),
            federated_bundles,
        }))
    }

    fn x509_bundles(&self, federated: &[TrustDomain]) -> Release {
        let own = self.bundle.borrow();
        let mut bundles = federated_x509(federated, &self.foreign);
        bundles.insert(own.trust_domain().id().to_string(), own.x509_der().into());
        Release::of_bundles(Message::encode(&proto::X509BundlesResponse {
            crl: Vec::new(),
            bundles,
        }))
    }

    fn jwt_bundles(&self, federated: &[TrustDomain]) -> Release {
        let own = self.bundle.borrow();
        let mut bundles: BTreeMap<String, bytes::Bytes> = federated
            .iter()
            .filter_map(|name| self.foreign.get(name.as_ref()))
            .map(|bundle| (bundle.trust_domain().id().to_string(), bundle.jwks().into()))
            .collect();
        bundles.insert(own.trust_domain().id().to_string(), own.jwks().into());
        Release::of_bundles(Message::encode(&proto::JwtBundlesResponse { bundles }))
    }
}

/// The SVIDs of an answer, each with its entry.
#[derive(Default)]
struct HeldSvids<'s> {
    svids: Vec<(&'s RegistrationEntry, &'s Svid)>,
    credentials: Vec<CredentialFragment>,
    expires_at: Option<SystemTime>,
}

impl HeldSvids<'_> {
    fn release(self, message: Message) -> Content {
        Content::Ready(Arc::new(Release {
            message,
            credentials: self.credentials,
            expires_at: self.expires_at,
        }))
    }
}

impl Topic {
    fn is_watched(&self) -> bool {
        self.content.receiver_count() > 0
    }

    /// Publishes what differs from what stands.
    fn publish(&self, content: Content) {
        self.content.send_if_modified(|standing| {
            let same = match (&*standing, &content) {
                (Content::Awaited, Content::Awaited) => true,
                (Content::Ready(before), Content::Ready(after)) => before.message == after.message,
                (Content::Failed(before), Content::Failed(after)) => before == after,
                // Being made again is no reason to take back what was answered.
                (Content::Ready(_), Content::Awaited) => true,
                _ => false,
            };
            if !same {
                *standing = content;
            }
            !same
        });
    }
}

impl Release {
    /// Whether it may still be sent.
    pub(crate) fn is_valid(&self, now: SystemTime) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    fn of_bundles(message: Message) -> Self {
        Self {
            message,
            credentials: Vec::new(),
            expires_at: None,
        }
    }
}

/// The trust domains of which one set has another bundle than the other, or none.
fn differing(one: &BundleSet, other: &BundleSet) -> BTreeSet<TrustDomain> {
    let unlike = |these: &BundleSet, those: &BundleSet| {
        these
            .iter()
            .filter(|bundle| those.get(bundle.trust_domain()) != Some(bundle))
            .map(|bundle| bundle.trust_domain().to_owned())
            .collect::<Vec<_>>()
    };
    unlike(one, other)
        .into_iter()
        .chain(unlike(other, one))
        .collect()
}

/// The X.509 bundles of these foreign domains, by the domain's SPIFFE ID (WAPI-26). A domain without a bundle is left out.
fn federated_x509<'a>(
    names: impl IntoIterator<Item = &'a TrustDomain>,
    foreign: &BundleSet,
) -> BTreeMap<String, bytes::Bytes> {
    names
        .into_iter()
        .filter_map(|name| foreign.get(name.as_ref()))
        .map(|bundle| {
            (
                bundle.trust_domain().id().to_string(),
                bundle.x509_der().into(),
            )
        })
        .collect()
}

async fn mint(
    entry: &RegistrationEntry,
    keys: Arc<dyn KeyBackend>,
    upstream: &dyn Upstream,
    key_type: KeyType,
    lifetime: Duration,
) -> Result<Svid, UpstreamError> {
    let key = generate(keys, key_type).await?;
    let issued = upstream
        .x509_svid(X509Request {
            spiffe_id: entry.spiffe_id.clone(),
            public_key: key.public_key().clone(),
            dns_names: entry.dns_names.clone(),
            lifetime,
        })
        .await?;
    let credential = CredentialFragment::x509(
        &entry.spiffe_id,
        &entry.id,
        &issued.serial,
        issued.expires_at,
    );
    Ok(Svid {
        document: issued.chain,
        key: key.to_pkcs8(),
        serial: issued.serial,
        issued_at: issued.issued_at,
        expires_at: issued.expires_at,
        credential,
    })
}

/// A task that panicked is a failure like others: those who wait are told, and it is tried again.
fn broke_off(what: &str, error: &tokio::task::JoinError) -> UpstreamError {
    tracing::error!(%error, "{what} broke off");
    UpstreamError::Unavailable {
        reason: format!("{what} broke off"),
    }
}

/// Makes a key: at once where that takes microseconds, beside the others where it takes milliseconds.
async fn generate(
    keys: Arc<dyn KeyBackend>,
    key_type: KeyType,
) -> Result<Box<dyn PrivateKey>, UpstreamError> {
    let made = match key_type {
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
            tokio::task::spawn_blocking(move || keys.generate(key_type))
                .await
                .map_err(|error| broke_off("making a key", &error))?
        }
        _ => keys.generate(key_type),
    };
    made.map_err(|error| UpstreamError::Unavailable {
        reason: format!("no {key_type} key could be made: {error}"),
    })
}

#[cfg(test)]
mod tests;
