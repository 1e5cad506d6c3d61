//! The forms that single values have: durations, modes, sizes, owners, addresses.

use std::{net::SocketAddr, time::Duration, time::SystemTime};

use toml::value::Datetime;

/// Why a value is not taken, and what to write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wrong {
    pub(crate) what: String,
    pub(crate) instead: String,
}

impl Wrong {
    pub(crate) fn new(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            instead: instead.into(),
        }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.what, self.instead)
    }
}

/// Seconds in the units that people write.
const UNITS: [(&str, u64); 5] = [("ms", 0), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

/// A duration such as `90s`, `10m`, `1h30m` or `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, Wrong> {
    parse_duration(text).ok_or_else(|| {
        let example = match text.trim().parse::<u64>() {
            Ok(seconds) => format!("write a number with its unit, such as \"{seconds}s\""),
            Err(_) => "write a number with its unit: \"90s\", \"10m\", \"1h\", \"7d\"".to_owned(),
        };
        Wrong::new(format!("{text:?} is not a duration"), example)
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (_, seconds) = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        rest = &rest[letters..];
        let part = match seconds {
            0 => Duration::from_millis(number),
            seconds => Duration::from_secs(number.checked_mul(*seconds)?),
        };
        total = total.checked_add(part)?;
    }
    (!text.is_empty()).then_some(total)
}

/// A duration as it is written in the file, in the largest unit that divides it.
pub(crate) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let seconds = duration.as_secs();
    if !millis.is_multiple_of(1000) {
        return format!("{millis}ms");
    }
    let unit = UNITS
        .iter()
        .rev()
        .find(|(_, length)| *length > 0 && seconds > 0 && seconds.is_multiple_of(*length));
    match unit {
        // A day is how long a key lives, and people say 24h.
        Some((unit, length)) if *unit != "d" || seconds > 86_400 => {
            format!("{}{unit}", seconds / length)
        }
        Some(_) => format!("{}h", seconds / 3600),
        None => format!("{seconds}s"),
    }
}

/// A lifetime: a duration of at least a second.
pub(crate) fn lifetime(text: &str) -> Result<Duration, Wrong> {
    match duration(text)? {
        short if short < Duration::from_secs(1) => Err(Wrong::new(
            format!("{text:?} is shorter than the shortest lifetime"),
            "write \"1s\" or more",
        )),
        long if long > MAX_LIFETIME => Err(Wrong::new(
            format!("{text:?} is longer than the longest lifetime"),
            "write \"3650d\" or less",
        )),
        duration => Ok(duration),
    }
}

/// Ten years: far more than anybody needs, and far from what a certificate's dates cannot say.
const MAX_LIFETIME: Duration = Duration::from_secs(3650 * 86_400);

/// A file mode in octal, such as `0666`.
pub(crate) fn mode(text: &str) -> Result<u32, Wrong> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o777 && !digits.starts_with('+') => Ok(mode),
        _ => Err(Wrong::new(
            format!("{text:?} is not the mode of a file"),
            "write three octal digits after a zero, such as \"0660\"",
        )),
    }
}

/// A size in bytes: `67108864`, `64KiB`, `64MiB`, `1GiB`.
pub(crate) fn size(text: &str) -> Result<u64, Wrong> {
    let (digits, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let shift = match unit.trim_start() {
        "" | "B" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        _ => None,
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .zip(shift)
        .and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| {
        Wrong::new(
            format!("{text:?} is not a size"),
            "write bytes, or a number with KiB, MiB or GiB: \"64MiB\"",
        )
    })
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, Wrong> {
    text.parse().map_err(|_| {
        Wrong::new(
            format!("{text:?} is neither true nor false"),
            "write true or false",
        )
    })
}

/// A number of things, at least one.
pub(crate) fn count(text: &str) -> Result<usize, Wrong> {
    match text.replace('_', "").parse() {
        Ok(0) => Err(Wrong::new("0 would let nobody in", "write 1 or more")),
        Ok(number) => Ok(number),
        Err(_) => Err(Wrong::new(
            format!("{text:?} is not a number of things"),
            "write a whole number, 1 or more",
        )),
    }
}

/// An address to listen on, of this machine alone.
pub(crate) fn loopback(text: &str) -> Result<SocketAddr, Wrong> {
    let address: SocketAddr = text.parse().map_err(|_| {
        let with_port = match text.parse::<u16>() {
            Ok(port) => format!("write \"127.0.0.1:{port}\""),
            Err(_) => "write an IP address and a port, such as \"127.0.0.1:9090\"".to_owned(),
        };
        Wrong::new(
            format!("{text:?} is not an address to listen on"),
            with_port,
        )
    })?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(Wrong::new(
        format!(
            "{address} can be reached from other machines, and what is served there asks nobody who he is"
        ),
        format!(
            "write \"127.0.0.1:{}\", and put a proxy that authenticates in front of it",
            address.port()
        ),
    ))
}

/// One of a few names.
pub(crate) fn choice<T: Copy>(text: &str, names: &[(&str, T)]) -> Result<T, Wrong> {
    if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let known: Vec<_> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
    let instead = match nearest(text, names.iter().map(|(name, _)| *name)) {
        Some(name) => format!("write {name:?} (known are {})", known.join(", ")),
        None => format!("write one of {}", known.join(", ")),
    };
    Err(Wrong::new(format!("{text:?} is not known here"), instead))
}

/// A moment: RFC 3339, or seconds since 1970. Fractions of a second are cut.
pub(crate) fn moment(text: &str) -> Result<SystemTime, Wrong> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let since_1970 = match is_number {
        true => text.parse().ok(),
        false => text.parse().ok().as_ref().and_then(seconds),
    };
    since_1970.and_then(at_unix_seconds).ok_or_else(|| {
        Wrong::new(
            format!("{text:?} is not a moment"),
            "write a date with a time and an offset, such as 2030-01-31T12:00:00Z",
        )
    })
}

/// Seconds since 1970, negative before. `None` when the time of day, its seconds or the offset are missing: whose noon would it be?
fn seconds(datetime: &Datetime) -> Option<i64> {
    let (date, time) = (datetime.date?, datetime.time?);
    let offset = match datetime.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes) * 60,
    };
    let days =
        crate::calendar::days_since_1970(date.year.into(), date.month.into(), date.day.into());
    let of_day =
        i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second?);
    Some(days * 86_400 + of_day - offset)
}

