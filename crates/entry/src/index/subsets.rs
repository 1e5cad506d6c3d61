//! Among many sets of numbers, finds those that lie within a given one.
//!
//! Numbers are ranked from the rarest to the most frequent, and the sets sorted as words over that alphabet, so that
//! those with a common beginning lie side by side. A tree over these runs is gone down from beginnings that lie in the
//! given set to longer ones that still do, but not into a run all of whose sets need something else that is not given;
//! where a few sets are left, each is looked at.
//!
//! The first step is a table, and leaves next to nothing where sets have anything rare in them. Hard cases remain, as
//! the problem is known for: thousands of sets that nearly lie in the given one, and lack several different numbers that
//! are each more frequent than all that is given.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::ops::Range;

use super::sets::{Sets, position, starts_of};

/// Many sets of numbers below some bound, each of at least one.
#[derive(Clone, Debug, Default)]
pub(super) struct Subsets {
    /// The rank of each number. All that follows is in ranks.
    ranks: Vec<u32>,
    /// For each rank, the sets that have it as their least; then what these split into.
    nodes: Vec<Node>,
    /// What all sets of a node need beyond its beginning, node by node.
    needs: Vec<u32>,
    /// The sets in the order of their words, as positions in what was given.
    members: Vec<u32>,
    /// The words in that order.
    words: Sets,
}

/// A run of sets that agree in their first ranks.
#[derive(Clone, Debug)]
struct Node {
    /// The last rank in which they agree.
    rank: u32,
    run: Range<u32>,
    /// The runs that agree in one rank more, by that rank. Empty when there are few sets. Those of the run that come
    /// before have no rank more.
    children: Range<u32>,
    /// Where in `needs`. Empty when there are few sets.
    needs: Range<u32>,
}

impl Node {
    const fn new(rank: u32, run: Range<u32>) -> Self {
        Self {
            rank,
            run,
            children: 0..0,
            needs: 0..0,
        }
    }
}

/// What was found, and how often a set or a run had to be looked at for it.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Found {
    /// Positions of the sets, in no particular order.
    pub(super) members: Vec<u32>,
    pub(super) looks: usize,
}

/// Up to so many sets are looked at one by one.
const FEW: u32 = 8;

impl Subsets {
    /// Takes the sets, each without repetition and of numbers below `bound`.
    pub(super) fn new(mut sets: Sets, bound: usize) -> Self {
        let ranks = ranks(sets.numbers(), bound);
        sets.renumber(|number| ranks[number as usize]);
        let mut members: Vec<u32> = (0..position(sets.len())).collect();
        members.sort_by_key(|&member| sets.get(member));
        let words = sets.ordered(&members);
        let leasts = words.iter().filter_map(|word| word.first().copied());
        let nodes = starts_of(leasts, bound)
            .windows(2)
            .zip(0..)
            .map(|(run, rank)| Node::new(rank, run[0]..run[1]))
            .collect();
        let needs = Vec::new();
        let mut subsets = Self {
            ranks,
            nodes,
            needs,
            members,
            words,
        };
        subsets.split();
        subsets
    }

    /// Splits each run of more than a few sets, and then the parts.
    fn split(&mut self) {
        let mut depth = 1;
        let mut level = 0..self.nodes.len();
        while !level.is_empty() {
            let next = self.nodes.len();
            for at in level {
                self.split_node(at, depth);
            }
            level = next..self.nodes.len();
            depth += 1;
        }
        self.nodes.shrink_to_fit();
    }

    fn split_node(&mut self, at: usize, depth: usize) {
        let run = self.nodes[at].run.clone();
        if run.len() <= FEW as usize {
            return;
        }
        let needs = self.needs.len();
        let common = self.common(run.clone(), depth);
        self.needs.extend(common);
        let first = self.nodes.len();
        for member in run {
            let Some(&rank) = self.words.get(member).get(depth) else {
                continue;
            };
            match self.nodes[first..].last_mut() {
                Some(child) if child.rank == rank => child.run.end += 1,
                _ => self.nodes.push(Node::new(rank, member..member + 1)),
            }
        }
        self.nodes[at].needs = position(needs)..position(self.needs.len());
        self.nodes[at].children = position(first)..position(self.nodes.len());
    }

