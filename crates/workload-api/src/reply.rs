//! The sending half of a call: headers, messages, trailers.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tonic::Code;

use crate::{Message, Refusal};

/// A call's way back to the caller.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nothing sent yet.
    Fresh(SendResponse<Bytes>),
    /// Headers sent.
    Open(SendStream<Bytes>),
    /// Ended by us.
    Done,
}

/// The caller has reset the stream, or the connection is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gone;

impl Reply {
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        match self {
            Self::Fresh(response) => response.poll_reset(cx).map(|_| Gone),
            Self::Open(stream) => stream.poll_reset(cx).map(|_| Gone),
            Self::Done => Poll::Ready(Gone),
        }
    }

    /// Waits until everything sent before has left for the socket and the caller's window is open.
    ///
    /// The connection is built with a send buffer of one byte: then a stream has capacity only when none of its data
    /// is queued.
    pub(crate) async fn room(&mut self) -> Result<(), Gone> {
        let stream = match self {
            Self::Fresh(_) => return Ok(()),
            Self::Open(stream) => stream,
            Self::Done => return Err(Gone),
        };
        poll_fn(|cx| {
            loop {
                if stream.capacity() > 0 {
                    return Poll::Ready(Ok(()));
                }
                match stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Gone)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Sends the headers, if they have not been sent.
    pub(crate) fn open(&mut self) -> Result<(), Gone> {
        match self {
            Self::Fresh(_) => self.headers(grpc_headers()),
            _ => Ok(()),
        }
    }

    /// Whether nothing sent before waits, and the caller's window is open.
    pub(crate) fn has_room(&self) -> bool {
        matches!(self, Self::Open(stream) if stream.capacity() > 0)
    }

    /// Sends a message, after the headers if they have not been sent. Queues it whole, whatever the window.
    pub(crate) fn message(&mut self, message: Message) -> Result<(), Gone> {
        self.open()?;
        self.data(message.into_frame())
    }

    pub(crate) fn headers(&mut self, response: Response<()>) -> Result<(), Gone> {
        let Self::Fresh(respond) = self else {
            return Err(Gone);
        };
        let mut stream = respond.send_response(response, false).map_err(|_| Gone)?;
        stream.reserve_capacity(1);
        *self = Self::Open(stream);
        Ok(())
    }

    pub(crate) fn data(&mut self, data: Bytes) -> Result<(), Gone> {
        let Self::Open(stream) = self else {
            return Err(Gone);
        };
        stream.send_data(data, false).map_err(|_| Gone)?;
        stream.reserve_capacity(1);
        Ok(())
    }

    /// Ends the call well.
    pub(crate) fn finish(&mut self) {
        match std::mem::replace(self, Self::Done) {
            Self::Fresh(respond) => end(respond, trailers_only(Code::Ok, "")),
            Self::Open(mut stream) => {
                let _gone = stream.send_trailers(trailers(Code::Ok, ""));
            }
            Self::Done => {}
        }
    }

    /// Answers with a head alone, another service's.
    pub(crate) fn only(&mut self, response: Response<()>) {
        if let Self::Fresh(respond) = std::mem::replace(self, Self::Done) {
            end(respond, response);
        }
    }

    /// Ends the call with trailers of another service.
    pub(crate) fn finish_with(&mut self, trailers: HeaderMap) {
        if let Self::Open(mut stream) = std::mem::replace(self, Self::Done) {
            let _gone = stream.send_trailers(trailers);
        }
    }

    /// Ends the call with a status. Without headers before it, this is one HEADERS frame ("Trailers-Only").
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        match std::mem::replace(self, Self::Done) {
            Self::Fresh(respond) => {
                let mut response = trailers_only(refusal.code, &refusal.message);
                if refusal.code == Code::Unimplemented {
                    response
                        .headers_mut()
                        .insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
                }
                end(respond, response);
            }
            Self::Open(mut stream) => {
                let _gone = stream.send_trailers(trailers(refusal.code, &refusal.message));
            }
            Self::Done => {}
        }
    }

    /// Answers a request that is not gRPC with an HTTP status.
    pub(crate) fn not_grpc(&mut self, status: StatusCode) {
        if let Self::Fresh(respond) = std::mem::replace(self, Self::Done) {
            let mut response = Response::new(());
            *response.status_mut() = status;
            if status == StatusCode::METHOD_NOT_ALLOWED {
                response
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("POST"));
            }
            end(respond, response);
        }
    }
}

fn end(mut respond: SendResponse<Bytes>, response: Response<()>) {
    let _gone = respond.send_response(response, true);
}

fn grpc_headers() -> Response<()> {
    let mut response = Response::new(());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn trailers_only(code: Code, message: &str) -> Response<()> {
    let mut response = grpc_headers();
    put_status(response.headers_mut(), code, message);
    response
}

fn trailers(code: Code, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    put_status(&mut trailers, code, message);
    trailers
}

fn put_status(headers: &mut HeaderMap, code: Code, message: &str) {
    headers.insert("grpc-status", HeaderValue::from(code as i32));
    if !message.is_empty()
        && let Ok(value) = HeaderValue::from_str(&percent_encoded(message))
    {
        headers.insert("grpc-message", value);
    }
}

/// gRPC over HTTP/2, "Percent-Encoded": what is not printable ASCII, and the per cent sign.
fn percent_encoded(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes everything");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_statuses_are_percent_encoded() {
        for (message, want) in [
            ("no entry matches", "no entry matches"),
            ("100 %", "100 %25"),
            ("zwölf\n", "zw%C3%B6lf%0A"),
            ("~\u{7f}", "~%7F"),
        ] {
            assert_eq!(percent_encoded(message), want);
        }
    }
}
