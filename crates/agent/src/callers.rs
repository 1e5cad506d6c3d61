//! Who is connected: attested once per connection, entitled anew when entries change.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use plastron_attest::{
    AttestError, Attested, Evidence, Facts, Interest, Missing, Peer, WorkloadAttestor,
};
use plastron_entry::Selectors;
use tokio::{sync::watch, task::yield_now};

use crate::{Registry, audit::CallerFragment, clock::Clock, registry::Entitled};

/// How long a stream or a call waits for a look that entries ask for which are new, before it goes by what was seen before.
const LOOK_WITHIN: Duration = Duration::from_millis(50);
/// Callers that are seen to in one go, a fraction of a millisecond, before others get their turn.
pub(crate) const AT_ONCE: usize = 64;

/// One connection's caller.
pub(crate) struct Caller {
    peer: Peer,
    known: ArcSwap<Known>,
    entitled: watch::Sender<Entitled>,
    /// The caller's program has written since it was looked at.
    spoken: AtomicBool,
}

/// What is known of a caller.
pub(crate) struct Known {
    pub(crate) evidence: Evidence,
    /// What was looked for.
    interest: Arc<Interest>,
    /// How an audit record names the caller.
    pub(crate) fragment: CallerFragment,
}

impl Known {
    fn new(evidence: Evidence, interest: Arc<Interest>) -> Arc<Self> {
        let fragment = CallerFragment::new(&evidence.facts, &evidence.selectors);
        Arc::new(Self {
            evidence,
            interest,
            fragment,
        })
    }
}

impl Caller {
    /// The process at the other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(crate) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    pub(crate) fn entitled(&self) -> watch::Receiver<Entitled> {
        self.entitled.subscribe()
    }

    /// Waits until the caller's program has spoken, at most `limit`. Whether it has.
    pub(crate) async fn has_spoken(&self, limit: Duration) -> bool {
        if self.spoken.load(Relaxed) {
            return true;
        }
        let spoken = tokio::time::timeout(limit, self.peer.handle.spoken())
            .await
            .is_ok_and(|spoken| spoken.is_ok());
        self.spoken.store(spoken, Relaxed);
        spoken
    }
}

/// What a caller is entitled to, of which the receiver has then told. Where the entries ask for facts that it was not looked
/// at for, this waits a moment for the look that is under way: by what was seen before, it could lose what it has.
pub(crate) async fn settled(entitled: &mut watch::Receiver<Entitled>) -> Entitled {
    let settled = entitled.wait_for(|entitled| !entitled.provisional);
    if let Ok(Ok(settled)) = tokio::time::timeout(LOOK_WITHIN, settled).await {
        return settled.clone();
    }
    entitled.borrow_and_update().clone()
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller")
            .field("pid", &self.peer.pid)
            .field("uid", &self.peer.uid)
            .finish_non_exhaustive()
    }
}

/// Attests callers, and keeps those that are connected in step with the entries.
pub(crate) struct Callers {
    attestors: Vec<Box<dyn WorkloadAttestor>>,
    timeout: Duration,
    clock: Clock,
    registry: ArcSwap<Registry>,
    connected: Mutex<Connected>,
}

/// What sets of selectors come to, for as long as one look at many callers takes.
#[derive(Default)]
struct Matched {
    registry: Option<Arc<Registry>>,
    entitled: HashMap<Selectors, Entitled>,
}

#[derive(Default)]
struct Connected {
    callers: Vec<Weak<Caller>>,
    /// When the list has grown to this, the gone are swept out.
    sweep_at: usize,
}

impl Connected {
    fn sweep(&mut self) {
        self.callers.retain(|caller| caller.strong_count() > 0);
        self.sweep_at = (self.callers.len() * 2).max(64);
    }
}

