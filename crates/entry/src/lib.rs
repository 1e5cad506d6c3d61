//! Selectors, registration entries, and the index that matches them.
//!
//! An entry says: a workload that has all of these [`Selectors`] is this SPIFFE ID. Selectors within an entry are joined
//! by AND, entries by OR, and who matches nothing gets nothing. [`EntryIndex`] finds what a caller matches in a few
//! microseconds, whatever the number of entries.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use plastron_entry::{EntryIndex, RegistrationEntry, Selectors};
//!
//! let selectors: Selectors = ["unix:uid:1000".parse()?, "unix:path:/usr/bin/cart".parse()?].into_iter().collect();
//! let cart = RegistrationEntry::builder("spiffe://example.org/shop/cart".parse()?, selectors)
//!     .x509_svid_ttl(Duration::from_secs(600))
//!     .hint("cart")
//!     .build()?;
//! let index = EntryIndex::new([cart]);
//!
//! let caller: Selectors = ["unix:uid:1000", "unix:gid:1000", "unix:path:/usr/bin/cart"]
//!     .into_iter()
//!     .map(str::parse)
//!     .collect::<Result<_, _>>()?;
//! let matching = index.matching(&caller, SystemTime::UNIX_EPOCH);
//! assert_eq!(matching[0].spiffe_id.path(), "/shop/cart");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Tier 1: values and functions, no clock. The feature `spire` adds the import of SPIRE's entries. What a selector means
//! is its attestor's business; which trust domains an agent serves is the agent's.

mod dns_name;
mod entry_id;
mod index;
mod registration;
mod selector;
#[cfg(feature = "spire")]
pub mod spire;

pub use dns_name::DnsNameError;
pub use entry_id::{EntryId, EntryIdError};
pub use index::{EntryIndex, NearEntry};
pub use registration::{EntryBuilder, EntryError, MAX_HINT_LEN, MIN_SVID_TTL, RegistrationEntry};
pub use selector::{Selector, SelectorError, Selectors};
