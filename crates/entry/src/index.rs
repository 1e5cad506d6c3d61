//! Finds the entries that a caller matches, however many there are.

mod subsets;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use self::subsets::Subsets;
use crate::{RegistrationEntry, Selector, Selectors};

/// All entries, in the operator's order, ready to be matched. Immutable: a change makes a new index.
///
/// Matching one caller takes microseconds and does not grow with the number of entries, only with that of the caller's
/// selectors and of the entries that match. Beside the entries themselves the index takes a few dozen bytes for each.
#[derive(Clone, Debug, Default)]
pub struct EntryIndex {
    entries: Vec<Arc<RegistrationEntry>>,
    /// Entries left out, since an earlier one has the same ID.
    repeated: Vec<Arc<RegistrationEntry>>,
    /// Positions in `entries`, in the order of entry IDs.
    by_id: Vec<u32>,
    /// Numbers of all selectors that entries ask for, the rarest first.
    numbers: HashMap<Selector, u32>,
    subsets: Subsets,
    holders: Holders,
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
        let mut entries: Vec<RegistrationEntry> = entries.into_iter().collect();
        let repeated = take_repeated(&mut entries);

        let numbers = number_selectors(&mut entries);
        let sets: Vec<Vec<u32>> = entries
            .iter()
            .map(|entry| numbers_of(&numbers, &entry.selectors))
            .collect();
        let mut by_id: Vec<u32> = (0..position(entries.len())).collect();
        by_id.sort_unstable_by_key(|&at| &entries[at as usize].id);
        let mut expiries: Vec<_> = entries
            .iter()
            .filter_map(|entry| entry.expires_at)
            .collect();
        expiries.sort_unstable();
        expiries.dedup();

        Self {
            repeated,
            by_id,
            subsets: Subsets::new(&sets, numbers.len()),
            holders: Holders::new(&sets, numbers.len()),
            sorts: sorts_of(numbers.keys()),
            numbers,
            expiries,
            entries: entries.into_iter().map(Arc::new).collect(),
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
    /// For explanations. Looks at no more than a few thousand entries, those with rare selectors first.
    pub fn nearest(&self, caller: &Selectors, most: usize) -> Vec<NearEntry> {
        let caller_numbers = numbers_of(&self.numbers, caller);
        let candidates: BTreeSet<u32> = caller_numbers
            .iter()
            .flat_map(|&number| self.holders.of(number))
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
        let mut found = self.subsets.of(&numbers_of(&self.numbers, caller)).members;
        found.sort_unstable();
        found.into_iter().map(|at| &self.entries[at as usize])
    }
}

impl<'a> IntoIterator for &'a EntryIndex {
    type Item = &'a Arc<RegistrationEntry>;
    type IntoIter = std::slice::Iter<'a, Arc<RegistrationEntry>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Removes all but the first entry of each ID.
fn take_repeated(entries: &mut Vec<RegistrationEntry>) -> Vec<Arc<RegistrationEntry>> {
    let mut known = HashSet::with_capacity(entries.len());
    entries
        .extract_if(.., |entry| !known.insert(entry.id.clone()))
        .map(Arc::new)
        .collect()
}

/// Numbers the selectors from the rarest to the most frequent, and has the entries share their texts.
fn number_selectors(entries: &mut [RegistrationEntry]) -> HashMap<Selector, u32> {
    let mut counts = HashMap::<Selector, u32>::new();
    for entry in &mut *entries {
        entry.selectors = entry
            .selectors
            .iter()
            .map(|selector| match counts.get_key_value(selector) {
                Some((shared, _)) => shared.clone(),
                None => selector.clone(),
            })
            .collect();
        for selector in &entry.selectors {
            *counts.entry(selector.clone()).or_default() += 1;
        }
    }
    let mut ranked: Vec<(u32, Selector)> = counts
        .into_iter()
        .map(|(selector, count)| (count, selector))
        .collect();
    ranked.sort_unstable();
    ranked
        .into_iter()
        .zip(0..)
        .map(|((_, selector), number)| (selector, number))
        .collect()
}

/// The numbers of those selectors that have one, ascending.
fn numbers_of(numbers: &HashMap<Selector, u32>, selectors: &Selectors) -> Vec<u32> {
    let mut known: Vec<u32> = selectors
        .iter()
        .filter_map(|selector| numbers.get(selector).copied())
        .collect();
    known.sort_unstable();
    known
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

fn position(len: usize) -> u32 {
    u32::try_from(len).expect("four thousand million entries do not fit into memory")
}

/// Which entries ask for each selector, in the operator's order.
#[derive(Clone, Debug, Default)]
struct Holders {
    /// Where the entries of each selector start in `entries`; one more for the end of the last.
    starts: Vec<u32>,
    entries: Vec<u32>,
}

impl Holders {
    fn new(sets: &[Vec<u32>], selectors: usize) -> Self {
        let mut pairs: Vec<(u32, u32)> = sets
            .iter()
            .zip(0..)
            .flat_map(|(set, at)| set.iter().map(move |&number| (number, at)))
            .collect();
        pairs.sort_unstable();
        let starts = (0..=position(selectors))
            .map(|number| position(pairs.partition_point(|pair| pair.0 < number)))
            .collect();
        let entries = pairs.into_iter().map(|(_, at)| at).collect();
        Self { starts, entries }
    }

    fn of(&self, number: u32) -> &[u32] {
        let number = number as usize;
        &self.entries[self.starts[number] as usize..self.starts[number + 1] as usize]
    }
}

/// How many entries [`EntryIndex::nearest`] looks at: enough for people, and a bound on what anybody may cost who asks.
const MAX_CANDIDATES: usize = 4096;

#[cfg(test)]
mod tests;
