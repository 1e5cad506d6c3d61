//! `audit verify`: says whether records were changed, taken out, put in another order or cut.

use std::path::{Path, PathBuf};

use plastron_agent::audit::{Place, Report as Found, Verify, read_head_file};
use plastron_keys::{KeyBackend as _, PublicKey};
use plastron_keys_aws_lc::AwsLc;
use serde_json::{Value, json};

use super::read;
use crate::{
    busy::Busy,
    report::{Failure, Report, plural},
};

pub(super) fn verify(
    files: &[PathBuf],
    key: Option<&Path>,
    head: Option<&Path>,
) -> Result<Report, Failure> {
    let mut verify = Verify::new(AwsLc.algorithms());
    if let Some(path) = key {
        verify = verify.key(public_key(path)?);
    }
    if let Some(path) = head {
        let head = read_head_file(path).map_err(|error| Failure::file(path, "read", &error))?;
        verify = verify.head(
            head.ok_or_else(|| Failure::cannot_tell(format!("{} is not there", path.display())))?,
        );
    }
    for path in files {
        // To name the file that is not there; the check itself says only that one is not.
        std::fs::metadata(path).map_err(|error| Failure::file(path, "read", &error))?;
    }
    let _busy = Busy::with(format!(
        "verifying {}",
        plural(files.len(), "audit file", "audit files")
    ));
    let found = verify.files(files).map_err(|error| {
        Failure::cannot_tell(format!("the audit files cannot be read: {error}"))
    })?;
    let report = if found.is_intact() {
        Report::yes
    } else {
        Report::no
    };
    Ok(report(text(&found), json(&found)))
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let unusable = |what: &dyn std::fmt::Display| {
        Failure::cannot_tell(format!(
            "{} is not a public key in PEM: {what}",
            path.display()
        ))
        .hint("write one with `openssl pkey -in KEY -pubout`, or take it from the start record")
    };
    let pem = read(path)?;
    let (_, der) = pem_rfc7468::decode_vec(&pem).map_err(|error| unusable(&error))?;
    PublicKey::from_spki_der(&der).map_err(|error| unusable(&error))
}

fn text(found: &Found) -> String {
    let at = |place: Place| format!("{}:{}", found.file(place).display(), place.line);
    let findings = found
        .findings
        .iter()
        .map(|finding| format!("{}: {}\n", at(finding.at), finding.problem));
    let notes = found
        .notes
        .iter()
        .map(|note| format!("{}: note: {}\n", at(note.at), note.remark));
    let mut text: String = findings.chain(notes).collect();
    if found.left_out > 0 {
        text += &format!("… and {} more\n", found.left_out);
    }
    let records = plural(
        usize::try_from(found.records).unwrap_or(usize::MAX),
        "record",
        "records",
    );
    text += &match found.findings.len() {
        0 => format!("{records}, nothing changed, missing or out of order\n"),
        wrong => format!(
            "{records}, {}\n",
            plural(wrong, "thing wrong", "things wrong")
        ),
    };
    match &found.vouched {
        Some(head) => {
            text += &format!(
                "signed up to record {} at {} by key {}; {} after it\n",
                head.seq,
                head.time,
                head.key,
                plural(
                    usize::try_from(found.unsigned).unwrap_or(usize::MAX),
                    "record",
                    "records"
                ),
            );
        }
        None => text += "no signed head: nobody vouches for these records\n",
    }
    text
}

fn json(found: &Found) -> Value {
    let at = |place: Place, what: String| json!({ "file": found.file(place), "line": place.line, "message": what });
    json!({
        "intact": found.is_intact(),
        "files": found.files,
        "records": found.records,
        "findings": found.findings.iter().map(|finding| at(finding.at, finding.problem.to_string())).collect::<Value>(),
        "notes": found.notes.iter().map(|note| at(note.at, note.remark.to_string())).collect::<Value>(),
        "left_out": found.left_out,
        "signed": found.vouched.as_ref().map(|head| json!({ "record": head.seq, "time": head.time, "key": head.key })),
        "unsigned": found.unsigned,
        "lost": found.lost,
    })
}
