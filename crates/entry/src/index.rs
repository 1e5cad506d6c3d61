//! Finds the entries that a caller matches, however many there are.

mod sets;
mod subsets;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use self::sets::{Sets, position};
use self::subsets::Subsets;
use crate::{RegistrationEntry, Selector, Selectors};

/// All entries, in the operator's order, ready to be matched. Immutable: a change makes a new index.
///
/// Matching one caller takes microseconds and does not grow with the number of entries, only with that of the caller's
/// selectors and of the entries that match. Entry and index together take less than a kibibyte for each.
#[derive(Clone, Debug, Default)]
pub struct EntryIndex {
    entries: Entries,
    /// Entries left out, since an earlier one has the same ID.
    repeated: Entries,
    /// Positions in `entries`, in the order of entry IDs.
    by_id: Vec<u32>,
    /// Numbers of all selectors that entries ask for.
    numbers: HashMap<Selector, u32>,
    subsets: Subsets,
    /// Positions of the entries that ask for each selector.
    holders: Sets,
    sorts: BTreeSet<Box<str>>,
    /// When entries expire, in that order.
    expiries: Vec<SystemTime>,
}

/// An entry that a caller does not match, and what he lacks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NearEntry {
    /// The entry.
    pub entry: Arc<RegistrationEntry>,
    /// The selectors that the entry asks for and the caller has not. Never empty.
    pub missing: Vec<Selector>,
}

impl EntryIndex {
    /// Builds the index. The order given is the order of what matches.
    ///
    /// Of entries with the same ID the first counts; the others are [`repeated`](Self::repeated).
    pub fn new(entries: impl IntoIterator<Item = RegistrationEntry>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().map(Arc::new).collect();
        let (by_id, repeated) = order_by_id(&mut entries);
        let (numbers, sets) = number_selectors(&mut entries);
        let mut expiries: Vec<_> = entries
            .iter()
            .filter_map(|entry| entry.expires_at)
            .collect();
        expiries.sort_unstable();
        expiries.dedup();
        Self {
            by_id,
            repeated,
            holders: sets.transposed(numbers.len()),
            subsets: Subsets::new(sets, numbers.len()),
            sorts: sorts_of(numbers.keys()),
            numbers,
            expiries,
            entries,
        }
    }

    /// The entries that a caller with these selectors matches at `now`, in the operator's order.
    ///
    /// Of entries with the same hint the first keeps it; the others come without one.
    ///
    /// Spec: Workload API §5.2, §8 (WAPI-28, WAPI-44, WAPI-68).
    pub fn matching(&self, caller: &Selectors, now: SystemTime) -> Vec<Arc<RegistrationEntry>> {
        let mut matching: Vec<_> = self
            .having(caller)
            .filter(|entry| !entry.is_expired(now))
            .cloned()
            .collect();
        let mut hints = HashSet::new();
        for entry in &mut matching {
            if !entry.hint.is_empty() && !hints.insert(entry.hint.clone()) {
                Arc::make_mut(entry).hint = Box::default();
            }
        }
        matching
    }

    /// The entries that a caller with these selectors would match if they had not expired at `now`.
    pub fn expired(&self, caller: &Selectors, now: SystemTime) -> Vec<Arc<RegistrationEntry>> {
        self.having(caller)
            .filter(|entry| entry.is_expired(now))
            .cloned()
            .collect()
    }

    /// At most `most` entries that a caller with these selectors does not match though he has some of what they ask
    /// for: those with the least missing first, and among them in the operator's order.
    ///
    /// For explanations. Looks at no more than a few thousand entries, those that share a rare selector first.
    pub fn nearest(&self, caller: &Selectors, most: usize) -> Vec<NearEntry> {
        let mut shared: Vec<&[u32]> = self
            .numbers_of(caller)
            .into_iter()
            .map(|number| self.holders.get(number))
            .collect();
        shared.sort_by_key(|holders| holders.len());
        let candidates: BTreeSet<u32> = shared
            .into_iter()
            .flatten()
            .take(MAX_CANDIDATES)
            .copied()
            .collect();
        let mut near: Vec<(usize, u32)> = candidates
            .into_iter()
            .map(|at| {
                let entry = &self.entries[at as usize];
                (entry.selectors.difference(caller).count(), at)
            })
            .filter(|&(missing, _)| missing > 0)
            .collect();
        near.sort_unstable();
        near.truncate(most);
        near.into_iter()
            .map(|(_, at)| {
                let entry = self.entries[at as usize].clone();
                let missing = entry.selectors.difference(caller).cloned().collect();
                NearEntry { entry, missing }
            })
            .collect()
    }

