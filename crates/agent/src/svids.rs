//! The X.509-SVIDs in the agent's hands, and the WIT-SVIDs: one per entry that somebody asked for.
//!
//! A state machine without clock, key or socket, made of one [`Renewal`] for each. An SVID is minted when it is first
//! wanted, renewed at half its life while somebody watches it, and dropped at that moment when nobody does. What is held is
//! handed out until it expires and not a moment longer.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::{Hash, Hasher},
    sync::Arc,
    time::SystemTime,
};

use plastron_entry::RegistrationEntry;
use plastron_schedule::{self as schedule, Event, Renewal, Seed, Validity};
use zeroize::Zeroizing;

use crate::{audit::CredentialFragment, upstream::UpstreamError};

/// An SVID with its private key.
pub(crate) struct Svid {
    /// DER certificates, leaf first, concatenated; or the token.
    pub(crate) document: Vec<u8>,
    /// PKCS#8 DER; or a private JWK in JSON.
    pub(crate) key: Zeroizing<Vec<u8>>,
    /// Its serial number; or its `jti`.
    pub(crate) serial: Vec<u8>,
    pub(crate) issued_at: SystemTime,
    pub(crate) expires_at: SystemTime,
    /// What the audit record of a release says about it.
    pub(crate) credential: CredentialFragment,
}

/// Which SVID of an entry.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum SvidKind {
    X509,
    #[cfg(feature = "wit")]
    Wit,
}

impl SvidKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X509 => "X.509-SVID",
            #[cfg(feature = "wit")]
            Self::Wit => "WIT-SVID",
        }
    }

    /// Whether a workload is given the bundles of those it may meet along with its SVIDs.
    pub(crate) const fn comes_with_bundles(self) -> bool {
        matches!(self, Self::X509)
    }
}

/// What of an entry decides its SVID: two entries that differ elsewhere, in the hint say, are served from one SVID.
#[derive(Clone, Debug)]
pub(crate) struct SvidKey {
    pub(crate) kind: SvidKind,
    pub(crate) entry: Arc<RegistrationEntry>,
}

impl SvidKey {
    pub(crate) fn new(kind: SvidKind, entry: &Arc<RegistrationEntry>) -> Self {
        Self {
            kind,
            entry: entry.clone(),
        }
    }
}

impl PartialEq for SvidKey {
    fn eq(&self, other: &Self) -> bool {
        let (entry, other_entry) = (&self.entry, &other.entry);
        self.kind == other.kind
            && (Arc::ptr_eq(entry, other_entry)
                || (entry.id == other_entry.id
                    && entry.spiffe_id == other_entry.spiffe_id
                    && entry.x509_svid_ttl == other_entry.x509_svid_ttl
                    && entry.dns_names == other_entry.dns_names))
    }
}

impl Eq for SvidKey {}

impl Hash for SvidKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entry.id.hash(state);
    }
}

/// What to do next for one SVID.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Mint it, and tell [`SvidBook::minted`] or [`SvidBook::failed`].
    Mint(SvidKey),
    /// It was dropped: nobody watches it.
    Dropped(SvidKey),
    /// It expired before it could be renewed.
    Expired(SvidKey),
}

