//! One connection: attested, then served until it closes, its caller is lost, or the server stops.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::Reason;
use h2::server::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tonic::Code;
use tracing::debug;

use crate::admission::Slot;
use crate::call::{self, BoxedCall};
use crate::contract::{Answer, Attest};
use crate::reply::Reply;
use crate::server::Shared;
use crate::socket::Socket;
use crate::turns::{self, Place};
use crate::wakes::Wakes;
use crate::{ConnectionRefused, Limits, Method, Refusal, Refused, Stats};

/// A connection whose caller is known.
pub(crate) struct Connection<A: Attest, N> {
    pub(crate) shared: Arc<Shared<A, N>>,
    pub(crate) caller: Arc<A::Caller>,
    pub(crate) slot: Slot,
    socket: Socket<A::Connection>,
    ending: OnceLock<Ending>,
    heard: AtomicBool,
    /// At which reading of the socket the caller was looked at last, while the connection is driven.
    looked: AtomicU64,
    /// What was done since the connection had its turn, as turns count it.
    worked: AtomicUsize,
}

#[derive(Debug)]
struct Ending {
    refusal: Refusal,
    /// Calls that have one answer may still give it.
    gently: bool,
}

/// What a wait is for, when the connection ends gently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Patience {
    /// One answer, under way: it is waited for.
    Finish,
    /// A stream without end, or a request that has not come: ended.
    Watch,
}

/// A call on the books: open while this lives, then one more with its code.
#[derive(Debug)]
pub(crate) struct OpenCall {
    stats: Arc<Stats>,
    method: Method,
    /// `Cancelled` until something else is known.
    pub(crate) code: Code,
}

impl<A: Attest, N: Answer<A::Caller>> Connection<A, N> {
    /// What waiting calls end with, once the connection is ending.
    pub(crate) fn ending(&self, patience: Patience) -> Option<Refusal> {
        let ending = self.ending.get()?;
        (!ending.gently || patience == Patience::Watch).then(|| ending.refusal.clone())
    }

    /// Ends all calls with `refusal`, then the connection.
    pub(crate) fn end_all(&self, refusal: Refusal) {
        let _first_wins = self.ending.set(Ending {
            refusal,
            gently: false,
        });
    }

    /// Whether the caller still is who he was. One look is enough for all calls that came in one reading: it happens
    /// after the last of them was read and before the first is answered.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let reading = self.socket.readings();
        if self.looked.load(Relaxed) == reading {
            return Ok(());
        }
        self.shared
            .attest
            .check(&self.caller)
            .inspect_err(|refusal| self.end_all(refusal.clone()))?;
        self.looked.store(reading, Relaxed);
        Ok(())
    }

    /// A complete request has come.
    pub(crate) fn heard(&self) {
        self.heard.store(true, Relaxed);
    }

    /// An update of a stream is being sent.
    pub(crate) fn updates(&self) {
        self.worked.fetch_add(1, Relaxed);
    }

    pub(crate) fn open_call(&self, method: Method) -> OpenCall {
        self.worked.fetch_add(turns::CALL, Relaxed);
        self.shared.stats.streams.fetch_add(1, Relaxed);
        OpenCall {
            stats: Arc::clone(&self.shared.stats),
            method,
            code: Code::Cancelled,
        }
    }

    pub(crate) fn refused(&self, method: Method, refusal: &Refusal) {
        self.shared.answer.refused(&Refused {
            uid: self.slot.uid(),
            caller: Some(&self.caller),
            method: Some(method),
            refusal,
        });
    }
}

impl OpenCall {
    pub(crate) fn method(&self) -> Method {
        self.method
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.stats.streams.fetch_sub(1, Relaxed);
        self.stats.count_call(self.method, self.code);
    }
}

/// Calls of one connection that are begun in a turn: a millisecond, where each verifies a token.
const CALLS_IN_A_TURN: usize = 16;
/// How often calls and connection wake each other in a turn before the others get theirs.
const ROUNDS_IN_A_TURN: usize = 4;
/// No reading has this number.
const NEVER: u64 = u64::MAX;
/// What is longer is no limit, and at some length no time that can be named.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Attests the peer of `io` and serves it.
pub(crate) async fn serve<A, N>(shared: Arc<Shared<A, N>>, io: A::Connection, slot: Slot)
where
    A: Attest,
    N: Answer<A::Caller>,
{
    shared.stats.connections.fetch_add(1, Relaxed);
    let _open = OpenConnection(Arc::clone(&shared.stats));
    // What happens once is boxed, so that the task is no larger than what it is most of its life.
    let deadline = Instant::now() + shared.limits.request_time.min(LONGEST);
    let Some(driver) = Box::pin(open(shared, io, slot, deadline)).await else {
        return;
    };
    driver.run(deadline).await;
}

