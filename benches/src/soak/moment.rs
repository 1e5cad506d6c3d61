//! Time that processes can compare.

use std::ops::Add;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment of the monotonic clock, the same in all processes of the machine. In nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        Self(time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned())
    }

    /// How long after `earlier`; nothing when it was before.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long it is until then.
    pub(crate) fn ahead(self) -> Duration {
        self.since(Self::now())
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + u64::try_from(time.as_nanos()).expect("some minutes fit"))
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Moment {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What certificates and tokens are judged by.
pub(crate) fn unix_now() -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "the soak judges by the clock that is"
    )]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// The same, in the seconds that they count in.
pub(crate) fn seconds() -> UnixTime {
    UnixTime::since_unix_epoch(unix_now())
}