/// What is known of one SVID.
pub(crate) enum Standing<'a> {
    /// It can be handed out until it expires.
    Held(&'a Arc<Svid>),
    /// It is being minted for the first time.
    Awaited,
    /// It could not be minted; it is tried again.
    Failed(&'a UpstreamError),
}

struct Record {
    renewal: Renewal,
    held: Option<Arc<Svid>>,
    failure: Option<UpstreamError>,
    /// When to look at it next; timers that say another time are stale.
    due: Option<SystemTime>,
}

/// The SVIDs by entry, and when to act on each.
#[derive(Default)]
pub(crate) struct SvidBook {
    records: HashMap<SvidKey, Record>,
    timers: BinaryHeap<Reverse<Timer>>,
    #[cfg(feature = "wit")]
    wit: usize,
}

struct Timer {
    due: SystemTime,
    key: SvidKey,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}
impl Eq for Timer {}
impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl SvidBook {
    /// Says that the entry's SVID is wanted, and what has to be done for that.
    pub(crate) fn want(&mut self, key: &SvidKey, now: SystemTime) -> Vec<Step> {
        self.records.entry(key.clone()).or_insert_with(|| {
            #[cfg(feature = "wit")]
            if key.kind == SvidKind::Wit {
                self.wit += 1;
            }
            Record {
                renewal: Renewal::new(None, Seed::from_bytes(key.entry.id.as_str().as_bytes())),
                held: None,
                failure: None,
                due: None,
            }
        });
        self.look(key, now)
    }

    /// Takes a fresh SVID. It replaces the one before.
    pub(crate) fn minted(&mut self, key: &SvidKey, svid: Arc<Svid>, now: SystemTime) -> Vec<Step> {
        let Some(record) = self.records.get_mut(key) else {
            return Vec::new();
        };
        let validity = Validity {
            issued: svid.issued_at,
            expires: svid.expires_at,
        };
        record
            .renewal
            .handle(Event::Issued(validity, Seed::from_bytes(&svid.serial)), now);
        record.held = Some(svid);
        record.failure = None;
        self.look(key, now)
    }

    /// Takes the news that minting failed. It is tried again after a pause.
    pub(crate) fn failed(
        &mut self,
        key: &SvidKey,
        error: UpstreamError,
        now: SystemTime,
    ) -> Vec<Step> {
        let Some(record) = self.records.get_mut(key) else {
            return Vec::new();
        };
        record.renewal.handle(Event::Failed, now);
        record.failure = Some(error);
        self.look(key, now)
    }

    /// Asks a record what to do until it says when to ask again.
    fn look(&mut self, key: &SvidKey, now: SystemTime) -> Vec<Step> {
        let Some(record) = self.records.get_mut(key) else {
            return Vec::new();
        };
        let mut steps = Vec::new();
        loop {
            match record.renewal.poll(now) {
                schedule::Step::Request => steps.push(Step::Mint(key.clone())),
                schedule::Step::Expired => {
                    record.held = None;
                    steps.push(Step::Expired(key.clone()));
                }
                schedule::Step::WaitUntil(due) => {
                    if record.due != Some(due) {
                        record.due = Some(due);
                        self.timers.push(Reverse(Timer {
                            due,
                            key: key.clone(),
                        }));
                    }
                    return steps;
                }
                schedule::Step::Wait => {
                    record.due = None;
                    return steps;
                }
            }
        }
    }

    /// What is known of the entry's SVID at `now`.
    pub(crate) fn standing(&self, key: &SvidKey, now: SystemTime) -> Standing<'_> {
        let Some(record) = self.records.get(key) else {
            return Standing::Awaited;
        };
        match (&record.held, &record.failure) {
            (Some(svid), _) if svid.expires_at > now => Standing::Held(svid),
            (_, Some(error)) => Standing::Failed(error),
            _ => Standing::Awaited,
        }
    }

    /// What has to be done at `now`; `watched` says whether anybody looks at an SVID.
    pub(crate) fn poll(
        &mut self,
        now: SystemTime,
        watched: impl Fn(&SvidKey) -> bool,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        while self
            .timers
            .peek()
            .is_some_and(|Reverse(timer)| timer.due <= now)
        {
            let Some(Reverse(Timer { due, key })) = self.timers.pop() else {
                break;
            };
            let Some(record) = self
                .records
                .get_mut(&key)
                .filter(|record| record.due == Some(due))
            else {
                continue;
            };
            record.due = None;
            if watched(&key) {
                steps.extend(self.look(&key, now));
            } else {
                self.remove(&key);
                steps.push(Step::Dropped(key));
            }
        }
        steps
    }

    /// When to call [`SvidBook::poll`] next.
    pub(crate) fn next_due(&self) -> Option<SystemTime> {
        self.timers.peek().map(|Reverse(timer)| timer.due)
    }

    /// Forgets an SVID that nobody watches.
    pub(crate) fn forget(&mut self, key: &SvidKey) {
        self.remove(key);
    }

    /// How many SVIDs are held or on their way.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many of them are WIT-SVIDs.
    #[cfg(feature = "wit")]
    pub(crate) fn wit_len(&self) -> usize {
        self.wit
    }

    /// Takes a record out.
    fn remove(&mut self, key: &SvidKey) {
        let removed = self.records.remove(key);
        #[cfg(feature = "wit")]
        if removed.is_some() && key.kind == SvidKind::Wit {
            self.wit -= 1;
        }
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TTL: Duration = Duration::from_secs(100);

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn key(path: &str) -> SvidKey {
        let id = format!("spiffe://example.org/{path}").parse().unwrap();
        let selectors = ["unix:uid:1".parse().unwrap()].into_iter().collect();
        let entry = RegistrationEntry::builder(id, selectors).build().unwrap();
        SvidKey::new(SvidKind::X509, &Arc::new(entry))
    }

    fn svid(key: &SvidKey, serial: u8, issued_at: SystemTime) -> Arc<Svid> {
        let expires_at = issued_at + TTL;
        Arc::new(Svid {
            document: Vec::new(),
            key: Zeroizing::default(),
            serial: vec![serial],
            issued_at,
            expires_at,
            credential: CredentialFragment::x509(
                &key.entry.spiffe_id,
                &key.entry.id,
                &[serial],
                expires_at,
            ),
        })
    }

    fn held(book: &SvidBook, key: &SvidKey, now: SystemTime) -> Option<u8> {
        match book.standing(key, now) {
            Standing::Held(svid) => Some(svid.serial[0]),
            _ => None,
        }
    }

    #[test]
    fn an_svid_is_minted_once_for_all_who_want_it() {
        let (mut book, cart) = (SvidBook::default(), key("cart"));
        assert_eq!(book.want(&cart, start()), [Step::Mint(cart.clone())]);
        assert_eq!(book.want(&cart, start()), []);
        assert!(matches!(book.standing(&cart, start()), Standing::Awaited));
        assert_eq!(book.minted(&cart, svid(&cart, 1, start()), start()), []);
        assert_eq!(book.want(&cart, start()), []);
        assert_eq!(held(&book, &cart, start()), Some(1));
    }

    #[test]
    fn what_is_watched_is_renewed_at_half_its_life_and_what_is_not_is_dropped() {
        let (mut book, cart, bank) = (SvidBook::default(), key("cart"), key("bank"));
        for key in [&cart, &bank] {
            book.want(key, start());
            book.minted(key, svid(key, 1, start()), start());
        }
        let watched = |key: &SvidKey| *key == cart;
        assert_eq!(book.poll(start() + TTL * 44 / 100, watched), []);
        let mut steps = book.poll(start() + TTL * 56 / 100, watched);
        steps.sort_by_key(|step| matches!(step, Step::Dropped(_)));
        assert_eq!(
            steps,
            [Step::Mint(cart.clone()), Step::Dropped(bank.clone())]
        );
        let later = start() + TTL * 56 / 100;
        assert_eq!(
            held(&book, &cart, later),
            Some(1),
            "the old one serves until the new one is there"
        );
        book.minted(&cart, svid(&cart, 2, later), later);
        assert_eq!(held(&book, &cart, later), Some(2));
        assert_eq!(
            book.want(&bank, later),
            [Step::Mint(bank.clone())],
            "who comes later starts anew"
        );
    }

    #[test]
    fn nothing_is_handed_out_after_it_expired_however_often_renewal_failed() {
        let (mut book, cart) = (SvidBook::default(), key("cart"));
        book.want(&cart, start());
        book.minted(&cart, svid(&cart, 1, start()), start());
        let (mut now, mut attempts, mut expired) = (start(), 0, false);
        while now < start() + 2 * TTL {
            for step in book.poll(now, |_| true) {
                match step {
                    Step::Mint(key) => {
                        attempts += 1;
                        book.failed(
                            &key,
                            UpstreamError::Unavailable {
                                reason: "away".into(),
                            },
                            now,
                        );
                    }
                    Step::Expired(_) => expired = true,
                    Step::Dropped(_) => panic!("it is watched"),
                }
            }
            assert_eq!(
                held(&book, &cart, now).is_some(),
                now < start() + TTL,
                "at {now:?}"
            );
            now = book.next_due().unwrap().max(now + Duration::from_millis(1));
        }
        assert!(expired && attempts >= 5, "{attempts} attempts");
        assert!(matches!(book.standing(&cart, now), Standing::Failed(_)));
        book.minted(&cart, svid(&cart, 2, now), now);
        assert_eq!(held(&book, &cart, now), Some(2));
    }

    #[test]
    fn a_clock_that_jumped_past_the_end_brings_a_new_one_at_once() {
        let (mut book, cart) = (SvidBook::default(), key("cart"));
        book.want(&cart, start());
        book.minted(&cart, svid(&cart, 1, start()), start());
        let later = start() + 10 * TTL;
        assert_eq!(
            book.want(&cart, later),
            [Step::Expired(cart.clone()), Step::Mint(cart.clone())]
        );
        assert_eq!(held(&book, &cart, later), None);
    }
}
