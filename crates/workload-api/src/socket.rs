//! The socket of a connection: read and written by `h2`, and held back by whoever drives it.
//!
//! `h2` flushes after each message that is longer than a few hundred bytes. A client that makes several calls at a time
//! would get as many writes, each of which costs more than the answer in it. So while a connection is being driven, what
//! `h2` writes is gathered, and leaves in one piece when there is nothing more to do.
//!
//! What is gathered is bounded by [`MOST`], and nothing more is taken while a client does not read: `h2` then waits as it
//! would for the socket itself.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::authority::Mended;

/// Bytes that are gathered at most.
const MOST: usize = 16 * 1024;

/// One of the two hands on a socket. They are in the same task, so neither ever waits for the other.
#[derive(Debug)]
pub(crate) struct Socket<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    io: Mended<T>,
    /// What is written is gathered.
    gathering: bool,
    gathered: Vec<u8>,
    /// How much of that has left.
    left: usize,
    /// The client does not take what was gathered.
    stuck: bool,
    /// How often something was read.
    readings: u64,
}

impl<T> Socket<T> {
    pub(crate) fn new(io: T) -> Self {
        Self(Arc::new(Mutex::new(State {
            io: Mended::new(io),
            gathering: false,
            gathered: Vec::new(),
            left: 0,
            stuck: false,
            readings: 0,
        })))
    }

    /// The other hand.
    pub(crate) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// From now on what is written is gathered.
    pub(crate) fn gather(&self) {
        self.lock().gathering = true;
    }

    /// How often something was read so far.
    pub(crate) fn readings(&self) -> u64 {
        self.lock().readings
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that holds the lock leaves the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsyncWrite + Unpin> Socket<T> {
    /// Writes what was gathered; from now on nothing is.
    pub(crate) fn poll_release(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        state.gathering = false;
        state.poll_gathered(cx)
    }
}

impl<T: AsyncWrite + Unpin> State<T> {
    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stuck = true;
        while self.left < self.gathered.len() {
            let rest = &self.gathered[self.left..];
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.left += written,
            }
        }
        // A connection that is at rest holds no memory for it.
        self.gathered = Vec::new();
        (self.left, self.stuck) = (0, false);
        Poll::Ready(Ok(()))
    }

    /// Gathers what there is room for, if this is the time to.
    fn poll_gather(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<Option<usize>>> {
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.stuck || !self.gathering || self.gathered.len() + len > MOST {
            ready!(self.poll_gathered(cx))?;
        }
        if !self.gathering || len > MOST {
            return Poll::Ready(Ok(None));
        }
        for piece in pieces {
            self.gathered.extend_from_slice(piece);
        }
        Poll::Ready(Ok(Some(len)))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        ready!(Pin::new(&mut state.io).poll_read(cx, buf))?;
        state.readings += 1;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        match ready!(state.poll_gather(cx, pieces))? {
            Some(gathered) => Poll::Ready(Ok(gathered)),
            None => Pin::new(&mut state.io).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if state.gathering {
            return Poll::Ready(Ok(()));
        }
        ready!(state.poll_gathered(cx))?;
        Pin::new(&mut state.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        ready!(state.poll_gathered(cx))?;
        Pin::new(&mut state.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// What arrives, write by write, for as long as there is room.
    #[derive(Debug)]
    struct Peer {
        arrived: Arc<Mutex<Vec<Vec<u8>>>>,
        room: Arc<Mutex<usize>>,
    }

    impl AsyncWrite for Peer {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let mut room = self.room.lock().unwrap();
            let taken = buf.len().min(*room);
            if taken == 0 {
                return Poll::Pending;
            }
            *room -= taken;
            self.arrived.lock().unwrap().push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    struct Line {
        socket: Socket<Peer>,
        arrived: Arc<Mutex<Vec<Vec<u8>>>>,
        room: Arc<Mutex<usize>>,
    }

    impl Line {
        fn with_room(room: usize) -> Self {
            let arrived = Arc::default();
            let room = Arc::new(Mutex::new(room));
            let socket = Socket::new(Peer {
                arrived: Arc::clone(&arrived),
                room: Arc::clone(&room),
            });
            Self {
                socket,
                arrived,
                room,
            }
        }

        /// Whether it was taken.
        fn write(&self, bytes: &[u8]) -> bool {
            let mut cx = Context::from_waker(Waker::noop());
            let mut socket = self.socket.share();
            let written = Pin::new(&mut socket).poll_write(&mut cx, bytes);
            let flushed = Pin::new(&mut socket).poll_flush(&mut cx);
            matches!(written, Poll::Ready(Ok(len)) if len == bytes.len()) && flushed.is_ready()
        }

        fn release(&self) -> bool {
            let mut cx = Context::from_waker(Waker::noop());
            self.socket.poll_release(&mut cx).is_ready()
        }

        fn arrived(&self) -> Vec<Vec<u8>> {
            std::mem::take(&mut *self.arrived.lock().unwrap())
        }
    }

    #[test]
    fn what_was_gathered_leaves_in_one_piece() {
        let line = Line::with_room(usize::MAX);
        assert!(line.write(b"one"));
        assert_eq!(line.arrived(), [b"one"], "nothing is gathered yet");
        line.socket.gather();
        assert!(line.write(b"two "));
        assert!(line.write(b"three"));
        assert_eq!(line.arrived(), [b""; 0]);
        assert!(line.release());
        assert_eq!(line.arrived(), [b"two three"]);
        assert_eq!(line.socket.lock().gathered.capacity(), 0, "at rest");
        assert!(line.write(b"four"));
        assert_eq!(line.arrived(), [b"four"]);
    }

    #[test]
    fn no_more_is_gathered_than_there_is_room_for_and_the_order_stays() {
        let line = Line::with_room(usize::MAX);
        line.socket.gather();
        let large = vec![b'b'; MOST + 1];
        assert!(line.write(&[b'a'; MOST]));
        assert_eq!(line.arrived(), [b""; 0]);
        assert!(line.write(&large));
        assert!(line.write(b"c"));
        assert!(line.release());
        assert_eq!(line.arrived(), [vec![b'a'; MOST], large, b"c".to_vec()]);
    }

    #[test]
    fn a_client_that_does_not_read_is_kept_one_piece_for() {
        let line = Line::with_room(2);
        line.socket.gather();
        assert!(line.write(b"abcd"));
        assert!(!line.release());
        line.socket.gather();
        assert!(!line.write(b"ef"));
        assert!(!line.release());
        *line.room.lock().unwrap() = 3;
        line.socket.gather();
        assert!(line.write(b"ef"));
        assert!(!line.release());
        *line.room.lock().unwrap() = 100;
        assert!(line.release());
        assert_eq!(line.arrived().concat(), b"abcdef");
    }

    #[tokio::test]
    async fn closing_lets_nothing_behind() {
        let line = Line::with_room(100);
        line.socket.gather();
        assert!(line.write(b"last words"));
        line.socket.share().shutdown().await.unwrap();
        assert_eq!(line.arrived(), [b"last words"]);
        poll_fn(|cx| line.socket.poll_release(cx)).await.unwrap();
        assert_eq!(line.arrived(), [b""; 0]);
    }
}
