//! The chain of records: each line names the hash of the one before and its own.
//!
//! A line is one JSON object. It begins with `seq`, `time` and `kind` and ends with `prev` and `hash`; `hash` is the SHA-256
//! of the line's bytes before `,"hash":`, in lower hex, so `sha256sum` can check it:
//!
//! ```text
//! {"seq":7,"time":"2026-08-01T12:00:00.250Z","kind":"x509_svid",…,"prev":"<hash of line 6>","hash":"<hash of this line>"}
//! ```

use std::{fmt, time::SystemTime};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::rfc3339;

const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b",\"hash\":\"";
const END: &[u8] = b"\"}";
/// Where the last member begins, counted from the end of a line without its newline.
const HASH_AT: usize = HASH.len() + LinkHash::LEN + END.len();
/// Where `prev` begins, counted the same way.
const PREV_AT: usize = PREV.len() + LinkHash::LEN + 1 + HASH_AT;

/// The SHA-256 of a line, in lower hex: what the next line carries as `prev`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct LinkHash([u8; Self::LEN]);

impl LinkHash {
    const LEN: usize = 64;
    /// What the first record of all carries as `prev`.
    pub const NONE: Self = Self([b'0'; Self::LEN]);

    /// The hash as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it is made of hex digits only")
    }

    /// Reads 64 lower hex digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; Self::LEN] = text.try_into().ok()?;
        digits
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            .then_some(Self(digits))
    }

    fn of(bytes: &[u8]) -> Self {
        let mut text = [0; Self::LEN];
        let digest = Sha256::digest(bytes);
        for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
            pair.copy_from_slice(&hex_pair(byte));
        }
        Self(text)
    }
}

impl fmt::Debug for LinkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for LinkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two lower hex digits of a byte.
pub(super) fn hex_pair(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]
}

/// The end of a chain: the number and the hash of its last record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// Number of the last record. The first is 1; 0 means that there is none yet.
    pub seq: u64,
    /// Hash of the last record.
    pub hash: LinkHash,
}

impl Head {
    /// Before the first record.
    pub const START: Self = Self {
        seq: 0,
        hash: LinkHash::NONE,
    };

    /// What is signed for a head: everything up to and with this record.
    pub fn signed_message(&self) -> Vec<u8> {
        format!("plastron audit head v1\n{}\n{}\n", self.seq, self.hash).into_bytes()
    }

    /// Appends a record to `out` as a line, and moves on to it. `body` is rendered JSON members, in pieces that are joined
    /// by commas.
    pub(super) fn append(
        &mut self,
        out: &mut Vec<u8>,
        time: SystemTime,
        kind: &str,
        body: &[&str],
    ) {
        let start = out.len();
        out.extend_from_slice(b"{\"seq\":");
        self.seq += 1;
        write_number(out, self.seq);
        out.extend_from_slice(b",\"time\":\"");
        rfc3339::write_millis(out, time);
        out.extend_from_slice(b"\",\"kind\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        for piece in body {
            out.push(b',');
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(PREV);
        out.extend_from_slice(&self.hash.0);
        out.push(b'"');
        self.hash = LinkHash::of(&out[start..]);
        out.extend_from_slice(HASH);
        out.extend_from_slice(&self.hash.0);
        out.extend_from_slice(END);
        out.push(b'\n');
    }
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// A complete line as it was found; its hash may be wrong.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) fields: Fields,
    pub(super) prev: LinkHash,
    /// The hash that the line states.
    pub(super) hash: LinkHash,
    /// Whether that is its hash.
    pub(super) intact: bool,
}

/// What the chain itself has to know of a record.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Fields {
    pub(super) seq: u64,
    pub(super) time: String,
    pub(super) kind: String,
    /// Bytes of a torn line before this record.
    #[serde(default)]
    pub(super) torn: u64,
    /// How many records were lost.
    #[serde(default)]
    pub(super) count: u64,
    /// The audit key: its identifier, and the SubjectPublicKeyInfo in base64.
    pub(super) key: Option<String>,
    pub(super) public_key: Option<String>,
    /// In base64, over [`Head::signed_message`] of the record before.
    pub(super) signature: Option<String>,
    // Named so that a second one makes the line malformed.
    #[serde(rename = "prev")]
    _prev: serde::de::IgnoredAny,
    #[serde(rename = "hash")]
    _hash: serde::de::IgnoredAny,
}

