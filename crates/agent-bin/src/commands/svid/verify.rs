//! `svid verify`: whether a file holds an SVID, by the bundles of its user and at a time of his choice.
//!
//! Three outcomes, which scripts tell apart by the exit code: valid, invalid with the rule that was broken, and what could
//! not be judged, which says nothing about the SVID.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    mem,
    path::Path,
    time::Duration,
};

use pki_types::UnixTime;
use plastron_bundle::{Bundle, BundleError, BundleSet, Skipped, certificate::certificates, pem};
use plastron_id::TrustDomain;
use plastron_keys::KeyBackend as _;
use plastron_keys_aws_lc::AwsLc;
use plastron_svid::{JwtError, JwtVerifier, X509Verifier};
use serde_json::{Value, json};

use super::is_compact;
use crate::commands::{STANDARD_INPUT, read, read_whatever};
use crate::{
    calendar::{now, rfc3339, unix_seconds},
    cli,
    form::Form,
    report::{Failure, Report, block},
};

/// Judges a file.
pub(crate) fn verify(flags: &cli::Verify) -> Result<Report, Failure> {
    judge(flags).map_err(|failure| {
        if failure.members.is_empty() {
            failure.members(unjudged(None))
        } else {
            failure
        }
    })
}

/// What programs find beside the error where nothing was judged.
pub(crate) fn unjudged(rule: Option<&str>) -> Value {
    json!({ "valid": null, "spiffe_id": null, "valid_until": null, "rule": rule })
}

fn judge(flags: &cli::Verify) -> Result<Report, Failure> {
    let (bundles, notes) = bundles(flags)?;
    let bytes = read_whatever(&flags.file)?;
    let at = unix_seconds(flags.at.unwrap_or_else(now));
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.try_into().unwrap_or_default()));
    let verdict = match bytes.as_deref().map_or(Presented::TooMuch, presented) {
        Presented::Chain(chain) => {
            let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
            X509Verifier::new(AwsLc.algorithms())
                .role(flags.peer.map_or_else(Default::default, Into::into))
                .verify(&chain, &bundles, at)
                .map(|svid| (svid.id().to_string(), svid.valid_until()))
                .map_err(|error| Invalid::new(error.rule(), &error))
        }
        Presented::Token(token) => {
            let audiences: Vec<&str> = flags.audience.iter().map(String::as_str).collect();
            let verified = JwtVerifier::new(AwsLc.algorithms())
                .leeway(flags.leeway)
                .verify(token, &audiences, &bundles, at);
            match verified {
                Ok(svid) => Ok((svid.id().to_string(), svid.expires_at())),
                // Whoever it is for, this is no token.
                Err(JwtError::NoExpectedAudience) if !is_compact(token) => {
                    Err(Invalid::neither("JWT-01"))
                }
                Err(JwtError::NoExpectedAudience) => return Err(no_audience(&flags.file)),
                Err(error) => Err(Invalid::new(error.rule(), &error)),
            }
        }
        Presented::BrokenPem => Err(Invalid::neither("X509-51")),
        Presented::TooMuch => Err(Invalid {
            rule: "X509-61",
            error: "longer than any chain or token may be".to_owned(),
        }),
    };
    let mut report = match verdict {
        Ok((id, until)) => {
            let until = rfc3339(i64::try_from(until.as_secs()).unwrap_or(i64::MAX));
            let text = block(&id, &[("valid", format!("yes, until {until}"))]);
            Report::yes(
                text,
                json!({ "valid": true, "spiffe_id": id, "valid_until": until, "rule": null, "error": null }),
            )
        }
        Err(Invalid { rule, error }) => Report::no(
            format!("{}: not valid: {error} ({rule})\n", flags.file.display()),
            json!({ "valid": false, "spiffe_id": null, "valid_until": null, "rule": rule, "error": error }),
        ),
    };
    report.notes = notes;
    Ok(report)
}

/// Why it is no SVID.
struct Invalid {
    rule: &'static str,
    error: String,
}

impl Invalid {
    fn new(rule: &'static str, error: &dyn std::error::Error) -> Self {
        let error = error.to_string();
        Self { rule, error }
    }

    fn neither(rule: &'static str) -> Self {
        let error = "neither certificates nor a token".to_owned();
        Self { rule, error }
    }
}

