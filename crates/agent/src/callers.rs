//! Who is connected: attested once per connection, entitled anew when entries change.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use plastron_attest::{
    AttestError, Attested, Evidence, Facts, Interest, Missing, Peer, WorkloadAttestor,
};
use plastron_entry::Selectors;
use tokio::sync::watch;

use crate::{Registry, audit::CallerFragment, registry::Entitled};

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
    /// How an audit record names the caller.
    pub(crate) fragment: CallerFragment,
}

impl Known {
    fn new(evidence: Evidence) -> Arc<Self> {
        let fragment = CallerFragment::new(&evidence.facts, &evidence.selectors);
        Arc::new(Self { evidence, fragment })
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
    registry: ArcSwap<Registry>,
    connected: Mutex<Connected>,
}

#[derive(Default)]
struct Connected {
    callers: Vec<Weak<Caller>>,
    /// When the list has grown to this, the gone are swept out.
    sweep_at: usize,
}

impl Callers {
    pub(crate) fn new(
        attestors: Vec<Box<dyn WorkloadAttestor>>,
        timeout: Duration,
        registry: Arc<Registry>,
    ) -> Self {
        Self {
            attestors,
            timeout,
            registry: ArcSwap::new(registry),
            connected: Mutex::default(),
        }
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        self.registry.load_full()
    }

    /// Attests a new connection's caller, and keeps it in step with the entries from now on.
    pub(crate) async fn admit(
        &self,
        peer: Peer,
        now: SystemTime,
    ) -> Result<Arc<Caller>, AttestError> {
        let registry = self.registry();
        let evidence = self.attest(&peer, registry.interest()).await?;
        let caller = Arc::new(Caller {
            peer,
            entitled: watch::Sender::new(registry.entitled(&evidence, now)),
            known: ArcSwap::new(Known::new(evidence)),
            spoken: AtomicBool::new(false),
        });
        self.follow(&caller);
        // What changed while it was looked at: from here on it is told.
        let standing = self.registry();
        if standing.interest() != registry.interest() {
            caller.known.store(Known::new(
                self.attest(&caller.peer, standing.interest()).await?,
            ));
        }
        if !Arc::ptr_eq(&registry, &standing) {
            caller.entitle(standing.entitled(&caller.known.load().evidence, now));
        }
        Ok(caller)
    }

    fn follow(&self, caller: &Arc<Caller>) {
        let mut connected = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if connected.callers.len() >= connected.sweep_at {
            connected.callers.retain(|caller| caller.strong_count() > 0);
            connected.sweep_at = (connected.callers.len() * 2).max(64);
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

    /// Puts other entries in force. Callers whose entitlement changes are told; those of whom more is asked now than was
    /// looked at are looked at again. Returns how many connected callers are entitled to something else.
    pub(crate) async fn replace(&self, registry: Arc<Registry>, now: SystemTime) -> usize {
        let before = self.registry.swap(registry.clone());
        let changed = self.entitle_all(&registry, now);
        if before.interest() == registry.interest() {
            return changed;
        }
        let again = AtomicUsize::new(changed);
        join_all(self.connected().iter().map(|caller| async {
            match self.attest(&caller.peer, registry.interest()).await {
                Ok(evidence) => {
                    let entitled = registry.entitled(&evidence, now);
                    caller.known.store(Known::new(evidence));
                    again.fetch_add(usize::from(caller.entitle(entitled)), Relaxed);
                }
                Err(error) => {
                    tracing::debug!(pid = caller.peer.pid, %error, "caller not looked at again")
                }
            }
        }))
        .await;
        again.into_inner()
    }

    /// Matches all connected callers anew, as when an entry expires.
    pub(crate) fn entitle_all(&self, registry: &Registry, now: SystemTime) -> usize {
        let mut matched = HashMap::<Selectors, Entitled>::new();
        let mut changed = 0;
        for caller in self.connected() {
            let known = caller.known.load();
            let entitled = match matched.get(&known.evidence.selectors) {
                Some(entitled) => entitled.clone(),
                None => {
                    let entitled = registry.entitled(&known.evidence, now);
                    matched.insert(known.evidence.selectors.clone(), entitled.clone());
                    entitled
                }
            };
            changed += usize::from(caller.entitle(entitled));
        }
        changed
    }

    fn connected(&self) -> Vec<Arc<Caller>> {
        let connected = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connected.callers.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Caller {
    /// Whether this is something else than before.
    fn entitle(&self, entitled: Entitled) -> bool {
        self.entitled.send_if_modified(|standing| {
            let changed = *standing != entitled;
            if changed {
                *standing = entitled;
            }
            changed
        })
    }
}
