//! Other gRPC services on the same endpoint: any tower service that tonic generates.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::Limits;
use crate::admission::RequestBytes;
use crate::call::{Call, Stop};
use crate::connection::Patience;
use crate::contract::{Answer, Attest};

/// A service that tonic generated, or one like it.
pub trait OtherService:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> OtherService for S where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Send + 'static,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The services of a server beside the Workload API.
#[derive(Debug, Default)]
pub(crate) struct Services {
    services: Vec<ServiceCall>,
    descriptors: Vec<&'static [u8]>,
}

/// A service, ready to be called.
#[derive(Clone, Debug)]
pub(crate) struct ServiceCall {
    name: &'static str,
    /// Answers calls without the security header: health and reflection only (AMB-33).
    pub(crate) open_to_all: bool,
    service: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
}

impl Services {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add<S: OtherService>(&mut self, service: S, open_to_all: bool) {
        self.services.push(ServiceCall {
            name: S::NAME,
            open_to_all,
            service: BoxCloneSyncService::new(service),
        });
    }

    pub(crate) fn describe(&mut self, descriptors: &'static [u8]) {
        self.descriptors.push(descriptors);
    }

    /// Adds reflection over all that has been described (WEP-24): v1, and v1alpha for older tools.
    pub(crate) fn finish(mut self, limits: &Limits) -> Self {
        let builder = || {
            self.descriptors.iter().fold(
                tonic_reflection::server::Builder::configure(),
                |builder, set| builder.register_encoded_file_descriptor_set(set),
            )
        };
        match (builder().build_v1(), builder().build_v1alpha()) {
            (Ok(v1), Ok(v1alpha)) => {
                // Room for a message is made as soon as its length is announced.
                let most = limits.request_bytes;
                self.add(v1.max_decoding_message_size(most), true);
                self.add(v1alpha.max_decoding_message_size(most), true);
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "no reflection: a descriptor does not parse");
            }
        }
        self.descriptors = Vec::new();
        self
    }

    /// The service whose name is the first segment of `path`.
    pub(crate) fn find(&self, path: &str) -> Option<&ServiceCall> {
        let (name, _method) = path.strip_prefix('/')?.split_once('/')?;
        self.services.iter().find(|service| service.name == name)
    }
}

impl ServiceCall {
    /// Serves one call. Returns the status that the service gave.
    pub(crate) async fn serve<A, N>(
        self,
        call: &mut Call<A, N>,
        request: Request<RecvStream>,
    ) -> Result<Code, Stop>
    where
        A: Attest,
        N: Answer<A::Caller>,
    {
        let limits = &call.connection.shared.limits;
        let (left, held) = (
            limits.request_bytes,
            call.connection.slot.request_bytes(limits),
        );
        let incoming = |stream| Body::new(Incoming { stream, left, held });
        let mut request = request.map(incoming);
        request
            .extensions_mut()
            .insert(Arc::clone(&call.connection.caller));
        let response = {
            let response = pin!(self.service.oneshot(request));
            match call.race(Patience::Finish, response).await? {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        call.connection.heard();

        let (head, body) = response.into_parts();
        let mut code = status_of(&head.headers);
        let head = Response::from_parts(head, ());
        if body.is_end_stream() {
            call.reply.only(head);
            return Ok(code.unwrap_or(Code::Unknown));
        }
        call.reply.headers(head)?;
        let mut body = pin!(body);
        loop {
            call.room(Patience::Watch).await?;
            let frame = {
                let frame = pin!(poll_fn(|cx| body.as_mut().poll_frame(cx)));
                call.race(Patience::Watch, frame).await?
            };
            call.connection.updates();
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => call.reply.data(data)?,
                Some(Ok(Err(frame))) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    code = status_of(&trailers).or(code);
                    call.reply.finish_with(trailers);
                    return Ok(code.unwrap_or(Code::Unknown));
                }
                Some(Err(status)) => {
                    return Err(Stop::Refused(crate::Refusal::new(
                        status.code(),
                        status.message().to_owned(),
                    )));
                }
                None => {
                    call.reply.finish_with(HeaderMap::new());
                    return Ok(code.unwrap_or(Code::Unknown));
                }
            }
        }
    }
}

fn status_of(headers: &HeaderMap) -> Option<Code> {
    let status = headers.get("grpc-status")?;
    Some(Code::from_bytes(status.as_bytes()))
}

/// A request's body for a tower service, bounded.
struct Incoming {
    stream: RecvStream,
    left: usize,
    held: RequestBytes,
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.stream.poll_data(cx).map(|data| {
            let data = match data? {
                Ok(data) => data,
                Err(error) => return Some(Err(Status::from_error(Box::new(error)))),
            };
            let _gone = self.stream.flow_control().release_capacity(data.len());
            match self.left.checked_sub(data.len()) {
                Some(left) => self.left = left,
                None => return Some(Err(Status::invalid_argument("the request is too long"))),
            }
            if let Err(refusal) = self.held.hold(data.len()) {
                return Some(Err(Status::new(refusal.code, refusal.message)));
            }
            Some(Ok(Frame::data(data)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