    /// What all sets of a run have beyond their first ranks.
    fn common(&self, mut run: Range<u32>, depth: usize) -> Vec<u32> {
        let mut common = run
            .next()
            .map_or_else(Vec::new, |member| self.words.get(member)[depth..].to_vec());
        for member in run {
            if common.is_empty() {
                break;
            }
            common.retain(|rank| self.words.get(member)[depth..].binary_search(rank).is_ok());
        }
        common
    }

    /// Finds the sets within `given`, whose numbers are below the bound.
    pub(super) fn of(&self, given: &[u32]) -> Found {
        let mut given: Vec<u32> = given
            .iter()
            .map(|&number| self.ranks[number as usize])
            .collect();
        given.sort_unstable();
        given.dedup();
        let mut found = Found::default();
        // Nodes whose beginnings are in `given`, with their depth and what of `given` is greater.
        let mut open: Vec<(&Node, usize, &[u32])> = given
            .iter()
            .enumerate()
            .map(|(at, &rank)| (&self.nodes[rank as usize], 1, &given[at + 1..]))
            .filter(|(node, ..)| !node.run.is_empty())
            .collect();
        while let Some((node, depth, mut rest)) = open.pop() {
            found.looks += 1;
            if !is_subset(slice(&self.needs, &node.needs), rest) {
                continue;
            }
            let mut children = slice(&self.nodes, &node.children);
            let Some(first) = children.first() else {
                for member in node.run.clone() {
                    found.looks += 1;
                    if is_subset(&self.words.get(member)[depth..], rest) {
                        found.members.push(self.members[member as usize]);
                    }
                }
                continue;
            };
            let complete = node.run.start..first.run.start;
            found
                .members
                .extend_from_slice(slice(&self.members, &complete));
            while let ([child, ..], [have, ..]) = (children, rest) {
                found.looks += 1;
                match child.rank.cmp(have) {
                    Less => {
                        children = skip(children, |child| {
                            found.looks += 1;
                            child.rank < *have
                        });
                    }
                    Greater => rest = skip(rest, |have| *have < child.rank),
                    Equal => {
                        (children, rest) = (&children[1..], &rest[1..]);
                        open.push((child, depth + 1, rest));
                    }
                }
            }
        }
        found
    }
}

fn slice<'a, T>(all: &'a [T], range: &Range<u32>) -> &'a [T] {
    &all[range.start as usize..range.end as usize]
}

/// Where each number below `bound` stands when they are put in the order of how often they occur.
fn ranks(numbers: &[u32], bound: usize) -> Vec<u32> {
    let mut counts = vec![0_u32; bound];
    for &number in numbers {
        counts[number as usize] += 1;
    }
    let mut order: Vec<u32> = (0..position(bound)).collect();
    order.sort_by_key(|&number| counts[number as usize]);
    let mut ranks = vec![0; bound];
    for (rank, number) in (0..).zip(order) {
        ranks[number as usize] = rank;
    }
    ranks
}

fn is_subset(word: &[u32], given: &[u32]) -> bool {
    word.iter()
        .all(|number| given.binary_search(number).is_ok())
}