struct OpenConnection(Arc<Stats>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// Boxed, since it is more than a kilobyte and moves from future to future, each of which would keep room for it.
type H2<T> = Box<h2::server::Connection<Socket<T>, Bytes>>;

/// Takes the caller's facts, then speaks the first words of HTTP/2.
async fn open<A, N>(
    shared: Arc<Shared<A, N>>,
    io: A::Connection,
    slot: Slot,
    deadline: Instant,
) -> Option<Driver<A, N>>
where
    A: Attest,
    N: Answer<A::Caller>,
{
    let mut place = slot.place();
    let attested = {
        let mut attest = pin!(async {
            place.turn().await;
            shared.attest.attest(&io).await
        });
        let mut stopped = pin!(shared.stop.notified());
        let stopping = shared.is_stopping();
        let either = poll_fn(|cx| {
            if stopping || stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            attest.as_mut().poll(cx).map(Some)
        });
        timeout_at(deadline, either).await
    };
    let caller = match attested {
        Ok(Some(Ok(caller))) => Arc::new(caller),
        Ok(Some(Err(refusal))) => {
            shared.stats.count_refused(ConnectionRefused::Attestation);
            turn_away(io, &refusal, &shared.limits, Some(place)).await;
            return None;
        }
        Ok(None) => return None,
        Err(_late) => {
            shared.stats.count_refused(ConnectionRefused::Attestation);
            let refusal = Refusal::unavailable("the caller could not be attested in time");
            shared.answer.refused(&Refused {
                uid: slot.uid(),
                caller: None,
                method: None,
                refusal: &refusal,
            });
            turn_away(io, &refusal, &shared.limits, Some(place)).await;
            return None;
        }
    };
    let socket = Socket::new(io);
    let handshake = settings(&shared.limits).handshake(socket.share());
    let h2 = {
        let mut handshake = pin!(handshake);
        let mut lost = pin!(shared.attest.lost(&caller));
        let mut stopped = pin!(shared.stop.notified());
        let stopping = shared.is_stopping();
        let either = poll_fn(|cx| {
            if stopping || stopped.as_mut().poll(cx).is_ready() || lost.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(None);
            }
            handshake.as_mut().poll(cx).map(Some)
        });
        match timeout_at(deadline, either).await {
            Ok(Some(Ok(h2))) => Box::new(h2),
            Ok(Some(Err(error))) => {
                debug!(%error, "no HTTP/2 came");
                return None;
            }
            Ok(None) => return None,
            Err(_late) => {
                shared.stats.count_refused(ConnectionRefused::Silent);
                return None;
            }
        }
    };
    let connection = Connection {
        shared,
        caller,
        slot,
        socket,
        ending: OnceLock::new(),
        heard: AtomicBool::new(false),
        looked: AtomicU64::new(NEVER),
        worked: AtomicUsize::new(0),
    };
    Some(Driver {
        h2,
        calls: FuturesUnordered::new(),
        place,
        wakes: Arc::default(),
        connection: Arc::new(connection),
    })
}

/// Why the driver of a connection stops serving.
enum Event {
    /// Closed by the peer, or broken.
    Closed,
    /// The caller is no longer who he was.
    Lost,
    /// The server stops.
    Stopped,
    /// Nothing complete came.
    Silent,
}

/// What moves a connection and its calls.
struct Driver<A: Attest, N> {
    h2: H2<A::Connection>,
    calls: FuturesUnordered<BoxedCall>,
    place: Place,
    wakes: Arc<Wakes>,
    connection: Arc<Connection<A, N>>,
}

