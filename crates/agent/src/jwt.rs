//! JWT-SVIDs by (entry, audiences): signed once for all who ask at the same time, kept while they are in their first half,
//! renewed ahead when somebody used them lately, forgotten otherwise.

mod allowance;

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    hash::{Hash, Hasher},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use lru::LruCache;
use plastron_entry::RegistrationEntry;
use plastron_schedule::{Seed, renew_at};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use self::allowance::Allowance;
use crate::{
    Settings,
    audit::CredentialFragment,
    clock::Clock,
    upstream::{JwtRequest, Upstream, UpstreamError},
};

/// What a kept token costs beside its own bytes and its audiences'.
const OVERHEAD: usize = 512;

/// A JWT-SVID as it is handed out.
pub(crate) struct Token {
    pub(crate) token: String,
    pub(crate) expires_at: SystemTime,
    renew_at: SystemTime,
    pub(crate) credential: CredentialFragment,
}

/// Why there is no token.
#[derive(Debug)]
pub(crate) enum JwtRefused {
    /// The uid had as many new signatures as it may have for now.
    TooMany { per_second: u32 },
    /// The upstream did not sign.
    Upstream(UpstreamError),
}

/// What decides a token. Entries that differ only in what a token does not show share one.
#[derive(Clone)]
struct Key {
    entry: Arc<RegistrationEntry>,
    lifetime: Duration,
    audiences: Arc<[Box<str>]>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.entry.id == other.entry.id
            && self.entry.spiffe_id == other.entry.spiffe_id
            && self.lifetime == other.lifetime
            && self.audiences == other.audiences
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entry.id.hash(state);
        self.audiences.hash(state);
    }
}

impl Key {
    fn cost(&self) -> usize {
        OVERHEAD
            + self.entry.spiffe_id.as_str().len() * 2
            + self
                .audiences
                .iter()
                .map(|audience| audience.len() * 3)
                .sum::<usize>()
    }
}

/// The place of one token. Whoever finds it empty or stale signs under the lock; the others wait for that signature.
struct Slot {
    key: Key,
    token: ArcSwapOption<Token>,
    signing: AsyncMutex<()>,
    used: AtomicBool,
    /// Somebody's allowance has been charged with the next signature.
    paid: AtomicBool,
}

/// The JWT-SVIDs in the agent's hands.
pub(crate) struct JwtCache {
    upstream: Arc<dyn Upstream>,
    clock: Clock,
    ttl: Duration,
    slots: Mutex<Slots>,
    allowance: Mutex<Allowance>,
    renewals: mpsc::UnboundedSender<Renewal>,
    /// Tokens signed, and calls answered from what was kept.
    pub(crate) signed: AtomicU64,
    pub(crate) hits: AtomicU64,
}

struct Slots {
    by_key: LruCache<Key, Arc<Slot>>,
    bytes: usize,
    most_bytes: usize,
}

impl Slots {
    fn find(&mut self, key: &Key) -> Option<Arc<Slot>> {
        self.by_key.get(key).cloned()
    }

    /// Makes a place whose first signature is paid for; others make room.
    fn add(&mut self, key: Key) -> Arc<Slot> {
        let slot = Arc::new(Slot {
            key: key.clone(),
            token: ArcSwapOption::empty(),
            signing: AsyncMutex::new(()),
            used: AtomicBool::new(false),
            paid: AtomicBool::new(true),
        });
        self.bytes += key.cost();
        if let Some((old, _)) = self.by_key.push(key, slot.clone()) {
            self.bytes -= old.cost();
        }
        while self.bytes > self.most_bytes && self.by_key.len() > 1 {
            let Some((old, _)) = self.by_key.pop_lru() else {
                break;
            };
            self.bytes -= old.cost();
        }
        slot
    }

    /// Whether this place has not been given to another.
    fn holds(&self, slot: &Arc<Slot>) -> bool {
        let standing = self.by_key.peek(&slot.key);
        standing.is_some_and(|standing| Arc::ptr_eq(standing, slot))
    }

    fn forget(&mut self, key: &Key) {
        if let Some((old, _)) = self.by_key.pop_entry(key) {
            self.bytes -= old.cost();
        }
    }
}

