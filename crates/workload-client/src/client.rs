//! Calls of the Workload API.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use pki_types::UnixTime;
use plastron_bundle::BundleSet;
use plastron_id::SpiffeId;
use plastron_keys::KeyBackend;
use plastron_source::X509Context;
use plastron_svid::JwtSvid;
use plastron_wire::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use plastron_wire::workload::{
    JwtsvidRequest, SECURITY_HEADER, SECURITY_HEADER_VALUE, ValidateJwtsvidRequest,
    X509BundlesRequest,
};
use tokio::net::{TcpStream, UnixStream};
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tower::service_fn;

use crate::response::{self, ValidatedJwtSvid};
use crate::watch::{Jwt, Profile, X509};
use crate::{ClientError, Endpoint};

/// A client of one Workload API.
///
/// Connects when it first has to, and again whenever the connection is gone. Clones share the connection. Nothing here
/// has a time limit but what the caller puts around it.
#[derive(Clone, Debug)]
pub struct WorkloadClient {
    calls: Calls,
    endpoint: Endpoint,
    backend: Arc<dyn KeyBackend>,
    pub(crate) first_pause: Duration,
    pub(crate) longest_pause: Duration,
}

/// The generated client, with the security header on each call.
///
/// For those who want the messages as they are; [`WorkloadClient`] makes values of them.
pub type Calls = SpiffeWorkloadApiClient<InterceptedService<Channel, SecurityHeader>>;

/// Puts `workload.spiffe.io: true` on each call.
///
/// Spec: Workload Endpoint §5 (WEP-06).
#[derive(Clone, Copy, Debug)]
pub struct SecurityHeader;

impl Interceptor for SecurityHeader {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(
            SECURITY_HEADER,
            MetadataValue::from_static(SECURITY_HEADER_VALUE),
        );
        Ok(request)
    }
}

impl WorkloadClient {
    /// A client of the Workload API at `endpoint`, whose keys `backend` reads. Must be called in a Tokio runtime.
    pub fn new(endpoint: Endpoint, backend: impl KeyBackend + 'static) -> Self {
        let calls = SpiffeWorkloadApiClient::with_interceptor(channel(&endpoint), SecurityHeader)
            .max_decoding_message_size(LARGEST_ANSWER);
        Self {
            calls,
            endpoint,
            backend: Arc::new(backend),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }

    /// How long sources wait after a failure: `first`, then twice as long each time, up to `longest`. 1 s and 30 s
    /// unless said otherwise.
    #[must_use]
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest;
        self
    }

    /// Where the Workload API is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The calls as they are on the wire.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls.clone()
    }

    pub(crate) fn backend(&self) -> &dyn KeyBackend {
        &*self.backend
    }

    /// The X509-SVIDs and bundles of now.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or an answer that breaks the rules.
    pub async fn fetch_x509(&self) -> Result<X509Context, ClientError> {
        self.once(&X509).await
    }

    /// The X.509 bundles of now.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or an answer that breaks the rules.
    pub async fn fetch_x509_bundles(&self) -> Result<BundleSet, ClientError> {
        let answer = self
            .calls()
            .fetch_x509_bundles(X509BundlesRequest {})
            .await?;
        Ok(response::x509_bundles(
            &first_of(answer.into_inner()).await?,
        )?)
    }

    /// The JWT bundles of now.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or an answer that breaks the rules.
    pub async fn fetch_jwt_bundles(&self) -> Result<BundleSet, ClientError> {
        self.once(&Jwt).await
    }

    /// A JWT-SVID for `audiences` for each identity of the caller, the default first, or for `id` alone.
    ///
    /// # Errors
    ///
    /// The agent's refusal (of an empty list of audiences too, WAPI-40), or an answer that breaks the rules.
    pub async fn fetch_jwt_svids(
        &self,
        audiences: &[&str],
        id: Option<&SpiffeId>,
    ) -> Result<Vec<JwtSvid>, ClientError> {
        let request = JwtsvidRequest {
            audience: audiences.iter().map(|&audience| audience.into()).collect(),
            spiffe_id: id.map(SpiffeId::to_string).unwrap_or_default(),
        };
        let answer = self.calls().fetch_jwtsvid(request).await?;
        Ok(response::jwt_svids(
            &answer.into_inner(),
            audiences,
            id,
            now(),
        )?)
    }

    /// A JWT-SVID of the default identity for `audiences`.
    ///
    /// # Errors
    ///
    /// As [`fetch_jwt_svids`](Self::fetch_jwt_svids).
    pub async fn fetch_jwt_svid(&self, audiences: &[&str]) -> Result<JwtSvid, ClientError> {
        let svids = self.fetch_jwt_svids(audiences, None).await?;
        let first = svids.into_iter().next();
        Ok(first.ok_or(crate::ResponseError::Empty("svids"))?)
    }

    /// Has the agent validate a JWT-SVID for `audience` (WAPI-56).
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a token that is not valid; otherwise the agent's refusal, or an answer that breaks the
    /// rules.
    pub async fn validate_jwt_svid(
        &self,
        audience: &str,
        token: &str,
    ) -> Result<ValidatedJwtSvid, ClientError> {
        let request = ValidateJwtsvidRequest {
            audience: audience.into(),
            svid: token.into(),
        };
        let answer = self.calls().validate_jwtsvid(request).await?;
        Ok(response::validated(answer.into_inner())?)
    }

    /// What a stream says first.
    pub(crate) async fn once<P: Profile>(&self, profile: &P) -> Result<P::Value, ClientError> {
        let stream = profile.open(self.calls()).await?.into_inner();
        Ok(profile.value(&first_of(stream).await?, self)?)
    }
}

async fn first_of<T>(mut stream: Streaming<T>) -> Result<T, ClientError> {
    stream.message().await?.ok_or_else(|| ClientError::Status {
        code: Code::Unavailable,
        message: "the stream ended without an answer".into(),
    })
}

/// A channel that connects by itself. The authority is a stand-in: gRPC wants one, and a path has none (RS-13).
fn channel(endpoint: &Endpoint) -> Channel {
    let stand_in = tonic::transport::Endpoint::from_static("http://localhost");
    match endpoint.clone() {
        Endpoint::Unix(path) => stand_in.connect_with_connector_lazy(service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        })),
        Endpoint::Tcp(address) => {
            stand_in.connect_with_connector_lazy(service_fn(move |_| async move {
                TcpStream::connect(address).await.map(TokioIo::new)
            }))
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client of a local service is a driver"
)]
pub(crate) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::since_unix_epoch(since.unwrap_or_default())
}

/// gRPC's usual 4 MiB do not hold many SVIDs with many bundles (requirements §11.5).
const LARGEST_ANSWER: usize = 64 << 20;
