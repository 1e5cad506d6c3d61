//! What tests of several crates need: an authority to hand out SVIDs, certificates with defects, time that is added to, short
//! paths for sockets, and a word where a machine lacks what a test needs.
//!
//! A dev-dependency, never published. Everything here panics where a test would.
//!
//! ```
//! use plastron_keys::KeyBackend as _;
//! use plastron_svid::X509Verifier;
//! use plastron_testing::{Authority, BACKEND, Clock};
//!
//! let clock = Clock::new();
//! let authority = Authority::new("example.org");
//! let svid = authority.x509_svid("/shop/cart", clock.now());
//!
//! let verifier = X509Verifier::new(BACKEND.algorithms());
//! assert!(verifier.verify(&[svid.leaf_der()], &authority.bundle(), clock.unix_time()).is_ok());
//! ```

mod authority;
mod clock;
pub mod parts;
pub mod raw_certificate;
mod socket_dir;
pub mod vectors;
#[cfg(feature = "wit")]
mod wit;

pub use authority::Authority;
pub use clock::Clock;
pub use socket_dir::SocketDir;
#[cfg(feature = "wit")]
pub use wit::WitSvidWithKey;

/// The backend that tests make their keys with.
pub const BACKEND: plastron_keys_aws_lc::AwsLc = plastron_keys_aws_lc::AwsLc;
