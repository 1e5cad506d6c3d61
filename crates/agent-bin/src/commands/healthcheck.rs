//! `healthcheck`: asks by the gRPC health service on the agent's own socket.

use serde_json::json;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    cli,
    client::Client,
    report::{Failure, Report},
};

pub(super) async fn healthcheck(agent: &cli::Agent) -> Result<Report, Failure> {
    let client = Client::connect(agent).await?;
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let response = client
        .answer(HealthClient::new(client.channel.clone()).check(request))
        .await?
        .into_inner();
    Ok(match response.status() {
        ServingStatus::Serving => Report::yes(
            "the agent serves\n",
            json!({ "serving": true, "status": "SERVING" }),
        ),
        other => {
            let status = other.as_str_name();
            Report::no(
                format!("the agent does not serve ({status})\n"),
                json!({ "serving": false, "status": status }),
            )
        }
    })
}
