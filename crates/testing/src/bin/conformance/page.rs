//! The page for people: per document a table of rules with the code and the tests that name them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::case::Sign;
use crate::citation::{Citations, Place, Test};
use crate::exceptions::Exceptions;
use crate::requirement::{FAMILIES, Requirement, Requirements, RuleId};

const HEAD: &str = "\
# Conformance

<!-- Written by `cargo run -p plastron-testing --bin conformance -- write`. Do not edit. -->

Which rule of the SPIFFE standards is kept where, and which test shows it. Rules have the numbers of a checklist; their
text stands in the standards. *Level* is the word of the standard: `MUST·5280` comes from an RFC that it makes binding, `FACT` is
stated without a keyword and has to hold, `REC` is advice where the standard is silent. *Binds* says who has to obey: ALL
whoever handles SPIFFE IDs, ISS an issuer, VAL a validator, AGT the Workload API server, CLI its client, WKL the workload,
PUB and CON who writes and reads bundles, FSV and FCL the two sides of a bundle endpoint, BSV and BRK of the Broker API,
OPS the operator.

A test is named with the words of its assertion or of its row, and with + for what has to pass or − for what has to be refused or
not to happen. A MUST that binds us has both, or a reason.

Reasons stand in [exceptions.toml](exceptions.toml), and where a
text of the standards allows two readings, ours stands in [readings.md](readings.md).
";

pub(crate) fn render(
    requirements: &Requirements,
    exceptions: &Exceptions,
    citations: &Citations,
) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| document | rules | tested | excepted | MUSTs that bind us | of these with + and − |\n| --- | ---: | ---: | ---: | ---: | ---: |\n");
    for (family, title) in FAMILIES {
        let rules: Vec<_> = requirements
            .iter()
            .filter(|(id, _)| id.family() == family)
            .collect();
        let count = |which: &dyn Fn(&(RuleId, &Requirement)) -> bool| {
            rules.iter().filter(|rule| which(rule)).count()
        };
        let tested = |rule: &(RuleId, &Requirement)| citations.is_tested(rule.0);
        let excepted =
            |rule: &(RuleId, &Requirement)| !tested(rule) && exceptions.reason(rule.0).is_some();
        let must = |rule: &(RuleId, &Requirement)| exceptions.binds_us(rule.1) && !excepted(rule);
        line(
            &mut page,
            format_args!(
                "| {title} | {} | {} | {} | {} | {} |",
                rules.len(),
                count(&tested),
                count(&excepted),
                count(&must),
                count(&|rule| must(rule)
                    && Sign::BOTH
                        .into_iter()
                        .all(|sign| citations.shows(rule.0, sign))),
            ),
        );
    }
    for (family, title) in FAMILIES {
        line(
            &mut page,
            format_args!(
                "\n## {title}\n\n| rule | level | binds | code | tests |\n| --- | --- | --- | --- | --- |"
            ),
        );
        for (id, rule) in requirements.iter().filter(|(id, _)| id.family() == family) {
            let cited = citations.get(id);
            let code = cited.map(|cited| places(&cited.code)).unwrap_or_default();
            let tests = match exceptions.reason(id) {
                Some(reason) if !citations.is_tested(id) => format!("*{reason}*"),
                _ => {
                    let mut shown = cited.map(|cited| tests(&cited.tests)).unwrap_or_default();
                    if exceptions.binds_us(rule) {
                        let missing = Sign::BOTH
                            .into_iter()
                            .filter(|sign| !citations.shows(id, *sign));
                        shown.extend(missing.filter_map(|sign| {
                            let reason = exceptions.reason_of(id, sign)?;
                            Some(format!("*no {}: {reason}*", sign.as_str()))
                        }));
                    }
                    shown.join("<br>")
                }
            };
            line(
                &mut page,
                format_args!(
                    "| {id} | {} | {} | {code} | {tests} |",
                    rule.level, rule.binds
                ),
            );
        }
    }
    page
}

/// Links, by the name of the item.
fn places(places: &BTreeSet<Place>) -> String {
    places.iter().map(link).collect::<Vec<_>>().join(", ")
}

fn link(place: &Place) -> String {
    let file = place.file.rsplit('/').next().unwrap_or(&place.file);
    let name = if place.item.is_empty() {
        file
    } else {
        &place.item
    };
    format!("[{name}](../../{})", place.file)
}

/// Each test with what it shows, in the order of its lines.
fn tests(tests: &[Test]) -> Vec<String> {
    let case = |test: &Test| {
        let label = escape(&test.label);
        format!(
            "{label}{}({})",
            if label.is_empty() { "" } else { " " },
            test.sign.as_str()
        )
    };
    let by_place = tests.chunk_by(|one, next| one.place == next.place);
    by_place
        .map(|tests| {
            let cases: Vec<_> = tests.iter().map(case).collect();
            format!("{}: {}", link(&tests[0].place), cases.join(", "))
        })
        .collect()
}

/// As it stands, in a cell of Markdown: what would mean something there is code.
fn escape(label: &str) -> String {
    if label.contains(['|', '<', '>', '[', ']', '*', '_', '\\', '&', '`']) || label.contains("://")
    {
        format!("`{}`", label.replace('`', "'").replace('|', "\\|"))
    } else {
        label.to_owned()
    }
}

fn line(page: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(page, "{arguments}").expect("writing to a string does not fail");
}