impl Line {
    /// Reads a line without its newline. `None` when it is not a complete record: torn, or none of ours.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let covered = line.len().checked_sub(HASH_AT)?;
        let prev_at = line.len().checked_sub(PREV_AT)?;
        let prev = line[prev_at..covered]
            .strip_prefix(PREV)?
            .strip_suffix(b"\"")?;
        let hash = line[covered..].strip_prefix(HASH)?.strip_suffix(END)?;
        let (prev, hash) = (LinkHash::parse(prev)?, LinkHash::parse(hash)?);
        let fields = serde_json::from_slice(line).ok()?;
        Some(Self {
            fields,
            prev,
            hash,
            intact: LinkHash::of(&line[..covered]) == hash,
        })
    }

    pub(super) fn head(&self) -> Head {
        Head {
            seq: self.fields.seq,
            hash: self.hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn two_lines() -> (Vec<u8>, Head) {
        let mut head = Head::START;
        let mut out = Vec::new();
        head.append(&mut out, UNIX_EPOCH, "start", &[]);
        head.append(
            &mut out,
            UNIX_EPOCH + Duration::from_secs(1),
            "x509_svid",
            &["\"pid\":7", "\"path\":\"/bin/a\""],
        );
        (out, head)
    }

    #[test]
    fn a_record_is_one_json_line_that_states_the_hash_of_its_own_bytes() {
        let (out, head) = two_lines();
        let lines: Vec<&[u8]> = out
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\n").unwrap())
            .collect();
        let (covered, hash) = {
            let text = std::str::from_utf8(lines[1]).unwrap();
            text.rsplit_once(",\"hash\":\"").unwrap()
        };
        // As sha2 has it of the bytes that a reader sees.
        let digest: String = Sha256::digest(covered)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hash, format!("{digest}\"}}"));

        let value: serde_json::Value = serde_json::from_slice(lines[1]).unwrap();
        assert_eq!(value["seq"], 2);
        assert_eq!(value["time"], "1970-01-01T00:00:01.000Z");
        assert_eq!(value["path"], "/bin/a");
        assert_eq!(value["hash"], head.hash.as_str());
        let first = Line::parse(lines[0]).unwrap();
        assert_eq!(first.prev, LinkHash::NONE);
        assert_eq!(value["prev"], first.hash.as_str());
        assert_eq!(Line::parse(lines[1]).unwrap().head(), head);
    }

    #[test]
    fn a_changed_byte_is_seen_wherever_it_is() {
        let (out, _) = two_lines();
        let line = out.split(|byte| *byte == b'\n').nth(1).unwrap();
        assert!(Line::parse(line).unwrap().intact);
        for at in 0..line.len() {
            let mut changed = line.to_vec();
            changed[at] ^= 1;
            assert!(
                Line::parse(&changed).is_none_or(|line| !line.intact),
                "byte {at}"
            );
        }
        for end in 0..line.len() {
            assert!(Line::parse(&line[..end]).is_none(), "cut at {end}");
        }
    }

    #[test]
    fn lines_of_another_shape_are_no_records() {
        let (out, _) = two_lines();
        let line = std::str::from_utf8(out.split(|byte| *byte == b'\n').nth(1).unwrap()).unwrap();
        for (what, other) in [
            ("a second prev", line.replace("\"pid\":7", "\"prev\":7")),
            ("a second seq", line.replace("\"pid\":7", "\"seq\":7")),
            ("no seq", line.replace("\"seq\"", "\"nr\"")),
            ("a negative seq", line.replace("\"seq\":2", "\"seq\":-2")),
            ("upper hex", line.to_uppercase()),
            ("a space at the end", format!("{line} ")),
            ("nothing", String::new()),
        ] {
            assert!(Line::parse(other.as_bytes()).is_none(), "{what}");
        }
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
