//! What records call an entry by.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use plastron_id::SpiffeId;

use crate::Selectors;

/// The name of an entry in records, metrics and commands. Stays the same while the entry means the same.
///
/// Letters, digits, `.`, `-` and `_`, at most 255 of them, as in SPIRE.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EntryId(Box<str>);

impl EntryId {
    /// The ID of an entry that was given none: a digest of what it grants, and to whom.
    ///
    /// Whatever else of the entry is changed, or wherever it is moved to, the ID stays.
    pub fn derived(spiffe_id: &SpiffeId, selectors: &Selectors) -> Self {
        let mut digest = Fnv128::new();
        digest.field(spiffe_id.as_str());
        for selector in selectors {
            digest.field(selector.as_str());
        }
        Self(format!("{:032x}", digest.0).into())
    }

    /// The ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryId {
    type Err = EntryIdError;

    fn from_str(id: &str) -> Result<Self, EntryIdError> {
        if !(1..=255).contains(&id.len()) {
            return Err(EntryIdError::Length { len: id.len() });
        }
        let allowed = |char: &char| char.is_ascii_alphanumeric() || ".-_".contains(*char);
        match id.char_indices().find(|(_, char)| !allowed(char)) {
            Some((at, char)) => Err(EntryIdError::Character { at, char }),
            None => Ok(Self(id.into())),
        }
    }
}

impl Borrow<str> for EntryId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Why a text is no entry ID.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryIdError {
    /// It is empty, or has more than 255 bytes.
    #[error("entry ID has {len} bytes, not 1 to 255")]
    Length {
        /// How many it has.
        len: usize,
    },
    /// It holds a character that is not allowed.
    #[error("{char:?} at byte {at} is not allowed in an entry ID")]
    Character {
        /// Where it stands.
        at: usize,
        /// What it is.
        char: char,
    },
}

/// FNV-1a of 128 bits. Nobody gains by a collision: entries are their operator's own, and IDs only name them.
struct Fnv128(u128);

impl Fnv128 {
    const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Adds a text with its length, so that texts do not run into one another.
    fn field(&mut self, text: &str) {
        for byte in (text.len() as u64)
            .to_be_bytes()
            .into_iter()
            .chain(text.bytes())
        {
            self.0 =
                (self.0 ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(spiffe_id: &str, selectors: &[&str]) -> EntryId {
        let selectors = selectors.iter().map(|text| text.parse().unwrap()).collect();
        EntryId::derived(&spiffe_id.parse().unwrap(), &selectors)
    }

    #[test]
    fn a_derived_id_depends_on_the_spiffe_id_and_the_set_of_selectors() {
        let id = derived("spiffe://td/a", &["unix:uid:1", "unix:gid:1"]);
        assert_eq!(id, derived("spiffe://td/a", &["unix:gid:1", "unix:uid:1"]));
        assert_ne!(id, derived("spiffe://td/b", &["unix:gid:1", "unix:uid:1"]));
        assert_ne!(id, derived("spiffe://td/a", &["unix:gid:1", "unix:uid:11"]));
        assert_ne!(id, derived("spiffe://td/a", &["unix:gid:1"]));
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
    }

    #[test]
    fn a_derived_id_is_the_same_in_every_release() {
        // Computed apart from this code, with the published constants of FNV-1a.
        let id = derived("spiffe://td/a", &["unix:uid:1"]);
        assert_eq!(id.as_str(), "1de6f1b72e17ab2e56b9a430a143f120");
    }

    #[test]
    fn given_ids_keep_to_the_characters_of_spire() {
        for (id, want) in [
            ("a", Ok(())),
            ("0b1f6e54-4b1d-4f0c-9d3a-5c0b4f1f0a2e", Ok(())),
            ("shop.cart_1", Ok(())),
            (&"a".repeat(255), Ok(())),
            ("", Err(EntryIdError::Length { len: 0 })),
            (&"a".repeat(256), Err(EntryIdError::Length { len: 256 })),
            ("a b", Err(EntryIdError::Character { at: 1, char: ' ' })),
            ("a/b", Err(EntryIdError::Character { at: 1, char: '/' })),
            ("é", Err(EntryIdError::Character { at: 0, char: 'é' })),
        ] {
            assert_eq!(
                id.parse::<EntryId>()
                    .map(|parsed| assert_eq!(parsed.as_str(), id)),
                want,
                "{id}"
            );
        }
    }
}
