//! The ceiling of driver, gRPC and socket: a tonic server that looks at nobody and sends what it was given.

use std::path::PathBuf;
use std::pin::Pin;
use std::{fs, io};

use clap::Args;
use plastron_wire::workload::spiffe_workload_api_server::{
    SpiffeWorkloadApi, SpiffeWorkloadApiServer,
};
use plastron_wire::workload::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest,
    ValidateJwtsvidResponse, WitBundlesRequest, WitBundlesResponse, WitsvidRequest,
    WitsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svidRequest, X509svidResponse,
};
use prost::Message;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use crate::Result;

#[derive(Args)]
pub(crate) struct Bare {
    /// Where to listen.
    socket: PathBuf,
    /// A folder with the responses, as the agent sent them.
    responses: PathBuf,
}

/// The files in the folder of responses.
pub(crate) const X509_SVID: &str = "x509-svid";
pub(crate) const JWT_SVID: &str = "jwt-svid";
pub(crate) const VALIDATED: &str = "validated";

impl Bare {
    /// Serves until the standard input ends, which it does with the process that started this one.
    pub(crate) async fn serve(self) -> Result<()> {
        crate::target::raise_descriptor_limit()?;
        let (publisher, svids) = watch::channel(read::<X509svidResponse>(&self, X509_SVID)?);
        let server = Server {
            svids,
            jwt: read(&self, JWT_SVID)?,
            validated: read(&self, VALIDATED)?,
        };
        let listener = UnixListener::bind(&self.socket)?;
        let serving = tonic::transport::Server::builder()
            .add_service(SpiffeWorkloadApiServer::new(server))
            .serve_with_incoming(UnixListenerStream::new(listener));
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let publishing = async {
            while let Some(_line) = lines.next_line().await? {
                publisher.send_modify(|_| {});
            }
            Ok::<_, io::Error>(())
        };
        tokio::select! {
            ended = serving => ended?,
            ended = publishing => ended?,
        }
        Ok(())
    }
}

fn read<M: Message + Default>(bare: &Bare, name: &str) -> Result<M> {
    Ok(M::decode(fs::read(bare.responses.join(name))?.as_slice())?)
}

struct Server {
    svids: watch::Receiver<X509svidResponse>,
    jwt: JwtsvidResponse,
    validated: ValidateJwtsvidResponse,
}

type Responses<M> = Pin<Box<dyn Stream<Item = std::result::Result<M, Status>> + Send>>;

fn unmeasured<M>() -> std::result::Result<M, Status> {
    Err(Status::unimplemented(
        "the bare server has the calls that are measured",
    ))
}

#[tonic::async_trait]
impl SpiffeWorkloadApi for Server {
    type FetchX509SVIDStream = Responses<X509svidResponse>;
    type FetchX509BundlesStream = Responses<X509BundlesResponse>;
    type FetchJWTBundlesStream = Responses<JwtBundlesResponse>;
    type FetchWITSVIDStream = Responses<WitsvidResponse>;
    type FetchWITBundlesStream = Responses<WitBundlesResponse>;

    async fn fetch_x509svid(
        &self,
        _: Request<X509svidRequest>,
    ) -> std::result::Result<Response<Self::FetchX509SVIDStream>, Status> {
        Ok(Response::new(Box::pin(
            WatchStream::new(self.svids.clone()).map(Ok),
        )))
    }

    async fn fetch_jwtsvid(
        &self,
        _: Request<JwtsvidRequest>,
    ) -> std::result::Result<Response<JwtsvidResponse>, Status> {
        Ok(Response::new(self.jwt.clone()))
    }

    async fn validate_jwtsvid(
        &self,
        _: Request<ValidateJwtsvidRequest>,
    ) -> std::result::Result<Response<ValidateJwtsvidResponse>, Status> {
        Ok(Response::new(self.validated.clone()))
    }

    async fn fetch_x509_bundles(
        &self,
        _: Request<X509BundlesRequest>,
    ) -> std::result::Result<Response<Self::FetchX509BundlesStream>, Status> {
        unmeasured()
    }

    async fn fetch_jwt_bundles(
        &self,
        _: Request<JwtBundlesRequest>,
    ) -> std::result::Result<Response<Self::FetchJWTBundlesStream>, Status> {
        unmeasured()
    }

    async fn fetch_witsvid(
        &self,
        _: Request<WitsvidRequest>,
    ) -> std::result::Result<Response<Self::FetchWITSVIDStream>, Status> {
        unmeasured()
    }

    async fn fetch_wit_bundles(
        &self,
        _: Request<WitBundlesRequest>,
    ) -> std::result::Result<Response<Self::FetchWITBundlesStream>, Status> {
        unmeasured()
    }
}
