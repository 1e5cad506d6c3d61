//! What has to hold, by name, and what was found of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What has to hold all the time. Each is counted when it was looked at, so that one that nobody looked at does not pass.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Rule {
    X509Valid,
    X509Renewed,
    BundlesRead,
    PeersTrusted,
    JwtValid,
    JwtJudged,
    Exact,
    Newest,
    Alike,
    Revoked,
    BundlesReach,
    BrokenFile,
    ExecCut,
    ExecFresh,
    Unbroken,
    Held,
    Healthy,
    Descriptors,
    Stopped,
    AuditChain,
    AuditComplete,
}

impl Rule {
    pub(crate) const ALL: [Self; 21] = [
        Self::X509Valid,
        Self::X509Renewed,
        Self::BundlesRead,
        Self::PeersTrusted,
        Self::JwtValid,
        Self::JwtJudged,
        Self::Exact,
        Self::Newest,
        Self::Alike,
        Self::Revoked,
        Self::BundlesReach,
        Self::BrokenFile,
        Self::ExecCut,
        Self::ExecFresh,
        Self::Unbroken,
        Self::Held,
        Self::Healthy,
        Self::Descriptors,
        Self::Stopped,
        Self::AuditChain,
        Self::AuditComplete,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X509Valid => "an X509-SVID verifies with the bundle beside it when it arrives",
            Self::X509Renewed => "a stream brings the next SVIDs while the last are valid",
            Self::BundlesRead => "a bundle has authorities, and all of them can be read",
            Self::PeersTrusted => "an X509-SVID verifies with what the bundle streams brought",
            Self::JwtValid => "a JWT-SVID verifies, is for its audience and in its time",
            Self::JwtJudged => "the agent takes that JWT-SVID, and not for another audience",
            Self::Exact => "a stream shows the identities of its process, all and in order",
            Self::Newest => "a stream shows the newest entries in time",
            Self::Alike => "what one stream brings, all of the same identities bring in time",
            Self::Revoked => "PermissionDenied comes to those without an entry, and to them alone",
            Self::BundlesReach => "a stream shows the agent's own bundle in time",
            Self::BrokenFile => "a broken file changes nothing and is reported",
            Self::ExecCut => "a program that execs loses its connection in time",
            Self::ExecFresh => "and gets what is its own over another",
            Self::Unbroken => "no call, stream or process fails for any other reason",
            Self::Held => "as many streams are held as were asked for",
            Self::Healthy => "the agent is alive and well at the end",
            Self::Descriptors => "what the agent held for callers is free when they are gone",
            Self::Stopped => "SIGTERM ends the agent, with 0",
            Self::AuditChain => "the audit files verify",
            Self::AuditComplete => "the audit has a record of each SVID that arrived anywhere",
        })
    }
}

/// How often each rule was looked at, and what broke it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    checked: BTreeMap<Rule, u64>,
    broken: BTreeMap<Rule, Vec<String>>,
}

/// Sentences that are printed for one rule.
const SHOWN: usize = 5;

impl Findings {
    /// It was looked at `times` times more, and held.
    pub(crate) fn held(&mut self, rule: Rule, times: u64) {
        *self.checked.entry(rule).or_default() += times;
    }

    /// It did not hold.
    pub(crate) fn broken(&mut self, rule: Rule, what: String) {
        let all = self.broken.entry(rule).or_default();
        if all.len() < SHOWN {
            eprintln!("soak: broken: {rule}: {what}");
        }
        all.push(what);
    }

    /// Notes what was found, good or bad.
    pub(crate) fn found(&mut self, rule: Rule, found: Result<(), String>) {
        match found {
            Ok(()) => self.held(rule, 1),
            Err(what) => self.broken(rule, what),
        }
    }

    pub(crate) fn times(&self, rule: Rule) -> u64 {
        self.checked.get(&rule).copied().unwrap_or_default()
    }

    fn passes(&self, rule: Rule) -> bool {
        self.times(rule) > 0 && !self.broken.contains_key(&rule)
    }

    pub(crate) fn all_pass(&self) -> bool {
        Rule::ALL.iter().all(|rule| self.passes(*rule))
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in Rule::ALL {
            let (times, verdict) = (
                self.times(rule),
                if self.passes(rule) { "ok" } else { "NO" },
            );
            writeln!(f, "{verdict}  {rule} ({times} times)")?;
            let broken = self
                .broken
                .get(&rule)
                .map(Vec::as_slice)
                .unwrap_or_default();
            for what in broken.iter().take(SHOWN) {
                writeln!(f, "      {what}")?;
            }
            if broken.len() > SHOWN {
                writeln!(f, "      and {} more", broken.len() - SHOWN)?;
            }
        }
        let passed = Rule::ALL.iter().filter(|rule| self.passes(**rule)).count();
        writeln!(f, "{passed} passed, {} failed", Rule::ALL.len() - passed)
    }
}
