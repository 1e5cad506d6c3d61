//! Time that stands still until a test adds to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use pki_types::UnixTime;

/// A clock that shows 2025-01-01T00:00:00Z until it is advanced. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    nanos: Arc<AtomicU64>,
}

impl Clock {
    /// What a new clock shows, in seconds since 1970.
    pub const START: u64 = 1_735_689_600;

    /// A clock that shows [`START`](Self::START).
    pub fn new() -> Self {
        Self {
            nanos: Arc::new(AtomicU64::new(Self::START * 1_000_000_000)),
        }
    }

    /// The time since 1970.
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    /// The time it shows.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.elapsed()
    }

    /// The same in whole seconds.
    pub fn unix_time(&self) -> UnixTime {
        UnixTime::since_unix_epoch(self.elapsed())
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).expect("tests end before the year 2554");
        self.nanos.fetch_add(nanos, Ordering::SeqCst);
    }

    /// Sets it, backwards too: clocks do that.
    pub fn set(&self, to: SystemTime) {
        let elapsed = to
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("tests begin after 1970");
        let nanos = u64::try_from(elapsed.as_nanos()).expect("tests end before the year 2554");
        self.nanos.store(nanos, Ordering::SeqCst);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
