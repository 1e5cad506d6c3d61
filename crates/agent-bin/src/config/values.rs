//! The values of the keys, whether they come from the file, a flag or the environment.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::de::DeValue;

use super::{
    document::{Item, Node, Top},
    keys::{self, KEYS, Key},
    problem::{Lines, Place, Problem, Severity},
    value::{Wrong, nearest},
};

/// A value given outside the file, which goes before what stands there.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) key: &'static Key,
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// Where problems are collected while a configuration is read.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    lines: &'a Lines,
    list: RefCell<Vec<Problem>>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(lines: &'a Lines) -> Self {
        Self {
            lines,
            list: RefCell::default(),
        }
    }

    pub(crate) fn add(&self, severity: Severity, place: Place, wrong: Wrong) {
        let Wrong { what, instead } = wrong;
        self.list.borrow_mut().push(Problem {
            severity,
            place,
            what,
            instead,
        });
    }

    /// An error at a byte of the file.
    pub(crate) fn error(&self, at: usize, what: impl Into<String>, instead: impl Into<String>) {
        self.add(Severity::Error, self.place(at), Wrong::new(what, instead));
    }

    /// A warning at a byte of the file.
    pub(crate) fn warning(&self, at: usize, what: impl Into<String>, instead: impl Into<String>) {
        self.add(Severity::Warning, self.place(at), Wrong::new(what, instead));
    }

    pub(crate) fn place(&self, at: usize) -> Place {
        Place::Line(self.lines.line(at))
    }

    pub(crate) fn line(&self, at: usize) -> usize {
        self.lines.line(at)
    }

    /// Forgets what was found so far.
    pub(crate) fn clear(&self) {
        self.list.borrow_mut().clear();
    }

    pub(crate) fn into_list(self) -> Vec<Problem> {
        self.list.into_inner()
    }
}

/// The keys that are set, by name.
pub(crate) struct Values<'a, 't> {
    file: BTreeMap<&'static str, Node<'a, 't>>,
    given: &'a [Given],
    folder: &'a Path,
    findings: &'a Findings<'a>,
}

impl<'a, 't> Values<'a, 't> {
    /// Sorts the file's top-level keys out. `folder` is where its relative paths count from.
    pub(crate) fn new(
        top: &'a Top<'t>,
        given: &'a [Given],
        folder: &'a Path,
        findings: &'a Findings<'a>,
    ) -> Self {
        let mut values = Self {
            file: BTreeMap::new(),
            given,
            folder,
            findings,
        };
        for item in top.items().filter(|item| item.key != "bundle") {
            values.take("", &item);
        }
        values
    }

    fn take(&mut self, table: &str, item: &Item<'a, 't>) {
        let name = match table {
            "" => item.key.to_owned(),
            table => format!("{table}.{}", item.key),
        };
        if let Some(key) = keys::find(&name) {
            self.file.insert(key.name, item.value);
        } else if !keys::is_table(&name) {
            let (what, instead) = unknown_key(table, item.key);
            self.findings.error(item.key_at, what, instead);
        } else if item.value.get().is_table() {
            item.value
                .items()
                .for_each(|inner| self.take(&name, &inner));
        } else {
            let members: Vec<_> = keys::members(&name);
            self.findings.error(
                item.key_at,
                format!("{name} is {}, where a table belongs", item.value.sort()),
                format!(
                    "write [{name}] on a line of its own, and below it {}",
                    members.join(", ")
                ),
            );
        }
    }

    pub(crate) fn findings(&self) -> &'a Findings<'a> {
        self.findings
    }

    /// Where a key is set.
    pub(crate) fn place(&self, name: &str) -> Option<Place> {
        if let Some(given) = self.given.iter().find(|given| given.key.name == name) {
            return Some(given.place.clone());
        }
        self.file
            .get(name)
            .map(|node| self.findings.place(node.span().start))
    }

    /// A warning about a key, where it is set.
    pub(crate) fn warn(&self, name: &str, what: impl Into<String>, instead: impl Into<String>) {
        let place = self.place(name).unwrap_or(Place::File);
        self.findings
            .add(Severity::Warning, place, Wrong::new(what, instead));
    }