impl Callers {
    pub(crate) fn new(
        attestors: Vec<Box<dyn WorkloadAttestor>>,
        timeout: Duration,
        clock: Clock,
        registry: Arc<Registry>,
    ) -> Self {
        Self {
            attestors,
            timeout,
            clock,
            registry: ArcSwap::new(registry),
            connected: Mutex::default(),
        }
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        self.registry.load_full()
    }

    /// Attests a new connection's caller, and keeps it in step with the entries from now on.
    pub(crate) async fn admit(&self, peer: Peer) -> Result<Arc<Caller>, AttestError> {
        let mut registry = self.registry();
        let evidence = self.attest(&peer, registry.interest()).await?;
        let caller = Arc::new(Caller {
            peer,
            known: ArcSwap::new(Known::new(evidence, registry.interest().clone())),
            entitled: watch::Sender::default(),
            spoken: AtomicBool::new(false),
        });
        // From here on it is told what changes. What changed while it was looked at, it is told now.
        self.follow(&caller);
        while registry.interest() != self.registry().interest() {
            registry = self.registry();
            let evidence = self.attest(&caller.peer, registry.interest()).await?;
            self.learn(&caller, evidence, registry.interest());
        }
        self.entitle(&caller, &mut Matched::default());
        Ok(caller)
    }

    fn follow(&self, caller: &Arc<Caller>) {
        let mut connected = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if connected.callers.len() >= connected.sweep_at {
            connected.sweep();
        }
        connected.callers.push(Arc::downgrade(caller));
    }

