//! Updates over a watch channel.

use std::fmt;
use std::future::pending;

use tokio::sync::watch;

use crate::{Message, Refusal, Updates};

/// [`Updates`] that tell the newest value of a watch channel: at once, and after each change.
///
/// A refusal ends the stream. When the sender is gone, the stream stays as it is.
pub struct Latest {
    receiver: watch::Receiver<Result<Message, Refusal>>,
}

impl Latest {
    /// Tells what `receiver` has and gets.
    #[must_use]
    pub fn new(mut receiver: watch::Receiver<Result<Message, Refusal>>) -> Self {
        receiver.mark_changed();
        Self { receiver }
    }

    /// Tells `message` and nothing after it.
    #[must_use]
    pub fn fixed(message: Message) -> Self {
        Self::new(watch::channel(Ok(message)).1)
    }
}

impl Updates for Latest {
    async fn next(&mut self) -> Result<Message, Refusal> {
        match self.receiver.changed().await {
            Ok(()) => self.receiver.borrow_and_update().clone(),
            Err(_) => pending().await,
        }
    }
}

impl fmt::Debug for Latest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Latest")
            .field(&*self.receiver.borrow())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use plastron_wire::workload::{Jwtsvid, JwtsvidResponse};

    use super::*;

    /// What `next` says without waiting.
    fn now(latest: &mut Latest) -> Poll<Result<Message, Refusal>> {
        pin!(latest.next()).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn message(svid: &str) -> Message {
        Message::encode(&JwtsvidResponse {
            svids: vec![Jwtsvid {
                svid: svid.into(),
                ..Default::default()
            }],
        })
    }

    #[test]
    fn tells_the_state_at_once_and_then_only_the_newest() {
        let (sender, receiver) = watch::channel(Ok(message("a")));
        let mut latest = Latest::new(receiver);
        assert_eq!(
            now(&mut latest),
            Poll::Ready(Ok(message("a"))),
            "WAPI-12 +/−: at once"
        );
        assert_eq!(now(&mut latest), Poll::Pending, "WAPI-11 −");
        sender.send_replace(Ok(message("b"))).expect("a message");
        sender.send_replace(Ok(message("c"))).expect("a message");
        assert_eq!(now(&mut latest), Poll::Ready(Ok(message("c"))), "WAPI-13 +");

        let refusal = Refusal::permission_denied("no entry matches");
        sender
            .send_replace(Err(refusal.clone()))
            .expect("a message");
        assert_eq!(now(&mut latest), Poll::Ready(Err(refusal)), "WAPI-19 +");
    }

    #[test]
    fn stays_as_it_is_when_nothing_more_will_come() {
        let mut latest = Latest::fixed(message("a"));
        assert_eq!(now(&mut latest), Poll::Ready(Ok(message("a"))));
        assert_eq!(now(&mut latest), Poll::Pending);
    }
}