    /// An error about a key, where it is set.
    pub(crate) fn refuse(&self, name: &str, what: impl Into<String>, instead: impl Into<String>) {
        let place = self.place(name).unwrap_or(Place::File);
        self.findings
            .add(Severity::Error, place, Wrong::new(what, instead));
    }

    /// The value of a key that is written as a string.
    pub(crate) fn text<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.read(name, Form::Text, &parse)
    }

    /// The value of a key that is written as a whole number.
    pub(crate) fn number<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.read(name, Form::Number, &parse)
    }

    /// The value of a key that is written as a number or, with a unit, as a string.
    pub(crate) fn size<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.read(name, Form::Either, &parse)
    }

    /// The value of a key that is `true` or `false`.
    pub(crate) fn boolean(&self, name: &'static str) -> Option<bool> {
        self.read(name, Form::Boolean, &super::value::boolean)
    }

    /// A path: relative to the file if it stands there, to where the command runs otherwise.
    pub(crate) fn path(&self, name: &'static str) -> Option<PathBuf> {
        let in_file = self.given.iter().all(|given| given.key.name != name);
        let path = self.text(name, |text| match text {
            "" => Err(Wrong::new(
                "the path is empty",
                "write a path, or leave the key out",
            )),
            text => Ok(PathBuf::from(text)),
        })?;
        Some(if in_file {
            self.folder.join(path)
        } else {
            std::path::absolute(&path).unwrap_or(path)
        })
    }

    fn read<T>(
        &self,
        name: &'static str,
        form: Form,
        parse: &dyn Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        debug_assert!(
            KEYS.iter().any(|key| key.name == name),
            "{name} is not in the table of keys"
        );
        let (text, place) =
            if let Some(given) = self.given.iter().find(|given| given.key.name == name) {
                (Cow::Borrowed(given.text.as_str()), given.place.clone())
            } else {
                let node = self.file.get(name)?;
                let place = self.findings.place(node.span().start);
                match text_of(name, node, form) {
                    Ok(text) => (text, place),
                    Err(wrong) => {
                        self.findings.add(Severity::Error, place, wrong);
                        return None;
                    }
                }
            };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let what = match place {
                    Place::Line(_) => format!("{name}: {}", wrong.what),
                    _ => wrong.what,
                };
                self.findings
                    .add(Severity::Error, place, Wrong { what, ..wrong });
                None
            }
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Text,
    Number,
    Boolean,
    Either,
}

/// The value of a key as text, if it is of the form that the key wants.
fn text_of<'d>(name: &str, node: &Node<'d, '_>, form: Form) -> Result<Cow<'d, str>, Wrong> {
    let last = name.rsplit('.').next().unwrap_or(name);
    let (wanted, found) = match (form, node.get()) {
        (Form::Text | Form::Either, DeValue::String(text)) => return Ok(Cow::Borrowed(text)),
        (Form::Number | Form::Either, DeValue::Integer(number)) => return Ok(number_text(number)),
        (Form::Boolean, DeValue::Boolean(value)) => {
            return Ok(Cow::Borrowed(if *value { "true" } else { "false" }));
        }
        (Form::Text, DeValue::Integer(number))
            if last.ends_with("ttl") || last.ends_with("timeout") =>
        {
            ("a string", format!("{last} = \"{number}s\""))
        }
        (Form::Text, DeValue::Integer(number)) if last == "mode" => {
            ("a string", format!("{last} = \"0{number}\""))
        }
        (Form::Text, DeValue::Integer(number)) => ("a string", format!("{last} = \"{number}\"")),
        (Form::Text, DeValue::Boolean(value)) => ("a string", format!("{last} = \"{value}\"")),
        (Form::Number, DeValue::String(text)) if text.parse::<u64>().is_ok() => {
            ("a whole number", format!("{last} = {text}"))
        }
        (Form::Boolean, DeValue::String(text)) => ("true or false", format!("{last} = {text}")),
        (Form::Text, _) => ("a string", format!("{last} = \"…\"")),
        (Form::Number, _) => ("a whole number", format!("{last} = 100")),
        (Form::Boolean, _) => ("true or false", format!("{last} = true")),
        (Form::Either, _) => ("a size", format!("{last} = \"64MiB\"")),
    };
    Err(Wrong::new(
        format!("{name} is {}, where {wanted} belongs", node.sort()),
        format!("write {found}"),
    ))
}