/// Leaves out the beginning that is less, of which there is something. In widening steps, since it is often short.
fn skip<T>(sorted: &[T], mut less: impl FnMut(&T) -> bool) -> &[T] {
    let mut from = 1;
    let mut step = 1;
    while sorted.get(from + step - 1).is_some_and(&mut less) {
        from += step;
        step *= 2;
    }
    let to = sorted.len().min(from + step - 1);
    let rest = from + sorted[from..to].partition_point(less);
    &sorted[rest..]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Finds `given` in `sets`, and sees to it that the right ones are found. Returns how many, and at what cost.
    fn search(sets: &[Vec<u32>], given: &[u32]) -> (usize, usize) {
        let bound = sets
            .iter()
            .flatten()
            .chain(given)
            .max()
            .map_or(0, |&greatest| greatest as usize + 1);
        let mut all = Sets::default();
        for set in sets {
            all.push(set.iter().copied());
        }
        let mut found = Subsets::new(all, bound).of(given);
        found.members.sort_unstable();
        let given: BTreeSet<u32> = given.iter().copied().collect();
        let plain: Vec<u32> = (0..)
            .zip(sets)
            .filter(|(_, set)| set.iter().all(|number| given.contains(number)))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(found.members, plain);
        (plain.len(), found.looks)
    }

    /// All sets of the numbers below 20 that have `size` members.
    fn chosen_of_20(size: u32) -> impl Iterator<Item = Vec<u32>> {
        (0..1_u32 << 20)
            .filter(move |bits| bits.count_ones() == size)
            .map(|bits| (0..20).filter(|number| bits >> number & 1 == 1).collect())
    }

    #[test]
    fn the_cost_does_not_grow_with_the_number_of_sets() {
        const MANY: u32 = 100_000;
        /// What a caller has at any rate, beside what a case is about.
        const OWN: Range<u32> = 0..20;
        let having = |numbers: &[u32]| -> Vec<u32> { OWN.chain(numbers.iter().copied()).collect() };
        let bits = |of: u32| -> Vec<u32> { (0..17).map(|bit| 2 * bit + (of >> bit & 1)).collect() };
        let bits_apart =
            |of: u32| -> Vec<u32> { (0..17).map(|bit| bit + 17 * (of >> bit & 1)).collect() };
        let triples: Vec<Vec<u32>> = (0..85)
            .flat_map(|a| (0..a).flat_map(move |b| (0..b).map(move |c| vec![c, b, a])))
            .collect();

        for (what, sets, given, matches, most) in [
            (
                "each has something of its own and something that all have",
                (0..MANY).map(|own| vec![20, 100 + own]).collect::<Vec<_>>(),
                having(&[20, 877]),
                1,
                4,
            ),
            (
                "the same, and what the caller has of his own is not there",
                (0..MANY).map(|own| vec![20, 100 + own]).collect(),
                having(&[20, 100 + MANY]),
                0,
                0,
            ),
            (
                "every pair of 316 and 316",
                (0..316 * 316)
                    .map(|pair| vec![20 + pair / 316, 336 + pair % 316])
                    .collect(),
                having(&[25, 343]),
                1,
                32,
            ),
            (
                "every triple of 85",
                triples,
                vec![3, 17, 30, 44, 61, 80],
                20,
                500,
            ),
            (
                "seventeen attributes of two values",
                (0..1 << 17).map(bits).collect(),
                bits(0x1_5a5a),
                1,
                200,
            ),
            (
                "the same, first all noes and then all yeas",
                (0..1 << 17).map(bits_apart).collect(),
                bits_apart(0x1_5a5a),
                1,
                400,
            ),
            (
                "thousands that nearly match, and all lack the same",
                chosen_of_20(6)
                    .map(|mut set| {
                        set.push(20);
                        set
                    })
                    .collect(),
                having(&[21]),
                0,
                80,
            ),
        ] {
            let (found, looks) = search(&sets, &given);
            assert_eq!(found, matches, "{what}");
            assert!(
                looks <= most,
                "{what}: {looks} looks at {} sets",
                sets.len()
            );
        }
    }

    #[test]
    fn many_equal_sets_are_all_found() {
        let sets = vec![vec![1, 2]; 1000];
        assert_eq!(search(&sets, &[0, 1, 2, 3]).0, 1000);
        assert_eq!(search(&sets, &[0, 1, 3]).0, 0);
        assert_eq!(search(&[], &[0]), (0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn exactly_the_subsets_are_found(
            sets in prop::collection::vec(prop::collection::btree_set(0..10_u32, 1..6), 0..200),
            given in prop::collection::btree_set(0..12_u32, 0..10),
        ) {
            let sets: Vec<Vec<u32>> = sets.into_iter().map(|set| set.into_iter().rev().collect()).collect();
            search(&sets, &given.into_iter().collect::<Vec<_>>());
        }
    }
}
