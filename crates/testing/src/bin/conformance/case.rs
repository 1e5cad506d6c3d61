//! What a test says that it shows: rule, sign and its own words, `X509-02 −: two URIs`.
//!
//! ```text
//! ("ID-03 −", "spiffe://td/a?", …)                      a row: its words are the value beside
//! ("X509-02", "two URIs", …) … "{rule} −: {what}"       a row with the sign of its table
//! assert_eq!(…, "JWT-08 +, JWT-37 +: RSA");             an assertion
//! // WAPI-11 +: a message for each replacement          on what follows
//! "JWT: the agent validates tokens (WAPI-52 +)"         a check with a name
//! ```
//!
//! A number without a sign is a mention and shows nothing.

use crate::fragment::{Fragment, Language, fragments};
use crate::requirement::RuleId;
use crate::rules::next_rules;

/// What a rule lets pass, or what it refuses.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

impl Sign {
    pub(crate) const BOTH: [Self; 2] = [Self::Plus, Self::Minus];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "−",
        }
    }

    fn strip(text: &str) -> Option<(Self, &str)> {
        Self::BOTH.into_iter().find_map(|sign| {
            let rest = text.strip_prefix(sign.as_str())?;
            rest.chars()
                .next()
                .is_none_or(|c| " ,:;./)".contains(c))
                .then_some((sign, rest))
        })
    }
}

/// One rule shown by one assertion or row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Case {
    pub(crate) line: usize,
    pub(crate) rule: RuleId,
    pub(crate) sign: Sign,
    /// Empty where it has no words of its own.
    pub(crate) label: String,
}

/// All that the tests in `text` show. `item_of` names the function of a line.
pub(crate) fn cases(
    text: &str,
    language: Language,
    item_of: impl Fn(usize) -> String,
) -> Vec<Case> {
    let lines: Vec<_> = text.lines().collect();
    let mut cases = Vec::new();
    // Rows without a sign, those of the last table, and whether it had one already.
    let mut rows: Vec<(String, Case)> = Vec::new();
    let mut is_signed = false;
    for fragment in fragments(text, language) {
        if let Some(sign) = table_sign(&fragment) {
            let item = item_of(fragment.line);
            let rows = rows.iter().filter(|(of, _)| *of == item);
            cases.extend(rows.map(|(_, row)| Case {
                sign,
                ..row.clone()
            }));
            is_signed = true;
        }
        let bare = bare_rules(&fragment);
        if !bare.is_empty() {
            let item = item_of(fragment.line);
            let label = beside(&fragment, &lines);
            if is_signed {
                rows.clear();
                is_signed = false;
            }
            rows.extend(bare.into_iter().map(|rule| {
                let (line, sign) = (fragment.line, Sign::Plus);
                let label = label.clone();
                (
                    item.clone(),
                    Case {
                        line,
                        rule,
                        sign,
                        label,
                    },
                )
            }));
        }
        for (rule, sign, label) in signed(&fragment.text) {
            let label = match label {
                Some(label) if is_placeholder(&label) => String::new(),
                Some(label) => label,
                None => beside(&fragment, &lines),
            };
            cases.push(Case {
                line: fragment.line,
                rule,
                sign,
                label,
            });
        }
    }
    cases.sort_by_key(|case| case.line);
    cases
}

/// `{rule} −` or `{rule} +` at the start of a message: the sign of the rows above.
fn table_sign(fragment: &Fragment) -> Option<Sign> {
    let placeholders = ["{rule} ", "{rule:?} "];
    let rest = placeholders
        .iter()
        .find_map(|name| fragment.text.strip_prefix(name))?;
    Sign::strip(rest).map(|(sign, _)| sign)
}

