//! Among many sets of numbers, finds those that lie within a given one.
//!
//! The sets are sorted as words over the alphabet of numbers, so that those with a common beginning lie side by side, and
//! the search goes down such beginnings as in a trie: from a run of sets that agree in their first numbers, all of them
//! in the given set, to the runs that agree in one number more. What the given set lacks is skipped over by binary
//! search. Numbers are given to selectors from the rarest to the most frequent, so the first step, which is a table,
//! leaves next to nothing.

/// Many sets of numbers below some bound, each of at least one.
#[derive(Clone, Debug, Default)]
pub(super) struct Subsets {
    /// For each number, where the sets start that have it as their least; one more for the end of the last.
    starts: Vec<u32>,
    /// The sets in the order of their words, as positions in what was given.
    members: Vec<u32>,
    /// The words in that order, one after the other.
    words: Vec<u32>,
    /// Where each word starts in `words`; one more for the end of the last.
    bounds: Vec<u32>,
}

/// What was found, and how often a set had to be looked at for it.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Found {
    /// Positions of the sets, in no particular order.
    pub(super) members: Vec<u32>,
    pub(super) looks: usize,
}

/// Sets that agree in their first numbers.
struct Run {
    start: usize,
    end: usize,
    /// How many numbers they agree in.
    depth: usize,
    /// What of the given set is greater than these.
    rest: usize,
}

impl Subsets {
    /// Takes the sets, each as ascending numbers below `bound`.
    pub(super) fn new(sets: &[Vec<u32>], bound: usize) -> Self {
        let mut members: Vec<u32> = (0..position(sets.len())).collect();
        members.sort_by(|&a, &b| sets[a as usize].cmp(&sets[b as usize]));

        let mut words = Vec::with_capacity(sets.iter().map(Vec::len).sum());
        let mut bounds = Vec::with_capacity(sets.len() + 1);
        bounds.push(0);
        for &member in &members {
            words.extend_from_slice(&sets[member as usize]);
            bounds.push(position(words.len()));
        }
        let least = |&member: &u32| sets[member as usize].first().copied();
        let starts = (0..=position(bound))
            .map(|number| position(members.partition_point(|member| least(member) < Some(number))))
            .collect();
        Self {
            starts,
            members,
            words,
            bounds,
        }
    }

    /// Finds the sets within `given`, which is ascending and below the bound.
    pub(super) fn of(&self, given: &[u32]) -> Found {
        let mut found = Found::default();
        let mut runs: Vec<Run> = given
            .iter()
            .enumerate()
            .map(|(at, &number)| Run {
                start: self.starts[number as usize] as usize,
                end: self.starts[number as usize + 1] as usize,
                depth: 1,
                rest: at + 1,
            })
            .filter(|run| run.start < run.end)
            .collect();
        while let Some(run) = runs.pop() {
            self.descend(run, given, &mut runs, &mut found);
        }
        found
    }

    /// Takes the sets of a run that end here, and splits the others by their next number.
    fn descend(&self, run: Run, given: &[u32], runs: &mut Vec<Run>, found: &mut Found) {
        let Run {
            mut start,
            end,
            depth,
            rest: mut next,
        } = run;
        // A word comes before all that it begins.
        while start < end && self.word(start, &mut found.looks).len() == depth {
            found.members.push(self.members[start]);
            start += 1;
        }
        while start < end {
            let number = self.word(start, &mut found.looks)[depth];
            next += given[next..].partition_point(|&have| have < number);
            let Some(&have) = given.get(next) else { return };
            let skip_to = if have == number { number + 1 } else { have };
            let after = self.first_from(skip_to, start, end, depth, &mut found.looks);
            if have == number {
                next += 1;
                runs.push(Run {
                    start,
                    end: after,
                    depth: depth + 1,
                    rest: next,
                });
            }
            start = after;
        }
    }

    /// The first set of a run whose number at `depth` is at least `number`. The one at `start` is known to be less.
    /// Widening steps first, since it is often near.
    fn first_from(
        &self,
        number: u32,
        start: usize,
        end: usize,
        depth: usize,
        looks: &mut usize,
    ) -> usize {
        let mut less = |at: usize| self.word(at, looks)[depth] < number;
        let mut low = start;
        let mut step = 1;
        while low + step < end && less(low + step) {
            low += step;
            step *= 2;
        }
        let mut high = end.min(low + step);
        low += 1;
        while low < high {
            let middle = low.midpoint(high);
            if less(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn word(&self, at: usize, looks: &mut usize) -> &[u32] {
        *looks += 1;
        &self.words[self.bounds[at] as usize..self.bounds[at + 1] as usize]
    }
}

fn position(len: usize) -> u32 {
    u32::try_from(len).expect("four thousand million selectors do not fit into memory")
}
