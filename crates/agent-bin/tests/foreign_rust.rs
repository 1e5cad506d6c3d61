//! A judge that nobody here wrote: the crate `spiffe` before the agent's binary, in the roles of X.509, JWT, bundles,
//! validation, rotation and mTLS. The same judges in Go and Python stand in `tests/foreign`.

use std::error::Error;
use std::future::Future;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use futures_util::StreamExt as _;
use rustls::pki_types::ServerName;
use spiffe::x509_source::SvidPicker;
use spiffe::{
    JwtSvid, SpiffeId, TrustDomain, WorkloadApiClient, X509Source, X509SourceBuilder, X509Svid,
};
use spiffe_rustls::{authorizer, mtls_client, mtls_server};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

const CONFIG: &str = r#"
trust_domain = "foreign.test"

[workload_api]
socket = "agent.sock"

[[entry]]
spiffe_id = "spiffe://foreign.test/judge"
selectors = ["unix:uid:UID"]
hint = "judge"

[[entry]]
spiffe_id = "spiffe://foreign.test/second"
selectors = ["unix:uid:UID"]
hint = "second"

[[entry]]
spiffe_id = "spiffe://foreign.test/rotates"
selectors = ["unix:uid:UID"]
hint = "rotates"
x509_svid_ttl = "2s"
"#;

/// The agent, from `READY=1` until it is dropped.
struct Agent {
    process: Child,
    folder: TempDir,
}

impl Agent {
    fn start() -> io::Result<Self> {
        let folder = TempDir::new()?;
        let config = folder.path().join("plastron.toml");
        fs::write(
            &config,
            CONFIG.replace("UID", &rustix::process::geteuid().as_raw().to_string()),
        )?;
        let notify = folder.path().join("notify.sock");
        let notified = UnixDatagram::bind(&notify)?;
        notified.set_read_timeout(Some(Duration::from_secs(20)))?;
        let process = Command::new(env!("CARGO_BIN_EXE_plastron-agent"))
            .args(["run", "--config"])
            .arg(config)
            .env("NOTIFY_SOCKET", notify)
            .env("PLASTRON_LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            .spawn()?;
        let agent = Self { process, folder };
        let mut message = [0; 1024];
        loop {
            let len = notified.recv(&mut message)?;
            if message[..len]
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"READY=1")
            {
                return Ok(agent);
            }
        }
    }

    fn endpoint(&self) -> String {
        format!(
            "unix://{}",
            Path::new(self.folder.path()).join("agent.sock").display()
        )
    }

    async fn client(&self) -> Result<WorkloadApiClient, Box<dyn Error + Send + Sync>> {
        Ok(WorkloadApiClient::connect_to(self.endpoint()).await?)
    }

    /// A live source of the SVID with this hint.
    async fn source(&self, hint: &'static str) -> Result<X509Source, Box<dyn Error + Send + Sync>> {
        let builder = X509SourceBuilder::new()
            .endpoint(self.endpoint())
            .picker(Hinted(hint));
        Ok(builder.build().await?)
    }
}

