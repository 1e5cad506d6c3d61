//! Paths are looked at many bytes at a time; here are all bytes at all places of paths of all lengths that make a difference.

use plastron_id::{SpiffeIdError, SpiffeIdRef};

/// The rules on a path, one after the other.
fn is_path(path: &[u8]) -> bool {
    path.is_empty()
        || path[0] == b'/'
            && path[1..].split(|byte| *byte == b'/').all(|segment| {
                let is_dots = segment == b"." || segment == b"..";
                let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
                !segment.is_empty() && !is_dots && segment.iter().all(is_allowed)
            })
}

fn parses(path: &[u8]) -> bool {
    SpiffeIdRef::parse_bytes(&[b"spiffe://td", path].concat()).is_ok()
}

/// A path of this length with a segment of eleven bytes, and one of one.
fn path(len: usize) -> Vec<u8> {
    let mut path: Vec<u8> = b"/Segment_1-9/s"
        .iter()
        .copied()
        .cycle()
        .take(len)
        .collect();
    if len > 1 && path.ends_with(b"/") {
        path[len - 1] = b'x';
    }
    path
}

#[test]
fn every_byte_counts_at_every_place() {
    for len in (1..36).chain([48, 49, 50, 65, 255]) {
        let right = path(len);
        assert_eq!(parses(&right), len > 1, "{len}");
        for at in (0..len).filter(|at| len < 66 || at % 16 < 2 || at + 18 > len) {
            for byte in 0..=255 {
                let mut changed = right.clone();
                changed[at] = byte;
                if at == 0 && byte != b'/' {
                    // It becomes a part of the name.
                    continue;
                }
                assert_eq!(parses(&changed), is_path(&changed), "{len} {at} {byte}");
            }
        }
    }
}

#[test]
fn dots_and_slashes_count_at_every_place() {
    for len in 4..72 {
        for at in 1..len - 2 {
            for pair in [b"//", b"/.", b"./", b"..", b"._"] {
                let mut changed = path(len);
                changed[at..at + 2].copy_from_slice(pair);
                assert_eq!(parses(&changed), is_path(&changed), "{len} {at} {pair:?}");
                changed[at + 2] = b'/';
                assert_eq!(parses(&changed), is_path(&changed), "{len} {at} {pair:?}/");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_told_wherever_it_stands() {
    for len in 20..72 {
        for at in 1..len {
            let mut changed = path(len);
            changed[at] = b'%';
            let id = [b"spiffe://td", &changed[..]].concat();
            let at = b"spiffe://td".len() + at;
            let told = SpiffeIdRef::parse_bytes(&id).map(|_| ());
            // ID-24 −
            assert_eq!(told, Err(SpiffeIdError::Character { at, byte: b'%' }));
        }
    }
}