fn no_audience(file: &Path) -> Failure {
    let rule = JwtError::NoExpectedAudience.rule();
    Failure::cannot_tell(format!(
        "{} is a JWT-SVID, which is valid for somebody",
        file.display()
    ))
    .hint("say with --audience for whom it has to be meant")
    .members(unjudged(Some(rule)))
}

/// What a file presents as an SVID.
enum Presented<'f> {
    /// Certificates in DER, and at the end what is left of the file where it does not divide into such.
    Chain(Vec<Vec<u8>>),
    Token(&'f str),
    BrokenPem,
    /// More than anybody looks at.
    TooMuch,
}

/// Sorts a file by its form alone: certificates in PEM or DER, else a token.
fn presented(bytes: &[u8]) -> Presented<'_> {
    match Form::of(bytes) {
        Form::Pem(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
            pem::certificates(&text).map_or(Presented::BrokenPem, Presented::Chain)
        }
        // Keys, or nothing at all.
        Form::Pem(_) | Form::Text("") => Presented::Chain(vec![]),
        Form::Json(text) | Form::Text(text) => {
            // Editors and shells end a file with a line end; anything else is not in a token.
            let token = text.strip_suffix("\r\n").or(text.strip_suffix('\n'));
            Presented::Token(token.unwrap_or(text))
        }
        Form::Binary(bytes) => {
            let mut chain: Vec<Vec<u8>> = certificates(bytes)
                .map_while(Result::ok)
                .map(|certificate| certificate.der().to_vec())
                .collect();
            let read: usize = chain.iter().map(Vec::len).sum();
            if read < bytes.len() {
                chain.push(bytes[read..].to_vec());
            }
            Presented::Chain(chain)
        }
    }
}

/// The bundles that were named, several files of one trust domain joined, and what was left out of them.
fn bundles(flags: &cli::Verify) -> Result<(BundleSet, Vec<String>), Failure> {
    let mut bundles: BTreeMap<TrustDomain, Bundle> = BTreeMap::new();
    let mut notes = Vec::new();
    // What was read once is gone.
    let mut is_input_taken = flags.file == Path::new(STANDARD_INPUT);
    for text in &flags.bundle {
        if text.ends_with("=-") && mem::replace(&mut is_input_taken, true) {
            return Err(Failure::cannot_tell(format!(
                "--bundle {text}: the standard input is read for something else already"
            ))
            .hint("name a file"));
        }
        let (bundle, skipped) = bundle(text)?;
        notes.extend(
            skipped
                .iter()
                .map(|skipped| format!("--bundle {text}: {skipped} ({})", skipped.reason.rule())),
        );
        match bundles.entry(bundle.trust_domain().to_owned()) {
            Entry::Vacant(place) => {
                place.insert(bundle);
            }
            Entry::Occupied(mut first) => {
                join(first.get_mut(), &bundle).map_err(|error| unusable(text, &error))?;
            }
        }
    }
    Ok((bundles.into_values().collect(), notes))
}

fn join(bundle: &mut Bundle, more: &Bundle) -> Result<(), BundleError> {
    for authority in more.x509_authorities() {
        bundle.add_x509_authority(authority.clone());
    }
    more.jwt_authorities()
        .iter()
        .try_for_each(|authority| bundle.add_jwt_authority(authority.clone()))
}

/// A bundle as `TD=FILE`: a bundle document, PEM, or DER.
fn bundle(text: &str) -> Result<(Bundle, Vec<Skipped>), Failure> {
    let wrong = |what: &dyn std::fmt::Display, rule| {
        Failure::cannot_tell(format!("--bundle {text}: {what}"))
            .hint("write --bundle example.org=FILE")
            .members(unjudged(rule))
    };
    let (name, file) = text
        .split_once('=')
        .ok_or_else(|| wrong(&"no trust domain", None))?;
    let trust_domain =
        TrustDomain::from_name_or_id(name).map_err(|error| wrong(&error, Some(error.rule())))?;
    if name.trim_start_matches("spiffe://").contains('/') {
        return Err(wrong(&"the ID of a workload, not of a trust domain", None));
    }
    let parsed = crate::bundle_file::parse(trust_domain, &read(Path::new(file))?)
        .map_err(|error| unusable(text, &error))?;
    Ok((parsed.bundle, parsed.skipped))
}

fn unusable(text: &str, error: &BundleError) -> Failure {
    Failure::cannot_tell(format!("--bundle {text}: not a bundle: {error}"))
        .members(unjudged(error.rule()))
}
