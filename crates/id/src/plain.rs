//! A look at a whole SPIFFE ID, sixteen bytes at a time, that knows nearly all right ones.
//!
//! It is there for speed alone: what it does not know, [`syntax`](crate::syntax) decides byte by byte.

use crate::syntax::{
    IN_NAME, IN_SEGMENT, MAX_SPIFFE_ID_LEN, MAX_TRUST_DOMAIN_LEN, SCHEME, is_in, run_end,
};

/// Bytes that are looked at together: what a register of every machine holds.
const BLOCK: usize = 16;

/// Where the path of an ID starts that keeps all rules of SPIFFE-ID §2; none if that is not clear at once, as for short IDs and for
/// segments that begin with a dot.
pub(crate) fn path_at(uri: &[u8]) -> Option<u16> {
    if uri.len() > MAX_SPIFFE_ID_LEN || !uri.starts_with(SCHEME.as_bytes()) {
        return None;
    }
    let name_at = SCHEME.len();
    let path_at = name_end(uri, name_at);
    if !matches!(path_at - name_at, 1..=MAX_TRUST_DOMAIN_LEN) || !is_path(uri, path_at) {
        return None;
    }
    u16::try_from(path_at).ok()
}

/// The end of the bytes from `at` on that a trust domain name may hold.
fn name_end(uri: &[u8], mut at: usize) -> usize {
    while let Some(block) = uri[at..].first_chunk::<BLOCK>() {
        let outside = u128::from_le_bytes(outside_name(block));
        if outside != 0 {
            return at + outside.trailing_zeros() as usize / 8;
        }
        at += BLOCK;
    }
    run_end(uri, at, IN_NAME)
}

/// A byte of ones for each that no trust domain name may hold. Without branches, so that it becomes instructions over whole registers.
#[inline(always)]
fn outside_name(block: &[u8; BLOCK]) -> [u8; BLOCK] {
    let mut outside = [0; BLOCK];
    for (outside, &byte) in outside.iter_mut().zip(block) {
        let is_allowed =
            is_lower(byte) | (is_digit_or_mark(byte) & (byte != b'/')) | (byte == b'_');
        *outside = if is_allowed { 0 } else { 0xFF };
    }
    outside
}

/// Whether what starts at `path_at` is no path, or one that keeps all rules and has no segment that begins with a dot.
fn is_path(uri: &[u8], path_at: usize) -> bool {
    let path = &uri[path_at..];
    let Some((b'/', rest)) = path.split_first() else {
        return path.is_empty();
    };
    // The last block may begin in the name, whose bytes a path may hold, too.
    let (Some(last), Some(&end)) = (uri.last_chunk(), rest.last()) else {
        return false;
    };
    // Blocks overlap by a byte, and the last one with that before it.
    let mut rest = path;
    let mut is_plain = is_plain_block(last) && is_in(end, IN_SEGMENT);
    while let (true, Some(block)) = (is_plain && rest.len() > BLOCK + 1, rest.first_chunk()) {
        is_plain = is_plain_block(block);
        rest = &rest[BLOCK..];
    }
    is_plain
}

/// Whether all bytes but the last may be in a path, and no slash is followed by another or by a dot. Without branches, too.
#[inline(always)]
fn is_plain_block(block: &[u8; BLOCK + 1]) -> bool {
    let mut faults = 0;
    for at in 0..BLOCK {
        let (byte, next) = (block[at], block[at + 1]);
        let is_allowed = is_lower(byte | 0x20) | is_digit_or_mark(byte) | (byte == b'_');
        // `.` and `/` stand side by side.
        let is_odd = (byte == b'/') & (next.wrapping_sub(b'.') <= b'/' - b'.');
        faults |= u8::from(!is_allowed | is_odd);
    }
    faults == 0
}

#[inline(always)]
const fn is_lower(byte: u8) -> bool {
    byte.wrapping_sub(b'a') <= b'z' - b'a'
}

/// `-`, `.`, `/` and the digits, which stand side by side.
#[inline(always)]
const fn is_digit_or_mark(byte: u8) -> bool {
    byte.wrapping_sub(b'-') <= b'9' - b'-'
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::syntax::check_bytes;

    const NAME: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789.-_";
    const PATH: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

    /// From this length on an ID with a path is known; in shorter ones, the last block begins in the scheme.
    const KNOWN_FROM: usize = SCHEME.len() + BLOCK + 1;

    fn id(name_len: usize, path_len: usize) -> Vec<u8> {
        let name = NAME.iter().cycle().take(name_len);
        let path = PATH.iter().cycle().take(path_len.saturating_sub(1));
        let slash: &[u8] = if path_len > 0 { b"/" } else { b"" };
        let id = SCHEME.as_bytes().iter().chain(name).chain(slash);
        id.chain(path).copied().collect()
    }

    /// Whether both say the same, where this one says anything; and it does for all usual IDs.
    fn assert_same(uri: &[u8]) {
        let shown = uri.escape_ascii();
        let right = check_bytes(uri).ok();
        let known = path_at(uri);
        assert!(known.is_none() || known == right, "{shown}");
        let has_dots = uri.windows(2).any(|pair| pair == b"/.");
        let has_path = right.is_some_and(|path_at| usize::from(path_at) < uri.len());
        if !has_dots && (!has_path || uri.len() >= KNOWN_FROM) {
            assert_eq!(known, right, "{shown}");
        }
    }

    #[test]
    fn what_it_knows_is_right_and_it_knows_what_is_usual() {
        for name_len in 0..40 {
            for path_len in 0..40 {
                let right = id(name_len, path_len);
                assert_same(&right);
                for at in SCHEME.len()..right.len() {
                    for odd in [
                        "/", "//", "/.", "/..", "/../", ".", "A", "Z/", "%", "`", "{", ",", ":",
                        "@", "[", "^", "\0", "\u{ff}",
                    ] {
                        let mut changed = right.clone();
                        changed.splice(at..(at + odd.len()).min(right.len()), odd.bytes());
                        assert_same(&changed);
                    }
                }
            }
        }
        for path_len in [MAX_SPIFFE_ID_LEN - 19, MAX_SPIFFE_ID_LEN - 18] {
            assert_same(&id(10, path_len));
        }
        for name_len in [MAX_TRUST_DOMAIN_LEN, MAX_TRUST_DOMAIN_LEN + 1] {
            assert_same(&id(name_len, 20));
        }
        assert_same(b"spiffe:/");
        assert_same(b"https://example.org/a-path-of-some-length");
    }
}
