//! One call, from its head to its trailers.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use tokio::time::{Sleep, sleep};
use tonic::Code;

use crate::connection::{Connection, OpenCall, Patience};
use crate::contract::{Answer, Attest, Updates};
use crate::reply::{Gone, Reply};
use crate::request::{self, Unfit, Unreceived};
use crate::services::ServiceCall;
use crate::{Message, Method, Refusal};

/// A call in the making: whoever polls the boxed future serves it to its end.
pub(crate) type BoxedCall = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a call ends when it does not end well.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody is there to be told.
    Gone,
    /// Told by a status.
    Refused(Refusal),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Looks at the head of a request and makes the call that answers it.
pub(crate) fn start<A, N>(
    connection: &Arc<Connection<A, N>>,
    request: Request<RecvStream>,
    respond: SendResponse<bytes::Bytes>,
) -> BoxedCall
where
    A: Attest,
    N: Answer<A::Caller>,
{
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let service = connection.shared.services.find(path);
    let workload = request::workload_method(path);
    let method = match (workload, service) {
        (Some(method), _) => method,
        (None, Some(_)) => Method::OtherService,
        (None, None) => Method::Unknown,
    };
    let open_to_all = service.is_some_and(|service| service.open_to_all);
    let fit = request::is_grpc(&head)
        .and_then(|()| match open_to_all {
            true => Ok(()),
            false => request::has_security_header(&head.headers),
        })
        .and_then(|()| request::timeout(&head.headers));

    let call = Call {
        connection: Arc::clone(connection),
        reply: Reply::Fresh(respond),
        deadline: None,
        open: connection.open_call(method),
    };
    match (fit, service) {
        (Err(unfit), _) => Box::pin(call.turn_away(unfit, body)),
        (Ok(timeout), Some(service)) => {
            let service = service.clone();
            Box::pin(call.serve_other(timeout, service, Request::from_parts(head, body)))
        }
        (Ok(timeout), None) => {
            drop(head);
            Box::pin(call.serve(timeout, body))
        }
    }
}

/// A call on its way.
pub(crate) struct Call<A: Attest, N> {
    pub(crate) connection: Arc<Connection<A, N>>,
    pub(crate) reply: Reply,
    /// Made only for callers that name a time.
    deadline: Option<Pin<Box<Sleep>>>,
    open: OpenCall,
}

impl<A: Attest, N: Answer<A::Caller>> Call<A, N> {
    /// Answers a call of the Workload API.
    async fn serve(mut self, timeout: Option<Duration>, body: RecvStream) {
        self.deadline = timeout.map(|timeout| Box::pin(sleep(timeout)));
        match self.answer(body).await {
            Ok(()) => {
                self.reply.finish();
                self.open.code = Code::Ok;
            }
            Err(stop) => self.stop(stop),
        }
    }

    /// Answers a call of another service.
    async fn serve_other(
        mut self,
        timeout: Option<Duration>,
        service: ServiceCall,
        request: Request<RecvStream>,
    ) {
        self.deadline = timeout.map(|timeout| Box::pin(sleep(timeout)));
        let outcome = match self.admit() {
            Ok(_slot) => service.serve(&mut self, request).await,
            Err(stop) => Err(stop),
        };
        match outcome {
            Ok(code) => self.open.code = code,
            Err(stop) => self.stop(stop),
        }
    }

    /// Answers a request that its head makes impossible, after reading it to its end.
    async fn turn_away(mut self, unfit: Unfit, body: RecvStream) {
        let limits = &self.connection.shared.limits;
        let mut held = self.connection.slot.request_bytes(limits);
        if let Err(Unreceived::Gone) = request::receive(body, limits, &mut held).await {
            return;
        }
        self.connection.heard();
        match unfit {
            Unfit::NotGrpc(status) => {
                self.reply.not_grpc(status);
                self.open.code = Code::Unknown;
            }
            Unfit::Refused(refusal) => {
                let stop = self.refused(refusal);
                self.stop(stop);
            }
        }
    }

