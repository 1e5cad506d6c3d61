//! What changed between two configurations, and whether a running agent takes it.

use std::{collections::HashMap, fmt, sync::Arc};

use plastron_entry::{EntryIndex, RegistrationEntry};

use super::{
    ForeignBundle, Settings,
    keys::{KEYS, Key},
};

/// The keys outside `[[entry]]` and `[[bundle]]` that differ.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Keys that a running agent cannot take.
    pub(crate) restart: Vec<&'static Key>,
    /// Keys that it can.
    pub(crate) live: Vec<&'static Key>,
}

/// How many were added, removed and changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Count {
    pub(crate) added: usize,
    pub(crate) removed: usize,
    pub(crate) changed: usize,
}

impl Difference {
    /// What is otherwise in `after` than in `before`.
    pub(crate) fn between(before: &Settings, after: &Settings) -> Self {
        let differing = KEYS
            .iter()
            .filter(|key| (key.shown)(before) != (key.shown)(after));
        let (live, restart) = differing.partition(|key| key.live);
        Self { restart, live }
    }

    /// Why it needs a restart, if it does, with what to do.
    pub(crate) fn refusal(&self) -> Option<String> {
        let names: Vec<_> = self.restart.iter().map(|key| key.name).collect();
        let (verb, pronoun) = if names.len() == 1 {
            ("has", "it")
        } else {
            ("have", "them")
        };
        (!names.is_empty()).then(|| {
            format!(
                "{} {verb} changed and cannot change while the agent runs: restart it, or set {pronoun} back; nothing of \
                 the file is in force until then",
                names.join(", ")
            )
        })
    }
}

impl Count {
    /// What is otherwise in `after` than in `before`, each thing with the name that it keeps.
    pub(crate) fn of<'a, T: PartialEq + 'a>(
        before: impl Iterator<Item = (&'a str, &'a T)>,
        after: impl Iterator<Item = (&'a str, &'a T)>,
    ) -> Self {
        let mut old: HashMap<&str, &T> = before.collect();
        let mut counted = Self::default();
        for (name, thing) in after {
            match old.remove(name) {
                None => counted.added += 1,
                Some(known) => counted.changed += usize::from(known != thing),
            }
        }
        counted.removed = old.len();
        counted
    }

    /// Entries, by their IDs.
    pub(crate) fn of_entries(before: &EntryIndex, after: &EntryIndex) -> Self {
        fn named(entry: &Arc<RegistrationEntry>) -> (&str, &RegistrationEntry) {
            (entry.id.as_str(), entry)
        }
        Self::of(before.iter().map(named), after.iter().map(named))
    }

    /// Foreign bundles, by their trust domains.
    pub(crate) fn of_bundles(before: &[ForeignBundle], after: &[ForeignBundle]) -> Self {
        fn named(bundle: &ForeignBundle) -> (&str, &ForeignBundle) {
            (bundle.trust_domain.as_str(), bundle)
        }
        Self::of(before.iter().map(named), after.iter().map(named))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} added, {} removed, {} changed",
            self.added, self.removed, self.changed
        )
    }
}
