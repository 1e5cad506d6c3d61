//! The grammar of SPIFFE-ID §2, over bytes.
//!
//! Nothing is decoded, trimmed or resolved first (ID-06): a byte outside the two small sets below ends the matter, so
//! queries, fragments, ports, user names, percent-encoding and all that is not ASCII need no rules of their own.

use crate::error::{SpiffeIdError, TrustDomainError};
use crate::plain;

/// The longest SPIFFE ID, in bytes, scheme included.
///
/// Longer ones may not be made, and none is accepted. Spec: SPIFFE-ID §2.3 (ID-27, ID-28, ID-30).
pub const MAX_SPIFFE_ID_LEN: usize = 2048;

/// The longest trust domain name, in bytes. Spec: SPIFFE-ID §2.3 (ID-14, AMB-03).
pub const MAX_TRUST_DOMAIN_LEN: usize = 255;

/// What every SPIFFE ID begins with. Spec: SPIFFE-ID §2 (ID-01).
pub(crate) const SCHEME: &str = "spiffe://";

/// Checks a whole ID; returns where its path starts.
#[inline]
pub(crate) fn check_id(uri: &[u8]) -> Result<u16, SpiffeIdError> {
    match plain::path_at(uri) {
        Some(path_at) => Ok(path_at),
        None => check_bytes(uri),
    }
}

/// The same, for whatever [`plain`] does not know.
#[cold]
pub(crate) fn check_bytes(uri: &[u8]) -> Result<u16, SpiffeIdError> {
    check_len(uri.len())?;
    let name_at = SCHEME.len();
    if !uri.starts_with(SCHEME.as_bytes()) {
        return Err(SpiffeIdError::Scheme);
    }
    let path_at = run_end(uri, name_at, IN_NAME);
    match uri.get(path_at) {
        None | Some(b'/') => check_name_len(path_at - name_at)?,
        Some(&byte) => {
            let at = path_at - name_at;
            return Err(TrustDomainError::Character { at, byte }.into());
        }
    }
    check_path(uri, path_at)?;
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
    let end = run_end(name, 0, IN_NAME);
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
        let end = run_end(uri, start, IN_SEGMENT);
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

/// The end of the run of bytes of a class that starts at `at`.
pub(crate) fn run_end(bytes: &[u8], at: usize, class: u8) -> usize {
    bytes[at..]
        .iter()
        .position(|&byte| !is_in(byte, class))
        .map_or(bytes.len(), |len| at + len)
}

#[inline]
pub(crate) fn is_in(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// A byte that trust domain names may hold. Spec: SPIFFE-ID §2.1 (ID-10).
pub(crate) const IN_NAME: u8 = 1;
/// A byte that path segments may hold. Spec: SPIFFE-ID §2.2 (ID-24).
pub(crate) const IN_SEGMENT: u8 = 2;

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
