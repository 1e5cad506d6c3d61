//! How many new tokens a uid may have signed.

use std::{collections::HashMap, time::SystemTime};

/// How many signatures each uid may still have: a bucket that fills by the second, empty buckets only are kept.
pub(super) struct Allowance {
    per_second: u32,
    burst: u32,
    /// Signatures spent and not yet won back, at a moment.
    spent: HashMap<u32, (f64, SystemTime)>,
}

impl Allowance {
    /// Buckets kept before the full ones are swept out.
    const SWEEP_AT: usize = 1024;

    /// Full buckets of `burst`, which fill by `per_second`.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second,
            burst,
            spent: HashMap::new(),
        }
    }

    pub(super) const fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Takes one signature from what the uid may still have. Whether there was one.
    pub(super) fn take(&mut self, uid: u32, now: SystemTime) -> bool {
        if self.spent.len() >= Self::SWEEP_AT {
            let per_second = f64::from(self.per_second);
            self.spent
                .retain(|_, (spent, at)| remaining(*spent, *at, now, per_second) > 0.0);
        }
        let (spent, at) = self.spent.entry(uid).or_insert((0.0, now));
        *spent = remaining(*spent, *at, now, f64::from(self.per_second));
        *at = now;
        if *spent + 1.0 > f64::from(self.burst) {
            return false;
        }
        *spent += 1.0;
        true
    }
}

/// What of `spent` at `at` is not won back by `now`. A clock that went back wins nothing back.
fn remaining(spent: f64, at: SystemTime, now: SystemTime, per_second: f64) -> f64 {
    let elapsed = now.duration_since(at).unwrap_or_default().as_secs_f64();
    (spent - elapsed * per_second).max(0.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_uid_spends_its_burst_and_wins_it_back_by_the_second() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut allowance = Allowance::new(2, 4);
        let took = |allowance: &mut Allowance, uid, at| {
            (0..10)
                .filter(|_| allowance.take(uid, start + Duration::from_millis(at)))
                .count()
        };
        assert_eq!(took(&mut allowance, 1000, 0), 4);
        assert_eq!(took(&mut allowance, 1001, 0), 4, "another uid has its own");
        assert_eq!(took(&mut allowance, 1000, 400), 0);
        assert_eq!(took(&mut allowance, 1000, 1000), 2);
        assert_eq!(took(&mut allowance, 1000, 500), 0, "the clock went back");
        assert_eq!(
            took(&mut allowance, 1000, 600_000),
            4,
            "never more than the burst"
        );
    }

    #[test]
    fn uids_that_won_everything_back_are_forgotten() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut allowance = Allowance::new(1, 1);
        for uid in 0..10_000 {
            assert!(allowance.take(uid, start + Duration::from_secs(u64::from(uid))));
        }
        assert!(allowance.spent.len() <= Allowance::SWEEP_AT);
    }
}
