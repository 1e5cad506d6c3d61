//! What a command says at its end: for people, for programs, and by its exit code.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use base64ct::{Base64, Encoding};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

/// Who reads the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// People.
    #[value(alias = "pretty")]
    Text,
    /// Programs.
    Json,
}

/// The exit codes of all commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Yes: done, valid, healthy.
    Yes,
    /// No: refused, invalid, unhealthy, a broken configuration.
    No,
    /// It could not be told: usage, a file that cannot be read, no agent.
    CannotTell,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Yes => 0,
            Outcome::No => 1,
            Outcome::CannotTell => 2,
        })
    }
}

/// A command's answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    pub(crate) text: String,
    pub(crate) json: Value,
    /// Remarks that are not part of the answer; for people, on standard error.
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(crate) fn yes(text: impl Into<String>, json: Value) -> Self {
        Self {
            outcome: Outcome::Yes,
            text: text.into(),
            json,
            notes: Vec::new(),
        }
    }

    pub(crate) fn no(text: impl Into<String>, json: Value) -> Self {
        Self {
            outcome: Outcome::No,
            ..Self::yes(text, json)
        }
    }

    /// An answer that was printed already, piece by piece.
    pub(crate) fn silent(outcome: Outcome) -> Self {
        Self {
            outcome,
            ..Self::yes("", Value::Null)
        }
    }

    /// Prints it.
    pub(crate) fn print(&self, format: Format) -> io::Result<()> {
        for note in &self.notes {
            writeln!(io::stderr(), "{note}")?;
        }
        let mut out = io::stdout().lock();
        match format {
            Format::Text => write!(out, "{}", self.text)?,
            Format::Json if self.json.is_null() => {}
            Format::Json => writeln!(out, "{:#}", self.json)?,
        }
        out.flush()
    }
}

/// Why a command has no answer, or the answer is no.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// What programs find beside the error.
    pub(crate) members: Map<String, Value>,
}

impl Failure {
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::No,
            ..Self::cannot_tell(message)
        }
    }

    pub(crate) fn cannot_tell(message: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::CannotTell,
            message: message.into(),
            hint: None,
            members: Map::new(),
        }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds an object's members for programs.
    pub(crate) fn members(mut self, object: Value) -> Self {
        if let Value::Object(members) = object {
            self.members.extend(members);
        }
        self
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &std::path::Path, verb: &str, error: &io::Error) -> Self {
        Self::cannot_tell(format!("{} cannot be {verb}: {error}", path.display()))
    }

    /// Prints it: for people on standard error, for programs where they look for the answer.
    pub(crate) fn print(&self, format: Format) -> io::Result<()> {
        match format {
            Format::Text => {
                let mut out = io::stderr().lock();
                writeln!(out, "{}", self.message.trim_end())?;
                self.hint
                    .iter()
                    .try_for_each(|hint| writeln!(out, "  {hint}"))
            }
            Format::Json => {
                // On one line, since `watch` has one object on each.
                let mut object = self.members.clone();
                object.insert("error".to_owned(), self.message.trim_end().into());
                object.insert("hint".to_owned(), json!(self.hint));
                writeln!(io::stdout(), "{}", Value::Object(object))
            }
        }
    }
}

impl From<io::Error> for Failure {
    /// What a command prints could not be printed.
    fn from(error: io::Error) -> Self {
        Self::cannot_tell(format!("the answer could not be written: {error}"))
    }
}

/// Bytes as protobuf's JSON has them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Bytes in hex, as serial numbers are shown.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Names with values below a heading, the values in one column. Empty values are left out.
pub(crate) fn block(heading: &str, fields: &[(&str, String)]) -> String {
    let shown = fields.iter().filter(|(_, value)| !value.is_empty());
    let width = shown
        .clone()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = format!("{heading}\n");
    for (name, value) in shown {
        for (number, line) in value.lines().enumerate() {
            let name = if number == 0 { name } else { "" };
            let _ = writeln!(text, "  {name:width$}  {line}");
        }
    }
    text
}

/// Lines below a heading; nothing without lines.
pub(crate) fn section(heading: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() {
        lines
    } else {
        format!("{heading}\n{lines}")
    }
}

/// `1 entry`, `2 entries`.
pub(crate) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_one_column() {
        let text = block(
            "spiffe://td/a",
            &[
                ("hint", String::new()),
                ("serial", "0a".into()),
                ("DNS names", "a\nb".into()),
            ],
        );
        assert_eq!(
            text,
            "spiffe://td/a\n  serial     0a\n  DNS names  a\n             b\n"
        );
    }

    #[test]
    fn bytes_are_shown_as_others_show_them() {
        assert_eq!(hex(&[0, 0x7f, 0xff]), "007fff");
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
        assert_eq!(
            [plural(1, "entry", "entries"), plural(0, "entry", "entries")],
            ["1 entry", "0 entries"]
        );
    }
}
