//! `entry import`: the entries of a SPIRE server, as a piece of our configuration.

use std::path::Path;

use plastron_entry::{RegistrationEntry, spire};
use serde_json::{Value, json};

use super::read;
use crate::{
    calendar::{rfc3339, unix_seconds},
    config,
    report::{Failure, Report, plural},
};

/// The kinds of selectors that this agent attests.
const KINDS: [&str; 1] = ["unix"];

pub(super) fn import(file: &Path) -> Result<Report, Failure> {
    let import = spire::import(&read(file)?, &KINDS).map_err(|error| {
        Failure::no(format!("{}: {error}", file.display()))
            .hint("give what `spire-server entry show -output json` printed")
    })?;
    let text: String = import.entries.iter().map(toml).collect();
    let json = json!({
        "entries": import.entries.iter().map(json).collect::<Value>(),
        "notes": import.notes.iter().map(|note| json!({
            "entry": note.entry,
            "spiffe_id": note.spiffe_id,
            "note": note.to_string(),
            "left_out": note.loss.is_whole(),
        })).collect::<Value>(),
    });
    let mut report = Report::yes(text, json);
    let left_out = import
        .notes
        .iter()
        .filter(|note| note.loss.is_whole())
        .count();
    report.notes = import.notes.iter().map(ToString::to_string).collect();
    report.notes.push(format!(
        "{} imported, {left_out} left out",
        plural(import.entries.len(), "entry", "entries")
    ));
    Ok(report)
}

fn toml(entry: &RegistrationEntry) -> String {
    let mut text = format!(
        "[[entry]]\nid = {}\nspiffe_id = {}\n",
        quoted(entry.id.as_str()),
        quoted(entry.spiffe_id.as_str())
    );
    let list =
        |items: &mut dyn Iterator<Item = &str>| items.map(quoted).collect::<Vec<_>>().join(", ");
    text += &format!(
        "selectors = [{}]\n",
        list(&mut entry.selectors.iter().map(|selector| selector.as_str()))
    );
    if let Some(ttl) = entry.x509_svid_ttl {
        text += &format!("x509_svid_ttl = \"{}\"\n", config::show_duration(ttl));
    }
    if let Some(ttl) = entry.jwt_svid_ttl {
        text += &format!("jwt_svid_ttl = \"{}\"\n", config::show_duration(ttl));
    }
    if !entry.dns_names.is_empty() {
        text += &format!(
            "dns_names = [{}]\n",
            list(&mut entry.dns_names.iter().map(|name| &**name))
        );
    }
    if !entry.hint.is_empty() {
        text += &format!("hint = {}\n", quoted(&entry.hint));
    }
    if !entry.federates_with.is_empty() {
        text += &format!(
            "federates_with = [{}]\n",
            list(&mut entry.federates_with.iter().map(|name| name.as_str()))
        );
    }
    if let Some(end) = entry.expires_at {
        text += &format!("expires_at = {}\n", rfc3339(unix_seconds(end)));
    }
    text + "\n"
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn json(entry: &RegistrationEntry) -> Value {
    json!({
        "id": entry.id.as_str(),
        "spiffe_id": entry.spiffe_id.as_str(),
        "selectors": entry.selectors.iter().map(|selector| selector.as_str()).collect::<Value>(),
        "x509_svid_ttl": entry.x509_svid_ttl.map(config::show_duration),
        "jwt_svid_ttl": entry.jwt_svid_ttl.map(config::show_duration),
        "dns_names": entry.dns_names.iter().map(|name| &**name).collect::<Value>(),
        "hint": &*entry.hint,
        "federates_with": entry.federates_with.iter().map(|name| name.as_str()).collect::<Value>(),
        "expires_at": entry.expires_at.map(|end| rfc3339(unix_seconds(end))),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use plastron_entry::Selectors;

    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same_entry() {
        // S-83 +
        let selectors: Selectors = ["unix:uid:1000", "unix:path:/srv/\"odd\" name"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let entry = RegistrationEntry::builder("spiffe://td/cart".parse().unwrap(), selectors)
            .id("cart-1".parse().unwrap())
            .x509_svid_ttl(Duration::from_secs(90))
            .jwt_svid_ttl(Duration::from_secs(3600))
            .dns_names(["cart.internal", "*.cart.internal"])
            .hint("hint with \"quotes\" and \u{e9}\n")
            .federates_with(["partner.org".parse().unwrap()])
            .expires_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000))
            .build()
            .unwrap();
        let file = format!("trust_domain = \"td\"\n{}{}", toml(&entry), "");
        let checked = config::check(&file, Path::new("/agent.toml"), &[])
            .unwrap_or_else(|error| panic!("{error}\n{file}"));
        assert_eq!(checked.settings.entries, [entry]);
    }

    #[test]
    fn what_could_not_be_carried_over_is_said_beside() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("entries.json");
        std::fs::write(&file, r#"{"entries": [{"id": "1", "spiffe_id": {"trust_domain": "td", "path": "/a"},
            "parent_id": {"trust_domain": "td", "path": "/node"}, "selectors": [{"type": "unix", "value": "uid:1000"}],
            "admin": true}]}"#).unwrap();
        let report = import(&file).unwrap();
        assert!(
            report.text.contains("selectors = [\"unix:uid:1000\"]"),
            "{}",
            report.text
        );
        assert!(
            report.notes.iter().any(|note| note.contains("administer")),
            "{:?}",
            report.notes
        );
        assert_eq!(report.json["entries"][0]["id"], "1");

        std::fs::write(&file, "[]").unwrap();
        assert!(
            import(&file)
                .unwrap_err()
                .hint
                .unwrap()
                .contains("spire-server entry show")
        );
    }
}
