//! Calls as an ordinary client makes them: tonic over a Unix socket, with the metadata header.

use std::path::Path;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use plastron_wire::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use plastron_wire::workload::{
    JwtsvidRequest, JwtsvidResponse, SECURITY_HEADER, SECURITY_HEADER_VALUE,
    ValidateJwtsvidRequest, ValidateJwtsvidResponse, X509svidRequest, X509svidResponse,
};
use tokio::net::UnixStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::{Result, clock};

/// One connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Client(SpiffeWorkloadApiClient<Channel>);

/// The audience of every token that is asked for.
pub(crate) const AUDIENCE: &str = "load";

impl Client {
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let socket = socket.to_owned();
        let endpoint = Endpoint::from_static("http://localhost");
        let connector = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        Ok(Self(SpiffeWorkloadApiClient::new(
            endpoint.connect_with_connector(connector).await?,
        )))
    }

    /// The first message of a stream, which is then dropped.
    pub(crate) async fn x509_svid(&mut self) -> Result<X509svidResponse> {
        let mut stream = self
            .0
            .fetch_x509svid(request(X509svidRequest {}))
            .await?
            .into_inner();
        stream
            .message()
            .await?
            .ok_or_else(|| "the stream ended without a message".into())
    }

    pub(crate) async fn jwt_svid(&mut self) -> Result<JwtsvidResponse> {
        let message = JwtsvidRequest {
            audience: vec![AUDIENCE.to_owned()],
            spiffe_id: String::new(),
        };
        Ok(self.0.fetch_jwtsvid(request(message)).await?.into_inner())
    }

    pub(crate) async fn validate(&mut self, token: &str) -> Result<ValidateJwtsvidResponse> {
        let message = ValidateJwtsvidRequest {
            audience: AUDIENCE.to_owned(),
            svid: token.to_owned(),
        };
        Ok(self
            .0
            .validate_jwtsvid(request(message))
            .await?
            .into_inner())
    }
}

fn request<M>(message: M) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert(
        SECURITY_HEADER,
        MetadataValue::from_static(SECURITY_HEADER_VALUE),
    );
    request
}

/// Time from before the connection until the first SVID is there.
pub(crate) async fn first_svid(socket: &Path) -> Result<Duration> {
    let began = clock::now();
    let response = Client::connect(socket).await?.x509_svid().await?;
    let took = clock::now() - began;
    if response.svids.is_empty() {
        Err("the response has no SVID".into())
    } else {
        Ok(took)
    }
}
