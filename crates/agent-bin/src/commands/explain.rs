//! `explain`: which identities a process gets, and why not others. A running agent says so, or a configuration file alone.

use std::path::Path;

use plastron_attest::{Attested, Evidence, Interest, WorkloadAttestor};
use plastron_attest_unix::{Processes, UnixAttestor};
use plastron_entry::{EntryIndex, RegistrationEntry};
use plastron_wire::agent::v1::{
    self as proto, ExplainRequest, ExplainResponse, agent_client::AgentClient,
};
use serde_json::{Value, json};

use crate::{
    busy::Busy,
    calendar::now,
    cli,
    client::{Client, with_header},
    config::{self, ConfigError},
    report::{Failure, Outcome, Report, block, section},
    run::attestor_options,
};

/// As many entries are shown that almost match.
const NEAR: usize = 5;

pub(super) async fn explain(flags: &cli::Explain) -> Result<Report, Failure> {
    let response = match &flags.config {
        Some(file) => by_configuration(flags.pid, file).await?,
        None => {
            let client = Client::connect(&flags.agent).await?;
            let request = ExplainRequest { pid: flags.pid };
            client
                .answer(AgentClient::new(client.channel.clone()).explain(with_header(request)))
                .await?
                .into_inner()
        }
    };
    let outcome = if response.matching.is_empty() {
        Outcome::No
    } else {
        Outcome::Yes
    };
    Ok(Report {
        outcome,
        ..Report::yes(text(&response), json(&response))
    })
}

/// What an agent with this configuration would say, as far as the user of this command may look.
async fn by_configuration(pid: i32, file: &Path) -> Result<ExplainResponse, Failure> {
    let settings = match config::load(file, &[]) {
        Ok(checked) => checked.settings,
        Err(error @ ConfigError::Unreadable { .. }) => {
            return Err(Failure::cannot_tell(error.to_string()));
        }
        Err(error) => return Err(Failure::no(error.to_string())),
    };
    let unseen = |error: &dyn std::fmt::Display| {
        Failure::cannot_tell(format!("process {pid} cannot be looked at: {error}"))
    };
    let _busy = Busy::with(format!("looking at process {pid}"));
    let peer = Processes::default()
        .peer_of_pid(pid)
        .map_err(|error| unseen(&error))?;
    let attestor = UnixAttestor::new(attestor_options(&settings));
    let evidence = match attestor
        .attest(&peer, &Interest::all())
        .await
        .map_err(|error| unseen(&error))?
    {
        Attested::Evidence(evidence) => evidence,
        _ => Evidence::default(),
    };
    let index = EntryIndex::new(settings.entries);
    let near = index
        .nearest(&evidence.selectors, NEAR)
        .into_iter()
        .map(|near| proto::NearEntry {
            missing_selectors: near.missing.iter().map(ToString::to_string).collect(),
            entry: Some(entry(&near.entry)),
        });
    Ok(ExplainResponse {
        selectors: evidence.selectors.iter().map(ToString::to_string).collect(),
        missing: evidence
            .missing
            .iter()
            .map(|missing| proto::Missing {
                what: missing.what.into(),
                why: missing.why.to_string(),
            })
            .collect(),
        matching: index
            .matching(&evidence.selectors, now())
            .iter()
            .map(|matching| entry(matching))
            .collect(),
        near: near.collect(),
        facts: Some(facts(&evidence)),
    })
}

fn entry(entry: &RegistrationEntry) -> proto::Entry {
    proto::Entry {
        id: entry.id.to_string(),
        spiffe_id: entry.spiffe_id.to_string(),
        selectors: entry.selectors.iter().map(ToString::to_string).collect(),
        hint: entry.hint.to_string(),
    }
}

fn facts(evidence: &Evidence) -> proto::Facts {
    let value = |name: &str| {
        evidence
            .selectors
            .iter()
            .find_map(|selector| selector.as_str().strip_prefix(name))
    };
    let facts = &evidence.facts;
    proto::Facts {
        pid: facts.pid,
        uid: Some(facts.uid),
        gid: Some(facts.gid),
        groups: facts.groups.clone(),
        user: value("unix:user:").map(Into::into),
        group: value("unix:group:").map(Into::into),
        path: facts.path.as_ref().map(|path| path.display().to_string()),
        sha256: value("unix:sha256:").map(Into::into),
        started_at: None,
    }
}

