//! Times of validity: UTCTime and GeneralizedTime as RFC 5280 §4.1.2.5 narrows them, to the second and in UTC.

use super::der;

/// Reads a time, in seconds since 1970, of an element with this tag and content.
///
/// Times before 1970 become its first second: no clock of ours shows either. RFC 5280 has issuers write UTCTime through
/// 2049; a GeneralizedTime before that is read all the same, since it cannot mean anything else. Spec: RFC 5280 §4.1.2.5
/// (X509-43).
pub(super) fn read(tag: u8, text: &[u8]) -> Option<u64> {
    let (digits, is_utc_time) = match (tag, text) {
        (der::UTC_TIME, [digits @ .., b'Z']) => (padded::<12>(digits)?, true),
        (der::GENERALIZED_TIME, [digits @ .., b'Z']) => (padded::<14>(digits)?, false),
        _ => return None,
    };
    let [_, century, year, month, day, hour, minute, second] = pairs(digits)?;
    let century = match is_utc_time {
        false => century,
        true if year < 50 => 20,
        true => 19,
    };
    let year = century * 100 + year;
    let in_range = (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute;
    Some(u64::from(minutes) * 60 + u64::from(second))
}

/// So many digits, with zeros in front.
fn padded<const N: usize>(digits: &[u8]) -> Option<[u8; 16]> {
    let digits: &[u8; N] = digits.try_into().ok()?;
    let mut padded = [b'0'; 16];
    padded[16 - N..].copy_from_slice(digits);
    Some(padded)
}

/// The numbers that pairs of digits stand for, all computed at once.
fn pairs(digits: [u8; 16]) -> Option<[u32; 8]> {
    const HIGH_HALVES: u128 = u128::from_be_bytes([0xf0; 16]);
    const ZEROS: u128 = u128::from_be_bytes([b'0'; 16]);
    const SIXES: u128 = u128::from_be_bytes([6; 16]);
    const ONES: u128 = 0x000f_000f_000f_000f_000f_000f_000f_000f;

    // A digit is 0x30 to 0x39: the high half says so, and still says so when six are added.
    let digits = u128::from_be_bytes(digits);
    if digits & HIGH_HALVES != ZEROS || (digits + SIXES) & HIGH_HALVES != ZEROS {
        return None;
    }
    let pairs = ((digits >> 8) & ONES) * 10 + (digits & ONES);
    let pairs = pairs.to_be_bytes();
    Some(std::array::from_fn(|at| u32::from(pairs[2 * at + 1])))
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Of years up to 9999, whose minutes fit 32 bits.
fn days_since_1970(year: u32, month: u32, day: u32) -> u32 {
    const DAYS_BEFORE_MONTH: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    // Leap days of all years before `year`; 477 of them lie before 1970.
    let past = year - 1;
    let leap_days = past / 4 - past / 100 + past / 400 - 477;
    let leap_day = u32::from(month > 2 && is_leap(year));
    let before_month = DAYS_BEFORE_MONTH[(month - 1) as usize];
    (year - 1970) * 365 + leap_days + before_month + leap_day + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(tag: u8, text: &str) -> Option<u64> {
        read(tag, text.as_bytes())
    }

    #[test]
    fn reads_both_kinds_of_time() {
        // Seconds are those of `date -u -d … +%s`.
        for (tag, text, want) in [
            (der::UTC_TIME, "700101000000Z", 0),
            (der::UTC_TIME, "700102000001Z", 86_401),
            (der::UTC_TIME, "691231235959Z", 0), // 1969
            (der::UTC_TIME, "000229120000Z", 951_825_600),
            (der::UTC_TIME, "491231235959Z", 2_524_607_999), // X509-43 +: 2049 in UTCTime
            (der::UTC_TIME, "500101000000Z", 0),             // 1950
            (der::GENERALIZED_TIME, "20500101000000Z", 2_524_608_000), // X509-43 +: 2050
            (der::GENERALIZED_TIME, "20240301000000Z", 1_709_251_200),
            (der::GENERALIZED_TIME, "21000301000000Z", 4_107_542_400),
            (der::GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
            (der::GENERALIZED_TIME, "00010101000000Z", 0),
        ] {
            assert_eq!(parse(tag, text), Some(want), "{text}");
        }
    }

    #[test]
    fn refuses_fractions_offsets_and_days_that_are_not() {
        for (tag, text) in [
            (der::GENERALIZED_TIME, "20500101000000.5Z"), // X509-43 −: fraction
            (der::UTC_TIME, "240101000000+0100"),         // X509-43 −: offset
            (der::UTC_TIME, "240101000000"),              // X509-43 −: no Z
            (der::UTC_TIME, "2401010000Z"),               // X509-43 −: no seconds
            (der::UTC_TIME, "20240101000000Z"),
            (der::GENERALIZED_TIME, "240101000000Z"),
            (der::UTC_TIME, "230229000000Z"),
            (der::UTC_TIME, "240230000000Z"),
            (der::UTC_TIME, "240431000000Z"),
            (der::UTC_TIME, "240631000000Z"),
            (der::UTC_TIME, "240931000000Z"),
            (der::UTC_TIME, "241131000000Z"),
            (der::UTC_TIME, "240132000000Z"),
            (der::UTC_TIME, "241301000000Z"),
            (der::UTC_TIME, "240001000000Z"),
            (der::UTC_TIME, "240100000000Z"),
            (der::UTC_TIME, "240101240000Z"),
            (der::UTC_TIME, "240101006000Z"),
            (der::UTC_TIME, "240101000060Z"),
            (der::UTC_TIME, "2401 1000000Z"),
            (der::UTC_TIME, "24010100000:Z"),
            (der::UTC_TIME, "24010100000/Z"),
            (der::UTC_TIME, "2401010000p0Z"),
            (der::GENERALIZED_TIME, "\u{a0}240101000000Z"),
            (der::UTC_TIME, ""),
            (der::OCTET_STRING, "240101000000Z"),
        ] {
            assert_eq!(parse(tag, text), None, "{text}");
        }
    }
}
