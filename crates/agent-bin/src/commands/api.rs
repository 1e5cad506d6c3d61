//! `api`: asks the Workload API, as a workload does.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use plastron_wire::workload::{self as proto, spiffe_workload_api_client::SpiffeWorkloadApiClient};
use serde_json::{Value, json};
use tonic::{Code, Streaming, transport::Channel};

use super::{
    messages::{self, Message},
    read, write,
};
use crate::{
    calendar::{now, unix_seconds},
    cli::{self, Api, Kind, Validate},
    client::{Client, with_header},
    report::{Failure, Format, Outcome, Report, block},
};

pub(super) async fn run(command: Api, format: Format) -> Result<Report, Failure> {
    match command {
        Api::Fetch {
            kind,
            audience,
            spiffe_id,
            write,
            agent,
        } => fetch(kind, audience, spiffe_id, write.as_deref(), &agent).await,
        Api::Validate(Validate::Jwt {
            audience,
            token,
            agent,
        }) => validate(audience, token, &agent)
            .await
            .map_err(|failure| failure.members(unjudged())),
        Api::Watch { kind, agent } => watch(kind, &agent, format).await,
    }
}

/// The client of the Workload API over a connection.
fn workload_api(client: &Client) -> SpiffeWorkloadApiClient<Channel> {
    // A caller may have hundreds of identities.
    SpiffeWorkloadApiClient::new(client.channel.clone()).max_decoding_message_size(64 << 20)
}

async fn fetch(
    kind: Kind,
    audience: Vec<String>,
    spiffe_id: Option<String>,
    dir: Option<&Path>,
    agent: &cli::Agent,
) -> Result<Report, Failure> {
    let client = Client::connect(agent).await?;
    let mut api = workload_api(&client);
    match kind {
        Kind::X509 => {
            let stream = client
                .answer(api.fetch_x509svid(with_header(proto::X509svidRequest {})))
                .await?
                .into_inner();
            report(&first(&client, stream).await?, dir, write::x509_svids)
        }
        Kind::Bundles => {
            let stream = client
                .answer(api.fetch_x509_bundles(with_header(proto::X509BundlesRequest {})))
                .await?
                .into_inner();
            report(&first(&client, stream).await?, dir, write::x509_bundles)
        }
        Kind::JwtBundles => {
            let stream = client
                .answer(api.fetch_jwt_bundles(with_header(proto::JwtBundlesRequest {})))
                .await?
                .into_inner();
            report(&first(&client, stream).await?, dir, write::jwt_bundles)
        }
        Kind::Jwt => {
            let request = proto::JwtsvidRequest {
                audience,
                spiffe_id: spiffe_id.unwrap_or_default(),
            };
            report(
                client
                    .answer(api.fetch_jwtsvid(with_header(request)))
                    .await?
                    .get_ref(),
                dir,
                write::jwt_svids,
            )
        }
    }
}

/// The first message of a stream.
async fn first<M>(client: &Client, mut stream: Streaming<M>) -> Result<M, Failure> {
    let message = client.answer(stream.message()).await?;
    message.ok_or_else(|| Failure::cannot_tell("the agent ended the stream without a word"))
}

/// A message as an answer, after its files have been written.
fn report<M: Message>(
    message: &M,
    dir: Option<&Path>,
    write: impl Fn(&Path, &M) -> Result<Vec<PathBuf>, Failure>,
) -> Result<Report, Failure> {
    let written = dir.map_or_else(|| Ok(Vec::new()), |dir| write(dir, message))?;
    let mut report = Report::yes(message.text(unix_seconds(now())), message.json());
    report.notes = written
        .iter()
        .map(|path| format!("wrote {}", path.display()))
        .collect();
    Ok(report)
}

async fn validate(audience: String, token: String, agent: &cli::Agent) -> Result<Report, Failure> {
    let svid = match token.as_str() {
        "-" => String::from_utf8_lossy(&read(Path::new("-"))?)
            .trim()
            .to_owned(),
        _ => token,
    };
    let client = Client::connect(agent).await?;
    let request = with_header(proto::ValidateJwtsvidRequest { audience, svid });
    // InvalidArgument is how the agent says no (WAPI-55).
    let call = async {
        match workload_api(&client).validate_jwtsvid(request).await {
            Ok(response) => Ok(Ok(response.into_inner())),
            Err(status) if status.code() == Code::InvalidArgument => {
                Ok(Err(status.message().to_owned()))
            }
            Err(status) => Err(status),
        }
    };
    Ok(match client.answer(call).await? {
        Ok(response) => {
            let claims = messages::claims(&response.claims.unwrap_or_default());
            let fields = [
                ("valid", "yes".to_owned()),
                ("claims", format!("{claims:#}")),
            ];
            let text = block(&response.spiffe_id, &fields);
            Report::yes(
                text,
                validation(true, json!(response.spiffe_id), claims, Value::Null),
            )
        }
        Err(why) => {
            let text = format!("not valid: {why}\n");
            Report::no(
                text,
                validation(false, Value::Null, Value::Null, json!(why)),
            )
        }
    })
}

/// What programs find beside the error where nothing was judged.
pub(crate) fn unjudged() -> Value {
    json!({ "valid": null, "spiffe_id": null, "claims": null })
}

fn validation(valid: bool, spiffe_id: Value, claims: Value, error: Value) -> Value {
    json!({ "valid": valid, "spiffe_id": spiffe_id, "claims": claims, "error": error })
}

async fn watch(kind: Kind, agent: &cli::Agent, format: Format) -> Result<Report, Failure> {
    let client = Client::connect(agent).await?;
    let mut api = workload_api(&client);
    match kind {
        Kind::Bundles => {
            let stream = client
                .answer(api.fetch_x509_bundles(with_header(proto::X509BundlesRequest {})))
                .await?;
            follow(&client, stream.into_inner(), format).await
        }
        Kind::JwtBundles => {
            let stream = client
                .answer(api.fetch_jwt_bundles(with_header(proto::JwtBundlesRequest {})))
                .await?;
            follow(&client, stream.into_inner(), format).await
        }
        Kind::X509 | Kind::Jwt => {
            let stream = client
                .answer(api.fetch_x509svid(with_header(proto::X509svidRequest {})))
                .await?;
            follow(&client, stream.into_inner(), format).await
        }
    }
}

/// Prints each message as it comes, until the stream ends.
async fn follow<M: Message>(
    client: &Client,
    mut stream: Streaming<M>,
    format: Format,
) -> Result<Report, Failure> {
    let mut next = Some(client.answer(stream.message()).await?);
    while let Some(Some(message)) = next.take() {
        let received = unix_seconds(now());
        let mut out = io::stdout().lock();
        match format {
            Format::Json => writeln!(out, "{}", message.json())?,
            Format::Text => writeln!(
                out,
                "# {}\n{}",
                crate::calendar::rfc3339(received),
                message.text(received)
            )?,
        }
        out.flush()?;
        drop(out);
        next = tokio::select! {
            message = stream.message() => Some(message.map_err(|status| client.refused(&status))?),
            _ = tokio::signal::ctrl_c() => return Ok(Report::silent(Outcome::Yes)),
        };
    }
    Err(Failure::cannot_tell("the agent ended the stream"))
}
