//! `bundle show`: the bundle of a trust domain, as the running agent has it.

use plastron_bundle::Bundle;
use plastron_wire::agent::v1::{GetBundleRequest, agent_client::AgentClient};
use serde_json::{Value, json};

use crate::{
    cli::{self, BundleFormat},
    client::{Client, with_header},
    report::{Failure, Report},
};

pub(super) async fn show(
    format: BundleFormat,
    trust_domain: Option<String>,
    agent: &cli::Agent,
) -> Result<Report, Failure> {
    let client = Client::connect(agent).await?;
    let request = GetBundleRequest {
        trust_domain: trust_domain.unwrap_or_default(),
    };
    let response = client
        .answer(AgentClient::new(client.channel.clone()).get_bundle(with_header(request)))
        .await?
        .into_inner();
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::cannot_tell(format!(
            "the agent sent a bundle of {} that cannot be used: {error}",
            response.trust_domain
        ))
    };
    let trust_domain = response
        .trust_domain
        .parse()
        .map_err(|error: plastron_id::TrustDomainError| unusable(&error))?;
    let parsed =
        Bundle::parse(trust_domain, &response.document).map_err(|error| unusable(&error))?;
    let bundle = parsed.bundle;
    let parse = |document: &[u8]| {
        serde_json::from_slice::<Value>(document).map_err(|error| unusable(&error))
    };
    let (text, content) = match format {
        BundleFormat::Pem => (bundle.x509_pem(), json!(bundle.x509_pem())),
        BundleFormat::Spiffe => pretty(parse(&response.document)?),
        BundleFormat::Jwks => pretty(parse(&bundle.jwks())?),
    };
    Ok(Report::yes(
        text,
        json!({ "trust_domain": response.trust_domain, "sequence": response.sequence, "bundle": content }),
    ))
}

fn pretty(document: Value) -> (String, Value) {
    (format!("{document:#}\n"), document)
}
