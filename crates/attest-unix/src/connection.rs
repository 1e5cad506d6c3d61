//! A connection that knows who writes on it.
//!
//! The kernel marks each piece with the process that wrote it (`SO_PASSCRED`). Only what the process wrote that connected
//! is ever read; the first piece of another ends all reading and loses the peer, while writing goes on, so that the server
//! can still say why.
//!
//! Nothing is read before the peer's facts are taken, and nothing written before all has been read that was waiting then.
//! So whatever answers the server's first words, such as the acknowledgement of its HTTP/2 settings, was written by a
//! program that ran when its facts had been taken: see [`PeerHandle::spoken`](plastron_attest::PeerHandle::spoken). That
//! it wrote something is not enough: whoever starts a program can make the connection its standard output. So a server
//! says what the answer to its first words is, with [`UnixConnection::answered_by`].

use std::io::{self, IoSlice};
use std::ops::{Deref, DerefMut};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use plastron_attest::{BoxFuture, Peer};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

use crate::peer::UnixPeer;
use crate::process::NoFacts;
use crate::processes::{Processes, Table};
use crate::sys::{self, Descriptors};

/// How much is read ahead to see the end of what was waiting. A client's first words are far less; one that has more to
/// say than this without an answer is taken to be heard later.
const AHEAD: usize = 64 * 1024;

/// A connection of one process. Made by [`UnixListener::accept`](crate::UnixListener::accept).
#[derive(Debug)]
pub struct UnixConnection {
    stream: Socket,
    peer: Peer,
    unix: Arc<UnixPeer>,
    stage: Stage,
    /// Read, but not asked for yet.
    ahead: Vec<u8>,
    /// How much of that has been asked for.
    ahead_taken: usize,
    /// What has to come before the peer counts as heard, and how much of it the last bytes were.
    answer: &'static [u8],
    answered: usize,
}

enum Stage {
    /// Nothing is known yet.
    New,
    /// The peer's facts are being taken. (The mutex is never locked: it makes the future shareable.)
    Taking(Mutex<BoxFuture<'static, io::Result<()>>>),
    /// They are; what was waiting is being read.
    Draining,
    Open,
    /// Another process has written.
    Overheard,
}

impl UnixConnection {
    /// A connection that was accepted elsewhere.
    ///
    /// `SO_PASSCRED` must have been set on its listener before the peer connected: what it wrote before counts as written
    /// by an unknown process, and loses the peer.
    ///
    /// # Errors
    ///
    /// `stream` is no Unix socket, or the agent is out of descriptors.
    pub fn new(stream: UnixStream, processes: &Processes) -> io::Result<Self> {
        let mut stream = Socket {
            descriptors: Descriptors::on(stream.as_fd()),
            stream: Some(stream),
            table: Arc::clone(&processes.0),
            uid: u32::MAX,
        };
        let unix = UnixPeer::of_connection(stream.as_fd(), processes)?;
        stream.uid = unix.uid();
        Ok(Self {
            stream,
            peer: Arc::clone(&unix).into_peer(),
            unix,
            stage: Stage::New,
            ahead: Vec::new(),
            ahead_taken: 0,
            answer: &[],
            answered: 0,
        })
    }

    /// Only a peer that writes `answer` has spoken. Default: one that writes anything.
    #[must_use]
    pub const fn answered_by(mut self, answer: &'static [u8]) -> Self {
        self.answer = answer;
        self
    }