impl JwtCache {
    /// An empty cache, and the task that renews what was used lately.
    pub(crate) fn new(
        settings: &Settings,
        clock: Clock,
        upstream: Arc<dyn Upstream>,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + use<>) {
        let (renewals, due) = mpsc::unbounded_channel();
        let wall = clock.clone();
        let most = NonZeroUsize::new(settings.jwt_cache_entries).unwrap_or(NonZeroUsize::MIN);
        let (per_second, burst) = settings.jwt_signatures_per_uid;
        let cache = Arc::new(Self {
            upstream,
            clock,
            ttl: settings.jwt_svid_ttl,
            slots: Mutex::new(Slots {
                by_key: LruCache::new(most),
                bytes: 0,
                most_bytes: settings.jwt_cache_bytes,
            }),
            allowance: Mutex::new(Allowance::new(per_second, burst)),
            renewals,
            signed: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        });
        let renewer = renew(Arc::downgrade(&cache), wall, due);
        (cache, renewer)
    }

    /// The token for an entry and audiences: a kept one in its first half, else a new one.
    pub(crate) async fn token(
        &self,
        uid: u32,
        entry: &Arc<RegistrationEntry>,
        audiences: Arc<[Box<str>]>,
    ) -> Result<Arc<Token>, JwtRefused> {
        let key = Key {
            entry: entry.clone(),
            lifetime: entry.jwt_svid_ttl.unwrap_or(self.ttl),
            audiences,
        };
        let slot = self.slot(uid, key)?;
        if let Some(token) = self.fresh(&slot) {
            self.hits.fetch_add(1, Relaxed);
            return Ok(token);
        }
        let _signing = slot.signing.lock().await;
        if let Some(token) = self.fresh(&slot) {
            self.hits.fetch_add(1, Relaxed);
            return Ok(token);
        }
        let now = self.clock.now();
        let valid = |token: &Arc<Token>| token.expires_at > now;
        if !slot.paid.swap(false, Relaxed)
            && let Err(refused) = self.charge(uid)
        {
            // A token in its second half is still good.
            return slot.token.load_full().filter(valid).ok_or(refused);
        }
        match self.sign(&slot).await {
            Ok(token) => Ok(token),
            Err(error) => slot
                .token
                .load_full()
                .filter(valid)
                .ok_or(JwtRefused::Upstream(error)),
        }
    }

    /// How many tokens are kept.
    pub(crate) fn len(&self) -> usize {
        self.slots().by_key.len()
    }

    /// The place of a token. A new one, for which others make room, is only for a uid that may have it signed.
    fn slot(&self, uid: u32, key: Key) -> Result<Arc<Slot>, JwtRefused> {
        let mut slots = self.slots();
        if let Some(slot) = slots.find(&key) {
            return Ok(slot);
        }
        self.charge(uid)?;
        Ok(slots.add(key))
    }

    /// Takes one signature from a uid's allowance.
    fn charge(&self, uid: u32) -> Result<(), JwtRefused> {
        let mut allowance = self
            .allowance
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match allowance.take(uid, self.clock.now()) {
            true => Ok(()),
            false => Err(JwtRefused::TooMany {
                per_second: allowance.per_second(),
            }),
        }
    }

    fn fresh(&self, slot: &Slot) -> Option<Arc<Token>> {
        let token = slot
            .token
            .load_full()
            .filter(|token| self.clock.now() < token.renew_at)?;
        slot.used.store(true, Relaxed);
        Some(token)
    }

    async fn sign(&self, slot: &Arc<Slot>) -> Result<Arc<Token>, UpstreamError> {
        let Slot { key, .. } = &**slot;
        let entry = &key.entry;
        let issued = self
            .upstream
            .jwt_svid(JwtRequest {
                spiffe_id: entry.spiffe_id.clone(),
                audiences: key.audiences.clone(),
                lifetime: key.lifetime,
            })
            .await?;
        let token = Arc::new(Token {
            renew_at: renew_at(
                issued.issued_at,
                issued.expires_at,
                Seed::from_bytes(issued.jti.as_bytes()),
            ),
            credential: CredentialFragment::jwt(
                &entry.spiffe_id,
                &entry.id,
                &issued.jti,
                &key.audiences,
                issued.expires_at,
            ),
            expires_at: issued.expires_at,
            token: issued.token,
        });
        slot.token.store(Some(token.clone()));
        slot.used.store(false, Relaxed);
        self.signed.fetch_add(1, Relaxed);
        let _ = self.renewals.send(Renewal {
            due: token.renew_at,
            slot: Arc::downgrade(slot),
        });
        Ok(token)
    }

