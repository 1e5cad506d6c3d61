//! That a peer is lost: said once, and for good.

use std::pin::pin;
use std::sync::OnceLock;

use plastron_attest::PeerLost;
use tokio::sync::Notify;

/// Why a peer was lost, when it was.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    why: OnceLock<PeerLost>,
    said: Notify,
}

impl Lost {
    /// What was said, if anything was.
    pub(crate) fn check(&self) -> Result<(), PeerLost> {
        self.why.get().map_or(Ok(()), |why| Err(*why))
    }

    /// Says why; the first reason stays. Returns that.
    pub(crate) fn say(&self, why: PeerLost) -> PeerLost {
        let why = *self.why.get_or_init(|| why);
        self.said.notify_waiters();
        why
    }

    /// Waits until it is said.
    pub(crate) async fn wait(&self) -> PeerLost {
        loop {
            let mut said = pin!(self.said.notified());
            said.as_mut().enable();
            if let Some(why) = self.why.get() {
                return *why;
            }
            said.await;
        }
    }
}
