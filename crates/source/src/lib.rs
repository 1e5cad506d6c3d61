//! Live material: one publisher, many cheap readers of immutable snapshots.
//!
//! A source is born with a value, so that nothing is ever "not ready yet", and SVIDs and bundles change together in one step
//! (WAPI-20). What was withdrawn is withdrawn for readers too: a [`clear`](X509Publisher::clear)ed source gives nothing
//! (WAPI-33, AMB-31), while one whose publisher merely lost its connection keeps the last value.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use plastron_bundle::{Bundle, BundleSet};
//! use plastron_source::jwt_source;
//!
//! let bundles = |sequence| -> BundleSet {
//!     let mut bundle = Bundle::new("example.org".parse().expect("a name"));
//!     bundle.set_sequence(Some(sequence));
//!     [bundle].into_iter().collect()
//! };
//! let (publisher, mut source) = jwt_source(bundles(1));
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
//! Tier 2: `tokio` for waking readers, and no runtime of its own.

mod jwt_source;
mod picker;
mod snapshot;
mod x509_source;

pub use jwt_source::{JwtPublisher, JwtSource, jwt_source};
pub use picker::{NoSuchSvid, SvidPicker};
pub use snapshot::SourceError;
pub use x509_source::{X509Context, X509Publisher, X509Source, x509_source};
