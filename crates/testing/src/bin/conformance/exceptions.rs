//! Rules that need no test here, with the reason, and what follows from them for a tree.

use crate::citation::Citations;
use crate::requirement::{Requirement, Requirements, RuleId};

pub(crate) struct Exceptions {
    /// Who has to obey for a missing test to count.
    binds: Vec<String>,
    rows: Vec<Exception>,
}

struct Exception {
    pattern: Pattern,
    reason: String,
}

enum Pattern {
    Rule(RuleId),
    Family(String),
}

impl Exceptions {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text
            .parse()
            .map_err(|error| format!("exceptions: {error}"))?;
        let strings = |value: Option<&toml::Value>| -> Option<Vec<String>> {
            value?
                .as_array()?
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect()
        };
        let binds = strings(table.get("binds")).ok_or("exceptions: binds is a list of roles")?;
        let mut rows = Vec::new();
        for row in table
            .get("exception")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
        {
            let reason = row
                .get("reason")
                .and_then(toml::Value::as_str)
                .filter(|reason| !reason.is_empty());
            let reason = reason.ok_or("exceptions: each exception has a reason")?;
            for name in strings(row.get("rules")).ok_or("exceptions: rules is a list of numbers")? {
                let pattern = match name.strip_suffix("-*") {
                    Some(family) => Pattern::Family(family.to_owned()),
                    None => Pattern::Rule(
                        RuleId::parse(&name)
                            .ok_or_else(|| format!("exceptions: no rule {name}"))?,
                    ),
                };
                rows.push(Exception {
                    pattern,
                    reason: reason.to_owned(),
                });
            }
        }
        Ok(Self { binds, rows })
    }

    /// Why `id` needs no test.
    pub(crate) fn reason(&self, id: RuleId) -> Option<&str> {
        self.rows
            .iter()
            .find(|row| row.covers(id))
            .map(|row| row.reason.as_str())
    }

    /// Whether a missing test of this rule is a fault.
    pub(crate) fn binds_us(&self, rule: &Requirement) -> bool {
        rule.is_must()
            && rule
                .binds
                .split(", ")
                .any(|role| self.binds.iter().any(|ours| ours == role))
    }

    /// What is wrong, a line each: rules without tests, citations of nothing, and exceptions that are none any more.
    pub(crate) fn faults(&self, requirements: &Requirements, citations: &Citations) -> Vec<String> {
        let missing = requirements
            .iter()
            .filter(|(id, rule)| {
                self.binds_us(rule) && !citations.is_tested(*id) && self.reason(*id).is_none()
            })
            .map(|(id, rule)| {
                format!(
                    "{id} ({}, binds {}): no test names it, and no exception",
                    rule.level, rule.binds
                )
            });
        let unknown = citations
            .iter()
            .filter(|(id, _)| !requirements.contains(*id))
            .map(|(id, cited)| {
                let place = cited.code.iter().chain(&cited.tests).next();
                format!(
                    "{id} is no rule, but {} names it",
                    place.map_or("", |place| &place.file)
                )
            });
        let spent = self.rows.iter().filter_map(|row| match row.pattern {
            Pattern::Rule(id) if !requirements.contains(id) => {
                Some(format!("{id} has an exception and is no rule"))
            }
            Pattern::Rule(id) if citations.is_tested(id) => {
                Some(format!("{id} has an exception and a test"))
            }
            _ => None,
        });
        missing.chain(unknown).chain(spent).collect()
    }
}

impl Exception {
    fn covers(&self, id: RuleId) -> bool {
        match &self.pattern {
            Pattern::Rule(rule) => *rule == id,
            Pattern::Family(family) => family == id.family(),
        }
    }
}