    /// Who connected. Known from the start; its handle says more once it has been attested.
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Takes the peer's facts, and reads what was waiting then.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.stage {
                Stage::Open | Stage::Overheard => return Poll::Ready(Ok(())),
                Stage::New if self.unix.facts_are_taken() => self.stage = Stage::Draining,
                Stage::New => {
                    let unix = Arc::clone(&self.unix);
                    self.stage = Stage::Taking(Mutex::new(Box::pin(async move {
                        match unix.facts().await {
                            Ok(_) | Err(NoFacts::Lost(_)) => Ok(()),
                            Err(NoFacts::Failed(error)) => Err(error),
                        }
                    })));
                }
                Stage::Taking(taking) => {
                    let taking = taking.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let taken = ready!(taking.as_mut().poll(cx));
                    self.stage = if taken.is_ok() {
                        Stage::Draining
                    } else {
                        Stage::New
                    };
                    taken?;
                }
                Stage::Draining => self.drain()?,
            }
        }
    }

    /// Reads until nothing is waiting. Never waits.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while self.ahead.len() < AHEAD {
            // Not by way of tokio, which may not know yet that something is waiting.
            match sys::receive(self.stream.as_fd(), &mut buffer, self.stream.descriptors) {
                Ok(received) if received.bytes == 0 => break,
                Ok(received) if received.writer != self.unix.pid() => {
                    self.overhear(received.writer);
                    return Ok(());
                }
                Ok(received) => self.ahead.extend_from_slice(&buffer[..received.bytes]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unix.drained();
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stage = Stage::Open;
        Ok(())
    }

    /// Bytes of the peer came. Only when they were written after its facts had been taken do they answer anything.
    fn hear(&mut self, bytes: &[u8]) {
        if !self.unix.is_listened_to() {
            return;
        }
        for byte in bytes {
            if self.answered == self.answer.len() {
                break;
            }
            self.answered = matched(self.answer, self.answered, *byte);
        }
        if self.answered == self.answer.len() {
            self.unix.heard();
        }
    }

    fn overhear(&mut self, writer: i32) {
        self.unix.overheard(writer);
        self.stage = Stage::Overheard;
        self.ahead = Vec::new();
        self.ahead_taken = 0;
    }
}

/// The socket of a connection. Descriptors that its peer has sent are closed with it, and that can take as long as the peer
/// likes; so where the kernel does not refuse them, it is closed where nobody else waits.
#[derive(Debug)]
struct Socket {
    stream: Option<UnixStream>,
    /// Some may have come before its listener began to refuse them, which the socket then does not.
    descriptors: Descriptors,
    table: Arc<Table>,
    uid: u32,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.descriptors == Descriptors::LookedFor
            && let Some(Ok(stream)) = self.stream.take().map(UnixStream::into_std)
        {
            self.table.close(self.uid, stream);
        }
    }
}

impl Deref for Socket {
    type Target = UnixStream;

    fn deref(&self) -> &UnixStream {
        self.stream.as_ref().expect(NOT_DROPPED)
    }
}

impl DerefMut for Socket {
    fn deref_mut(&mut self) -> &mut UnixStream {
        self.stream.as_mut().expect(NOT_DROPPED)
    }
}

const NOT_DROPPED: &str = "it is taken when it is dropped";

impl AsyncRead for UnixConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_open(cx))?;
        if matches!(this.stage, Stage::Overheard) {
            // Whoever serves this connection learns it from the peer.
            return Poll::Pending;
        }
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.ahead_taken < this.ahead.len() {
            let ahead = &this.ahead[this.ahead_taken..];
            let taken = ahead.len().min(into.remaining());
            into.put_slice(&ahead[..taken]);
            this.ahead_taken += taken;
            if this.ahead_taken == this.ahead.len() {
                this.ahead = Vec::new();
                this.ahead_taken = 0;
            }
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        loop {
            ready!(this.stream.poll_read_ready(cx))?;
            let from = this.unix.pid();
            let received = this.stream.try_io(Interest::READABLE, || {
                sys::receive_into(this.stream.as_fd(), into, from, this.stream.descriptors)
            });
            match received {
                Ok(received) if received.bytes == 0 => return Poll::Ready(Ok(())),
                Ok(received) if received.writer != from => {
                    this.overhear(received.writer);
                    return Poll::Pending;
                }
                Ok(_) => {
                    this.hear(&into.filled()[before..]);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => this.unix.drained(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for UnixConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_open(cx))?;
        Pin::new(&mut *this.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_open(cx))?;
        Pin::new(&mut *this.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(cx)
    }
}

/// How much of `text` the last bytes are, after `byte`, when they were its first `so_far` before (Knuth, Morris, Pratt).
fn matched(text: &[u8], mut so_far: usize, byte: u8) -> usize {
    loop {
        if text[so_far] == byte {
            return so_far + 1;
        }
        if so_far == 0 {
            return 0;
        }
        let border = |len: &usize| text[..so_far].ends_with(&text[..*len]);
        so_far = (0..so_far).rev().find(border).unwrap_or(0);
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::New => "New",
            Self::Taking(_) => "Taking",
            Self::Draining => "Draining",
            Self::Open => "Open",
            Self::Overheard => "Overheard",
        })
    }
}
