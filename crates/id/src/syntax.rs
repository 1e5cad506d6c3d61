//! The grammar of SPIFFE-ID §2, over bytes.
//!
//! Nothing is decoded, trimmed or resolved first (ID-06): a byte outside the two small sets below ends the matter, so
//! queries, fragments, ports, user names, percent-encoding and all that is not ASCII need no rules of their own.

use crate::error::{SpiffeIdError, TrustDomainError};

/// The longest SPIFFE ID, in bytes, scheme included.
///
/// Longer ones may not be made, and none is accepted. Spec: SPIFFE-ID §2.3 (ID-27, ID-28, ID-30).
pub const MAX_SPIFFE_ID_LEN: usize = 2048;

/// The longest trust domain name, in bytes. Spec: SPIFFE-ID §2.3 (ID-14, AMB-03).
pub const MAX_TRUST_DOMAIN_LEN: usize = 255;

/// What every SPIFFE ID begins with. Spec: SPIFFE-ID §2 (ID-01).
pub(crate) const SCHEME: &str = "spiffe://";

/// Checks a whole ID; returns where its path starts.
pub(crate) fn check_id(uri: &[u8]) -> Result<u16, SpiffeIdError> {
    check_len(uri.len())?;
    let name_at = SCHEME.len();
    if !uri.starts_with(SCHEME.as_bytes()) {
        return Err(SpiffeIdError::Scheme);
    }
    let path_at = run(uri, name_at, IN_NAME);
    match uri.get(path_at) {
        None | Some(b'/') => check_name_len(path_at - name_at)?,
        Some(&byte) => {
            let at = path_at - name_at;
            return Err(TrustDomainError::Character { at, byte }.into());
        }
    }
    if !is_plain_path(&uri[path_at..]) {
        check_path(uri, path_at)?;
    }
    Ok(u16::try_from(path_at).expect("an ID has at most 2048 bytes"))
}

/// Checks the length of a whole ID. Spec: SPIFFE-ID §2.3 (ID-28, ID-30).
pub(crate) fn check_len(len: usize) -> Result<(), SpiffeIdError> {
    if len > MAX_SPIFFE_ID_LEN {
        return Err(SpiffeIdError::TooLong { len });
    }
    Ok(())
}

/// Checks a bare trust domain name. Spec: SPIFFE-ID §2.1, §2.3 (ID-02, ID-07 to ID-14).
pub(crate) fn check_name(name: &[u8]) -> Result<(), TrustDomainError> {
    if name.len() > MAX_TRUST_DOMAIN_LEN {
        return Err(TrustDomainError::TooLong { len: name.len() });
    }
    let end = run(name, 0, IN_NAME);
    match name.get(end) {
        Some(&byte) => Err(TrustDomainError::Character { at: end, byte }),
        None => check_name_len(end),
    }
}

fn check_name_len(len: usize) -> Result<(), TrustDomainError> {
    match len {
        0 => Err(TrustDomainError::Empty),
        1..=MAX_TRUST_DOMAIN_LEN => Ok(()),
        _ => Err(TrustDomainError::TooLong { len }),
    }
}

/// Checks the path, from its first slash to the end. Spec: SPIFFE-ID §2.2 (ID-19 to ID-24).
fn check_path(uri: &[u8], path_at: usize) -> Result<(), SpiffeIdError> {
    let mut slash = path_at;
    while slash < uri.len() {
        let start = slash + 1;
        let end = run(uri, start, IN_SEGMENT);
        if let Some(&byte) = uri.get(end)
            && byte != b'/'
        {
            return Err(SpiffeIdError::Character { at: end, byte });
        }
        match &uri[start..end] {
            b"" if end == uri.len() => return Err(SpiffeIdError::TrailingSlash),
            b"" => return Err(SpiffeIdError::EmptySegment { at: start }),
            b"." | b".." => return Err(SpiffeIdError::DotSegment { at: start }),
            _ => slash = end,
        }
    }
    Ok(())
}

/// Whether a path keeps all rules and has no segment that begins with a dot, seen many bytes at a time.
///
/// Most do, and for those this is half of the work. `false` says nothing: [`check_path`] does then.
fn is_plain_path(path: &[u8]) -> bool {
    let (Some(last), Some(&end)) = (path.last_chunk(), path.last()) else {
        return false;
    };
    let mut is_plain = is_plain_block(last) && CLASSES[usize::from(end)] & IN_SEGMENT != 0;
    // Blocks overlap by a byte, and the last one with that before it.
    let mut rest = path;
    while let (true, Some(block)) = (is_plain && rest.len() > BLOCK, rest.first_chunk()) {
        is_plain = is_plain_block(block);
        rest = &rest[BLOCK - 1..];
    }
    is_plain
}

/// Bytes that are looked at together: what two registers of every machine hold, and one byte that follows.
const BLOCK: usize = 17;

/// Whether all bytes but the last may be in a path, and no slash is followed by another or by a dot. Without branches, so that it
/// becomes instructions over whole registers.
#[inline(always)]
fn is_plain_block(block: &[u8; BLOCK]) -> bool {
    let mut faults = 0;
    for at in 0..BLOCK - 1 {
        let (byte, next) = (block[at], block[at + 1]);
        // `-`, `.`, `/` and the digits stand side by side, and so do `.` and `/`.
        let is_allowed = (byte.wrapping_sub(b'-') <= b'9' - b'-')
            | ((byte | 0x20).wrapping_sub(b'a') <= b'z' - b'a')
            | (byte == b'_');
        let is_odd = (byte == b'/') & (next.wrapping_sub(b'.') <= b'/' - b'.');
        faults |= u8::from(!is_allowed | is_odd);
    }
    faults == 0
}

/// The end of the run of bytes of a class that starts at `at`.
#[inline]
fn run(bytes: &[u8], at: usize, class: u8) -> usize {
    bytes[at..]
        .iter()
        .position(|&byte| CLASSES[usize::from(byte)] & class == 0)
        .map_or(bytes.len(), |len| at + len)
}

/// A byte that trust domain names may hold. Spec: SPIFFE-ID §2.1 (ID-10).
const IN_NAME: u8 = 1;
/// A byte that path segments may hold. Spec: SPIFFE-ID §2.2 (ID-24).
const IN_SEGMENT: u8 = 2;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => IN_NAME | IN_SEGMENT,
            b'A'..=b'Z' => IN_SEGMENT,
            _ => 0,
        };
        byte += 1;
    }
    classes
};
