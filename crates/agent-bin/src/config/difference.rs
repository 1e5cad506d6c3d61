//! What changed between two configurations, and whether a running agent takes it.

use std::{collections::HashMap, fmt};

use plastron_entry::{EntryId, RegistrationEntry};

use super::{
    Settings,
    keys::{KEYS, Key},
};

/// The keys that differ, and how many entries and bundles do.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Keys that a running agent cannot take.
    pub(crate) restart: Vec<&'static Key>,
    /// Keys that it can.
    pub(crate) live: Vec<&'static Key>,
    pub(crate) entries: Count,
    pub(crate) bundles: Count,
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
        let differing = KEYS.iter().filter(|key| (key.shown)(before) != (key.shown)(after));
        let (live, restart) = differing.partition(|key| key.live);
        Self {
            restart,
            live,
            entries: entries(&before.entries, &after.entries),
            bundles: count(
                before.bundles.iter().map(|bundle| (bundle.trust_domain.as_str(), bundle)),
                after.bundles.iter().map(|bundle| (bundle.trust_domain.as_str(), bundle)),
            ),
        }
    }

    /// Why it needs a restart, if it does, with what to do.
    pub(crate) fn refusal(&self) -> Option<String> {
        let names: Vec<_> = self.restart.iter().map(|key| key.name).collect();
        let (verb, pronoun) = if names.len() == 1 { ("has", "it") } else { ("have", "them") };
        (!names.is_empty()).then(|| {
            format!(
                "{} {verb} changed and cannot change while the agent runs: restart it, or set {pronoun} back; nothing of \
                 the file is in force until then",
                names.join(", ")
            )
        })
    }
}

fn entries(before: &[RegistrationEntry], after: &[RegistrationEntry]) -> Count {
    let by_id = |entries: &'_ [RegistrationEntry]| -> Vec<(EntryId, usize)> {
        entries.iter().enumerate().map(|(number, entry)| (entry.id.clone(), number)).collect()
    };
    let old: HashMap<EntryId, usize> = by_id(before).into_iter().collect();
    let mut kept = 0;
    let mut counted = Count::default();
    for entry in after {
        match old.get(&entry.id) {
            None => counted.added += 1,
            Some(number) => {
                kept += 1;
                counted.changed += usize::from(before[*number] != *entry);
            }
        }
    }
    counted.removed = old.len() - kept;
    counted
}

fn count<'a, T: PartialEq + 'a>(
    before: impl Iterator<Item = (&'a str, &'a T)>,
    after: impl Iterator<Item = (&'a str, &'a T)>,
) -> Count {
    let mut old: HashMap<&str, &T> = before.collect();
    let mut counted = Count::default();
    for (name, thing) in after {
        match old.remove(name) {
            None => counted.added += 1,
            Some(known) => counted.changed += usize::from(known != thing),
        }
    }
    counted.removed = old.len();
    counted
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} added, {} removed, {} changed", self.added, self.removed, self.changed)
    }
}