fn at_unix_seconds(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(distance),
        _ => SystemTime::UNIX_EPOCH.checked_sub(distance),
    }
}

/// The name that `text` was probably meant to be.
pub(crate) fn nearest<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let text = text.to_ascii_lowercase().replace('-', "_");
    let likeness = |name: &str| {
        let apart = strsim::normalized_damerau_levenshtein(&text, name);
        let part =
            name.len() > 2 && (text.contains(name) || (text.len() > 2 && name.contains(&text)));
        if part { apart.max(0.7) } else { apart }
    };
    let scored = names.into_iter().map(|name| (likeness(name), name));
    let best = scored
        .filter(|(score, _)| *score >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::unix_seconds;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, millis) in [
            ("1s", 1000),
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("250ms", 250),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "10",
            "m",
            "10 m",
            "-1s",
            "1.5h",
            "10min",
            "1h 30m",
            "99999999999999999999s",
            "s1",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(
            duration("3600").unwrap_err().instead,
            "write a number with its unit, such as \"3600s\""
        );
    }

    #[test]
    fn a_duration_is_shown_as_it_would_be_written() {
        for text in ["1s", "90s", "10m", "90m", "1h", "24h", "7d", "250ms", "0s"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn lifetimes_have_bounds() {
        assert!(lifetime("1s").is_ok());
        assert_eq!(
            lifetime("999ms").unwrap_err().instead,
            "write \"1s\" or more"
        );
        assert_eq!(
            lifetime("3651d").unwrap_err().instead,
            "write \"3650d\" or less"
        );
    }

    #[test]
    fn modes_are_octal() {
        for (text, want) in [
            ("0666", 0o666),
            ("0600", 0o600),
            ("660", 0o660),
            ("0o640", 0o640),
        ] {
            assert_eq!(mode(text), Ok(want), "{text}");
        }
        for text in ["", "0999", "rw-rw-rw-", "07777", "-1", "+7"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        for (text, want) in [
            ("0", 0),
            ("512", 512),
            ("64KiB", 65_536),
            ("64 MiB", 64 << 20),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(size(text), Ok(want), "{text}");
        }
        for text in ["", "64MB", "64m", "-1", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_listened_to() {
        for text in ["127.0.0.1:9090", "[::1]:9090", "127.8.8.8:1"] {
            assert!(loopback(text).is_ok(), "{text}");
        }
        assert_eq!(
            loopback("9090").unwrap_err().instead,
            "write \"127.0.0.1:9090\""
        );
        for text in [
            "0.0.0.0:9090",
            "192.0.2.1:9090",
            "[::]:9090",
            "localhost:9090",
        ] {
            assert!(loopback(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_need_an_offset() {
        for (text, want) in [
            ("0", 0),
            ("1893456000", 1_893_456_000),
            ("2030-01-01T00:00:00Z", 1_893_456_000),
            ("2030-01-01t00:00:00.999z", 1_893_456_000),
            ("2030-01-01 02:30:00+02:30", 1_893_456_000),
            ("1970-01-01T00:59:59+01:00", -1),
        ] {
            assert_eq!(moment(text).map(unix_seconds), Ok(want), "{text}");
        }
        for text in [
            "2030-01-01",
            "2030-01-01T00:00:00",
            "2030-01-01T00:00Z",
            "2030-13-01T00:00:00Z",
            "2030-02-30T00:00:00Z",
            "2030-01-01T24:00:00Z",
            "00:00:00",
            "+1893456000",
            "-1",
            "99999999999999999999",
            "soon",
            "",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_slip_is_told_from_another_word() {
        let names = ["selectors", "spiffe_id", "hint", "x509_svid_ttl"];
        for (text, want) in [
            ("selector", Some("selectors")),
            ("spiffeid", Some("spiffe_id")),
            ("spiffe-id", Some("spiffe_id")),
            ("HINT", Some("hint")),
            ("ttl", Some("x509_svid_ttl")),
            ("colour", None),
        ] {
            assert_eq!(nearest(text, names), want, "{text}");
        }
    }
}
