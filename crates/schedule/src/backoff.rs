//! How long to wait after a failure.

use std::time::Duration;

use crate::Seed;

/// Waits that double from a first to a longest one, each shortened or lengthened by up to a tenth.
///
/// Spec: Workload Endpoint §6, App. A (WEP-17: grows, capped, jittered, reset after success).
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    seed: Seed,
}

impl Backoff {
    /// Waits from `first` to `longest`. No wait, not even a lengthened one, is longer than that.
    pub fn new(first: Duration, longest: Duration, seed: Seed) -> Self {
        let first = first.min(longest);
        Self {
            first,
            longest,
            next: first,
            seed,
        }
    }

    /// How long to wait after one more failure.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.next.mul_f64(1.0 + self.seed.fraction() / 10.0);
        self.next = self.next.saturating_mul(2).min(self.longest);
        self.seed = self.seed.next();
        delay.min(self.longest)
    }

    /// Begins again from the first wait, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_grow_to_the_longest_and_begin_again_after_success() {
        // WEP-17 +
        let mut backoff = Backoff::new(SECOND, 30 * SECOND, Seed::from_bytes(b"agent"));
        for _ in 0..2 {
            for nominal in [1, 2, 4, 8, 16, 30, 30, 30] {
                let delay = backoff.next_delay();
                let nominal = nominal * SECOND;
                assert!(
                    delay >= nominal.mul_f64(0.9) && delay <= nominal.mul_f64(1.1),
                    "{delay:?}"
                );
                assert!(delay <= 30 * SECOND, "{delay:?}");
            }
            backoff.reset();
        }
    }

    #[test]
    fn waits_differ_between_objects_and_from_one_to_the_next() {
        // WEP-17 −: no fixed loop in step with others.
        let delays = |seed: &[u8]| {
            let mut backoff = Backoff::new(SECOND, SECOND * 2, Seed::from_bytes(seed));
            [(); 8].map(|()| backoff.next_delay())
        };
        assert_eq!(delays(b"a"), delays(b"a"));
        assert_ne!(delays(b"a"), delays(b"b"));
        let mut of_two_seconds = delays(b"a")[1..].to_vec();
        of_two_seconds.sort_unstable();
        of_two_seconds.dedup();
        assert!(of_two_seconds.len() > 2, "{of_two_seconds:?}");
    }

    #[test]
    fn extreme_limits_are_kept() {
        let seed = Seed::from_bytes(b"x");
        let mut none = Backoff::new(Duration::ZERO, Duration::ZERO, seed);
        assert_eq!([none.next_delay(), none.next_delay()], [Duration::ZERO; 2]);
        let mut short = Backoff::new(30 * SECOND, SECOND, seed);
        assert!(short.next_delay() <= SECOND);
        let mut endless = Backoff::new(Duration::MAX / 4, Duration::MAX / 2, seed);
        for _ in 0..4 {
            assert!(endless.next_delay() <= Duration::MAX / 2);
        }
    }
}
