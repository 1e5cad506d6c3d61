//! `svid show` and `svid verify`: SVIDs in files, without an agent.

mod verify;

use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use pki_types::UnixTime;
use plastron_bundle::{
    BundleSet,
    certificate::{Certificate, certificates},
};
use plastron_keys::KeyBackend as _;
use plastron_keys_aws_lc::AwsLc;
use plastron_svid::{VerifyError, X509Verifier};
use serde_json::{Value, json};

use super::read;
use crate::{
    calendar::{now, unix_seconds},
    credential::{self, View},
    form::Form,
    report::{Failure, Outcome, Report, block},
};

pub(crate) use verify::{unjudged, verify};

/// What a file holds.
enum Content {
    /// Certificates in DER, and private keys, in the order of the file.
    X509 {
        certificates: Vec<Vec<u8>>,
        keys: Vec<Vec<u8>>,
    },
    /// A compact JWS.
    Token(String),
}

pub(super) fn show(files: &[PathBuf]) -> Result<Report, Failure> {
    let now = unix_seconds(now());
    let mut report = Report::yes("", json!([]));
    let mut shown = Vec::new();
    for file in files {
        match content(file)? {
            Some(content) => show_one(file, &content, now, &mut report, &mut shown),
            None => {
                report.outcome = Outcome::No;
                report.text += &format!("{}: neither certificates nor a token\n", file.display());
                shown.push(json!({ "file": file, "kind": null, "error": "neither certificates nor a token" }));
            }
        }
    }
    report.json = shown.into();
    Ok(report)
}

fn show_one(file: &Path, content: &Content, now: i64, report: &mut Report, shown: &mut Vec<Value>) {
    let mut add = |kind: &str, heading: &str, view: View| {
        let mut fields = vec![
            ("file", file.display().to_string()),
            ("is", kind.to_owned()),
        ];
        fields.extend(view.fields);
        report.text += &block(heading, &fields);
        let mut json = json!({ "file": file, "kind": kind });
        if let (Some(object), Value::Object(more)) = (json.as_object_mut(), view.json) {
            object.extend(more);
        }
        shown.push(json);
    };
    match content {
        Content::Token(token) => match credential::token(token, now) {
            Some(view) => add(
                "JWT-SVID",
                &view.id.clone().unwrap_or_else(|| "no subject".into()),
                view,
            ),
            None => report.outcome = Outcome::No,
        },
        Content::X509 { certificates, keys } => {
            for (number, der) in certificates.iter().enumerate() {
                match Certificate::parse(der) {
                    Ok(certificate) => {
                        let mut view = credential::certificate(&certificate, now);
                        let (kind, fault) = sort(&certificate, number);
                        if let Some(fault) = fault {
                            view.fields.push(("WARNING", fault.clone()));
                            view.json["error"] = json!(fault);
                            report.outcome = Outcome::No;
                        }
                        let heading = view.id.clone().unwrap_or_else(|| "no SPIFFE ID".into());
                        add(kind, &heading, view);
                    }
                    Err(error) => {
                        let view = View {
                            id: None,
                            fields: vec![("WARNING", error.to_string())],
                            json: json!({ "error": error.to_string() }),
                        };
                        report.outcome = Outcome::No;
                        add("certificate", "unreadable certificate", view);
                    }
                }
            }
            for key in keys {
                let (text, json) = match AwsLc.from_pkcs8(key) {
                    Ok(key) => {
                        let kind = credential::key_kind(key.public_key().kind());
                        (kind.clone(), json!({ "key_type": kind }))
                    }
                    Err(error) => (
                        format!("WARNING: {error}"),
                        json!({ "error": error.to_string() }),
                    ),
                };
                add(
                    "private key",
                    "a private key, which is not shown",
                    View {
                        id: None,
                        fields: vec![("key", text)],
                        json,
                    },
                );
            }
        }
    }
}

/// What a certificate is, and what is wrong with it as that.
fn sort(certificate: &Certificate<'_>, number: usize) -> (&'static str, Option<String>) {
    if number > 0 || certificate.is_ca() {
        let kind = if certificate.is_self_issued() {
            "X.509 authority"
        } else {
            "intermediate"
        };
        return (
            kind,
            (!certificate.is_ca()).then(|| "it may not sign certificates".to_owned()),
        );
    }
    // Without bundles, the verifier comes as far as the rules for leaves, and then knows no trust domain.
    let middle = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        certificate.not_after().as_secs(),
    ));
    let verified = X509Verifier::new(AwsLc.algorithms()).verify(
        &[certificate.der()],
        &BundleSet::new(),
        middle,
    );
    match verified {
        Err(VerifyError::UnknownTrustDomain(_)) | Ok(_) => ("X509-SVID", None),
        Err(error) => ("certificate", Some(format!("not an X509-SVID: {error}"))),
    }
}

/// What a file holds; `None` when it is nothing of ours.
fn content(file: &Path) -> Result<Option<Content>, Failure> {
    Ok(match Form::of(&read(file)?) {
        Form::Pem(text) => Some(pem(&text)),
        Form::Text(text) if is_compact(text.trim()) => Some(Content::Token(text.trim().to_owned())),
        Form::Binary(bytes) => der(bytes),
        Form::Json(_) | Form::Text(_) => None,
    })
}

/// Whether a text has the form of a token.
fn is_compact(text: &str) -> bool {
    let mut parts = text.split('.');
    let is_base64 = |part| Base64UrlUnpadded::decode_vec(part).is_ok();
    parts.clone().count() == 3 && parts.all(is_base64)
}

fn der(bytes: &[u8]) -> Option<Content> {
    let all = certificates(bytes).map(|certificate| Ok(certificate?.der().to_vec()));
    let all: Vec<_> = all
        .collect::<Result<_, plastron_bundle::certificate::CertificateError>>()
        .ok()?;
    (!all.is_empty()).then_some(Content::X509 {
        certificates: all,
        keys: Vec::new(),
    })
}

fn pem(text: &str) -> Content {
    let (mut certificates, mut keys) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        rest = &rest[begin..];
        let Some(end) = rest.find("-----END ") else {
            break;
        };
        let end = end + rest[end..].find('\n').unwrap_or(rest.len() - end);
        match pem_rfc7468::decode_vec(&rest.as_bytes()[..end]) {
            Ok(("CERTIFICATE", der)) => certificates.push(der),
            Ok(("PRIVATE KEY", der)) => keys.push(der),
            // Shown as what it is: unreadable.
            Ok(_) => {}
            Err(_) => certificates.push(Vec::new()),
        }
        rest = &rest[end..];
    }
    Content::X509 { certificates, keys }
}
