//! From when to when: lifetimes count from the moment of issue, and end in a whole second.

use std::time::{Duration, SystemTime};

use pki_types::UnixTime;

use crate::MintError;

/// The moment of issue.
#[derive(Clone, Copy)]
pub(crate) struct Issue {
    now: Duration,
}

impl Issue {
    pub(crate) fn at(now: SystemTime) -> Result<Self, MintError> {
        now.duration_since(SystemTime::UNIX_EPOCH)
            .map(|now| Self { now })
            .map_err(|_| MintError::TimeOutOfRange)
    }

    /// The second in which it lies, or `before` that.
    pub(crate) fn second(self, before: Duration) -> UnixTime {
        UnixTime::since_unix_epoch(self.now.saturating_sub(before))
    }

    /// The end of `lifetime`, rounded up to a second, or `limit`, whichever comes first.
    pub(crate) fn end(self, lifetime: Duration, limit: UnixTime) -> Result<UnixTime, MintError> {
        self.check(lifetime, limit)?;
        let end = rounded_up(self.now.saturating_add(lifetime));
        Ok(UnixTime::since_unix_epoch(end).min(limit))
    }

    /// The end of a token that names the [second](Self::second) of its issue and is to live for `lifetime`, rounded up to a
    /// second, from there: a fraction of a second less than from the moment of issue. Where that would leave less than half
    /// of `lifetime`, as it can of a single second, it is a second more. Or `limit`, whichever comes first.
    pub(crate) fn end_from_second(
        self,
        lifetime: Duration,
        limit: UnixTime,
    ) -> Result<UnixTime, MintError> {
        self.check(lifetime, limit)?;
        let second = Duration::from_secs(self.now.as_secs());
        let mut end = second.saturating_add(rounded_up(lifetime));
        if end.saturating_sub(self.now) < lifetime / 2 {
            end = end.saturating_add(Duration::from_secs(1));
        }
        Ok(UnixTime::since_unix_epoch(end).min(limit))
    }

    fn check(self, lifetime: Duration, limit: UnixTime) -> Result<(), MintError> {
        if lifetime.is_zero() {
            return Err(MintError::NoLifetime);
        }
        if limit.as_secs() <= self.now.as_secs() {
            return Err(MintError::Expired { not_after: limit });
        }
        Ok(())
    }
}

fn rounded_up(time: Duration) -> Duration {
    let more = u64::from(time.subsec_nanos() > 0);
    Duration::from_secs(time.as_secs().saturating_add(more))
}

/// The last second that a certificate can name: 9999-12-31T23:59:59Z. Spec: RFC 5280 §4.1.2.5.
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// Year, month, day, hour, minute and second in UTC.
pub(crate) fn civil(time: UnixTime) -> [u64; 6] {
    let seconds = time.as_secs();
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 0000-03-01, so that the leap day is the last of its year and a month's first day follows
    // from its number alone; 400 years have always 146,097 days.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + carry;
    [
        year,
        month,
        day,
        second / 3600,
        second / 60 % 60,
        second % 60,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn seconds_fall_on_the_days_of_the_calendar() {
        for (seconds, want) in [
            (0, [1970, 1, 1, 0, 0, 0]),
            (951_782_399, [2000, 2, 28, 23, 59, 59]),
            (951_782_400, [2000, 2, 29, 0, 0, 0]),
            (951_868_800, [2000, 3, 1, 0, 0, 0]),
            (1_709_164_800, [2024, 2, 29, 0, 0, 0]),
            (1_735_689_599, [2024, 12, 31, 23, 59, 59]),
            (2_524_607_999, [2049, 12, 31, 23, 59, 59]),
            (2_524_608_000, [2050, 1, 1, 0, 0, 0]),
            (4_107_542_400, [2100, 3, 1, 0, 0, 0]),
            (LAST_SECOND, [9999, 12, 31, 23, 59, 59]),
        ] {
            assert_eq!(civil(unix(seconds)), want, "{seconds}");
        }
    }

    #[test]
    fn every_day_of_a_long_time_agrees_with_another_calendar() {
        for day in 0..150_000 {
            let [year, month, date, ..] = civil(unix(day * 86_400));
            let other = der::DateTime::new(year as u16, month as u8, date as u8, 0, 0, 0).unwrap();
            assert_eq!(other.unix_duration().as_secs(), day * 86_400);
        }
    }

    #[test]
    fn tokens_live_for_whole_seconds_from_their_second_and_at_least_half_of_what_was_asked() {
        for (now, lifetime, want) in [
            (1_000, 300_000, 301),
            (1_001, 300_000, 301),
            (1_999, 300_000, 301),
            (1_999, 299_001, 301),
            (1_999, 2_000, 3),
            (1_000, 1_000, 2),
            (1_500, 1_000, 2),
            (1_501, 1_000, 3),
            (1_999, 1_000, 3),
            (1_999, 1, 2),
        ] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now);
            let issue = Issue::at(now).unwrap();
            let end = issue.end_from_second(Duration::from_millis(lifetime), unix(1000));
            assert_eq!(end, Ok(unix(want)), "{now:?} {lifetime}");
        }
    }

    #[test]
    fn lifetimes_round_up_and_stop_at_the_limit() {
        let millis = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        for (now, lifetime, limit, want) in [
            (1_000, 1_000, 100, Ok(2)),
            (1_001, 1_000, 100, Ok(3)),
            (1_000, 1, 100, Ok(2)),
            (1_999, 1_000, 100, Ok(3)),
            (1_000, 1_000_000, 100, Ok(100)),
            (1_000, 0, 100, Err(MintError::NoLifetime)),
            (
                100_000,
                1_000,
                100,
                Err(MintError::Expired {
                    not_after: unix(100),
                }),
            ),
            (99_999, 1_000, 100, Ok(100)),
        ] {
            let issue = Issue::at(millis(now)).unwrap();
            assert_eq!(
                issue.end(Duration::from_millis(lifetime), unix(limit)),
                want.map(unix),
                "{now} {lifetime} {limit}"
            );
        }
        let issue = Issue::at(millis(1)).unwrap();
        assert_eq!(issue.end(Duration::MAX, unix(9)), Ok(unix(9)));
        assert_eq!(issue.end_from_second(Duration::MAX, unix(9)), Ok(unix(9)));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(matches!(Issue::at(before), Err(MintError::TimeOutOfRange)));
    }
}
