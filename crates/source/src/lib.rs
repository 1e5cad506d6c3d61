//! Live material: one publisher, many cheap readers of immutable snapshots.
//!
//! A source is born with a value, so that nothing is ever "not ready yet", and SVIDs and bundles change together in one step
//! (WAPI-20). What was withdrawn is withdrawn for readers too: a [`clear`](Publisher::clear)ed source gives nothing
//! (WAPI-33, AMB-31), while one whose publisher merely lost its connection keeps the last value.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use plastron_bundle::{Bundle, BundleSet};
//! use plastron_source::source;
//!
//! let bundles = |sequence| -> BundleSet {
//!     let mut bundle = Bundle::new("example.org".parse().expect("a name"));
//!     bundle.set_sequence(Some(sequence));
//!     [bundle].into_iter().collect()
//! };
//! let (publisher, mut source) = source(bundles(1));
//! let held = source.current()?;
//!
//! publisher.publish(bundles(2));
//! assert_eq!(*source.changed().await?, bundles(2));
//! assert_eq!(*held, bundles(1), "a snapshot does not change in one's hands");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `wit` WIT-SVIDs, which are incubating, have sources too.
//!
//! Tier 2: `tokio` for waking readers, and no runtime of its own.

mod picker;
mod source;
mod x509_context;

pub use picker::{NoSuchSvid, OwnSvid, SvidPicker, first_of_each_hint};
pub use source::{JwtSource, Publisher, Source, SourceError, X509Source, source};
#[cfg(feature = "wit")]
pub use source::{WitBundleSource, WitSource};
pub use x509_context::X509Context;