    /// Renews a token that was used since it was signed, forgets it otherwise.
    async fn renew(&self, slot: &Arc<Slot>) {
        {
            let mut slots = self.slots();
            if !slots.holds(slot) {
                return;
            }
            if !slot.used.load(Relaxed) {
                slots.forget(&slot.key);
                return;
            }
        }
        let _signing = slot.signing.lock().await;
        let renewed = slot
            .token
            .load()
            .as_ref()
            .is_some_and(|token| self.clock.now() < token.renew_at);
        if !renewed && let Err(error) = self.sign(slot).await {
            tracing::warn!(spiffe_id = %slot.key.entry.spiffe_id, %error, "JWT-SVID not renewed ahead");
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds nothing of a token that has made room since.
struct Renewal {
    due: SystemTime,
    slot: Weak<Slot>,
}

impl PartialEq for Renewal {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Renewal {}

impl PartialOrd for Renewal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Renewal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}

/// Drives [`JwtCache::renew`] until the cache is gone.
async fn renew(
    cache: Weak<JwtCache>,
    clock: Clock,
    mut renewals: mpsc::UnboundedReceiver<Renewal>,
) {
    let mut timers = BinaryHeap::<Reverse<Renewal>>::new();
    loop {
        let due = timers.peek().map(|Reverse(renewal)| renewal.due);
        tokio::select! {
            renewal = renewals.recv() => match renewal {
                Some(renewal) => timers.push(Reverse(renewal)),
                None => return,
            },
            () = clock.sleep_until(due) => {
                let now = clock.now();
                while timers.peek().is_some_and(|Reverse(renewal)| renewal.due <= now) {
                    let (Some(Reverse(renewal)), Some(cache)) = (timers.pop(), cache.upgrade()) else { return };
                    if let Some(slot) = renewal.slot.upgrade() {
                        // A task of its own: others get their turn, and a panic ends this renewal alone.
                        let renewed = tokio::spawn(async move { cache.renew(&slot).await });
                        if let Err(error) = renewed.await {
                            tracing::error!(%error, "renewing a JWT-SVID ahead broke off");
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use plastron_authority::Policy;
    use plastron_keys_aws_lc::AwsLc;

    use super::*;
    use crate::{
        key_store::MemoryKeyStore,
        upstream::{Embedded, EmbeddedSettings},
    };

    /// A clock that goes with the runtime's, which is paused and jumps to whatever is due.
    fn clock() -> Clock {
        let start = tokio::time::Instant::now();
        Clock::from_fn(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + start.elapsed()
        })
    }

    fn cache(change: impl FnOnce(&mut Settings)) -> Arc<JwtCache> {
        let mut settings = Settings::new("example.org".parse().unwrap());
        change(&mut settings);
        let authority = EmbeddedSettings::new(settings.trust_domain.clone(), Policy::default());
        let clock = clock();
        let embedded = Embedded::open(
            authority,
            Box::new(MemoryKeyStore::new()),
            Arc::new(AwsLc),
            clock.clone(),
        )
        .unwrap();
        let (cache, renewer) = JwtCache::new(&settings, clock, Arc::new(embedded));
        tokio::spawn(renewer);
        cache
    }

    fn entry() -> Arc<RegistrationEntry> {
        let selectors = ["unix:uid:1".parse().unwrap()].into_iter().collect();
        Arc::new(
            RegistrationEntry::builder("spiffe://example.org/cart".parse().unwrap(), selectors)
                .build()
                .unwrap(),
        )
    }

    async fn token(cache: &JwtCache, audience: &str) -> Result<Arc<Token>, JwtRefused> {
        cache.token(1, &entry(), [audience.into()].into()).await
    }

    fn signed(cache: &JwtCache) -> u64 {
        cache.signed.load(Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_used_lately_is_renewed_ahead_and_what_was_not_is_forgotten() {
        let cache = cache(|_| ());
        let first = token(&cache, "used").await.unwrap();
        token(&cache, "unused").await.unwrap();
        let again = token(&cache, "used").await.unwrap();
        assert!(Arc::ptr_eq(&first, &again), "kept in its first half");
        tokio::time::sleep(Duration::from_secs(170)).await;
        assert_eq!(
            (signed(&cache), cache.len()),
            (3, 1),
            "one was renewed, the other is gone"
        );
        let renewed = token(&cache, "used").await.unwrap();
        assert_eq!(signed(&cache), 3, "nobody had to wait for it");
        assert!(renewed.expires_at > first.expires_at);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_given_a_token_in_its_second_half_while_a_new_one_can_be_had() {
        let cache = cache(|settings| settings.jwt_svid_ttl = Duration::from_secs(2));
        let mut last = token(&cache, "a").await.unwrap();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let token = token(&cache, "a").await.unwrap();
            assert!(cache.clock.now() < token.renew_at);
            last = token;
        }
        assert!(last.expires_at > cache.clock.now());
    }

    #[tokio::test(start_paused = true)]
    async fn the_cache_is_bounded_in_number_and_in_bytes() {
        let few = cache(|settings| settings.jwt_cache_entries = 3);
        for audience in ["a", "b", "c", "d"] {
            token(&few, audience).await.unwrap();
        }
        assert_eq!(few.len(), 3);
        let small = cache(|settings| settings.jwt_cache_bytes = 64 << 10);
        for audience in 0..150 {
            token(&small, &format!("{audience:01000}")).await.unwrap();
        }
        let slots = small.slots();
        assert!(
            slots.bytes <= 64 << 10 && slots.by_key.len() > 10,
            "{} bytes, {} tokens",
            slots.bytes,
            slots.by_key.len()
        );
        let counted: usize = slots.by_key.iter().map(|(key, _)| key.cost()).sum();
        assert_eq!(slots.bytes, counted, "what is forgotten is taken off");
    }

    #[tokio::test(start_paused = true)]
    async fn while_nobody_signs_a_kept_token_serves_until_it_expires() {
        let clock = clock();
        let authority = EmbeddedSettings::new(
            "example.org".parse().unwrap(),
            Policy {
                ttl: Duration::from_secs(600),
                ..Policy::default()
            },
        );
        let embedded = Embedded::open(
            authority,
            Box::new(MemoryKeyStore::new()),
            Arc::new(AwsLc),
            clock.clone(),
        )
        .unwrap();
        // Nobody runs the authority, so its key ends after ten minutes and no other follows.
        let settings = Settings::new("example.org".parse().unwrap());
        let (cache, renewer) = JwtCache::new(&settings, clock, Arc::new(embedded));
        tokio::spawn(renewer);
        let mut answers = Vec::new();
        for minute in 0..12 {
            let answer = token(&cache, "a").await;
            if let Ok(token) = &answer {
                assert!(token.expires_at > cache.clock.now(), "minute {minute}");
            }
            answers.push(answer.is_ok());
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        assert_eq!(answers, [[true; 10].as_slice(), &[false; 2]].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_of_a_token_that_made_room() {
        let small = cache(|settings| settings.jwt_cache_bytes = 64 << 10);
        let long: Arc<[Box<str>]> = (0..32).map(|nth| format!("{nth:01000}").into()).collect();
        small.token(1, &entry(), long.clone()).await.unwrap();
        assert!(Arc::strong_count(&long) > 1);
        token(&small, "a").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            Arc::strong_count(&long),
            1,
            "not even until it would be renewed"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_have_nothing_signed_pushes_nobody_out() {
        let cache = cache(|settings| {
            settings.jwt_cache_entries = 3;
            settings.jwt_signatures_per_uid = (0, 3);
        });
        for audience in ["a", "b", "c"] {
            token(&cache, audience).await.unwrap();
        }
        for audience in ["d", "e", "f"] {
            let refused = token(&cache, audience).await;
            assert!(matches!(refused, Err(JwtRefused::TooMany { .. })));
        }
        for audience in ["a", "b", "c"] {
            assert!(
                token(&cache, audience).await.is_ok(),
                "{audience} is still there"
            );
        }
        assert_eq!(signed(&cache), 3);
    }
}
