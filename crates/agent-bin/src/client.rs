//! Talking to an agent over its socket, for the length of a command.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use plastron_wire::workload::{SECURITY_HEADER, SECURITY_HEADER_VALUE};
use tokio::net::{TcpStream, UnixStream};
use tonic::{
    Code, Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

use crate::{
    busy::A_MOMENT,
    cli, config,
    report::Failure,
    socket::{self, Address},
};

/// A connection to an agent.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    address: Address,
    timeout: Duration,
}

impl Client {
    /// Connects to the agent that the flags mean.
    pub(crate) async fn connect(flags: &cli::Agent) -> Result<Self, Failure> {
        let address = socket::find(flags.socket.as_deref())?;
        let there = address.clone();
        // The name is never resolved: the connector knows where to go.
        let endpoint = Endpoint::from_static("http://localhost");
        let connector = service_fn(move |_: Uri| {
            let there = there.clone();
            async move {
                Ok::<_, io::Error>(match there {
                    Address::Unix(path) => {
                        TokioIo::new(Stream::Unix(UnixStream::connect(path).await?))
                    }
                    Address::Tcp(address) => {
                        TokioIo::new(Stream::Tcp(TcpStream::connect(address).await?))
                    }
                })
            }
        });
        let connected = waiting(
            &address,
            flags.timeout,
            endpoint.connect_with_connector(connector),
        )
        .await?;
        let channel = connected.map_err(|error| {
            let hint = "is it running? `plastron-agent run --dev` starts one; --socket says where it listens";
            Failure::cannot_tell(format!("the agent at {address} cannot be reached: {}", innermost(&error))).hint(hint)
        })?;
        Ok(Self {
            channel,
            address,
            timeout: flags.timeout,
        })
    }

    /// Waits for an answer, and says so when it takes more than a moment.
    pub(crate) async fn answer<T>(
        &self,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Failure> {
        waiting(&self.address, self.timeout, call)
            .await?
            .map_err(|status| refused(&self.address, &status))
    }

    /// What a status means that ended a stream.
    pub(crate) fn refused(&self, status: &Status) -> Failure {
        refused(&self.address, status)
    }
}

async fn waiting<T>(
    address: &Address,
    limit: Duration,
    what: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut what = std::pin::pin!(what);
    if let Ok(answer) = tokio::time::timeout(A_MOMENT.min(limit), &mut what).await {
        return Ok(answer);
    }
    if let Some(rest) = limit.checked_sub(A_MOMENT) {
        let shown = config::show_duration(limit);
        let _ = writeln!(
            io::stderr(),
            "waiting for the agent at {address}, at most {shown} …"
        );
        if let Ok(answer) = tokio::time::timeout(rest, what).await {
            return Ok(answer);
        }
    }
    Err(Failure::cannot_tell(format!(
        "the agent at {address} did not answer within {}",
        config::show_duration(limit)
    ))
    .hint("look into its log, or wait longer with --timeout"))
}

/// A status as a command's answer: refusals are a no, faults of the agent or the way to it cannot tell.
fn refused(address: &Address, status: &Status) -> Failure {
    let (code, message) = (status.code(), status.message());
    let said = if message.is_empty() {
        code.description()
    } else {
        message
    };
    match code {
        Code::PermissionDenied => Failure::no(format!("refused: {said}")).hint(format!(
            "`plastron-agent explain --pid PID` says which selectors a process has and which entries ask for others ({code:?})"
        )),
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::Unauthenticated => {
            Failure::no(format!("refused: {said} ({code:?})"))
        }
        Code::Unimplemented => Failure::cannot_tell(format!("the agent at {address} does not know this call ({code:?})"))
            .hint("it is an agent of another make, or an older one"),
        code => Failure::cannot_tell(format!("the agent at {address} cannot answer: {said} ({code:?})")),
    }
}

/// The error at the bottom: what the operating system said.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A request with the metadata that the Workload API asks for (WEP-06), and our agent for its own service too.
pub(crate) fn with_header<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(
        SECURITY_HEADER,
        MetadataValue::from_static(SECURITY_HEADER_VALUE),
    );
    request
}

/// Either sort of connection.
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

mod io_of_stream {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::Stream;

    impl AsyncRead for Stream {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
                Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            }
        }
    }

    impl AsyncWrite for Stream {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            match self.get_mut() {
                Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
                Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            }
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
                Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
                Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Outcome;

    #[test]
    fn refusals_are_a_no_and_faults_cannot_tell() {
        let address = Address::Unix("/a.sock".into());
        for (code, want) in [
            (Code::PermissionDenied, Outcome::No),
            (Code::InvalidArgument, Outcome::No),
            (Code::NotFound, Outcome::No),
            (Code::Unavailable, Outcome::CannotTell),
            (Code::Unimplemented, Outcome::CannotTell),
            (Code::DeadlineExceeded, Outcome::CannotTell),
            (Code::Internal, Outcome::CannotTell),
            (Code::ResourceExhausted, Outcome::CannotTell),
        ] {
            let failure = refused(&address, &Status::new(code, "because"));
            assert_eq!(failure.outcome, want, "{code:?}");
            let told = format!("{} {}", failure.message, failure.hint.unwrap_or_default());
            assert!(
                told.contains(&format!("{code:?}")),
                "the code is named: {told}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_does_not_answer_is_given_up() {
        let address = Address::Unix("/a.sock".into());
        let failure = waiting(
            &address,
            Duration::from_secs(5),
            std::future::pending::<()>(),
        )
        .await
        .unwrap_err();
        assert_eq!(failure.outcome, Outcome::CannotTell);
        assert_eq!(
            failure.message,
            "the agent at /a.sock did not answer within 5s"
        );
        assert_eq!(
            waiting(&address, Duration::from_millis(1), async { 7 }).await,
            Ok(7)
        );
    }
}
