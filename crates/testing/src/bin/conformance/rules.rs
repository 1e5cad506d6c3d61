//! Numbers of rules in a text: `X509-02, -03` and `X509-52 to X509-61` name several.

use crate::requirement::{FAMILIES, RuleId};

/// All rules that a line names.
pub(crate) fn rules_in(line: &str) -> Vec<RuleId> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((_, ids, after)) = next_rules(rest) {
        found.extend(ids);
        rest = after;
    }
    found
}

/// What stands before the first number, list or range in `text`, its rules, and what follows.
pub(crate) fn next_rules(text: &str) -> Option<(&str, Vec<RuleId>, &str)> {
    let (before, first, rest) = next_rule(text)?;
    let mut found = vec![first];
    let rest = follow(first, rest, &mut found);
    Some((before, found, rest))
}

fn next_rule(text: &str) -> Option<(&str, RuleId, &str)> {
    let mut from = 0;
    loop {
        let dash = from + text[from..].find('-')?;
        from = dash + 1;
        let word = text[..dash]
            .trim_end_matches(|c: char| c.is_ascii_alphanumeric())
            .len();
        // `SPIFFE-ID-03` names a section of something else, and `a-ID-03` nothing.
        let alone = word == 0 || !matches!(text.as_bytes()[word - 1], b'-' | b'_');
        let family = &text[word..dash];
        if alone
            && FAMILIES.iter().any(|(name, _)| *name == family)
            && let Some((number, after)) = number(&text[from..])
        {
            return RuleId::new(family, number).map(|id| (&text[..word], id, after));
        }
    }
}

/// Two or three digits.
fn number(text: &str) -> Option<(u16, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let ends = text[digits..]
        .chars()
        .next()
        .is_none_or(|c| !c.is_ascii_alphanumeric());
    (matches!(digits, 2 | 3) && ends)
        .then(|| (text[..digits].parse().unwrap_or(0), &text[digits..]))
}

/// What a citation goes on with: `, -03`, `, 03`, ` to -61`, ` to X509-61`, `…61`.
fn follow<'t>(first: RuleId, mut rest: &'t str, found: &mut Vec<RuleId>) -> &'t str {
    let mut last = first;
    loop {
        let list = [", -", "/-", " and -", ", and -"]
            .iter()
            .find_map(|sign| rest.strip_prefix(sign));
        if let Some((next, after)) = list.and_then(number) {
            last = last.with_number(next);
            found.push(last);
            rest = after;
            continue;
        }
        let range = [" to ", "…", "..", "–"]
            .iter()
            .find_map(|sign| rest.strip_prefix(sign));
        let end = range.and_then(|end| {
            let own = format!("{}-", last.family());
            number(
                end.strip_prefix(&own)
                    .or_else(|| end.strip_prefix('-'))
                    .unwrap_or(end),
            )
        });
        let Some((end, after)) =
            end.filter(|(end, _)| (last.number() + 1..last.number() + 100).contains(end))
        else {
            return rest;
        };
        found.extend((last.number() + 1..=end).map(|next| last.with_number(next)));
        last = last.with_number(end);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<String> {
        rules_in(line).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_numbers_lists_and_ranges_and_nothing_else() {
        for (line, want) in [
            ("// X509-02 −: two", &["X509-02"][..]),
            ("Spec: X509-SVID §5 (X509-51)", &["X509-51"]),
            ("(\"ID-03\", \"spiffe://td/a?\"),", &["ID-03"]),
            ("ID-03, ID-04", &["ID-03", "ID-04"]),
            ("X509-02, -03, -04 hold", &["X509-02", "X509-03", "X509-04"]),
            ("X509-52 to X509-54", &["X509-52", "X509-53", "X509-54"]),
            ("WAPI-21…-23", &["WAPI-21", "WAPI-22", "WAPI-23"]),
            ("BUNDLE-07/-08", &["BUNDLE-07", "BUNDLE-08"]),
            ("−WEP-07", &["WEP-07"]),
            (
                "X509-SVID, SPIFFE-ID, JWT-1, ID-1234, X509-5x, SPIFFE-ID-03, AMB-01",
                &[],
            ),
        ] {
            assert_eq!(names(line), want, "{line}");
        }
    }
}