    /// What all attestors together see of a peer.
    ///
    /// # Errors
    ///
    /// The peer was lost, or no attestor could say anything. One that fails beside others that succeed is missing evidence.
    pub(crate) async fn attest(
        &self,
        peer: &Peer,
        interest: &Interest,
    ) -> Result<Evidence, AttestError> {
        let timeout = self.timeout;
        let looks = self.attestors.iter().map(|attestor| async move {
            let outcome = tokio::time::timeout(timeout, attestor.attest(peer, interest)).await;
            (
                attestor.selector_kind(),
                outcome.unwrap_or(Err(AttestError::TimedOut { limit: timeout })),
            )
        });
        let mut evidence = Evidence {
            facts: Facts::new(peer.pid, peer.uid, peer.gid),
            ..Evidence::default()
        };
        let mut seen = false;
        let mut failure = None;
        for (kind, outcome) in join_all(looks).await {
            match outcome {
                Ok(Attested::Evidence(more)) => {
                    seen = true;
                    evidence.merge(more);
                }
                Ok(_) => {}
                Err(error @ AttestError::Lost(_)) => return Err(error),
                Err(error) => {
                    tracing::warn!(pid = peer.pid, uid = peer.uid, attestor = kind, %error, "attestor failed");
                    evidence.missing.push(Missing {
                        what: kind,
                        why: error.to_string().into(),
                    });
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if !seen => Err(error),
            _ => Ok(evidence),
        }
    }

    /// Puts other entries in force. Callers whose entitlement changes are told; returns how many. Whether more is asked now
    /// than they were looked at for comes with it: then another [look](Self::look_at) at each is due.
    pub(crate) async fn replace(&self, registry: Arc<Registry>) -> (usize, bool) {
        let before = self.registry.swap(registry.clone());
        let more_is_asked = before.interest() != registry.interest();
        (self.entitle_all().await, more_is_asked)
    }

    /// Looks again at one who is connected, for what the entries in force ask.
    pub(crate) async fn look_at(&self, caller: &Caller) {
        let registry = self.registry();
        match self.attest(&caller.peer, registry.interest()).await {
            Ok(evidence) => self.learn(caller, evidence, registry.interest()),
            Err(error) => {
                tracing::debug!(pid = caller.peer.pid, %error, "caller not looked at again");
            }
        }
    }

    /// Matches all connected callers anew, as when an entry expires. Returns how many are entitled to something else.
    pub(crate) async fn entitle_all(&self) -> usize {
        let mut matched = Matched::default();
        let mut changed = 0;
        for some in self.connected().chunks(AT_ONCE) {
            changed += some
                .iter()
                .filter(|caller| self.entitle(caller, &mut matched))
                .count();
            yield_now().await;
        }
        changed
    }

    /// Forgets those that are gone. What is left of each would hold a page of memory that is free otherwise.
    pub(crate) fn forget_gone(&self) {
        let mut connected = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connected.sweep();
        connected.callers.shrink_to_fit();
    }

    /// Those who are connected now.
    pub(crate) fn connected(&self) -> Vec<Arc<Caller>> {
        let connected = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connected.callers.iter().filter_map(Weak::upgrade).collect()
    }

    /// Entitles a caller to what the entries in force give it. Whether that is something else than before.
    ///
    /// Entries and time are looked up under the lock of its entitlement, so whoever is last has the newest.
    fn entitle(&self, caller: &Caller, matched: &mut Matched) -> bool {
        caller
            .entitled
            .send_if_modified(|standing| self.entitle_under_lock(caller, standing, matched))
    }

    /// Takes what a caller was seen to be, unless entries are in force by now for which others look at it.
    fn learn(&self, caller: &Caller, evidence: Evidence, interest: &Arc<Interest>) {
        caller.entitled.send_if_modified(|standing| {
            if self.registry.load().interest() != interest {
                return false;
            }
            caller.known.store(Known::new(evidence, interest.clone()));
            self.entitle_under_lock(caller, standing, &mut Matched::default())
        });
    }

    fn entitle_under_lock(
        &self,
        caller: &Caller,
        standing: &mut Entitled,
        matched: &mut Matched,
    ) -> bool {
        let registry = self.registry();
        if !matched
            .registry
            .as_ref()
            .is_some_and(|of| Arc::ptr_eq(of, &registry))
        {
            *matched = Matched {
                registry: Some(registry.clone()),
                ..Matched::default()
            };
        }
        let known = caller.known.load();
        let selectors = &known.evidence.selectors;
        let mut entitled = match matched.entitled.get(selectors) {
            Some(entitled) => entitled.clone(),
            None => {
                let entitled = registry.entitled(&known.evidence, self.clock.now());
                matched.entitled.insert(selectors.clone(), entitled.clone());
                entitled
            }
        };
        entitled.provisional = !known.interest.covers(registry.interest());
        let changed = *standing != entitled;
        if changed {
            *standing = entitled;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use plastron_attest::{BoxFuture, PeerHandle, PeerLost};
    use plastron_entry::RegistrationEntry;
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// Has the test say what it sees, and when.
    struct Asks(mpsc::UnboundedSender<oneshot::Sender<Evidence>>);

    impl WorkloadAttestor for Asks {
        fn selector_kind(&self) -> &'static str {
            "test"
        }

        fn attest<'a>(
            &'a self,
            _: &'a Peer,
            _: &'a Interest,
        ) -> BoxFuture<'a, Result<Attested, AttestError>> {
            Box::pin(async {
                let (tell, told) = oneshot::channel();
                self.0.send(tell).unwrap();
                Ok(Attested::Evidence(told.await.unwrap()))
            })
        }
    }

    #[derive(Debug)]
    struct Steady;

    impl PeerHandle for Steady {
        fn check(&self) -> Result<(), PeerLost> {
            Ok(())
        }
        fn lost(&self) -> BoxFuture<'_, PeerLost> {
            Box::pin(std::future::pending())
        }
        fn spoken(&self) -> BoxFuture<'_, Result<(), PeerLost>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    fn peer() -> Peer {
        Peer {
            pid: 7,
            uid: 1,
            gid: 1,
            handle: Arc::new(Steady),
        }
    }

    fn evidence() -> Evidence {
        Evidence {
            selectors: ["test:a:1", "test:b:1"]
                .map(|text| text.parse().unwrap())
                .into_iter()
                .collect(),
            ..Evidence::default()
        }
    }

