//! Sources that a Workload API feeds: one stream, kept open, opened again when it ends.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use plastron_bundle::BundleSet;
use plastron_schedule::Seed;
use plastron_source::{JwtSource, Source, X509Context, X509Source, source};
use plastron_wire::workload::{
    JwtBundlesRequest, JwtBundlesResponse, X509svidRequest, X509svidResponse,
};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status, Streaming};
use tracing::{debug, warn};

use crate::client::Calls;
use crate::response::{self, ResponseError};
use crate::retry::{Retry, Verdict};
use crate::{ClientError, WorkloadClient};

/// Keeps a source up to date for as long as it is polled.
///
/// Completes only when going on is pointless (WEP-16, WEP-20), with the reason. Dropping it leaves the source with what
/// it has.
#[must_use = "a source is kept up to date only while its driver runs"]
pub struct Driver(Pin<Box<dyn Future<Output = ClientError> + Send>>);

impl Future for Driver {
    type Output = ClientError;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ClientError> {
        self.0.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl WorkloadClient {
    /// Waits for the first X509-SVIDs, however long it takes, and makes a source of them.
    ///
    /// The source is cleared when the agent says that the caller has no identity any more, and keeps what it has while
    /// the agent is away (AMB-31).
    ///
    /// # Errors
    ///
    /// The agent's refusal, of a kind that will not change.
    ///
    /// Spec: Workload API §4, §5.1.
    pub async fn x509_source(&self) -> Result<(X509Source, Driver), ClientError> {
        self.source_of(X509).await
    }

    /// Waits for the first JWT bundles, however long it takes, and makes a source of them, which lives as
    /// [`x509_source`](Self::x509_source) does.
    ///
    /// # Errors
    ///
    /// The agent's refusal, of a kind that will not change.
    ///
    /// Spec: Workload API §4, §6.2.
    pub async fn jwt_source(&self) -> Result<(JwtSource, Driver), ClientError> {
        self.source_of(Jwt).await
    }

    pub(crate) async fn source_of<P: Profile>(
        &self,
        profile: P,
    ) -> Result<(Source<P::Value>, Driver), ClientError> {
        let mut watch = Watch::new(self, profile);
        let (publisher, source) = source(watch.first().await?);
        let driver = async move {
            loop {
                match watch.next().await {
                    Ok(Some(value)) => publisher.publish(value),
                    Ok(None) => publisher.clear(),
                    Err(error) => return error,
                }
            }
        };
        Ok((source, Driver(Box::pin(driver))))
    }
}

/// One of the streams of the Workload API.
pub(crate) trait Profile: Send + Sync + 'static {
    const CALL: &'static str;
    type Response: Send;
    type Value: Send + Sync;

    fn open(
        &self,
        calls: Calls,
    ) -> impl Future<Output = Result<tonic::Response<Streaming<Self::Response>>, Status>> + Send;

    fn value(
        &self,
        response: &Self::Response,
        client: &WorkloadClient,
    ) -> Result<Self::Value, ResponseError>;
}

pub(crate) struct X509;

impl Profile for X509 {
    const CALL: &'static str = "FetchX509SVID";
    type Response = X509svidResponse;
    type Value = X509Context;

    async fn open(
        &self,
        mut calls: Calls,
    ) -> Result<tonic::Response<Streaming<X509svidResponse>>, Status> {
        calls.fetch_x509svid(X509svidRequest {}).await
    }

    fn value(
        &self,
        response: &X509svidResponse,
        client: &WorkloadClient,
    ) -> Result<X509Context, ResponseError> {
        response::x509_context(response, client.backend())
    }
}

pub(crate) struct Jwt;

impl Profile for Jwt {
    const CALL: &'static str = "FetchJWTBundles";
    type Response = JwtBundlesResponse;
    type Value = BundleSet;

    async fn open(
        &self,
        mut calls: Calls,
    ) -> Result<tonic::Response<Streaming<JwtBundlesResponse>>, Status> {
        calls.fetch_jwt_bundles(JwtBundlesRequest {}).await
    }

    fn value(
        &self,
        response: &JwtBundlesResponse,
        _: &WorkloadClient,
    ) -> Result<BundleSet, ResponseError> {
        response::jwt_bundles(response)
    }
}

/// A stream that is opened again for as long as that makes sense.
struct Watch<P: Profile> {
    profile: P,
    client: WorkloadClient,
    stream: Option<Streaming<P::Response>>,
    opened_at: Instant,
    retry: Retry,
    pause: Duration,
    /// The last thing told was a value.
    held: bool,
}

impl<P: Profile> Watch<P> {
    fn new(client: &WorkloadClient, profile: P) -> Self {
        let seed = format!("{} {} {}", client.endpoint(), P::CALL, std::process::id());
        Self {
            retry: Retry::new(
                client.first_pause,
                client.longest_pause,
                Seed::from_bytes(seed.as_bytes()),
            ),
            profile,
            client: client.clone(),
            stream: None,
            opened_at: Instant::now(),
            pause: Duration::ZERO,
            held: false,
        }
    }

    async fn first(&mut self) -> Result<P::Value, ClientError> {
        loop {
            if let Some(value) = self.next().await? {
                return Ok(value);
            }
        }
    }

    /// The next value; nothing once what was told is withdrawn.
    async fn next(&mut self) -> Result<Option<P::Value>, ClientError> {
        loop {
            let status = match self.receive().await {
                Ok(value) => {
                    self.retry.delivered();
                    self.held = true;
                    return Ok(Some(value));
                }
                Err(status) => status,
            };
            self.stream = None;
            let code = status.code();
            match self.retry.ended(code, self.opened_at.elapsed()) {
                Verdict::Stop => return Err(status.into()),
                Verdict::After { delay, withdraw } => {
                    debug!(
                        call = P::CALL,
                        ?code,
                        ?delay,
                        "a stream of the Workload API ended"
                    );
                    self.pause = delay;
                    if withdraw && std::mem::take(&mut self.held) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The next good message of the stream, which is opened if it is not.
    async fn receive(&mut self) -> Result<P::Value, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                if !self.pause.is_zero() {
                    sleep(self.pause).await;
                }
                self.opened_at = Instant::now();
                none.insert(self.profile.open(self.client.calls()).await?.into_inner())
            }
        };
        loop {
            let Some(response) = stream.message().await? else {
                return Err(Status::new(Code::Ok, "the stream ended"));
            };
            match self.profile.value(&response, &self.client) {
                Ok(value) => return Ok(value),
                // WAPI-17: the previous state and the stream stay.
                Err(error) => {
                    warn!(call = P::CALL, error = %Chain(&error), "an answer was discarded");
                }
            }
        }
    }
}

/// An error with what lies below it.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
