//! Where the tree names a rule.
//!
//! A number in a comment, a doc comment or a string is a citation. It belongs to the item that the comment documents, or
//! else to the function or type it stands in. `X509-02, -03` and `X509-52 to X509-61` name several.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::requirement::{FAMILIES, RuleId};

/// One place, once, however often it names the rule.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    /// Relative to the root, with `/`.
    pub(crate) file: String,
    /// The function, type or module; empty for the file itself.
    pub(crate) item: String,
}

#[derive(Default)]
pub(crate) struct Cited {
    pub(crate) code: BTreeSet<Place>,
    pub(crate) tests: BTreeSet<Place>,
}

pub(crate) struct Citations(BTreeMap<RuleId, Cited>);

/// Folders with code of ours, and the endings looked at.
const FOLDERS: [&str; 5] = ["crates", "examples", "fuzz", "proto", "tests"];
const ENDINGS: [&str; 5] = ["rs", "proto", "go", "py", "sh"];
/// Not ours, or about the numbers themselves: where judges differ, a rule is a reason and is not shown.
const SKIPPED: [&str; 7] = [
    "target",
    "corpus",
    "artifacts",
    "generated",
    "conformance",
    "differential.rs",
    "divergences.rs",
];

impl Citations {
    pub(crate) fn of(root: &Path) -> io::Result<Self> {
        let mut cited = Self(BTreeMap::new());
        let mut files = Vec::new();
        for folder in FOLDERS {
            collect(&root.join(folder), &mut files)?;
        }
        files.sort();
        for file in files {
            let name = file
                .strip_prefix(root)
                .expect("the file was found below the root");
            let name = name.to_string_lossy().replace('\\', "/");
            cited.add(&name, &fs::read_to_string(&file)?);
        }
        Ok(cited)
    }

    pub(crate) fn get(&self, id: RuleId) -> Option<&Cited> {
        self.0.get(&id)
    }

    pub(crate) fn is_tested(&self, id: RuleId) -> bool {
        self.get(id).is_some_and(|cited| !cited.tests.is_empty())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RuleId, &Cited)> {
        self.0.iter().map(|(id, cited)| (*id, cited))
    }

