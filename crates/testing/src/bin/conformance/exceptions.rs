//! Rules that need no test here, or no test of one sign, with the reason, and what follows from them for a tree.

use crate::case::Sign;
use crate::citation::Citations;
use crate::requirement::{Requirement, Requirements, RuleId};

pub(crate) struct Exceptions {
    /// Who has to obey for a missing test to count.
    binds: Vec<String>,
    rows: Vec<Exception>,
}

struct Exception {
    pattern: Pattern,
    /// The one that needs no test; both without.
    sign: Option<Sign>,
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
            let sign = match row.get("sign").map(toml::Value::as_str) {
                None => None,
                Some(Some("+")) => Some(Sign::Plus),
                Some(Some("−" | "-")) => Some(Sign::Minus),
                Some(_) => return Err("exceptions: sign is + or −".into()),
            };
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
                    sign,
                    reason: reason.to_owned(),
                });
            }
        }
        Ok(Self { binds, rows })
    }

    /// Why `id` needs no test.
    pub(crate) fn reason(&self, id: RuleId) -> Option<&str> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.sign.is_none() && row.covers(id))
            .map(|row| row.reason.as_str())
    }

    /// Why `id` needs no test of that sign.
    pub(crate) fn reason_of(&self, id: RuleId, sign: Sign) -> Option<&str> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.sign.is_none_or(|of| of == sign) && row.covers(id))
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
        let missing = requirements.iter().flat_map(|(id, rule)| {
            let head = format!("{id} ({}, binds {})", rule.level, rule.binds);
            if self.binds_us(rule) {
                let lacks = |sign: &Sign| {
                    !citations.shows(id, *sign) && self.reason_of(id, *sign).is_none()
                };
                Sign::BOTH
                    .into_iter()
                    .filter(lacks)
                    .map(|sign| {
                        format!("{head}: no test shows its {}, and no reason", sign.as_str())
                    })
                    .collect()
            } else if !citations.is_tested(id) && self.reason(id).is_none() {
                vec![format!("{head}: neither test nor reason")]
            } else {
                Vec::new()
            }
        });
        let unknown = citations
            .iter()
            .filter(|(id, _)| !requirements.contains(*id))
            .map(|(id, cited)| format!("{id} is no rule, but {} names it", cited.file));
        let spent = self
            .rows
            .iter()
            .filter_map(|row| match (&row.pattern, row.sign) {
                (Pattern::Rule(id), _) if !requirements.contains(*id) => {
                    Some(format!("{id} has an exception and is no rule"))
                }
                (Pattern::Rule(id), None) if citations.is_tested(*id) => {
                    Some(format!("{id} has an exception and a test"))
                }
                (Pattern::Rule(id), Some(sign)) if citations.shows(*id, sign) => Some(format!(
                    "{id} has an exception for {} and a test of it",
                    sign.as_str()
                )),
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

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "rule\tlevel\tbinds\nID-01\tMUST\tALL\nID-02\tSHOULD\tALL\n";

    fn faults(exceptions: &str, tests: &str) -> Vec<String> {
        let requirements = Requirements::from_tsv(RULES).expect("a table");
        let exceptions = format!("binds = [\"ALL\"]\n{exceptions}");
        let exceptions = Exceptions::parse(&exceptions).expect("exceptions");
        exceptions.faults(&requirements, &Citations::of_test(tests))
    }

    fn exception(rule: &str, sign: &str) -> String {
        format!("[[exception]]\nrules = [\"{rule}\"]\n{sign}\nreason = \"so\"\n")
    }

    #[test]
    fn a_must_wants_both_signs_or_reasons_and_every_rule_a_test_or_a_reason() {
        let no = |sign| format!("ID-01 (MUST, binds ALL): no test shows its {sign}, and no reason");
        let minus = exception("ID-01", "sign = \"−\"");
        for (exceptions, tests, want) in [
            ("", "// ID-01 +, ID-01 −, ID-02 +", vec![]),
            ("", "// ID-01 +, ID-02 −", vec![no("−")]),
            ("", "// ID-01, ID-02 −", vec![no("+"), no("−")]),
            (
                "",
                "// ID-01 + and −",
                vec!["ID-02 (SHOULD, binds ALL): neither test nor reason".to_owned()],
            ),
            (&minus, "// ID-01 +, ID-02 +", vec![]),
            (&minus, "// ID-02 +", vec![no("+")]),
            (
                &minus,
                "// ID-01 + and −, ID-02 +",
                vec!["ID-01 has an exception for − and a test of it".to_owned()],
            ),
            (&exception("ID-*", ""), "// ID-01 +", vec![]),
            (
                &exception("ID-02", ""),
                "// ID-01 + and −, ID-02 +",
                vec!["ID-02 has an exception and a test".to_owned()],
            ),
            (
                "",
                "// ID-01 + and −, ID-02 +; ID-99",
                vec!["ID-99 is no rule, but a/tests/a.rs names it".to_owned()],
            ),
        ] {
            assert_eq!(faults(exceptions, tests), want, "{exceptions} {tests}");
        }
    }
}