#[derive(Debug)]
struct Hinted(&'static str);

impl SvidPicker for Hinted {
    fn pick_svid(&self, svids: &[Arc<X509Svid>]) -> Option<usize> {
        svids.iter().position(|svid| svid.hint() == Some(self.0))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn id(path: &str) -> SpiffeId {
    SpiffeId::new(format!("spiffe://foreign.test{path}")).expect("the path is valid")
}

fn domain() -> TrustDomain {
    TrustDomain::new("foreign.test").expect("the name is valid")
}

/// With a limit that only a fault reaches.
async fn within<T>(seconds: u64, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), what)
        .await
        .expect("it happens in time")
}

#[tokio::test]
async fn gets_every_identity_of_the_caller_with_its_bundle() -> Outcome {
    let agent = Agent::start()?;
    let client = agent.client().await?;
    let context = within(10, client.fetch_x509_context()).await?;
    // WAPI-22 +, WAPI-68 +: one for each entry, in their order; WAPI-24 +, WAPI-25 +: the judge parses chain and key.
    let ids: Vec<_> = context
        .svids()
        .iter()
        .map(|svid| svid.spiffe_id().clone())
        .collect();
    assert_eq!(ids, [id("/judge"), id("/second"), id("/rotates")]);
    assert_eq!(context.svids()[1].hint(), Some("second"));
    // WAPI-26 +, WAPI-36 +
    assert_eq!(
        context
            .bundle_set()
            .get(&domain())
            .map(|bundle| bundle.authorities().len()),
        Some(1)
    );
    assert!(
        within(10, client.fetch_x509_bundles())
            .await?
            .get(&domain())
            .is_some()
    );
    Ok(())
}

#[tokio::test]
async fn gets_tokens_that_the_bundles_verify_for_their_audience_alone() -> Outcome {
    let agent = Agent::start()?;
    let client = agent.client().await?;
    let svids = within(10, client.fetch_all_jwt_svids(["a", "b"], None)).await?;
    // WAPI-42 +, WAPI-40 +
    let ids: Vec<_> = svids.iter().map(|svid| svid.spiffe_id().clone()).collect();
    assert_eq!(ids, [id("/judge"), id("/second"), id("/rotates")]);
    let bundles = within(10, client.fetch_jwt_bundles()).await?;
    for svid in &svids {
        assert_eq!(svid.audience(), ["a", "b"]);
        JwtSvid::parse_and_validate(svid.token(), &bundles, &["b"])?;
        // JWT-22 −
        assert!(JwtSvid::parse_and_validate(svid.token(), &bundles, &["c"]).is_err());
        // WAPI-52 +, −
        within(10, client.validate_jwt_token("a", svid.token())).await?;
        assert!(
            within(10, client.validate_jwt_token("c", svid.token()))
                .await
                .is_err()
        );
    }
    let second = within(10, client.fetch_jwt_svid(["a"], Some(&id("/second")))).await?;
    assert_eq!(second.spiffe_id(), &id("/second"), "WAPI-41 +");
    assert!(
        within(10, client.fetch_jwt_svid(["a"], Some(&id("/third"))))
            .await
            .is_err(),
        "WAPI-45 −"
    );
    Ok(())
}

#[tokio::test]
async fn a_watcher_sees_certificates_replaced() -> Outcome {
    let agent = Agent::start()?;
    let client = agent.client().await?;
    let mut contexts = Box::pin(within(10, client.stream_x509_contexts()).await?);
    let mut leaves: Vec<Vec<u8>> = Vec::new();
    // WAPI-11 +: a message for each replacement; X509-53 +: the judge refuses no leaf on arrival.
    while leaves.len() < 3 {
        let context = within(10, contexts.next())
            .await
            .ok_or("the stream ended")??;
        let rotates = context
            .svids()
            .iter()
            .find(|svid| svid.hint() == Some("rotates"));
        let leaf = rotates
            .ok_or("an identity is gone")?
            .leaf()
            .as_bytes()
            .to_vec();
        if leaves.last() != Some(&leaf) {
            leaves.push(leaf);
        }
    }
    Ok(())
}

#[tokio::test]
async fn two_sources_meet_over_mutual_tls_and_refuse_whom_they_do_not_expect() -> Outcome {
    let agent = Agent::start()?;
    for (client, wants_client, wants_server, meets) in [
        ("second", "/second", "/judge", true),
        ("rotates", "/rotates", "/judge", true),
        ("second", "/rotates", "/judge", false),
        ("second", "/second", "/rotates", false),
    ] {
        let server = mtls_server(agent.source("judge").await?)
            .authorize(authorizer::exact([id(wants_client)])?);
        let client_config = mtls_client(agent.source(client).await?)
            .authorize(authorizer::exact([id(wants_server)])?);
        let outcome = within(20, greet(server.build()?, client_config.build()?)).await;
        assert_eq!(
            outcome.is_ok(),
            meets,
            "{client} before a server for {wants_client}, wants {wants_server}: {outcome:?}"
        );
    }
    Ok(())
}

/// A client says a word, a server says it back.
async fn greet(server: rustls::ServerConfig, client: rustls::ClientConfig) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let serve = async {
        let mut connection = acceptor.accept(listener.accept().await?.0).await?;
        let mut word = [0; 5];
        connection.read_exact(&mut word).await?;
        connection.write_all(&word).await?;
        connection.shutdown().await
    };
    let call = async {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        let name = ServerName::try_from("not.looked.at").map_err(io::Error::other)?;
        let mut connection = connector
            .connect(name, TcpStream::connect(address).await?)
            .await?;
        connection.write_all(b"hello").await?;
        let mut word = [0; 5];
        connection.read_exact(&mut word).await?;
        assert_eq!(&word, b"hello");
        io::Result::Ok(())
    };
    let (served, called) = tokio::join!(serve, call);
    served?;
    Ok(called?)
}