/// The rules of a string that consists of them.
fn bare_rules(fragment: &Fragment) -> Vec<RuleId> {
    let mut found = Vec::new();
    let mut rest = fragment.text.as_str();
    while let Some((before, ids, after)) = next_rules(rest) {
        if !before.is_empty() {
            return Vec::new();
        }
        found.extend(ids);
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    if rest.is_empty() && !fragment.is_comment {
        found
    } else {
        Vec::new()
    }
}

/// The signed rules in a text, each with the words of its group.
fn signed(text: &str) -> Vec<(RuleId, Sign, Option<String>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, group, after)) = next_group(rest) {
        let label = match after.strip_prefix(':') {
            Some(label) => {
                let end = next_group(label).map_or(label.len(), |(before, ..)| before.len());
                Some(words(&label[..end]))
            }
            None if after.starts_with(')') => before.rsplit_once('(').map(|(name, _)| words(name)),
            None => None,
        };
        found.extend(
            group
                .into_iter()
                .map(|(rule, sign)| (rule, sign, label.clone().filter(|label| !label.is_empty()))),
        );
        rest = after;
    }
    found
}

type Group = Vec<(RuleId, Sign)>;

/// What stands before `ID-03 +, ID-04 −`, those, and what follows.
fn next_group(text: &str) -> Option<(&str, Group, &str)> {
    let mut from = 0;
    loop {
        let (before, ids, rest) = next_rules(&text[from..])?;
        let start = from + before.len();
        if let Some((mut group, mut rest)) = with_signs(&ids, rest) {
            while let Some(more) = rest.strip_prefix(", ").and_then(|next| {
                let (before, ids, rest) = next_rules(next)?;
                before.is_empty().then_some(())?;
                with_signs(&ids, rest)
            }) {
                group.extend(more.0);
                rest = more.1;
            }
            return Some((&text[..start], group, rest));
        }
        from = text.len() - rest.len();
    }
}

/// ` +`, ` −`, and both as ` +, −`, ` +/−` or ` + and −`.
fn with_signs<'t>(ids: &[RuleId], text: &'t str) -> Option<(Group, &'t str)> {
    let (first, mut rest) = Sign::strip(text.strip_prefix(' ')?)?;
    let mut signs = vec![first];
    for join in ["/", ", ", " and "] {
        if let Some((second, after)) = rest.strip_prefix(join).and_then(Sign::strip) {
            signs.push(second);
            rest = after;
        }
    }
    let group = ids
        .iter()
        .flat_map(|id| signs.iter().map(|sign| (*id, *sign)));
    Some((group.collect(), rest))
}

fn is_placeholder(label: &str) -> bool {
    label.starts_with('{') && label.ends_with('}') && !label.contains(' ')
}

/// The words next to a citation that has none: of a row the next value, of an assertion what it looks at.
fn beside(fragment: &Fragment, lines: &[&str]) -> String {
    let line = |at: Option<usize>| {
        at.and_then(|at| lines.get(at))
            .map_or("", |line| line.trim())
    };
    let (before, after) = (fragment.before.as_str(), fragment.after.as_str());
    if fragment.is_comment {
        return words(before.trim_end_matches(','));
    }
    let wrapped = matches!(before, "" | "Some(");
    let value = after.trim_start_matches([')', ',', ' ']);
    if wrapped && (value.is_empty() || value.starts_with("//")) {
        let is_row = ["(", "1,"].contains(&line(fragment.line.checked_sub(1)));
        return if is_row {
            words(&first_value(line(Some(fragment.line + 1))))
        } else {
            String::new()
        };
    }
    let opens_row = before
        .strip_suffix('(')
        .is_some_and(|call| !call.ends_with(|c: char| c.is_alphanumeric() || "_!".contains(c)));
    if before.starts_with('(') || opens_row {
        return words(&first_value(value));
    }
    let looked_at = before.split_once('(').map_or("", |(_, rest)| rest);
    words(looked_at.trim_end().trim_end_matches(','))
}

/// Up to the comma that ends it, without the quotes of a string.
fn first_value(text: &str) -> String {
    let found = fragments(text, Language::Rust);
    if let Some(string) = found
        .first()
        .filter(|first| !first.is_comment && first.before.is_empty())
        && (string.after.is_empty() || string.after.starts_with([',', ')']))
    {
        return string.text.clone();
    }
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => return text[..at].to_owned(),
            _ => {}
        }
        if depth < 0 {
            return text[..at].to_owned();
        }
    }
    text.to_owned()
}

