//! What attests a workload, and what comes of it.
//!
//! A listener knows its [`Peer`] by what the kernel says of the connection. Attestors look at the peer side by side and
//! each returns what it [`Attested`]: selectors, with the facts they rest on and what could not be seen. Matching them
//! against entries is `plastron-entry`'s; looking at processes is `plastron-attest-unix`'s.
//!
//! Tier 1: traits and values, no input or output.

mod attestor;
mod evidence;
mod interest;
mod peer;

pub use attestor::{AttestError, Attested, WorkloadAttestor};
pub use evidence::{Evidence, Facts, Missing};
pub use interest::Interest;
pub use peer::{Peer, PeerHandle, PeerLost};

use std::future::Future;
use std::pin::Pin;

/// A future of an object-safe trait.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
