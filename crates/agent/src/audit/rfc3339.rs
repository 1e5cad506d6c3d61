//! Moments as RFC 3339 in UTC, as audit records write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
/// 9999-12-31T23:59:59.999Z, the last moment that RFC 3339 can write.
const LAST: Duration = Duration::from_millis(253_402_300_799_999);

/// Appends `time` with milliseconds: `2026-08-01T12:00:00.250Z`. What lies outside 1970 to 9999 becomes the nearest end.
pub(super) fn write_millis(out: &mut Vec<u8>, time: SystemTime) {
    let since = since_epoch(time);
    write_seconds_part(out, since.as_secs());
    out.push(b'.');
    digits::<3>(out, u64::from(since.subsec_millis()));
    out.push(b'Z');
}

/// Appends `time` in whole seconds, rounded down: `2026-08-01T12:00:00Z`.
pub(super) fn write_seconds(out: &mut Vec<u8>, time: SystemTime) {
    write_seconds_part(out, since_epoch(time).as_secs());
    out.push(b'Z');
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .min(LAST)
}

fn write_seconds_part(out: &mut Vec<u8>, seconds: u64) {
    let (year, month, day) = date(seconds / DAY);
    let second = seconds % DAY;
    digits::<4>(out, year);
    out.push(b'-');
    digits::<2>(out, month);
    out.push(b'-');
    digits::<2>(out, day);
    out.push(b'T');
    digits::<2>(out, second / 3600);
    out.push(b':');
    digits::<2>(out, second / 60 % 60);
    out.push(b':');
    digits::<2>(out, second % 60);
}

fn digits<const N: usize>(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&text);
}

/// Year, month and day of the day that many days after 1970-01-01, in the Gregorian calendar: counted in years that begin
/// in March, so that the leap day comes last, and in eras of 400 years, which all have the same length.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let days = days + 719_468; // From 0000-03-01.
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_calendar_has_them() {
        // By `date -u -d @… +%FT%T.%3NZ`.
        for (millis, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_001, "2000-03-01T00:00:00.001Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_767_225_599_000, "2025-12-31T23:59:59.000Z"),
            (1_785_585_600_250, "2026-08-01T12:00:00.250Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        ] {
            let mut out = Vec::new();
            write_millis(&mut out, UNIX_EPOCH + Duration::from_millis(millis));
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
        let mut out = Vec::new();
        write_seconds(
            &mut out,
            UNIX_EPOCH + Duration::from_millis(1_785_585_600_999),
        );
        write_millis(&mut out, UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "2026-08-01T12:00:00Z1970-01-01T00:00:00.000Z"
        );
    }
}
