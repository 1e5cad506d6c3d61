//! Explanations: what is seen of a process, and what it lacks.
//!
//! Comparing it with every entry that comes near takes milliseconds where there are many, so it is done beside the thread that
//! serves: one explanation at a time for each uid that asks, and few in all.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use plastron_attest::Evidence;
use plastron_entry::RegistrationEntry;
use plastron_wire::agent::v1 as proto;
use tokio::{sync::Semaphore, task::spawn_blocking};
use tonic::Status;

use crate::agent::Core;

/// Entries shown that almost match.
const NEAR_ENTRIES: usize = 5;
/// Explanations that are put together at a time. The others wait, no more than one of each uid.
const AT_ONCE: usize = 2;

/// Who is being told.
#[derive(Debug)]
pub(super) struct Explanations {
    uids: Mutex<HashSet<u32>>,
    places: Arc<Semaphore>,
}

/// An explanation under way: its uid gets no other meanwhile.
#[derive(Debug)]
pub(super) struct Explaining {
    all: Arc<Explanations>,
    uid: u32,
}

impl Default for Explanations {
    fn default() -> Self {
        Self {
            uids: Mutex::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Explanations {
    /// Begins one for `uid`, unless another is under way.
    pub(super) fn begin(self: &Arc<Self>, uid: u32) -> Option<Explaining> {
        self.uids().insert(uid).then(|| Explaining {
            all: Arc::clone(self),
            uid,
        })
    }

    fn uids(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.uids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Explaining {
    /// Says what `evidence` comes to, by the entries in force. It is over when the work is, also where nobody waits for it.
    pub(super) async fn tell(
        self,
        core: Arc<Core>,
        evidence: Evidence,
    ) -> Result<proto::ExplainResponse, Status> {
        let place = Arc::clone(&self.all.places).acquire_owned().await;
        let told = spawn_blocking(move || {
            let told = tell(&core, &evidence);
            drop((place, self));
            told
        });
        told.await
            .map_err(|_failed| Status::internal("the explanation could not be put together"))
    }
}

impl Drop for Explaining {
    fn drop(&mut self) {
        self.all.uids().remove(&self.uid);
    }
}

fn tell(core: &Core, evidence: &Evidence) -> proto::ExplainResponse {
    let registry = core.callers.registry();
    let entitled = registry.entitled(evidence, core.clock.now());
    let near = registry
        .entries()
        .nearest(&evidence.selectors, NEAR_ENTRIES);
    proto::ExplainResponse {
        facts: Some(facts(evidence)),
        selectors: evidence.selectors.iter().map(ToString::to_string).collect(),
        missing: evidence
            .missing
            .iter()
            .map(|missing| proto::Missing {
                what: missing.what.into(),
                why: missing.why.to_string(),
            })
            .collect(),
        matching: entitled.entries.iter().map(|entry| show(entry)).collect(),
        near: near
            .into_iter()
            .map(|near| proto::NearEntry {
                entry: Some(show(&near.entry)),
                missing_selectors: near.missing.iter().map(ToString::to_string).collect(),
            })
            .collect(),
    }
}

fn facts(evidence: &Evidence) -> proto::Facts {
    let value = |name: &str| {
        evidence
            .selectors
            .iter()
            .find_map(|selector| selector.to_string().strip_prefix(name).map(str::to_owned))
    };
    let facts = &evidence.facts;
    proto::Facts {
        pid: facts.pid,
        uid: Some(facts.uid),
        gid: Some(facts.gid),
        groups: facts.groups.clone(),
        user: value("unix:user:"),
        group: value("unix:group:"),
        path: facts.path.as_ref().map(|path| path.display().to_string()),
        sha256: value("unix:sha256:"),
        started_at: None,
    }
}

fn show(entry: &RegistrationEntry) -> proto::Entry {
    proto::Entry {
        id: entry.id.to_string(),
        spiffe_id: entry.spiffe_id.to_string(),
        selectors: entry.selectors.iter().map(ToString::to_string).collect(),
        hint: entry.hint.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_has_one_explanation_at_a_time() {
        let all = Arc::new(Explanations::default());
        let first = all.begin(1).unwrap();
        assert!(all.begin(1).is_none());
        assert!(all.begin(2).is_some());
        drop(first);
        assert!(all.begin(1).is_some());
        assert!(all.uids().is_empty());
    }
}