    /// Whether any entry asks for a selector of this kind and name: `mentions("unix", "sha256")`.
    pub fn mentions(&self, kind: &str, name: &str) -> bool {
        self.sorts.contains(&*format!("{kind}:{name}"))
    }

    /// All different selectors that entries ask for, in no particular order.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.numbers.keys()
    }

    /// When the next entry expires after `now`, and [`matching`](Self::matching) may find less.
    pub fn next_expiry(&self, now: SystemTime) -> Option<SystemTime> {
        let passed = self.expiries.partition_point(|end| *end <= now);
        self.expiries.get(passed).copied()
    }

    /// The entry of this ID.
    pub fn get(&self, id: &str) -> Option<&Arc<RegistrationEntry>> {
        let at = self
            .by_id
            .binary_search_by(|&at| self.entries[at as usize].id.as_str().cmp(id))
            .ok()?;
        Some(&self.entries[self.by_id[at] as usize])
    }

    /// All entries, in the operator's order.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<RegistrationEntry>> {
        self.entries.iter()
    }

    /// The entries left out, since an earlier one has the same ID.
    pub fn repeated(&self) -> &[Arc<RegistrationEntry>] {
        &self.repeated
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries whose selectors the caller has, expired or not, in the operator's order.
    fn having(&self, caller: &Selectors) -> impl Iterator<Item = &Arc<RegistrationEntry>> {
        let mut found = self.subsets.of(&self.numbers_of(caller)).members;
        found.sort_unstable();
        found.into_iter().map(|at| &self.entries[at as usize])
    }

    /// The numbers of those selectors that any entry asks for.
    fn numbers_of(&self, caller: &Selectors) -> Vec<u32> {
        caller
            .iter()
            .filter_map(|selector| self.numbers.get(selector).copied())
            .collect()
    }
}

impl<'a> IntoIterator for &'a EntryIndex {
    type Item = &'a Arc<RegistrationEntry>;
    type IntoIter = std::slice::Iter<'a, Arc<RegistrationEntry>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

type Entries = Vec<Arc<RegistrationEntry>>;

/// Positions in the order of IDs. Removes and returns all but the first entry of each ID.
fn order_by_id(entries: &mut Entries) -> (Vec<u32>, Entries) {
    let mut by_id: Vec<u32> = (0..position(entries.len())).collect();
    by_id.sort_unstable_by_key(|&at| (&entries[at as usize].id, at));
    let id = |at: u32| &entries[at as usize].id;
    let repeated: HashSet<u32> = by_id
        .windows(2)
        .filter(|pair| id(pair[0]) == id(pair[1]))
        .map(|pair| pair[1])
        .collect();
    if repeated.is_empty() {
        return (by_id, Vec::new());
    }
    let mut positions = 0..;
    let removed = entries
        .extract_if(.., |_| {
            positions.next().is_some_and(|at| repeated.contains(&at))
        })
        .collect();
    let (by_id, _) = order_by_id(entries);
    (by_id, removed)
}

/// Numbers the selectors, and has the entries share their texts. Returns the numbers, and those of each entry.
fn number_selectors(entries: &mut Entries) -> (HashMap<Selector, u32>, Sets) {
    let mut numbers = HashMap::<Selector, u32>::new();
    let mut sets = Sets::default();
    let mut set = Vec::new();
    for entry in entries {
        // Nobody else has it yet, so this clones nothing.
        Arc::make_mut(entry).selectors.share(|selector| {
            if let Some((shared, &number)) = numbers.get_key_value(selector) {
                set.push(number);
                return shared.clone();
            }
            let number = position(numbers.len());
            set.push(number);
            numbers.insert(selector.clone(), number);
            selector.clone()
        });
        sets.push(set.drain(..));
    }
    numbers.shrink_to_fit();
    (numbers, sets)
}

fn sorts_of<'a>(selectors: impl Iterator<Item = &'a Selector>) -> BTreeSet<Box<str>> {
    let mut sorts = BTreeSet::<Box<str>>::new();
    for selector in selectors {
        if !sorts.contains(selector.sort()) {
            sorts.insert(selector.sort().into());
        }
    }
    sorts
}

/// How many entries [`EntryIndex::nearest`] looks at: enough for people, and a bound on what anybody may cost who asks.
const MAX_CANDIDATES: usize = 4096;

#[cfg(test)]
mod tests;
