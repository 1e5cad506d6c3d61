//! The bundle map: bundles of several trust domains in one document, which is the state of the world as its publisher
//! sees it. Spec: Trust Domain and Bundle §5, §6.3.

use plastron_id::{TrustDomain, TrustDomainError};
use serde::de::MapAccess;

use crate::document::{self, DocumentMembers};
use crate::json_object::{self, Faults, Members, ObjectSeed};
use crate::{BundleError, BundleSet, JsonError, MAX_KEYS, Skipped};

/// The most bytes of a bundle map (BUNDLE-25): four bundle documents of the greatest length, or a thousand usual ones.
pub const MAX_MAP_LEN: usize = 4 * crate::MAX_DOCUMENT_LEN;

/// The most trust domains of a bundle map (BUNDLE-25).
pub const MAX_MAP_TRUST_DOMAINS: usize = 1024;

/// The most keys of all bundles of a map together (BUNDLE-25).
pub const MAX_MAP_KEYS: usize = 4 * MAX_KEYS;

impl BundleSet {
    /// Reads a bundle map, which replaces whatever was known before: a trust domain that it does not name is gone.
    ///
    /// How often to look for a new one is between its publisher and its reader. What a bundle in it says of that is left
    /// out, so that it cannot matter (BUNDLE-41).
    ///
    /// # Errors
    ///
    /// A map that breaks a rule as a whole, and one with a bundle that does: a state of the world is taken whole or not
    /// (BUNDLE-42). Keys that cannot be used are left out and reported.
    ///
    /// Spec: Trust Domain and Bundle §5. Its size is bounded first (BUNDLE-25).
    pub fn parse_map(map: &[u8]) -> Result<ParsedMap, BundleMapError> {
        if map.len() > MAX_MAP_LEN {
            return Err(BundleMapError::TooLong { len: map.len() });
        }
        let text = std::str::from_utf8(map).map_err(|_| JsonError::Syntax)?;
        let mut members = MapMembers::default();
        json_object::read(text, &mut members)?;
        let trust_domains = members.trust_domains.ok_or(BundleMapError::TrustDomains)?;
        match trust_domains.fault {
            None => Ok(trust_domains.parsed),
            Some(fault) => Err(fault),
        }
    }

    /// Writes the bundle map, in the order of the trust domains' names and without refresh hints (BUNDLE-40).
    pub fn to_map(&self) -> Vec<u8> {
        document::write_map(self)
    }
}

/// The bundles of a map, and what was left out of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ParsedMap {
    /// What could be used.
    pub bundles: BundleSet,
    /// What could not, with its trust domain, in order.
    pub skipped: Vec<(TrustDomain, Skipped)>,
}

/// Why a bundle map is refused as a whole.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleMapError {
    /// It has more bytes than [`MAX_MAP_LEN`] (BUNDLE-25).
    #[error("bundle map of {len} bytes")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// It is not a JSON object with different members, or one of its trust domains comes twice (BUNDLE-36, BUNDLE-39).
    #[error("unreadable bundle map: {0}")]
    Json(#[from] JsonError),
    /// It has no `trust_domains` (BUNDLE-36).
    #[error("bundle map without trust_domains")]
    TrustDomains,
    /// It has more trust domains than [`MAX_MAP_TRUST_DOMAINS`] (BUNDLE-25).
    #[error("bundle map with too many trust domains")]
    TooManyTrustDomains,
    /// Its bundles have more keys together than [`MAX_MAP_KEYS`] (BUNDLE-25).
    #[error("bundle map with too many keys")]
    TooManyKeys,
    /// What stands in the place of a name is none (BUNDLE-37).
    #[error("bundle map with a bad name: {0}")]
    Name(TrustDomainError),
    /// A bundle is refused (BUNDLE-42).
    #[error("bundle of {trust_domain}: {error}")]
    Bundle {
        /// Whose it is.
        trust_domain: TrustDomain,
        /// Why.
        error: BundleError,
    },
}

impl BundleMapError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::TooManyTrustDomains | Self::TooManyKeys => "BUNDLE-25",
            Self::Json(JsonError::DuplicateMember) => "BUNDLE-39",
            Self::Json(JsonError::TooDeep) => "BUNDLE-25",
            Self::Json(_) | Self::TrustDomains => "BUNDLE-36",
            Self::Name(_) => "BUNDLE-37",
            Self::Bundle { error, .. } => error.rule().unwrap_or("BUNDLE-42"),
        }
    }
}

/// The members of a map.
#[derive(Default)]
struct MapMembers {
    trust_domains: Option<TrustDomains>,
}

impl<'de> Members<'de> for MapMembers {
    /// Those that nobody knows are ignored (BUNDLE-36, BUNDLE-44).
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        if name != "trust_domains" {
            return json_object::skip(value, faults);
        }
        let mut trust_domains = TrustDomains::default();
        value.next_value_seed(ObjectSeed::new(&mut trust_domains, faults))?;
        self.trust_domains = Some(trust_domains);
        Ok(())
    }
}

/// The bundles as they come. What is wrong is kept for the end, since the text may break an earlier rule further on.
#[derive(Default)]
struct TrustDomains {
    parsed: ParsedMap,
    keys: usize,
    fault: Option<BundleMapError>,
}

impl TrustDomains {
    /// Bounded (BUNDLE-25), by bare names (BUNDLE-37), and without refresh hints (BUNDLE-41).
    fn add(&mut self, name: &str, members: DocumentMembers<'_>) -> Result<(), BundleMapError> {
        if self.parsed.bundles.len() == MAX_MAP_TRUST_DOMAINS {
            return Err(BundleMapError::TooManyTrustDomains);
        }
        let trust_domain: TrustDomain = name.parse().map_err(BundleMapError::Name)?;
        let refused = |error| BundleMapError::Bundle {
            trust_domain: trust_domain.clone(),
            error,
        };
        let document = members.finish().map_err(refused)?;
        self.keys += document.keys().len();
        if self.keys > MAX_MAP_KEYS {
            return Err(BundleMapError::TooManyKeys);
        }
        let mut read = document.to_bundle(trust_domain.clone()).map_err(refused)?;
        read.bundle.set_refresh_hint(None);
        self.parsed.bundles.insert(read.bundle);
        let skipped = read.skipped.into_iter();
        self.parsed
            .skipped
            .extend(skipped.map(|skipped| (trust_domain.clone(), skipped)));
        Ok(())
    }
}

impl<'de> Members<'de> for TrustDomains {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        if self.fault.is_some() {
            return json_object::skip(value, faults);
        }
        let mut members = DocumentMembers::default();
        value.next_value_seed(ObjectSeed::new(&mut members, faults))?;
        self.fault = self.add(name, members).err();
        Ok(())
    }
}