    fn entry(selector: &str, expires_at: Option<SystemTime>) -> RegistrationEntry {
        let selectors = [selector.parse().unwrap()].into_iter().collect();
        let entry =
            RegistrationEntry::builder("spiffe://example.org/x".parse().unwrap(), selectors);
        expires_at
            .into_iter()
            .fold(entry, |entry, end| entry.expires_at(end))
            .build()
            .unwrap()
    }

    fn registry(entries: impl IntoIterator<Item = RegistrationEntry>) -> Arc<Registry> {
        Arc::new(Registry::new(entries, plastron_bundle::BundleSet::new()))
    }

    fn callers(
        clock: Clock,
        entries: Arc<Registry>,
    ) -> (
        Arc<Callers>,
        mpsc::UnboundedReceiver<oneshot::Sender<Evidence>>,
    ) {
        let (asks, asked) = mpsc::unbounded_channel();
        let callers = Callers::new(
            vec![Box::new(Asks(asks))],
            Duration::from_secs(60),
            clock,
            entries,
        );
        (Arc::new(callers), asked)
    }

    fn admit(callers: &Arc<Callers>) -> tokio::task::JoinHandle<Arc<Caller>> {
        let callers = callers.clone();
        tokio::spawn(async move { callers.admit(peer()).await.unwrap() })
    }

    #[tokio::test]
    async fn an_entry_that_is_removed_while_a_caller_is_looked_at_is_not_its_own() {
        let start = SystemTime::UNIX_EPOCH;
        let (callers, mut asked) = callers(
            Clock::from_fn(move || start),
            registry([entry("test:a:1", None)]),
        );
        let admitted = admit(&callers);
        let first = asked.recv().await.unwrap();
        assert_eq!(
            callers
                .replace(registry([entry("test:a:1", None), entry("test:b:2", None)]))
                .await,
            (0, true)
        );
        first.send(evidence()).unwrap();
        // It is looked at for more now. Meanwhile all entries go.
        let second = asked.recv().await.unwrap();
        let (_, more) = callers.replace(registry([])).await;
        assert!(more);
        let again = tokio::spawn({
            let callers = callers.clone();
            async move { callers.look_at(&callers.connected()[0]).await }
        });
        asked.recv().await.unwrap().send(evidence()).unwrap();
        again.await.unwrap();
        second.send(evidence()).unwrap();
        asked.recv().await.unwrap().send(evidence()).unwrap();
        assert!(
            admitted
                .await
                .unwrap()
                .entitled()
                .borrow()
                .entries
                .is_empty()
        );
    }

    #[tokio::test]
    async fn an_entry_that_expires_while_a_caller_is_looked_at_is_not_its_own() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let now = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH));
        let clock = Clock::from_fn({
            let now = now.clone();
            move || *now.lock().unwrap()
        });
        let (callers, mut asked) = callers(clock, registry([entry("test:a:1", Some(end))]));
        let admitted = admit(&callers);
        let looking = asked.recv().await.unwrap();
        *now.lock().unwrap() = end;
        callers.entitle_all().await;
        looking.send(evidence()).unwrap();
        assert!(
            admitted
                .await
                .unwrap()
                .entitled()
                .borrow()
                .entries
                .is_empty()
        );
    }

    #[tokio::test]
    async fn what_was_seen_for_entries_before_these_is_not_taken() {
        let start = SystemTime::UNIX_EPOCH;
        let (callers, mut asked) = callers(
            Clock::from_fn(move || start),
            registry([entry("test:a:1", None)]),
        );
        let admitted = admit(&callers);
        asked.recv().await.unwrap().send(evidence()).unwrap();
        let caller = admitted.await.unwrap();
        assert_eq!(caller.entitled().borrow().entries.len(), 1);
        callers.learn(&caller, Evidence::default(), &Arc::default());
        assert_eq!(caller.known().evidence.selectors, evidence().selectors);
        callers.learn(&caller, Evidence::default(), callers.registry().interest());
        assert!(caller.entitled().borrow().entries.is_empty());
    }
}
