//! The answers that streams wait for: each encoded once, shared by every stream that has the same.
//!
//! A [`Topic`] is one answer: the X.509-SVIDs of a set of entries, or the bundles of a set of trust domains. Callers find or
//! open theirs under a short lock and then only watch it. The [`desk`] makes what they watch.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use plastron_bundle::BundleSet;
use plastron_entry::RegistrationEntry;
use plastron_id::TrustDomain;
use plastron_workload_api::{Message, Refusal};
use tokio::sync::{mpsc, watch};

use crate::{audit::CredentialFragment, svids::SvidKind};

mod desk;

pub(crate) use desk::{Desk, DeskCounts};

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
