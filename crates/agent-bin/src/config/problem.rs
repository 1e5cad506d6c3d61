//! What is wrong with a configuration, where, and what to write instead.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::{Value, json};

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// The configuration is not taken.
    Error,
    /// It is taken, but hardly means what was meant.
    Warning,
}

/// Where a value came from.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Place {
    /// A line of the file, counted from 1.
    Line(usize),
    /// The file as a whole.
    File,
    /// A flag of the command, such as `--socket`.
    Flag(String),
    /// An environment variable.
    Variable(String),
}

/// One thing that is wrong or odd.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    pub(crate) place: Place,
    /// What is wrong.
    pub(crate) what: String,
    /// What to write instead, as a sentence that begins with a verb.
    pub(crate) instead: String,
}

/// Everything that is wrong with one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problems {
    file: PathBuf,
    list: Vec<Problem>,
}

/// As many problems are printed; a mistake that was copied a thousand times is understood by then.
const PRINTED: usize = 50;

impl Problems {
    /// Sorts them by place, errors and warnings together.
    pub(crate) fn new(file: &Path, mut list: Vec<Problem>) -> Self {
        list.sort_by(|a, b| a.place.cmp(&b.place));
        Self {
            file: file.to_owned(),
            list,
        }
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.list
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    }

    /// These and some more of the same file.
    pub(crate) fn and(&self, more: Vec<Problem>) -> Self {
        Self::new(&self.file, self.list.iter().cloned().chain(more).collect())
    }

    /// One sentence for each problem, with its place: for logs and health.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = String> + '_ {
        self.list.iter().map(|problem| {
            let Problem { what, instead, .. } = problem;
            format!(
                "{}: {what}; {instead}",
                Shown {
                    file: &self.file,
                    place: &problem.place
                }
            )
        })
    }

    /// All of one severity, for `--output json`.
    pub(crate) fn to_json(&self, severity: Severity) -> Value {
        let of_severity = self
            .list
            .iter()
            .filter(|problem| problem.severity == severity);
        of_severity
            .map(|problem| {
                let mut object = json!({ "message": problem.what, "instead": problem.instead });
                match &problem.place {
                    Place::Line(line) => {
                        object["file"] = json!(self.file);
                        object["line"] = json!(line);
                    }
                    Place::File => object["file"] = json!(self.file),
                    Place::Flag(flag) => object["flag"] = json!(flag),
                    Place::Variable(name) => object["variable"] = json!(name),
                }
                object
            })
            .collect()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.list.iter().take(PRINTED) {
            let place = Shown {
                file: &self.file,
                place: &problem.place,
            };
            let severity = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            writeln!(
                f,
                "{place}: {severity}: {}\n    {}",
                problem.what, problem.instead
            )?;
        }
        match self.list.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            more => writeln!(f, "… and {more} more"),
        }
    }
}

struct Shown<'a> {
    file: &'a Path,
    place: &'a Place,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Line(line) => write!(f, "{}:{line}", self.file.display()),
            Place::File => write!(f, "{}", self.file.display()),
            Place::Flag(flag) => f.write_str(flag),
            Place::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

/// Where the lines of a text begin.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        Self(
            text.bytes()
                .enumerate()
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _)| at)
                .collect(),
        )
    }

    /// The line that a byte stands on, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.0.partition_point(|newline| *newline < at) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(severity: Severity, place: Place) -> Problem {
        Problem {
            severity,
            place,
            what: "x is no y".into(),
            instead: "write z".into(),
        }
    }

    #[test]
    fn problems_are_printed_in_the_order_of_the_file() {
        let problems = Problems::new(
            Path::new("etc/agent.toml"),
            vec![
                problem(Severity::Error, Place::Variable("PLASTRON_SOCKET".into())),
                problem(Severity::Warning, Place::Line(12)),
                problem(Severity::Error, Place::Line(3)),
                problem(Severity::Error, Place::Flag("--socket".into())),
                problem(Severity::Error, Place::File),
            ],
        );
        assert_eq!(
            problems.to_string(),
            "etc/agent.toml:3: error: x is no y\n    write z\n\
             etc/agent.toml:12: warning: x is no y\n    write z\n\
             etc/agent.toml: error: x is no y\n    write z\n\
             --socket: error: x is no y\n    write z\n\
             variable PLASTRON_SOCKET: error: x is no y\n    write z\n"
        );
        assert_eq!(
            (
                problems.count(Severity::Error),
                problems.count(Severity::Warning)
            ),
            (4, 1)
        );
        assert_eq!(
            problems.sentences().next().unwrap(),
            "etc/agent.toml:3: x is no y; write z"
        );
        assert_eq!(
            problems.to_json(Severity::Warning),
            json!([{"file": "etc/agent.toml", "line": 12, "message": "x is no y", "instead": "write z"}])
        );
    }

    #[test]
    fn many_problems_are_cut_short_for_people() {
        let problems = Problems::new(
            Path::new("a"),
            vec![problem(Severity::Error, Place::File); PRINTED + 7],
        );
        assert!(
            problems
                .to_string()
                .ends_with("    write z\n… and 7 more\n")
        );
        assert_eq!(
            problems.to_json(Severity::Error).as_array().unwrap().len(),
            PRINTED + 7
        );
    }

    #[test]
    fn a_byte_is_on_the_line_it_stands_on() {
        let lines = Lines::of("ab\nc\n\nd");
        let seen: Vec<_> = [0, 2, 3, 4, 5, 6, 99].map(|at| lines.line(at)).into();
        assert_eq!(seen, [1, 1, 2, 2, 3, 4, 4]);
    }
}
