//! Answers as they go over the wire, encoded once.

use std::convert::Infallible;
use std::fmt;

use bytes::{BufMut as _, Bytes};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// One gRPC message, framed, ready to be sent to any number of streams.
///
/// Cloning shares the bytes; they are wiped when the last clone is gone, since most of these hold a private key or a
/// token.
#[derive(Clone, Eq, PartialEq)]
pub struct Message(Bytes);

impl Message {
    /// Encodes and frames `message`.
    #[must_use]
    pub fn encode(message: &impl prost::Message) -> Self {
        let len = message.encoded_len();
        let mut framed = Vec::with_capacity(PREFIX + len);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(len).expect("a gRPC message is shorter than 4 GiB"));
        message
            .encode(&mut framed)
            .expect("the vector has the length that the message said");
        Self(Bytes::from_owner(Zeroizing::new(framed)))
    }

    /// The protobuf message, without the frame's five bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0[PREFIX..]
    }

    /// The same bytes, and what completes when nobody holds them under this name any more: they have left for the socket,
    /// or never will.
    pub(crate) fn watched(self) -> (Self, oneshot::Receiver<Infallible>) {
        let (held, gone) = oneshot::channel();
        let watched = Watched {
            bytes: self.0,
            _held: held,
        };
        (Self(Bytes::from_owner(watched)), gone)
    }

    /// What goes into DATA frames.
    pub(crate) fn into_frame(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}

struct Watched {
    bytes: Bytes,
    _held: oneshot::Sender<Infallible>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A flag and the length precede each message (gRPC over HTTP/2, "Length-Prefixed-Message").
pub(crate) const PREFIX: usize = 5;

#[cfg(test)]
mod tests {
    use plastron_wire::workload::{Jwtsvid, JwtsvidResponse};

    use super::*;

    #[test]
    fn messages_are_framed_and_do_not_show_what_they_hold() {
        let message = Message::encode(&JwtsvidResponse {
            svids: vec![Jwtsvid {
                svid: "se-cret".into(),
                ..Default::default()
            }],
        });
        let length = u8::try_from(message.payload().len()).unwrap();
        assert_eq!(message.clone().into_frame()[..5], [0, 0, 0, 0, length]);
        assert!(!format!("{message:?}").contains("cret"), "RS-15 −");
    }
}
