//! The calls of a workload, and of the operator: tonic over a Unix socket, with the metadata header.

use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;

use hyper_util::rt::TokioIo;
use plastron_wire::agent::v1::agent_client::AgentClient;
use plastron_wire::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use plastron_wire::workload::{
    JwtBundlesRequest, JwtBundlesResponse, SECURITY_HEADER, SECURITY_HEADER_VALUE,
    X509BundlesRequest, X509BundlesResponse, X509svidRequest, X509svidResponse,
};
use tokio::net::UnixStream;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::Result;
use crate::news::Call;

pub(crate) type Client = SpiffeWorkloadApiClient<InterceptedService<Channel, Header>>;
pub(crate) type Operator = AgentClient<InterceptedService<Channel, Header>>;

/// Puts the metadata header on every call.
#[derive(Clone, Copy)]
pub(crate) struct Header;

impl Interceptor for Header {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        let value = MetadataValue::from_static(SECURITY_HEADER_VALUE);
        request.metadata_mut().insert(SECURITY_HEADER, value);
        Ok(request)
    }
}

pub(crate) async fn connect(socket: &Path) -> Result<Client> {
    let (channel, _connection) = channel(socket).await?;
    Ok(SpiffeWorkloadApiClient::with_interceptor(channel, Header))
}

pub(crate) async fn operate(socket: &Path) -> Result<Operator> {
    let (channel, _connection) = channel(socket).await?;
    Ok(AgentClient::with_interceptor(channel, Header))
}

/// A client and another handle of its connection.
pub(crate) async fn connect_and_keep(socket: &Path) -> Result<(Client, BlockingStream)> {
    let (channel, connection) = channel(socket).await?;
    Ok((
        SpiffeWorkloadApiClient::with_interceptor(channel, Header),
        connection,
    ))
}

/// One connection, which is not made again when it breaks.
async fn channel(socket: &Path) -> Result<(Channel, BlockingStream)> {
    let connection = BlockingStream::connect(socket)?;
    connection.set_nonblocking(true)?;
    let other = connection.try_clone()?;
    let mut only = Some(UnixStream::from_std(connection)?);
    let connector = tower::service_fn(move |_| {
        let connection = only
            .take()
            .ok_or_else(|| std::io::Error::other("the connection broke"));
        async move { connection.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    Ok((endpoint.connect_with_connector(connector).await?, other))
}

/// An open stream.
pub(crate) enum Messages {
    X509Svids(Streaming<X509svidResponse>),
    X509Bundles(Streaming<X509BundlesResponse>),
    JwtBundles(Streaming<JwtBundlesResponse>),
}

/// A message of it.
pub(crate) enum Message {
    X509Svids(X509svidResponse),
    X509Bundles(X509BundlesResponse),
    JwtBundles(JwtBundlesResponse),
}

impl Messages {
    pub(crate) async fn open(client: &mut Client, call: Call) -> std::result::Result<Self, Status> {
        Ok(match call {
            Call::X509Svids => Self::X509Svids(
                client
                    .fetch_x509svid(X509svidRequest {})
                    .await?
                    .into_inner(),
            ),
            Call::X509Bundles => Self::X509Bundles(
                client
                    .fetch_x509_bundles(X509BundlesRequest {})
                    .await?
                    .into_inner(),
            ),
            Call::JwtBundles => Self::JwtBundles(
                client
                    .fetch_jwt_bundles(JwtBundlesRequest {})
                    .await?
                    .into_inner(),
            ),
        })
    }

    /// The next message. A stream that ends without a status is an error too.
    pub(crate) async fn next(&mut self) -> std::result::Result<Message, Status> {
        let message = match self {
            Self::X509Svids(messages) => messages.message().await?.map(Message::X509Svids),
            Self::X509Bundles(messages) => messages.message().await?.map(Message::X509Bundles),
            Self::JwtBundles(messages) => messages.message().await?.map(Message::JwtBundles),
        };
        message.ok_or_else(|| Status::ok("the stream ended"))
    }
}