    fn add(&mut self, file: &str, text: &str) {
        let lines: Vec<_> = text.lines().collect();
        let tests_from = if is_test_file(file) {
            0
        } else {
            start_of_tests(&lines)
        };
        for (at, line) in lines.iter().enumerate() {
            let ids = rules_in(line);
            if ids.is_empty() {
                continue;
            }
            let place = Place {
                file: file.to_owned(),
                item: item_of(&lines, at),
            };
            for id in ids {
                let cited = self.0.entry(id).or_default();
                let places = if at >= tests_from {
                    &mut cited.tests
                } else {
                    &mut cited.code
                };
                places.insert(place.clone());
            }
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if SKIPPED.contains(&name.as_ref()) {
            continue;
        }
        if path.is_dir() {
            if !name.starts_with('.') {
                collect(&path, files)?;
            }
        } else if ENDINGS.contains(
            &path
                .extension()
                .unwrap_or_default()
                .to_string_lossy()
                .as_ref(),
        ) || (path.extension().is_none()
            && folder
                .components()
                .any(|part| part.as_os_str() == "foreign"))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn is_test_file(file: &str) -> bool {
    let parts = file.split('/');
    file.ends_with("tests.rs")
        || file.ends_with("_test.go")
        || parts
            .clone()
            .any(|part| matches!(part, "tests" | "fuzz_targets"))
}

/// The line at which the test module of a file begins. It is the last item of a file.
fn start_of_tests(lines: &[&str]) -> usize {
    let begins = |at: &usize| {
        lines[*at].starts_with("#[cfg(test)]")
            && lines[at + 1..]
                .iter()
                .find(|line| !line.starts_with("#["))
                .is_some_and(|line| line.ends_with('{'))
    };
    (0..lines.len()).find(begins).unwrap_or(lines.len())
}

/// All rules that a line names.
fn rules_in(line: &str) -> Vec<RuleId> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((id, after)) = next_rule(rest) {
        rest = after;
        found.push(id);
        rest = follow(id, rest, &mut found);
    }
    found
}

/// The first number in `text`, and what follows it.
fn next_rule(text: &str) -> Option<(RuleId, &str)> {
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
            return RuleId::new(family, number).map(|id| (id, after));
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

/// The name of the item that line `at` belongs to.
fn item_of(lines: &[&str], at: usize) -> String {
    if is_doc(lines[at]) {
        let documented = lines[at..].iter().find(|line| {
            let line = line.trim_start();
            !is_doc(line) && !line.starts_with("#[") && !line.starts_with("//")
        });
        if let Some(name) = documented.and_then(|line| name_of(line)) {
            return name;
        }
    } else if lines[at].trim_start().starts_with("//!") {
        return String::new();
    }
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut within = indent(lines[at]) + usize::from(name_of(lines[at]).is_some());
    for line in lines[..=at].iter().rev() {
        if !line.trim().is_empty() && indent(line) < within {
            within = indent(line);
            if let Some(name) = name_of(line) {
                return name;
            }
        }
    }
    String::new()
}

fn is_doc(line: &str) -> bool {
    line.trim_start().starts_with("///")
}

/// The name in `pub(crate) async fn verify<…`, and alike in Go and Python.
fn name_of(line: &str) -> Option<String> {
    let line = line.trim_start();
    let mut words = line
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '!'))
        .filter(|word| !word.is_empty());
    let mut word = words.next()?;
    while matches!(
        word,
        "pub" | "crate" | "super" | "async" | "const" | "unsafe" | "static"
    ) {
        let next = words.next()?;
        if matches!(word, "const" | "static")
            && next
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        {
            return Some(next.to_owned());
        }
        word = next;
    }
    if word == "impl" {
        return line
            .trim_end_matches(['{', ' '])
            .split(" for ")
            .last()?
            .split_whitespace()
            .last()
            .map(plain);
    }
    let named = matches!(
        word,
        "fn" | "struct"
            | "enum"
            | "trait"
            | "type"
            | "mod"
            | "macro_rules!"
            | "func"
            | "def"
            | "class"
            | "message"
            | "service"
            | "rpc"
    );
    named.then(|| words.next().map(str::to_owned)).flatten()
}

fn plain(name: &str) -> String {
    name.split('<').next().unwrap_or(name).to_owned()
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

    #[test]
    fn a_citation_belongs_to_what_it_documents_or_stands_in() {
        let text = "\
//! Chains. X509-01
/// One name. X509-02
#[derive(Debug)]
pub(crate) struct Leaf;

impl Leaf {
    /// X509-03
    pub(crate) const fn verify<'c>(&self) {
        // X509-04
        if true {
            check(); // X509-05
        }
    }
}

const LIMIT: usize = 6; // X509-06

#[cfg(test)]
mod tests {
    #[test]
    fn refuses_two_names() {
        for row in [(\"X509-02\", 1)] {}
    }
}
";
        let mut citations = Citations(BTreeMap::new());
        citations.add("crates/svid/src/chain.rs", text);
        let items = |places: &BTreeSet<Place>| {
            places
                .iter()
                .map(|place| place.item.clone())
                .collect::<Vec<_>>()
        };
        for (id, code, tests) in [
            ("X509-01", &[""][..], &[][..]),
            ("X509-02", &["Leaf"], &["refuses_two_names"]),
            ("X509-03", &["verify"], &[]),
            ("X509-04", &["verify"], &[]),
            ("X509-05", &["verify"], &[]),
            ("X509-06", &["LIMIT"], &[]),
        ] {
            let cited = citations
                .get(RuleId::parse(id).expect("a rule"))
                .expect("cited");
            assert_eq!(
                (items(&cited.code), items(&cited.tests)),
                (
                    code.iter().map(|s| s.to_string()).collect(),
                    tests.iter().map(|s| s.to_string()).collect()
                ),
                "{id}"
            );
        }
    }
}
