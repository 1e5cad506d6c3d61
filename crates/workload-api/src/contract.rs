//! What an agent brings: connections, who is behind them, and what they get.

use std::future::{Future, ready};
use std::io;
use std::sync::Arc;

use plastron_wire::workload::{JwtsvidRequest, ValidateJwtsvidRequest, WitsvidRequest};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Message, Method, Refusal};

/// Where connections come from.
pub trait Accept: Send + 'static {
    /// A connection.
    type Connection;

    /// Waits for the next connection. Dropping the future loses none.
    ///
    /// # Errors
    ///
    /// What the operating system said. No error ends the service: the server waits a moment and accepts again.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

impl Accept for tokio::net::UnixListener {
    type Connection = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<Self::Connection> {
        Ok(tokio::net::UnixListener::accept(self).await?.0)
    }
}

impl Accept for tokio::net::TcpListener {
    type Connection = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<Self::Connection> {
        Ok(tokio::net::TcpListener::accept(self).await?.0)
    }
}

/// Finds out who is behind a connection.
///
/// Once per connection, before its first byte is read; then looked at again on each call, and lost when it ends.
pub trait Attest: Send + Sync + 'static {
    /// A connection that knows its peer. It should write vectored: answers are then not copied.
    type Connection: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static;
    /// What is known about a caller.
    type Caller: Send + Sync + 'static;

    /// The user ID behind the connection, for limits: cheap, before any other work.
    fn uid(&self, connection: &Self::Connection) -> u32;

    /// Takes the caller's facts.
    fn attest(
        &self,
        connection: &Self::Connection,
    ) -> impl Future<Output = Result<Self::Caller, Refusal>> + Send;

    /// Whether the caller is still who he was. Called for each call: a few microseconds.
    ///
    /// # Errors
    ///
    /// What all calls of the connection end with; then it closes.
    fn check(&self, caller: &Self::Caller) -> Result<(), Refusal>;

    /// Completes when the caller is no longer who he was, at once if he is not any more.
    fn lost(&self, caller: &Self::Caller) -> impl Future<Output = Refusal> + Send;

    /// Descriptors that are held on account of the callers of `uid` beside their connections. They count against the
    /// same limits.
    fn held(&self, uid: u32) -> Held {
        let _ = uid;
        Held::default()
    }
}

/// Descriptors held beside connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Held {
    /// For one uid.
    pub by_uid: usize,
    /// For everybody.
    pub in_all: usize,
}

/// Decides what a caller gets.
///
/// A call that is not implemented answers `Unimplemented`, as a profile that is switched off (WAPI-02, AMB-30).
pub trait Answer<C: Send + Sync>: Send + Sync + 'static {
    /// The messages of one stream. [`Latest`](crate::Latest) serves a watch channel.
    type Updates: Updates;

    /// `FetchX509SVID`: the messages are `X509SVIDResponse`s.
    fn x509_svids(
        &self,
        caller: &Arc<C>,
    ) -> impl Future<Output = Result<Self::Updates, Refusal>> + Send {
        let _ = caller;
        ready(Err(not_enabled()))
    }

    /// `FetchX509Bundles`: the messages are `X509BundlesResponse`s.
    fn x509_bundles(
        &self,
        caller: &Arc<C>,
    ) -> impl Future<Output = Result<Self::Updates, Refusal>> + Send {
        let _ = caller;
        ready(Err(not_enabled()))
    }

    /// `FetchJWTBundles`: the messages are `JWTBundlesResponse`s.
    fn jwt_bundles(
        &self,
        caller: &Arc<C>,
    ) -> impl Future<Output = Result<Self::Updates, Refusal>> + Send {
        let _ = caller;
        ready(Err(not_enabled()))
    }

    /// `FetchJWTSVID`: the message is a `JWTSVIDResponse`. `request` has one to 32 audiences of one to 1024 bytes; its
    /// SPIFFE ID has not been looked at.
    fn jwt_svids(
        &self,
        caller: &Arc<C>,
        request: JwtsvidRequest,
    ) -> impl Future<Output = Result<Message, Refusal>> + Send {
        let _ = (caller, request);
        ready(Err(not_enabled()))
    }

    /// `ValidateJWTSVID`: the message is a `ValidateJWTSVIDResponse`. Both fields of `request` are filled.
    fn validate_jwt_svid(
        &self,
        caller: &Arc<C>,
        request: ValidateJwtsvidRequest,
    ) -> impl Future<Output = Result<Message, Refusal>> + Send {
        let _ = (caller, request);
        ready(Err(not_enabled()))
    }

    /// Whether the WIT-SVID profile is on. While it is not, as here, its calls answer `Unimplemented` whatever they ask
    /// (WAPI-58).
    fn offers_wit(&self) -> bool {
        false
    }

    /// `FetchWITSVID`: the messages are `WITSVIDResponse`s. The SPIFFE ID of `request` has not been looked at.
    fn wit_svids(
        &self,
        caller: &Arc<C>,
        request: WitsvidRequest,
    ) -> impl Future<Output = Result<Self::Updates, Refusal>> + Send {
        let _ = (caller, request);
        ready(Err(not_enabled()))
    }

    /// `FetchWITBundles`: the messages are `WITBundlesResponse`s.
    fn wit_bundles(
        &self,
        caller: &Arc<C>,
    ) -> impl Future<Output = Result<Self::Updates, Refusal>> + Send {
        let _ = caller;
        ready(Err(not_enabled()))
    }

    /// The server refused something by itself, for the record: too many connections, a request without the security
    /// header. What attestors and answerers refuse is theirs to record.
    fn refused(&self, refused: &Refused<'_, C>) {
        let _ = refused;
    }
}

/// A refusal by the server itself.
#[derive(Debug)]
pub struct Refused<'a, C> {
    /// The user ID behind the connection.
    pub uid: u32,
    /// The caller; absent when it happened before attestation.
    pub caller: Option<&'a Arc<C>>,
    /// What was asked; absent when nothing was.
    pub method: Option<Method>,
    /// What the caller was told.
    pub refusal: &'a Refusal,
}

/// The messages of one stream: the state now, and again after each change.
pub trait Updates: Send + 'static {
    /// The first call returns the state at once, each later one waits for a state that differs from the one returned
    /// last and skips what lay between (WAPI-09).
    ///
    /// Called only when the message before has left for the socket, so what it returns counts as handed out. (A caller who
    /// opens a stream with its window shut is handed the latest of those that come until he opens it.) Must be cancel safe.
    ///
    /// # Errors
    ///
    /// Ends the stream.
    fn next(&mut self) -> impl Future<Output = Result<Message, Refusal>> + Send;
}

fn not_enabled() -> Refusal {
    Refusal::unimplemented("this profile is not enabled")
}
