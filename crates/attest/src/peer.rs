//! The process at the other end of a connection.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use crate::BoxFuture;

/// The process that connected, as the kernel named it when it did.
///
/// Numbers alone do not hold a process: a pid is reused, an id changes. The [`handle`](Self::handle) does, and every
/// decision that rests on the numbers asks it first. Cloning shares the handle.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Process id in the agent's namespace. 0: the kernel could not name one there.
    pub pid: i32,
    /// Effective user id at the time of connecting.
    pub uid: u32,
    /// Effective group id at the time of connecting.
    pub gid: u32,
    /// What holds the process, and tells when it is no longer the one that connected.
    pub handle: Arc<dyn PeerHandle>,
}

impl Peer {
    /// The handle as the type that an attestor of the same family made it, if it is that.
    pub fn handle_as<T: PeerHandle>(&self) -> Option<&T> {
        let handle: &dyn Any = &*self.handle;
        handle.downcast_ref()
    }
}

/// A hold on the process that connected, independent of its pid.
pub trait PeerHandle: Any + Debug + Send + Sync {
    /// Looks whether the peer is still the process, program and ids that were attested. Cheap: microseconds.
    ///
    /// # Errors
    ///
    /// What has changed. Once lost, a peer stays lost.
    fn check(&self) -> Result<(), PeerLost>;

    /// Completes when [`check`](Self::check) would fail, within about a second of the change.
    fn lost(&self) -> BoxFuture<'_, PeerLost>;

    /// Completes when the attested program itself has written to the connection: bytes of this process, and of this
    /// program image, that came after its facts were taken and what was queued before had been read.
    ///
    /// Whoever starts a program may have asked in its place just before. Identities that hang on the program wait for
    /// this; those of the user or group need not.
    ///
    /// # Errors
    ///
    /// The peer was lost while waiting.
    fn spoken(&self) -> BoxFuture<'_, Result<(), PeerLost>>;
}

/// Why a peer is no longer the caller that was attested.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerLost {
    /// The process has ended.
    #[error("process has exited")]
    Exited,
    /// The process runs another program image than when it was attested.
    #[error("process has executed another program")]
    ProgramChanged,
    /// The effective user or group id is another than when it was attested.
    #[error("process has changed its user or group id")]
    IdsChanged,
    /// Any other attested fact is another than it was.
    #[error("facts about the process have changed")]
    FactsChanged,
    /// Bytes came from another process than the one that connected.
    #[error("process {pid} wrote to a connection that is not its own")]
    ForeignWriter {
        /// The writer, in the agent's namespace.
        pid: i32,
    },
    /// Bytes came from a process that the kernel could not name.
    #[error("unknown process wrote to the connection")]
    UnknownWriter,
    /// The process can no longer be looked at, so nothing about it is known.
    #[error("process can no longer be observed")]
    Unobservable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Steady(u64);

    impl PeerHandle for Steady {
        fn check(&self) -> Result<(), PeerLost> {
            Ok(())
        }
        fn lost(&self) -> BoxFuture<'_, PeerLost> {
            Box::pin(std::future::pending())
        }
        fn spoken(&self) -> BoxFuture<'_, Result<(), PeerLost>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[derive(Debug)]
    struct Gone;

    impl PeerHandle for Gone {
        fn check(&self) -> Result<(), PeerLost> {
            Err(PeerLost::Exited)
        }
        fn lost(&self) -> BoxFuture<'_, PeerLost> {
            Box::pin(std::future::ready(PeerLost::Exited))
        }
        fn spoken(&self) -> BoxFuture<'_, Result<(), PeerLost>> {
            Box::pin(std::future::ready(Err(PeerLost::Exited)))
        }
    }

    #[test]
    fn a_handle_is_found_by_its_own_type_alone() {
        let peer = Peer {
            pid: 7,
            uid: 1,
            gid: 2,
            handle: Arc::new(Steady(9)),
        };
        assert_eq!(peer.handle_as::<Steady>().map(|steady| steady.0), Some(9));
        assert!(peer.handle_as::<Gone>().is_none());
        assert_eq!(peer.handle.check(), Ok(()));
    }
}