/// Short enough for a table.
fn words(text: &str) -> String {
    const MOST: usize = 90;
    let text = text.trim().trim_end_matches([';', '.', ',']).trim_end();
    if text.ends_with(['(', '[', '{']) {
        return format!("{text}…");
    }
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => {
            let end = text[..end].rfind(' ').unwrap_or(end);
            format!("{} …", text[..end].trim_end_matches([',', ';', ':']))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let item = |at: usize| {
            let lines = text.lines().take(at + 1);
            let name = lines.filter_map(|line| line.strip_prefix("fn "));
            name.last().unwrap_or_default().to_owned()
        };
        let cases = cases(text, Language::Rust, item).into_iter();
        cases
            .map(|case| format!("{} {} {}", case.rule, case.sign.as_str(), case.label))
            .collect()
    }

    #[test]
    fn an_assertion_says_rules_signs_and_words() {
        for (line, want) in [
            (
                r#"    assert!(a, "X509-02 −: two URIs");"#,
                &["X509-02 − two URIs"][..],
            ),
            (
                r#"    assert_eq!(judge(&[A]), Ok(()), "JWT-23 +");"#,
                &["JWT-23 + judge(&[A]), Ok(())"],
            ),
            (
                r#"    "BUNDLE-24 −, ID-17 +: b""#,
                &["BUNDLE-24 − b", "ID-17 + b"],
            ),
            (r#"    "WEP-07 −: {path}""#, &["WEP-07 − "]),
            ("    // JWT-07 + and −", &["JWT-07 + ", "JWT-07 − "]),
            ("    // WAPI-52 +, −: x.", &["WAPI-52 + x", "WAPI-52 − x"]),
            (
                "    // ID-10 +/−; the slash ends it.",
                &["ID-10 + ", "ID-10 − "],
            ),
            ("    // X509-02, -03 −: a", &["X509-02 − a", "X509-03 − a"]),
            (
                "    // WAPI-22 +: a, b; WAPI-24 +: c.",
                &["WAPI-22 + a, b", "WAPI-24 + c"],
            ),
            ("    // X509-43 +: all", &["X509-43 + all"]),
            ("    (1, true), // X509-53 −", &["X509-53 − (1, true)"]),
            (
                r#"    {"JWT: validates (WAPI-52 +, WAPI-55 −)", f},"#,
                &["WAPI-52 + JWT: validates", "WAPI-55 − JWT: validates"],
            ),
            (
                "    // X509-49: inside. As JWT-10, JWT-11 say - and more",
                &[],
            ),
            (r#"    ("ID-01", "https://td/a"),"#, &[]),
        ] {
            assert_eq!(shown(line), want, "{line}");
        }
    }

    #[test]
    fn a_row_has_the_words_beside_it_and_the_sign_of_its_table() {
        let text = r#"
fn refuses
        ("X509-02", "two URIs", sans(&uris)),
        (Some("JWT-21"), aud("null"), Missing),
        (
            "X509-10, X509-11",
            "no path",
        ),
        assert_eq!(a, b, "{rule} −: {what}");
fn accepts
        ("ID-01 +", "spiffe://td", Ok(())),
        (
            "ID-03 −",
            &format!("a{b}"),
        ),
        ("JWT-01", "x"),
        assert_eq!(a, b, "{rule} +");
        assert_eq!(a, b, "{rule} −: {what}");
        ("JWT-02", "y"),
        assert_eq!(a, b, "{rule} +");
fn compares
        for (rule, other) in [("ID-03 +", "td"), ("ID-04 −", "a.td")] {
        (
            "ID-05 −",
            Answer {
                id: 1,
            },
fn names
        ("ID-02", "spiffe:///a"),
"#;
        let want = [
            "X509-02 − two URIs",
            r#"JWT-21 − aud("null")"#,
            "X509-10 − no path",
            "X509-11 − no path",
            "ID-01 + spiffe://td",
            r#"ID-03 − &format!("a{b}")"#,
            "JWT-01 + x",
            "JWT-01 − x",
            "JWT-02 + y",
            "ID-03 + td",
            "ID-04 − a.td",
            "ID-05 − Answer {…",
        ];
        assert_eq!(shown(text), want);
    }
}
