//! SPIFFE bundles: the authorities of a trust domain, the document they travel in, sets of them, and the map that sets travel in.
//!
//! ```
//! use plastron_bundle::{Bundle, BundleSet, X509BundleSource as _};
//! use plastron_id::TrustDomain;
//!
//! let example: TrustDomain = "example.org".parse()?;
//!
//! // A document does not say whose it is: whoever fetched it knows.
//! let parsed = Bundle::parse(example.clone(), br#"{"keys": [], "spiffe_sequence": 7}"#)?;
//! assert!(parsed.skipped.is_empty());
//! assert_eq!(parsed.bundle.sequence(), Some(7));
//!
//! // Authorities are looked up by trust domain. Known but without any is not the same as unknown.
//! let bundles: BundleSet = [parsed.bundle].into_iter().collect();
//! assert_eq!(bundles.x509_authorities(example.as_ref()), Some(&[][..]));
//! let other: TrustDomain = "example.com".parse()?;
//! assert_eq!(bundles.x509_authorities(other.as_ref()), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Tier 1: pure functions of their arguments. Left out: fetching bundles. Keys of WIT-SVIDs, which are incubating, are known
//! with the feature `wit` and ignored without (AMB-25, STAB-03). [`certificate`] reads certificates without copying them, here and in `plastron-svid`.

mod bundle;
mod bundle_map;
mod bundle_set;
pub mod certificate;
mod document;
// Shared with `plastron-svid`; its signatures name serde's types, so it is no part of the public API.
#[doc(hidden)]
pub mod json_object;
// For the same reason.
#[doc(hidden)]
pub mod jwk_members;
pub mod pem;
mod token_authority;
mod x509_authority;

pub use bundle::{Bundle, DEFAULT_REFRESH, Freshness, REFRESH_RANGE};
pub use bundle_map::{BundleMapError, MAX_MAP_KEYS, MAX_MAP_LEN, MAX_MAP_TRUST_DOMAINS, ParsedMap};
#[cfg(feature = "wit")]
pub use bundle_set::WitBundleSource;
pub use bundle_set::{BundleSet, JwtBundleSource, X509BundleSource};
pub use document::{
    BundleDocument, BundleError, DocumentKey, MAX_DOCUMENT_LEN, MAX_KEYS, Parsed, SkipReason,
    Skipped,
};
pub use json_object::JsonError;
pub use token_authority::{JwtAuthority, JwtUse, TokenAuthority, TokenAuthorityError, TokenUse};
#[cfg(feature = "wit")]
pub use token_authority::{WitAuthority, WitUse};
pub use x509_authority::{X509AuthoritiesId, X509Authority, X509AuthorityError};
