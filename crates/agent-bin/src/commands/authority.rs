//! `authority rotate`: replaces the signing keys now.

use plastron_wire::agent::v1::{
    Authority, AuthorityKind as ProtoKind, AuthorityPhase, RotateAuthorityRequest,
    RotateAuthorityResponse, agent_client::AgentClient,
};
use serde_json::{Value, json};

use crate::{
    calendar::{distance, now, rfc3339, unix_seconds},
    cli::{self, AuthorityKind},
    client::{Client, with_header},
    report::{Failure, Report, block},
};

pub(super) async fn rotate(kind: AuthorityKind, agent: &cli::Agent) -> Result<Report, Failure> {
    let client = Client::connect(agent).await?;
    let kind = match kind {
        AuthorityKind::All => ProtoKind::Unspecified,
        AuthorityKind::X509 => ProtoKind::X509,
        AuthorityKind::Jwt => ProtoKind::Jwt,
        #[cfg(feature = "wit")]
        AuthorityKind::Wit => ProtoKind::Wit,
    };
    let request = RotateAuthorityRequest { kind: kind.into() };
    let response = client
        .answer(AgentClient::new(client.channel.clone()).rotate_authority(with_header(request)))
        .await?
        .into_inner();
    Ok(Report::yes(
        text(&response, unix_seconds(now())),
        json(&response),
    ))
}

fn text(response: &RotateAuthorityResponse, now: i64) -> String {
    let mut text: String = response
        .done
        .iter()
        .map(|done| format!("{done}\n"))
        .collect();
    for authority in &response.authorities {
        let end = authority.not_after.map_or(0, |time| time.seconds);
        let heading = format!("{} authority, {}", kind(authority), phase(authority));
        text += &block(
            &heading,
            &[
                ("id", authority.id.clone()),
                ("ends", format!("{} ({})", rfc3339(end), distance(end, now))),
            ],
        );
    }
    text + &format!("bundle sequence {}\n", response.bundle_sequence)
}

fn json(response: &RotateAuthorityResponse) -> Value {
    let moment = |time: Option<prost_types::Timestamp>| time.map(|time| rfc3339(time.seconds));
    let authorities = response.authorities.iter().map(|authority| {
        json!({
            "kind": authority.kind().as_str_name(),
            "id": authority.id,
            "phase": authority.phase().as_str_name(),
            "not_before": moment(authority.not_before),
            "not_after": moment(authority.not_after),
        })
    });
    json!({
        "authorities": authorities.collect::<Value>(),
        "bundle_sequence": response.bundle_sequence,
        "done": response.done,
    })
}

fn kind(authority: &Authority) -> &'static str {
    match authority.kind() {
        ProtoKind::X509 => "X.509",
        ProtoKind::Jwt => "JWT",
        ProtoKind::Wit => "WIT",
        ProtoKind::Unspecified => "unknown",
    }
}

fn phase(authority: &Authority) -> &'static str {
    match authority.phase() {
        AuthorityPhase::Prepared => "prepared: published, and not signing yet",
        AuthorityPhase::Active => "active: it signs",
        AuthorityPhase::Old => "old: in the bundle until what it signed has expired",
        AuthorityPhase::Unspecified => "in an unknown phase",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_before_how_it_stands() {
        let response = RotateAuthorityResponse {
            authorities: vec![Authority {
                kind: ProtoKind::Jwt.into(),
                id: "k1".into(),
                phase: AuthorityPhase::Active.into(),
                not_before: None,
                not_after: Some(prost_types::Timestamp {
                    seconds: 3600,
                    nanos: 0,
                }),
            }],
            bundle_sequence: 3,
            done: vec!["prepared k1".into(), "activated k1".into()],
        };
        assert_eq!(
            text(&response, 0),
            "prepared k1\nactivated k1\nJWT authority, active: it signs\n  id    k1\n  ends  1970-01-01T01:00:00Z (in \
             1h)\nbundle sequence 3\n"
        );
        let json = json(&response);
        assert_eq!(json["authorities"][0]["kind"], "AUTHORITY_KIND_JWT");
        assert_eq!(json["authorities"][0]["not_after"], "1970-01-01T01:00:00Z");
        assert_eq!(json["bundle_sequence"], 3);
    }
}