    async fn answer(&mut self, body: RecvStream) -> Result<(), Stop> {
        let connection = Arc::clone(&self.connection);
        let limits = &connection.shared.limits;
        // What was asked is held until it is answered; a stream asks nothing.
        let mut held = connection.slot.request_bytes(limits);
        let body = {
            let body = pin!(request::receive(body, limits, &mut held));
            self.race(Patience::Watch, body).await?
        };
        let body = body.map_err(|unreceived| match unreceived {
            Unreceived::Gone => Stop::Gone,
            Unreceived::Refused(refusal) => self.refused(refusal),
        })?;
        connection.heard();
        let _slot = self.admit()?;

        let message = request::one_message(body).map_err(|r| self.refused(r))?;
        let answer = &connection.shared.answer;
        let caller = &connection.caller;
        match self.open.method() {
            Method::FetchX509Svid => {
                request::no_fields(message).map_err(|r| self.refused(r))?;
                drop(held);
                self.watch(answer.x509_svids(caller)).await
            }
            Method::FetchX509Bundles => {
                request::no_fields(message).map_err(|r| self.refused(r))?;
                drop(held);
                self.watch(answer.x509_bundles(caller)).await
            }
            Method::FetchJwtBundles => {
                request::no_fields(message).map_err(|r| self.refused(r))?;
                drop(held);
                self.watch(answer.jwt_bundles(caller)).await
            }
            Method::FetchJwtSvid => {
                let request = request::jwt_svid_request(message).map_err(|r| self.refused(r))?;
                self.once(answer.jwt_svids(caller, request)).await
            }
            Method::ValidateJwtSvid => {
                let request = request::validate_request(message).map_err(|r| self.refused(r))?;
                self.once(answer.validate_jwt_svid(caller, request)).await
            }
            // Spec: Workload API §7 (WAPI-58).
            Method::FetchWitSvid | Method::FetchWitBundles if !answer.offers_wit() => {
                Err(Refusal::unimplemented("the WIT-SVID profile is not enabled").into())
            }
            Method::FetchWitSvid => {
                let request = request::wit_svid_request(message).map_err(|r| self.refused(r))?;
                drop(held);
                self.watch(answer.wit_svids(caller, request)).await
            }
            Method::FetchWitBundles => {
                request::no_fields(message).map_err(|r| self.refused(r))?;
                drop(held);
                self.watch(answer.wit_bundles(caller)).await
            }
            Method::OtherService | Method::Unknown => {
                Err(Refusal::unimplemented("no such method").into())
            }
        }
    }

    /// Sends one answer. A large one, or one whose caller's window is shut, is the caller's until it has left for the socket:
    /// it holds its place among the streams of its user ID. The others are gone with what ends the call.
    async fn once(
        &mut self,
        answer: impl Future<Output = Result<Message, Refusal>>,
    ) -> Result<(), Stop> {
        let answer = pin!(answer);
        let message = self.race(Patience::Finish, answer).await??;
        let large = message.payload().len() > SMALL;
        self.reply.open()?;
        if !large && self.reply.has_room() {
            return self.send(message);
        }
        let (message, left) = message.watched();
        self.send(message)?;
        // Not until there is room for more: trailers need none, and who made room for the answer alone waits for them.
        let _left = self.race(Patience::Finish, pin!(left)).await?;
        match poll_fn(|cx| Poll::Ready(self.reply.poll_gone(cx))).await {
            Poll::Ready(Gone) => Err(Stop::Gone),
            Poll::Pending => Ok(()),
        }
    }

