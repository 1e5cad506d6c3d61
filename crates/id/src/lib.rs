//! SPIFFE IDs, trust domain names and patterns over them: parse, build, compare, match.
//!
//! An ID is checked once, in one pass over its bytes, and then cannot be wrong. Nothing is normalised on the way: what
//! is not allowed is refused, so equality is byte equality and printing gives back what was parsed.
//!
//! ```
//! use plastron_id::{SpiffeId, SpiffeIdError, SpiffeIdPattern, SpiffeIdRef, TrustDomain};
//!
//! let cart: SpiffeId = "spiffe://example.org/shop/cart".parse()?;
//! assert_eq!(cart.path(), "/shop/cart");
//!
//! // Belonging to a trust domain is equality of the whole name.
//! let example: TrustDomain = "example.org".parse()?;
//! assert!(cart.is_member_of(example.as_ref()));
//!
//! // Building checks what it is given.
//! assert_eq!(SpiffeId::from_segments(example.as_ref(), &["shop", "cart"])?, cart);
//! assert!(example.id().join("..").is_err());
//!
//! // Checking alone allocates nothing.
//! let peer = SpiffeIdRef::parse("spiffe://example.org/shop/cart")?;
//! assert_eq!(peer, cart);
//! assert_eq!(SpiffeIdRef::parse("https://example.org/"), Err(SpiffeIdError::Scheme));
//!
//! // Policies say whom they mean by patterns.
//! let shop: SpiffeIdPattern = "spiffe://example.org/shop/*".parse()?;
//! assert!(shop.matches(peer));
//! assert!(!shop.matches(cart.join("admin")?.as_ref()));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Tier 0: `no_std` with `alloc`, and no dependency. The feature `serde` adds the text forms to serde, without `std`.
//! What a path means is left to the operator (SPIFFE-ID §2.2).

#![no_std]

extern crate alloc;

mod error;
mod pattern;
mod plain;
#[cfg(feature = "serde")]
mod serde;
mod spiffe_id;
mod syntax;
mod trust_domain;

pub use error::{SpiffeIdError, TrustDomainError};
pub use pattern::{SpiffeIdPattern, SpiffeIdPatternError};
pub use spiffe_id::{SpiffeId, SpiffeIdRef};
pub use syntax::{MAX_SPIFFE_ID_LEN, MAX_TRUST_DOMAIN_LEN};
pub use trust_domain::{TrustDomain, TrustDomainRef};
