//! Times of validity: UTCTime and GeneralizedTime as RFC 5280 §4.1.2.5 narrows them, to the second and in UTC.

use std::time::Duration;

use pki_types::UnixTime;

use super::CertificateError;
use super::der::{self, Reader};

/// Reads the next element as a time.
///
/// Times before 1970 become its first second: no clock of ours shows either. RFC 5280 has issuers write UTCTime through
/// 2049; a GeneralizedTime before that is read all the same, since it cannot mean anything else. Spec: RFC 5280 §4.1.2.5
/// (X509-43).
pub(super) fn read(reader: &mut Reader<'_>) -> Result<UnixTime, CertificateError> {
    let element = reader.next()?;
    let text = reader.bytes(element.content);
    let seconds = match (element.tag, text) {
        (der::UTC_TIME, [y1, y2, rest @ ..]) => {
            let year = two_digits(*y1, *y2)?;
            seconds(if year < 50 { 2000 + year } else { 1900 + year }, rest)?
        }
        (der::GENERALIZED_TIME, [y1, y2, y3, y4, rest @ ..]) => {
            seconds(two_digits(*y1, *y2)? * 100 + two_digits(*y3, *y4)?, rest)?
        }
        _ => return Err(CertificateError::Time),
    };
    Ok(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// The seconds from 1970 to a time of which all but the year is still text: `MMDDHHMMSSZ`.
fn seconds(year: u64, text: &[u8]) -> Result<u64, CertificateError> {
    let &[mo1, mo2, d1, d2, h1, h2, mi1, mi2, s1, s2, b'Z'] = text else {
        return Err(CertificateError::Time);
    };
    let month = two_digits(mo1, mo2)?;
    let day = two_digits(d1, d2)?;
    let hour = two_digits(h1, h2)?;
    let minute = two_digits(mi1, mi2)?;
    let second = two_digits(s1, s2)?;
    let in_range = (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return Err(CertificateError::Time);
    }
    if year < 1970 {
        return Ok(0);
    }
    Ok(((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn two_digits(tens: u8, ones: u8) -> Result<u64, CertificateError> {
    if tens.is_ascii_digit() && ones.is_ascii_digit() {
        Ok(u64::from(tens - b'0') * 10 + u64::from(ones - b'0'))
    } else {
        Err(CertificateError::Time)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    const DAYS_BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    // Leap days of all years before `year`; 477 of them lie before 1970.
    let past = year - 1;
    let leap_days = past / 4 - past / 100 + past / 400 - 477;
    let leap_day = u64::from(month > 2 && is_leap(year));
    let before_month = DAYS_BEFORE_MONTH[(month - 1) as usize];
    (year - 1970) * 365 + leap_days + before_month + leap_day + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(tag: u8, text: &str) -> Result<u64, CertificateError> {
        let der = [&[tag, text.len() as u8], text.as_bytes()].concat();
        read(&mut Reader::new(&der)?).map(|time| time.as_secs())
    }

    #[test]
    fn reads_both_kinds_of_time() {
        // Seconds are those of `date -u -d … +%s`.
        for (tag, text, want) in [
            (der::UTC_TIME, "700101000000Z", 0),
            (der::UTC_TIME, "000229120000Z", 951_825_600),
            (der::UTC_TIME, "491231235959Z", 2_524_607_999), // X509-43 +: 2049 in UTCTime
            (der::UTC_TIME, "500101000000Z", 0),             // 1950
            (der::GENERALIZED_TIME, "20500101000000Z", 2_524_608_000), // X509-43 +: 2050
            (der::GENERALIZED_TIME, "20240301000000Z", 1_709_251_200),
            (der::GENERALIZED_TIME, "21000301000000Z", 4_107_542_400),
            (der::GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
            (der::GENERALIZED_TIME, "00010101000000Z", 0),
        ] {
            assert_eq!(parse(tag, text), Ok(want), "{text}");
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
            (der::UTC_TIME, "241301000000Z"),
            (der::UTC_TIME, "240001000000Z"),
            (der::UTC_TIME, "240100000000Z"),
            (der::UTC_TIME, "240101240000Z"),
            (der::UTC_TIME, "240101006000Z"),
            (der::UTC_TIME, "240101000060Z"),
            (der::UTC_TIME, "2401 1000000Z"),
            (der::UTC_TIME, ""),
            (der::OCTET_STRING, "240101000000Z"),
        ] {
            assert_eq!(parse(tag, text), Err(CertificateError::Time), "{text}");
        }
    }
}
