//! The trait that attestors implement, and their outcomes.

use std::error::Error;
use std::time::Duration;

use crate::{BoxFuture, Evidence, Interest, Peer, PeerLost};

/// Turns evidence about a caller into selectors of one kind.
pub trait WorkloadAttestor: Send + Sync {
    /// The kind of all selectors of this attestor, such as `unix`.
    fn selector_kind(&self) -> &'static str;

    /// Looks at one caller. Dropping the future abandons the attempt.
    ///
    /// `interest` says which selectors matter to anybody, so that a costly one (a hash) is established only then.
    /// What cannot be seen is [missing](Evidence::missing), and the rest still counts.
    fn attest<'a>(
        &'a self,
        peer: &'a Peer,
        interest: &'a Interest,
    ) -> BoxFuture<'a, Result<Attested, AttestError>>;
}

/// How an attestation came out, short of failing.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Attested {
    /// The caller is of this attestor's sort, and this is what it is.
    Evidence(Evidence),
    /// The caller is none of this attestor's business, such as a process outside containers. No failure.
    NotApplicable,
}

/// Why nothing could be said about a caller. Not the same as "no selectors": the caller may ask again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// The caller is not the process any more that connected.
    #[error("peer was lost")]
    Lost(#[from] PeerLost),
    /// The attestor did not answer in time.
    #[error("attestor did not answer within {limit:?}")]
    TimedOut {
        /// How long it had.
        limit: Duration,
    },
    /// What the attestor relies on failed.
    #[error("{what} failed")]
    Failed {
        /// What was being done.
        what: &'static str,
        /// The failure, of the attestor's own type.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}
