//! The entries and the foreign bundles, as one snapshot that is replaced whole.

use std::{sync::Arc, time::SystemTime};

use plastron_attest::{Evidence, Interest};
use plastron_bundle::BundleSet;
use plastron_entry::{EntryIndex, RegistrationEntry};
use plastron_id::TrustDomain;

/// Who may be what, and whom they may trust: what an operator changes while the agent runs.
///
/// Cheap to clone: the snapshots share what they are made of.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    index: Arc<EntryIndex>,
    foreign: Arc<BundleSet>,
    interest: Arc<Interest>,
}

impl Registry {
    /// A snapshot of these entries, in the operator's order, and the bundles of foreign trust domains.
    pub fn new(entries: impl IntoIterator<Item = RegistrationEntry>, foreign: BundleSet) -> Self {
        let index = EntryIndex::new(entries);
        let interest = Arc::new(Interest::of(index.selectors()));
        Self {
            index: Arc::new(index),
            foreign: Arc::new(foreign),
            interest,
        }
    }

    /// The same entries with other bundles of foreign trust domains.
    pub fn with_foreign(&self, foreign: BundleSet) -> Self {
        Self {
            foreign: Arc::new(foreign),
            ..self.clone()
        }
    }

    /// The entries.
    pub fn entries(&self) -> &EntryIndex {
        &self.index
    }

    /// The bundles of foreign trust domains.
    pub fn foreign(&self) -> &Arc<BundleSet> {
        &self.foreign
    }

    /// Which sorts of selectors any entry asks for.
    pub fn interest(&self) -> &Arc<Interest> {
        &self.interest
    }

    /// What a caller with this evidence is entitled to at `now`.
    pub(crate) fn entitled(&self, evidence: &Evidence, now: SystemTime) -> Entitled {
        let entries = self.index.matching(&evidence.selectors, now);
        let of_program = entries
            .iter()
            .any(|entry| evidence.hangs_on_program(entry.selectors.iter()));
        Entitled {
            entries: entries.into(),
            of_program,
            provisional: false,
        }
    }
}

/// The entries that a caller matches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entitled {
    /// In the operator's order: the first is the default identity (WAPI-68).
    pub(crate) entries: Arc<[Arc<RegistrationEntry>]>,
    /// Some of them hang on the caller's program, so they wait until it has spoken.
    pub(crate) of_program: bool,
    /// There may be more: the entries ask for facts that the caller was not looked at for, and another look is under way.
    pub(crate) provisional: bool,
}

impl Entitled {
    /// The foreign trust domains whose bundles come with these entries, sorted, each once.
    pub(crate) fn federates_with(&self) -> Vec<TrustDomain> {
        let mut names: Vec<TrustDomain> = self
            .entries
            .iter()
            .flat_map(|entry| entry.federates_with.iter().cloned())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
