//! Two workloads that talk over mutual TLS, with SVIDs from the Workload API that are renewed under them.
//!
//! ```text
//! plastron-agent run --dev
//! export SPIFFE_ENDPOINT_SOCKET=…
//! cargo run -p plastron-examples --example mutual_tls -- serve 127.0.0.1:8443 'spiffe://example.org/**'
//! cargo run -p plastron-examples --example mutual_tls -- call 127.0.0.1:8443 'spiffe://example.org/**'
//! ```

use std::{env, error::Error, sync::Arc};

use plastron_id::SpiffeIdPattern;
use plastron_keys_aws_lc::AwsLc;
use plastron_source::X509Source;
use plastron_tls::{Authorizer, MutualTls, peer_id};
use plastron_workload_client::{Endpoint, WorkloadClient};
use rustls::crypto::aws_lc_rs;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Takes calls from whom `clients` means, and tells each who he is once he has said something.
pub async fn serve(
    source: X509Source,
    clients: SpiffeIdPattern,
    listener: &TcpListener,
) -> Outcome<()> {
    let tls = MutualTls::new(source, Arc::new(aws_lc_rs::default_provider()));
    let acceptor = TlsAcceptor::from(Arc::new(
        tls.server_config(Authorizer::patterns([clients]))?,
    ));
    loop {
        let (socket, _) = listener.accept().await?;
        match acceptor.accept(socket).await {
            Ok(mut stream) => {
                let caller = peer_id(stream.get_ref().1).ok_or("no certificate")?;
                stream.read_u8().await?;
                stream
                    .write_all(format!("hello {caller}\n").as_bytes())
                    .await?;
                stream.shutdown().await?;
            }
            Err(refused) => eprintln!("refused: {refused}"),
        }
    }
}

/// Calls a server that `servers` means, and returns what it says.
pub async fn call(source: X509Source, servers: SpiffeIdPattern, address: &str) -> Outcome<String> {
    let tls = MutualTls::new(source, Arc::new(aws_lc_rs::default_provider()));
    let connector = TlsConnector::from(Arc::new(
        tls.client_config(Authorizer::patterns([servers]))?,
    ));
    let socket = TcpStream::connect(address).await?;
    // A name has to be given, and has no part in who the server is.
    let mut stream = connector.connect("workload".try_into()?, socket).await?;
    stream.write_all(b"who am I?\n").await?;
    let mut said = String::new();
    BufReader::new(stream).read_line(&mut said).await?;
    Ok(said)
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a program prints")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [verb, address, peers] = &arguments[..] else {
        return Err("serve|call ADDRESS PATTERN".into());
    };
    let client = WorkloadClient::new(Endpoint::configured(None)?, AwsLc);
    let (source, driver) = client.x509_source().await?;
    tokio::spawn(driver);
    match &verb[..] {
        "serve" => {
            let listener = TcpListener::bind(address).await?;
            println!("{}", listener.local_addr()?.port());
            serve(source, peers.parse()?, &listener).await
        }
        _ => {
            print!("{}", call(source, peers.parse()?, address).await?);
            Ok(())
        }
    }
}
