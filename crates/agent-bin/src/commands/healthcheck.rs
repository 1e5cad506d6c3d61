//! `healthcheck`: asks by the gRPC health service on the agent's own socket, and by the agent's own service why.

use plastron_wire::agent::v1::{GetStatusRequest, GetStatusResponse, agent_client::AgentClient};
use serde_json::json;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    cli,
    client::{Client, with_header},
    report::{Failure, Outcome, Report, section},
};

pub(super) async fn healthcheck(agent: &cli::Agent, verbose: bool) -> Result<Report, Failure> {
    let client = Client::connect(agent).await?;
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let status = client
        .answer(HealthClient::new(client.channel.clone()).check(request))
        .await?
        .into_inner()
        .status();
    let serving = status == ServingStatus::Serving;
    let told = match serving && !verbose {
        true => None,
        false => Some(ask(&client).await),
    };
    let mut report = report(status, told.as_ref().and_then(|told| told.as_ref().ok()));
    if let Some(Err(untold)) = told {
        report.notes.push(format!("why is not told: {untold}"));
    }
    Ok(report)
}

/// How the agent is doing, if it is one of ours and this user may know.
async fn ask(client: &Client) -> Result<GetStatusResponse, Failure> {
    let mut service = AgentClient::new(client.channel.clone());
    let answer = service.get_status(with_header(GetStatusRequest {}));
    Ok(client.answer(answer).await?.into_inner())
}

fn report(status: ServingStatus, told: Option<&GetStatusResponse>) -> Report {
    let serving = status == ServingStatus::Serving;
    let status = status.as_str_name();
    let mut text = match serving {
        true => "the agent serves\n".to_owned(),
        false => format!("the agent does not serve ({status})\n"),
    };
    let mut json = json!({ "serving": serving, "status": status });
    if let Some(told) = told {
        text += &section("what is wrong", told.problems.iter().cloned());
        text += &section(
            "what it cannot see here",
            told.missing
                .iter()
                .map(|missing| format!("{}: {}", missing.what, missing.why)),
        );
        json["problems"] = json!(told.problems);
        json["missing"] = told
            .missing
            .iter()
            .map(|missing| json!({ "what": missing.what, "why": missing.why }))
            .collect();
    }
    Report {
        outcome: if serving { Outcome::Yes } else { Outcome::No },
        ..Report::yes(text, json)
    }
}

#[cfg(test)]
mod tests {
    use plastron_wire::agent::v1::Missing;

    use super::*;

    #[test]
    fn it_says_what_is_wrong_and_what_is_out_of_sight_as_far_as_that_is_told() {
        let told = GetStatusResponse {
            problems: vec!["authority: no signing key is active".into()],
            missing: vec![Missing {
                what: "no_ptrace".into(),
                why: "no CAP_SYS_PTRACE".into(),
            }],
            ..Default::default()
        };
        let no = report(ServingStatus::NotServing, Some(&told));
        assert_eq!(no.outcome, Outcome::No);
        assert_eq!(
            no.text,
            "the agent does not serve (NOT_SERVING)\nwhat is wrong\n  authority: no signing key is active\n\
             what it cannot see here\n  no_ptrace: no CAP_SYS_PTRACE\n"
        );
        assert_eq!(no.json["missing"][0]["what"], "no_ptrace");
        let yes = report(ServingStatus::Serving, None);
        assert_eq!(
            (yes.outcome, &*yes.text, yes.json),
            (
                Outcome::Yes,
                "the agent serves\n",
                json!({ "serving": true, "status": "SERVING" })
            )
        );
    }
}
