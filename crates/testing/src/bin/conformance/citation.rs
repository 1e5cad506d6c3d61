//! Where the tree names a rule.
//!
//! In code a number in a comment or a string is a citation. It belongs to the item that the comment documents, or else to
//! the function or type it stands in. In tests a number needs a sign to be one ([`crate::case`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::case::{Sign, cases};
use crate::fragment::Language;
use crate::requirement::RuleId;
use crate::rules::rules_in;

/// One place, once, however often it names the rule.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    /// Relative to the root, with `/`.
    pub(crate) file: String,
    /// The function, type or module; empty for the file itself.
    pub(crate) item: String,
}

/// What one test shows of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Test {
    pub(crate) place: Place,
    pub(crate) sign: Sign,
    /// The words of its assertion or row.
    pub(crate) label: String,
}

#[derive(Default)]
pub(crate) struct Cited {
    /// A file that names it, be it only in passing.
    pub(crate) file: String,
    pub(crate) code: BTreeSet<Place>,
    /// By file, in the order of its lines.
    pub(crate) tests: Vec<Test>,
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
        let mut texts = Vec::new();
        for file in files {
            let name = file
                .strip_prefix(root)
                .expect("the file was found below the root");
            let name = name.to_string_lossy().replace('\\', "/");
            texts.push((name, fs::read_to_string(&file)?));
        }
        let modules: BTreeSet<_> = texts
            .iter()
            .flat_map(|(file, text)| test_modules(file, text))
            .collect();
        for (file, text) in texts {
            let is_test = is_test_file(&file) || modules.contains(&file);
            cited.add(&file, &text, is_test);
        }
        Ok(cited)
    }

    /// Those of one test.
    #[cfg(test)]
    pub(crate) fn of_test(text: &str) -> Self {
        let mut cited = Self(BTreeMap::new());
        cited.add("a/tests/a.rs", text, true);
        cited
    }

    pub(crate) fn get(&self, id: RuleId) -> Option<&Cited> {
        self.0.get(&id)
    }

    pub(crate) fn is_tested(&self, id: RuleId) -> bool {
        self.get(id).is_some_and(|cited| !cited.tests.is_empty())
    }

    /// Whether a test shows what `id` lets pass, or what it refuses.
    pub(crate) fn shows(&self, id: RuleId, sign: Sign) -> bool {
        self.get(id)
            .is_some_and(|cited| cited.tests.iter().any(|test| test.sign == sign))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RuleId, &Cited)> {
        self.0.iter().map(|(id, cited)| (*id, cited))
    }

    fn add(&mut self, file: &str, text: &str, is_test: bool) {
        let lines: Vec<_> = text.lines().collect();
        let tests_from = if is_test { 0 } else { start_of_tests(&lines) };
        let place = |at: usize| Place {
            file: file.to_owned(),
            item: item_of(&lines, at),
        };
        for (at, line) in lines.iter().enumerate() {
            for id in rules_in(line) {
                let cited = self.0.entry(id).or_default();
                file.clone_into(&mut cited.file);
                if at < tests_from {
                    cited.code.insert(place(at));
                }
            }
        }
        let cases = cases(text, Language::of(file), |at| item_of(&lines, at));
        for case in cases.into_iter().filter(|case| case.line >= tests_from) {
            let test = Test {
                place: place(case.line),
                sign: case.sign,
                label: case.label,
            };
            let cited = self.0.entry(case.rule).or_default();
            if !cited.tests.contains(&test) {
                cited.tests.push(test);
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

/// The files of modules that are only there in tests.
fn test_modules(file: &str, text: &str) -> Vec<String> {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let inner = match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => file.trim_end_matches(".rs").to_owned(),
    };
    let lines: Vec<_> = text.lines().collect();
    let declared = lines.windows(2).filter_map(|pair| {
        let name = pair[1].strip_prefix("mod ")?.strip_suffix(';')?;
        (pair[0] == "#[cfg(test)]").then(|| format!("{inner}/{name}.rs"))
    });
    declared.collect()
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
            | "var"
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
        for row in [(\"X509-02 −\", 1)] {}
    }
}
";
        let mut citations = Citations(BTreeMap::new());
        citations.add("crates/svid/src/chain.rs", text, false);
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
            let in_code: Vec<_> = cited.code.iter().map(|place| place.item.as_str()).collect();
            let in_tests: Vec<_> = cited
                .tests
                .iter()
                .map(|test| test.place.item.as_str())
                .collect();
            assert_eq!((&in_code[..], &in_tests[..]), (code, tests), "{id}");
        }
    }

    #[test]
    fn a_module_for_tests_is_one_wherever_its_file_lies() {
        let text = "mod a;\n#[cfg(test)]\nmod b;\n";
        for (file, want) in [
            ("x/src/lib.rs", "x/src/b.rs"),
            ("x/src/c.rs", "x/src/c/b.rs"),
        ] {
            assert_eq!(test_modules(file, text), [want], "{file}");
        }
    }
}