fn text(response: &ExplainResponse) -> String {
    let facts = response.facts.clone().unwrap_or_default();
    let id = |number: Option<u32>, name: Option<String>| match (number, name) {
        (Some(number), Some(name)) => format!("{number} ({name})"),
        (Some(number), None) => number.to_string(),
        (None, name) => name.unwrap_or_default(),
    };
    let groups: Vec<_> = facts.groups.iter().map(ToString::to_string).collect();
    let entry = |entry: &proto::Entry| {
        let hint = if entry.hint.is_empty() {
            String::new()
        } else {
            format!(", hint {}", entry.hint)
        };
        format!("{} (entry {}{hint})", entry.spiffe_id, entry.id)
    };
    let mut text = block(
        &format!("process {}", facts.pid),
        &[
            ("user", id(facts.uid, facts.user)),
            ("group", id(facts.gid, facts.group)),
            ("groups", groups.join(", ")),
            ("program", facts.path.unwrap_or_default()),
            ("sha256", facts.sha256.unwrap_or_default()),
        ],
    );
    text += &section("has", response.selectors.iter().cloned());
    text += &section(
        "could not be seen",
        response
            .missing
            .iter()
            .map(|missing| format!("{}: {}", missing.what, missing.why)),
    );
    text += &section("gets", response.matching.iter().map(entry));
    if response.matching.is_empty() {
        text += "gets nothing: no entry asks for these selectors alone\n";
    }
    text + &section(
        "does not get",
        response.near.iter().filter_map(|near| {
            Some(format!(
                "{}: lacks {}",
                entry(near.entry.as_ref()?),
                near.missing_selectors.join(", ")
            ))
        }),
    )
}

fn json(response: &ExplainResponse) -> Value {
    let entry = |entry: &proto::Entry| json!({ "id": entry.id, "spiffe_id": entry.spiffe_id, "selectors": entry.selectors, "hint": entry.hint });
    json!({
        "facts": response.facts.as_ref().map(|facts| json!({
            "pid": facts.pid,
            "uid": facts.uid,
            "gid": facts.gid,
            "groups": facts.groups,
            "user": facts.user,
            "group": facts.group,
            "path": facts.path,
            "sha256": facts.sha256,
            "started_at": facts.started_at.map(|time| crate::calendar::rfc3339(time.seconds)),
        })),
        "selectors": response.selectors,
        "missing": response.missing.iter().map(|missing| json!({ "what": missing.what, "why": missing.why })).collect::<Value>(),
        "matching": response.matching.iter().map(entry).collect::<Value>(),
        "near": response.near.iter().map(|near| json!({
            "entry": near.entry.as_ref().map(entry),
            "missing_selectors": near.missing_selectors,
        })).collect::<Value>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_ends_with_what_is_missing() {
        let entry = |id: &str, spiffe_id: &str, hint: &str| proto::Entry {
            id: id.into(),
            spiffe_id: spiffe_id.into(),
            selectors: vec!["unix:uid:1000".into()],
            hint: hint.into(),
        };
        let response = ExplainResponse {
            facts: Some(proto::Facts {
                pid: 7,
                uid: Some(1000),
                user: Some("cart".into()),
                gid: Some(5),
                ..Default::default()
            }),
            selectors: vec!["unix:gid:5".into(), "unix:uid:1000".into()],
            missing: vec![proto::Missing {
                what: "unix:path".into(),
                why: "no CAP_SYS_PTRACE".into(),
            }],
            matching: vec![entry("e1", "spiffe://td/cart", "cart")],
            near: vec![proto::NearEntry {
                entry: Some(entry("e2", "spiffe://td/pay", "")),
                missing_selectors: vec!["unix:uid:1001".into()],
            }],
        };
        assert_eq!(
            text(&response),
            "process 7\n  user   1000 (cart)\n  group  5\nhas\n  unix:gid:5\n  unix:uid:1000\ncould not be seen\n  \
             unix:path: no CAP_SYS_PTRACE\ngets\n  spiffe://td/cart (entry e1, hint cart)\ndoes not get\n  spiffe://td/pay \
             (entry e2): lacks unix:uid:1001\n"
        );
        assert_eq!(
            json(&response)["near"][0]["missing_selectors"],
            json!(["unix:uid:1001"])
        );
        assert_eq!(json(&response)["facts"]["path"], Value::Null);
    }

    #[tokio::test]
    async fn a_configuration_alone_explains_the_own_process() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("agent.toml");
        let uid = rustix::process::geteuid().as_raw();
        let write = |uid: u32| {
            let entry =
                format!("spiffe_id = \"spiffe://td/me\"\nselectors = [\"unix:uid:{uid}\"]\n");
            std::fs::write(&file, format!("trust_domain = \"td\"\n[[entry]]\n{entry}")).unwrap();
        };
        let pid = std::process::id().cast_signed();
        write(uid);
        let response = by_configuration(pid, &file).await.unwrap();
        assert_eq!(response.matching[0].spiffe_id, "spiffe://td/me");
        assert_eq!(response.facts.unwrap().uid, Some(uid));
        write(uid + 1);
        let response = by_configuration(pid, &file).await.unwrap();
        assert!(response.matching.is_empty() && text(&response).contains("gets nothing"));
    }
}