fn number_text<'d>(number: &'d toml::de::DeInteger<'_>) -> Cow<'d, str> {
    match number.radix() {
        10 => Cow::Borrowed(number.as_str()),
        radix => match u64::from_str_radix(number.as_str(), radix) {
            Ok(value) => Cow::Owned(value.to_string()),
            Err(_) => Cow::Owned(number.to_string()),
        },
    }
}

/// What SPIRE calls things that have another name here.
const FROM_SPIRE: [(&str, &str); 8] = [
    ("socket_path", "workload_api.socket"),
    ("ca_ttl", "authority.x509_ca_ttl"),
    ("ca_key_type", "authority.key_type"),
    ("default_x509_svid_ttl", "authority.x509_svid_ttl"),
    ("default_jwt_svid_ttl", "authority.jwt_svid_ttl"),
    (
        "workload_x509_svid_key_type",
        "authority.x509_svid_key_type",
    ),
    (
        "allow_unauthenticated_verifiers",
        "workload_api.unauthenticated_bundles",
    ),
    ("log_file", "log.format"),
];

/// What is wrong with a key that nobody knows, and which key was meant.
fn unknown_key(table: &str, key: &str) -> (String, String) {
    let what = match table {
        "" => format!("the file knows no key {key:?}"),
        table => format!("[{table}] knows no key {key:?}"),
    };
    let elsewhere = |key: &Key| match key.table() {
        "" => format!("write {} at the top of the file", key.last()),
        table => format!("write {} under [{table}]", key.last()),
    };
    let here = keys::members(table).into_iter().chain(
        match table {
            "" => ["entry", "bundle"].as_slice(),
            _ => &[],
        }
        .iter()
        .copied(),
    );
    let here: Vec<_> = here.collect();
    let instead = if let Some((_, name)) = FROM_SPIRE.iter().find(|(spire, _)| *spire == key) {
        keys::find(name).map(elsewhere).unwrap_or_default()
    } else if let Some(other) = KEYS
        .iter()
        .find(|other| other.last() == key && !here.contains(&key))
    {
        elsewhere(other)
    } else if let Some(member) = nearest(key, here.iter().copied()) {
        match member {
            "entry" | "bundle" => format!("write [[{member}]]"),
            member if table.is_empty() && keys::is_table(member) => format!("write [{member}]"),
            member => format!("write {member}"),
        }
    } else if let Some(other) = nearest(key, KEYS.iter().map(Key::last))
        && let Some(other) = KEYS.iter().find(|known| known.last() == other)
    {
        elsewhere(other)
    } else {
        format!("leave it out, or write one of {}", here.join(", "))
    };
    (what, instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_told_where_it_belongs() {
        for (table, key, instead) in [
            ("", "trust_domian", "write trust_domain"),
            ("", "entries", "write [[entry]]"),
            ("", "bundles", "write [[bundle]]"),
            ("", "workload-api", "write [workload_api]"),
            ("", "socket", "write socket under [workload_api]"),
            ("", "socket_path", "write socket under [workload_api]"),
            (
                "workload_api",
                "socket_path",
                "write socket under [workload_api]",
            ),
            ("workload_api", "sockt", "write socket"),
            ("authority", "ca_ttl", "write x509_ca_ttl under [authority]"),
            (
                "authority",
                "trust_domain",
                "write trust_domain at the top of the file",
            ),
            ("log", "levels", "write level"),
            ("attest", "unixx", "write unix"),
            (
                "log",
                "colour",
                "leave it out, or write one of format, level",
            ),
        ] {
            assert_eq!(unknown_key(table, key).1, instead, "[{table}] {key}");
        }
    }
}
