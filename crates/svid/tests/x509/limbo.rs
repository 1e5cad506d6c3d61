//! The x509-limbo cases, rebuilt for SPIFFE by others.
//!
//! Where we judge otherwise stands in `limbo_divergences.txt` with the reason; a case that stands there and agrees is a
//! failure too.

use std::collections::BTreeMap;
use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::{Bundle, pem};
use plastron_svid::{PeerRole, VerifyError, X509Verifier};
use plastron_testing::{Clock, vectors};
use serde::Deserialize;

use crate::algorithms::with_each;

#[derive(Deserialize)]
struct Suite {
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    tier: String,
    expected_result: String,
    kind: String,
    spiffe_id: Option<String>,
    trust_domain: Option<String>,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<String>,
}

const DIVERGENCES: &str = include_str!("limbo_divergences.txt");

#[test]
fn judges_as_x509_limbo_does_but_for_known_divergences() {
    let Some(text) = vectors::read("x509-limbo-spiffe.json") else {
        return;
    };
    let suite: Suite = serde_json::from_str(&text).unwrap();
    let mut divergences: BTreeMap<&str, &str> = DIVERGENCES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(": ").expect("an id, a colon and a reason"))
        .collect();
    let mut faults = Vec::new();
    for case in &suite.testcases {
        let verdict = judge(case);
        let agrees = verdict.is_ok() == (case.expected_result == "SUCCESS");
        let short = case.id.trim_start_matches("spiffe::").replace("::", "/");
        let is_known = divergences.remove(&*short).is_some();
        if agrees == is_known {
            faults.push(format!(
                "{short} ({}): expected {}, found {verdict:?}, {} known",
                case.tier,
                case.expected_result,
                if is_known {
                    "a divergence is"
                } else {
                    "no divergence is"
                },
            ));
        }
        if is_known && case.tier == "core" {
            faults.push(format!("{short} is of the core, which must be right"));
        }
    }
    faults.extend(divergences.keys().map(|id| format!("{id} is not a case")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(suite.testcases.len() > 90);
}

fn judge(case: &Case) -> Result<(), String> {
    let trusted = case.trusted_certs.concat();
    let trust_domain = case.trust_domain.as_deref().unwrap_or("example.org");
    let bundle = Bundle::from_pem(trust_domain.parse().unwrap(), &trusted)
        .unwrap()
        .bundle;
    let chain: Vec<Vec<u8>> = std::iter::once(&case.peer_certificate)
        .chain(&case.untrusted_intermediates)
        .flat_map(|text| pem::certificates(text).unwrap())
        .collect();
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let role = match &*case.kind {
        "SERVER" => PeerRole::Server,
        _ => PeerRole::Client,
    };
    let now = case
        .validation_time
        .as_deref()
        .map_or(Clock::START, seconds);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let id = with_each(|algorithms| {
        let verifier = X509Verifier::new(algorithms).role(role);
        let svid = verifier.verify(&chain, &bundle, now)?;
        Ok::<_, VerifyError>(svid.id().to_owned())
    })
    .map_err(|error| format!("{} {error}", error.rule()))?;
    if let Some(want) = &case.spiffe_id {
        assert_eq!(id.as_str(), want);
    }
    Ok(())
}

/// Seconds since 1970 of a time such as `2024-03-01T00:00:00.999000+00:00`, whose fraction is cut.
fn seconds(time: &str) -> u64 {
    let number = |at: std::ops::Range<usize>| time[at].parse::<u64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    assert!(time.ends_with("+00:00") && year >= 2000);
    // Years begin in March here, so that the leap day comes last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    ((days * 24 + number(11..13)) * 60 + number(14..16)) * 60 + number(17..19)
}
