//! The one task that owns the SVIDs and makes the answers.
//!
//! It rebuilds what a change touches: a renewed SVID its topics, a foreign bundle those that show it, the own bundle all of
//! them. What comes out equal is not sent again. Where much is to be done at a time, it is done in parts, between which
//! others get their turn.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use plastron_bundle::{Bundle, BundleSet};
use plastron_id::TrustDomain;
use plastron_keys::KeyBackend;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, yield_now},
};

use super::{Answers, BundleKind, Content, Event, Release, Topic, TopicKey, lock};
use crate::{
    Settings,
    clock::Clock,
    svids::{Step, Svid, SvidBook, SvidKey, SvidKind},
    upstream::{Upstream, UpstreamError},
};

mod contents;
mod minting;
#[cfg(feature = "wit")]
mod wit;

use minting::broke_off;

/// Answers that are made again in one go: a millisecond.
const REBUILT_AT_ONCE: usize = 64;

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

#[cfg(test)]
mod tests;