    /// Sends the state now and after each change, as fast as the caller reads and no faster (WAPI-09, WAPI-12).
    async fn watch<U: Updates>(
        &mut self,
        updates: impl Future<Output = Result<U, Refusal>>,
    ) -> Result<(), Stop> {
        let mut updates = {
            let updates = pin!(updates);
            self.race(Patience::Watch, updates).await??
        };
        // A refusal that comes first is all there is (WAPI-31), so headers wait for the first message.
        let mut message = self.update(&mut updates).await?;
        self.reply.open()?;
        // A caller may have shut his window before there was anything in it: what waits for him is kept the latest.
        while !self.reply.has_room() {
            let newer = {
                let mut newer = pin!(updates.next());
                let mut room = pin!(self.room(Patience::Watch));
                poll_fn(|cx| match newer.as_mut().poll(cx) {
                    Poll::Ready(newer) => Poll::Ready(Ok(Some(newer?))),
                    Poll::Pending => room.as_mut().poll(cx).map(|room| room.map(|()| None)),
                })
                .await?
            };
            message = newer.unwrap_or(message);
        }
        loop {
            self.send(message)?;
            self.room(Patience::Watch).await?;
            message = self.update(&mut updates).await?;
            self.connection.updates();
        }
    }

    async fn update(&mut self, updates: &mut impl Updates) -> Result<Message, Stop> {
        let next = pin!(updates.next());
        Ok(self.race(Patience::Watch, next).await??)
    }

    fn send(&mut self, message: Message) -> Result<(), Stop> {
        let stats = &self.connection.shared.stats;
        stats.messages.fetch_add(1, Relaxed);
        Ok(self.reply.message(message)?)
    }

    /// Checks the caller and takes a place among the streams of its user ID.
    fn admit(&mut self) -> Result<crate::admission::StreamSlot, Stop> {
        let shared = &self.connection.shared;
        self.connection.check()?;
        self.connection
            .slot
            .stream(&shared.limits)
            .ok_or_else(|| self.refused(Refusal::unavailable("too many streams of this user")))
    }

    fn refused(&self, refusal: Refusal) -> Stop {
        self.connection.refused(self.open.method(), &refusal);
        Stop::Refused(refusal)
    }

    fn stop(&mut self, stop: Stop) {
        if let Stop::Refused(refusal) = stop {
            self.reply.refuse(&refusal);
            self.open.code = refusal.code;
        }
    }

    /// Waits for room, or for what ends the call.
    pub(crate) async fn room(&mut self, patience: Patience) -> Result<(), Stop> {
        let Self {
            connection,
            reply,
            deadline,
            ..
        } = self;
        let mut room = pin!(reply.room());
        poll_fn(|cx| {
            if let Some(refusal) = connection.ending(patience) {
                return Poll::Ready(Err(Stop::Refused(refusal)));
            }
            if let Poll::Ready(room) = room.as_mut().poll(cx) {
                return Poll::Ready(room.map_err(Stop::from));
            }
            poll_deadline(deadline, cx).map(Err)
        })
        .await
    }

    /// Waits for `future`, for the end of the connection, for the caller to give up, or for his deadline.
    ///
    /// The end comes first: what is ready when a caller is lost is not handed out any more.
    pub(crate) async fn race<F: Future>(
        &mut self,
        patience: Patience,
        mut future: Pin<&mut F>,
    ) -> Result<F::Output, Stop> {
        poll_fn(|cx| {
            if let Some(refusal) = self.connection.ending(patience) {
                return Poll::Ready(Err(Stop::Refused(refusal)));
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if let Poll::Ready(Gone) = self.reply.poll_gone(cx) {
                return Poll::Ready(Err(Stop::Gone));
            }
            poll_deadline(&mut self.deadline, cx).map(Err)
        })
        .await
    }
}

/// An answer of this size may wait for the socket on nobody's account, a hundred on one connection. A token of one audience
/// has a quarter of it.
const SMALL: usize = 4096;

fn poll_deadline(deadline: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<Stop> {
    let Some(deadline) = deadline else {
        return Poll::Pending;
    };
    ready!(deadline.as_mut().poll(cx));
    Poll::Ready(Stop::Refused(Refusal::new(
        Code::DeadlineExceeded,
        "the caller's deadline has passed",
    )))
}
