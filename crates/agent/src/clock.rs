//! The wall clock, as a value: the drivers of this crate read it here and nowhere else.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The longest sleep while something is due.
const CLOCK_WATCH: Duration = Duration::from_secs(15);

/// Tells what time it is.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the agent drives; everything below takes time as an argument"
    )]
    pub fn system() -> Self {
        Self(Arc::new(SystemTime::now))
    }

    /// A clock of the caller's, such as one that a test moves.
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Sleeps until `due` by the wall clock, but never longer than [`CLOCK_WATCH`], so that a clock that jumps is noticed;
    /// for ever when nothing is due. Whoever wakes looks at the time again.
    pub(crate) async fn sleep_until(&self, due: Option<SystemTime>) {
        let Some(due) = due else {
            return std::future::pending().await;
        };
        let wait = due.duration_since(self.now()).unwrap_or_default();
        tokio::time::sleep(wait.min(CLOCK_WATCH)).await;
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
