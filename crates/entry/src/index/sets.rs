//! Many sets of numbers, close together in memory.

/// Sets of numbers, one after the other. Each keeps the order it was given in.
#[derive(Clone, Debug)]
pub(super) struct Sets {
    numbers: Vec<u32>,
    /// Where each set starts in `numbers`; one more for the end of the last.
    starts: Vec<u32>,
}

impl Sets {
    pub(super) fn push(&mut self, numbers: impl IntoIterator<Item = u32>) {
        self.numbers.extend(numbers);
        self.starts.push(position(self.numbers.len()));
    }

    pub(super) fn get(&self, at: u32) -> &[u32] {
        let at = at as usize;
        &self.numbers[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..position(self.len())).map(|at| self.get(at))
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// All numbers of all sets.
    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// The sets in this order.
    pub(super) fn ordered(&self, order: &[u32]) -> Self {
        let mut ordered = Self {
            numbers: Vec::with_capacity(self.numbers.len()),
            starts: Vec::with_capacity(self.starts.len()),
        };
        ordered.starts.push(0);
        for &at in order {
            ordered.push(self.get(at).iter().copied());
        }
        ordered
    }

    /// Replaces each number, and sorts the sets.
    pub(super) fn renumber(&mut self, number: impl Fn(u32) -> u32) {
        for old in &mut self.numbers {
            *old = number(*old);
        }
        for bounds in self.starts.windows(2) {
            self.numbers[bounds[0] as usize..bounds[1] as usize].sort_unstable();
        }
    }

    /// For each number below `bound` the sets that it is in, ascending.
    pub(super) fn transposed(&self, bound: usize) -> Self {
        let starts = starts_of(self.numbers.iter().copied(), bound);
        let mut ends = starts.clone();
        let mut numbers = vec![0; self.numbers.len()];
        for (set, at) in self.iter().zip(0..) {
            for &number in set {
                let end = &mut ends[number as usize];
                numbers[*end as usize] = at;
                *end += 1;
            }
        }
        Self { numbers, starts }
    }
}

impl Default for Sets {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            starts: vec![0],
        }
    }
}

/// Where the occurrences of each number start when they are put in order; one more for the end of the last.
pub(super) fn starts_of(numbers: impl Iterator<Item = u32>, bound: usize) -> Vec<u32> {
    let mut starts = vec![0; bound + 1];
    for number in numbers {
        starts[number as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    starts
}

/// A length as it is kept.
pub(super) fn position(len: usize) -> u32 {
    u32::try_from(len).expect("four thousand million of anything do not fit into memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_transposed_and_put_in_order() {
        let mut sets = Sets::default();
        for set in [&[2, 0][..], &[], &[2, 1]] {
            sets.push(set.iter().copied());
        }
        let shown = |sets: &Sets| -> Vec<Vec<u32>> { sets.iter().map(<[u32]>::to_vec).collect() };
        assert_eq!((sets.len(), sets.numbers()), (3, &[2, 0, 2, 1][..]));
        assert_eq!(
            shown(&sets.transposed(4)),
            [vec![0], vec![2], vec![0, 2], vec![]]
        );
        assert_eq!(
            shown(&sets.ordered(&[2, 1, 0])),
            [vec![2, 1], vec![], vec![2, 0]]
        );
        sets.renumber(|number| 10 + number);
        assert_eq!(shown(&sets), [vec![10, 12], vec![], vec![11, 12]]);
    }
}