impl<A: Attest, N: Answer<A::Caller>> Driver<A, N> {
    async fn run(mut self, deadline: Instant) {
        let connection = Arc::clone(&self.connection);
        let shared = &connection.shared;
        let mut silent = Some(Box::pin(sleep_until(deadline)));
        let mut lost = pin!(shared.attest.lost(&connection.caller));
        let mut stopped = pin!(shared.stop.notified());
        if shared.is_stopping() {
            return;
        }
        let event = poll_fn(|cx| {
            if let Poll::Ready(refusal) = lost.as_mut().poll(cx) {
                connection.end_all(refusal);
                return Poll::Ready(Event::Lost);
            }
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Stopped);
            }
            let driven = self.poll_turn(cx);
            if connection.ending.get().is_some() {
                return Poll::Ready(Event::Lost);
            }
            if driven.is_ready() {
                return Poll::Ready(Event::Closed);
            }
            if connection.heard.load(Relaxed) {
                silent = None;
            } else if let Some(silent) = &mut silent {
                return silent.as_mut().poll(cx).map(|()| Event::Silent);
            }
            Poll::Pending
        })
        .await;
        match event {
            Event::Closed => return,
            Event::Silent => {
                shared.stats.count_refused(ConnectionRefused::Silent);
                return;
            }
            Event::Lost => {
                shared.stats.lost.fetch_add(1, Relaxed);
            }
            Event::Stopped => {
                let _first_wins = connection.ending.set(Ending {
                    refusal: Refusal::unavailable("the agent is stopping"),
                    gently: true,
                });
                self.h2.graceful_shutdown();
            }
        }
        let _late = timeout(shared.limits.flush_time, Box::pin(self.end())).await;
    }

    /// As [`drive`](Self::drive), when it is this connection's turn.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.place.poll_turn(cx));
        let read = self.connection.socket.readings();
        let driven = self.drive(cx);
        let read = self.connection.socket.readings().wrapping_sub(read);
        let worked = self.connection.worked.swap(0, Relaxed);
        // What a call takes to be read is part of it; whoever sends frames without end pays for each further reading.
        let read = usize::try_from(read).unwrap_or(usize::MAX);
        let read = read.saturating_sub(1).saturating_mul(turns::CALL);
        self.place.done(read.max(worked).max(1));
        driven
    }

    /// Moves calls and connection as far as they go, and lets the answers leave together. Ready when the connection has
    /// closed or broken.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wakes.begin(cx.waker());
        let waker = Waker::from(Arc::clone(&self.wakes));
        let cx = &mut Context::from_waker(&waker);
        let connection = &self.connection;
        connection.looked.store(NEVER, Relaxed);
        connection.socket.gather();
        let mut moved = self.settle(cx);
        if let Poll::Ready(Err(error)) = self.connection.socket.poll_release(cx) {
            debug!(%error, "a connection broke");
            moved = Poll::Ready(());
        }
        self.wakes.end();
        moved
    }

    /// Until neither wakes the other, or it has been enough.
    fn settle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut left = CALLS_IN_A_TURN;
        for _ in 0..ROUNDS_IN_A_TURN {
            if self.advance(&mut left, cx).is_ready() {
                return Poll::Ready(());
            }
            if left == 0 || !self.wakes.again() {
                break;
            }
        }
        Poll::Pending
    }

    fn advance(&mut self, left: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
        while *left > 0 {
            while let Poll::Ready(Some(())) = self.calls.poll_next_unpin(cx) {}
            match ready!(self.h2.poll_accept(cx)) {
                Some(Ok((request, respond))) => {
                    self.calls
                        .push(call::start(&self.connection, request, respond));
                    *left -= 1;
                }
                Some(Err(error)) => {
                    debug!(%error, "a connection broke");
                    return Poll::Ready(());
                }
                None => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells all calls that the connection ends, waits until they have been told, and closes. Out of turn: what a caller is
    /// no longer to have is not taken from him later because he has asked for much.
    async fn end(mut self) {
        self.place.leave();
        // Whoever is put in again is polled again, and then sees the end.
        let waiting = std::mem::take(&mut self.calls);
        self.calls.extend(waiting);
        poll_fn(|cx| {
            let driven = self.drive(cx);
            if self.calls.is_empty() && !self.h2.has_streams() {
                return Poll::Ready(());
            }
            driven
        })
        .await;
        close(self.h2).await;
    }
}

/// Sends what is left with a GOAWAY, and closes.
async fn close<T>(mut h2: H2<T>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    h2.abrupt_shutdown(Reason::NO_ERROR);
    let _broken = poll_fn(|cx| h2.poll_closed(cx)).await;
}

/// Tells a peer who is not served why, in the words of the protocol, for a bounded time.
pub(crate) async fn turn_away<T>(
    io: T,
    refusal: &Refusal,
    limits: &Limits,
    mut place: Option<Place>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let talk = async {
        if let Some(place) = &mut place {
            place.turn().await;
        }
        let mut h2: H2<T> = Box::new(settings(limits).handshake(Socket::new(io)).await.ok()?);
        let (request, respond) = h2.accept().await?.ok()?;
        drop(request);
        Reply::Fresh(respond).refuse(refusal);
        poll_fn(|cx| match h2.poll_closed(cx) {
            Poll::Pending if h2.has_streams() => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
        close(h2).await;
        Some(())
    };
    let _late = timeout(limits.flush_time, Box::pin(talk)).await;
}

fn settings(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(limits.metadata_bytes)
        // See `Reply::room`.
        .max_send_buffer_size(1);
    builder
}
