//! From the text of a configuration file to TOML values that know where they stand.
//!
//! A file may hold a hundred thousand entries, and it is read again on every change. Parsed as one document it costs
//! twenty times its size in memory; so it is cut before `[[entry]]` headers, parsed piece by piece, and each piece is
//! dropped when it has been read.
//!
//! Why that is sound: a line that begins with `[[entry]]` is a header unless it stands inside a string or an array that
//! spans lines, and then the piece before it does not parse. Whenever a piece does not parse, or two pieces hold the same
//! key, the cut is given up and the parser judges the document as a whole.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// About how long a piece is, in bytes.
const PIECE: usize = 128 << 10;

/// A value of the file.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// A key of the file with its value; offsets count from the start of the file.
#[derive(Debug)]
pub(crate) struct Item<'d, 't> {
    pub(crate) key: &'d str,
    pub(crate) key_at: usize,
    pub(crate) value: Node<'d, 't>,
}

/// A value, together with where its piece begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'d, 't> {
    base: usize,
    value: &'d Value<'t>,
}

impl<'d, 't> Node<'d, 't> {
    /// Where the value stands in the file, in bytes.
    pub(crate) fn span(&self) -> Range<usize> {
        let span = self.value.span();
        span.start + self.base..span.end + self.base
    }

    pub(crate) fn get(&self) -> &'d DeValue<'t> {
        self.value.get_ref()
    }

    /// The members of an array; nothing for other values.
    pub(crate) fn elements(&self) -> impl Iterator<Item = Node<'d, 't>> + use<'d, 't> {
        let base = self.base;
        self.get()
            .as_array()
            .into_iter()
            .flat_map(|array| array.iter())
            .map(move |value| Node { base, value })
    }

    /// The keys of a table; nothing for other values.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'d, 't>> + use<'d, 't> {
        let base = self.base;
        self.get()
            .as_table()
            .into_iter()
            .flat_map(|table| table.iter())
            .map(move |(key, value)| Item {
                key: key.get_ref(),
                key_at: key.span().start + base,
                value: Node { base, value },
            })
    }

    /// What the value is, in TOML's words, with an article.
    pub(crate) fn sort(&self) -> &'static str {
        match self.get() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        }
    }
}

/// What is wrong with the text itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Syntax {
    pub(crate) at: usize,
    pub(crate) what: String,
    pub(crate) instead: String,
}

/// Everything outside `[[entry]]`: top-level keys with their values.
#[derive(Debug, Default)]
pub(crate) struct Top<'t>(Vec<(usize, DeTable<'t>)>);

impl<'t> Top<'t> {
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'_, 't>> {
        self.0.iter().flat_map(|(base, table)| {
            let base = *base;
            table.iter().map(move |(key, value)| Item {
                key: key.get_ref(),
                key_at: key.span().start + base,
                value: Node { base, value },
            })
        })
    }

    /// Takes a piece in; `false` when it has a key that is there already.
    fn add(&mut self, base: usize, table: DeTable<'t>) -> bool {
        let fresh = table
            .iter()
            .all(|(key, _)| self.0.iter().all(|(_, known)| !known.contains_key(key)));
        if !table.is_empty() {
            self.0.push((base, table));
        }
        fresh
    }
}

/// Reads a document. `entries` is called with the value of each `entry` key; when it is called with `None`, what it was
/// given before does not count.
///
/// # Errors
///
/// All errors of syntax, in the order of the text.
pub(crate) fn read<'t>(
    text: &'t str,
    mut entries: impl FnMut(Option<Node<'_, 't>>),
) -> Result<Top<'t>, Vec<Syntax>> {
    if text.len() > 2 * PIECE {
        if let Some(top) = read_in_pieces(text, &mut entries) {
            return Ok(top);
        }
        entries(None);
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(explain(text, &errors));
    }
    let mut top = Top::default();
    top.add(0, take_entries(0, document.into_inner(), &mut entries));
    Ok(top)
}

fn read_in_pieces<'t>(
    text: &'t str,
    entries: &mut impl FnMut(Option<Node<'_, 't>>),
) -> Option<Top<'t>> {
    let mut top = Top::default();
    for piece in pieces(text) {
        let table = DeTable::parse(text.get(piece.clone())?).ok()?.into_inner();
        if !top.add(piece.start, take_entries(piece.start, table, entries)) {
            return None;
        }
    }
    Some(top)
}

/// Hands out the entries of a piece and returns the rest of it.
fn take_entries<'t>(
    base: usize,
    mut table: DeTable<'t>,
    entries: &mut impl FnMut(Option<Node<'_, 't>>),
) -> DeTable<'t> {
    if let Some(value) = table.remove("entry") {
        entries(Some(Node {
            base,
            value: &value,
        }));
    }
    table
}

/// Cuts the text before lines that begin with `[[entry]]`.
fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= text.len() {
            return None;
        }
        let end = next_header(text, start + PIECE).unwrap_or(text.len());
        let piece = start..end;
        start = end;
        Some(piece)
    })
}

/// The first start of a line after `from` where an `[[entry]]` header stands.
fn next_header(text: &str, from: usize) -> Option<usize> {
    let from = floor(text, from);
    text[from..].find("\n[[entry]]").map(|at| from + at + 1)
}

/// Turns the parser's findings into ours: one for each line, in order, with what to write instead.
fn explain(text: &str, errors: &[toml::de::Error]) -> Vec<Syntax> {
    let mut found: Vec<Syntax> = errors
        .iter()
        .map(|error| explain_one(text, error))
        .collect();
    found.sort_by_key(|syntax| syntax.at);
    let mut from = 0;
    found.dedup_by(|later, earlier| {
        from = from.max(earlier.at);
        !text
            .get(earlier.at..later.at)
            .is_some_and(|between| between.contains('\n'))
    });
    found
}

fn explain_one(text: &str, error: &toml::de::Error) -> Syntax {
    let span = error.span().unwrap_or(0..0);
    let span = floor(text, span.start)..floor(text, span.end);
    let (what, expected) = error
        .message()
        .split_once(", expected ")
        .unwrap_or((error.message(), ""));
    let line_start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let instead = match what {
        "string values must be quoted" | "unexpected leading zero" => quoted(line),
        "duplicate key" => "remove it here or where it stands before".to_owned(),
        "key with no value" => format!("write {}", with_equals(line)),
        "invalid unquoted key" if !line.contains('=') => format!("write {}", with_equals(line)),
        what if what.starts_with("missing comma") => "write a comma before this".to_owned(),
        _ if expected.is_empty() => "see https://toml.io for the form of the file".to_owned(),
        _ => format!("write {expected} here"),
    };
    Syntax {
        at: span.start,
        what: what.to_owned(),
        instead,
    }
}

/// The line with its value between quotes.
fn quoted(line: &str) -> String {
    match line.split_once('=') {
        Some((key, value)) => {
            let value = value.split('#').next().unwrap_or_default().trim();
            match value {
                "" => format!("write a value: {} = \"…\"", key.trim()),
                value => format!(
                    "write {} = \"{}\"",
                    key.trim(),
                    value.trim_matches(['"', '\''])
                ),
            }
        }
        None => "write the value between quotes".to_owned(),
    }
}

/// The line with an equals sign between its first word and the rest.
fn with_equals(line: &str) -> String {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (key, value) = line.split_once([' ', ':', '\t']).unwrap_or((line, ""));
    let value = value.trim().trim_start_matches(':').trim_start();
    match value {
        "" => format!("{key} = \"…\""),
        value if value.starts_with(['"', '\'', '[', '{']) => format!("{key} = {value}"),
        value => format!("{key} = \"{value}\""),
    }
}

/// The last character boundary that is not after `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The hints of the entries, and the top-level keys.
    fn outline(text: &str) -> Result<(Vec<String>, Vec<String>), Vec<Syntax>> {
        let mut hints = Vec::new();
        let top = read(text, |entries| match entries {
            None => hints.clear(),
            Some(entries) => {
                for entry in entries.elements() {
                    for item in entry.items() {
                        let hint = item.value.get().as_str().unwrap_or("?");
                        assert_eq!(
                            &text[item.value.span()],
                            format!("\"{hint}\""),
                            "spans count from the file's start"
                        );
                        assert!(text[item.key_at..].starts_with(item.key));
                        hints.push(hint.to_owned());
                    }
                }
            }
        })?;
        let keys = top.items().map(|item| item.key.to_owned()).collect();
        Ok((hints, keys))
    }

    /// Entries numbered from `first`, about as many bytes as three pieces.
    fn many(first: usize) -> (String, Vec<String>) {
        let mut text = String::new();
        let mut hints = Vec::new();
        while text.len() < 3 * PIECE {
            let hint = (first + hints.len()).to_string();
            writeln!(text, "[[entry]]\nhint = \"{hint}\"").unwrap();
            hints.push(hint);
        }
        (text, hints)
    }

    #[test]
    fn a_long_file_is_read_in_pieces_and_comes_out_whole() {
        let (entries, hints) = many(0);
        let text = format!("first = 1\n{entries}[log]\nlevel = \"info\"\n");
        assert!(pieces(&text).count() > 2);
        assert_eq!(
            pieces(&text).map(|piece| piece.len()).sum::<usize>(),
            text.len()
        );
        assert_eq!(
            outline(&text),
            Ok((hints, vec!["first".into(), "log".into()]))
        );
    }

    #[test]
    fn a_cut_inside_a_value_is_taken_back() {
        let (entries, mut hints) = many(0);
        let padding = "x".repeat(PIECE);
        // Cut here, the first string would end nowhere.
        let text =
            format!("note = '''{padding}\n[[entry]]\n'''\n{entries}[[entry]]\nhint = \"last\"\n");
        hints.push("last".into());
        assert_eq!(outline(&text), Ok((hints, vec!["note".into()])));
    }

    #[test]
    fn keys_that_come_twice_are_found_across_pieces() {
        let (entries, _) = many(0);
        let text = format!("[log]\nlevel = \"info\"\n{entries}[log]\nformat = \"json\"\n");
        let errors = outline(&text).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].what, "duplicate key");
        assert!(text[errors[0].at..].starts_with("log]\nformat"));
    }

    #[test]
    fn tables_that_continue_in_a_later_piece_are_one() {
        let (entries, hints) = many(0);
        let text = format!("[attest.unix]\npath = \"host\"\n{entries}[attest.other]\nx = 1\n");
        assert_eq!(outline(&text), Ok((hints, vec!["attest".into()])));
    }

    #[test]
    fn syntax_errors_say_what_to_write_instead() {
        for (text, at, what, instead) in [
            (
                "a = example.org # x\n",
                4,
                "string values must be quoted",
                "write a = \"example.org\"",
            ),
            (
                "mode = 0666\n",
                7,
                "unexpected leading zero",
                "write mode = \"0666\"",
            ),
            (
                "a = 10m\n",
                4,
                "string values must be quoted",
                "write a = \"10m\"",
            ),
            (
                "a =\n",
                3,
                "string values must be quoted",
                "write a value: a = \"…\"",
            ),
            (
                "a = 1\na = 2\n",
                6,
                "duplicate key",
                "remove it here or where it stands before",
            ),
            (
                "socket: /run/s\n",
                6,
                "invalid unquoted key",
                "write socket = \"/run/s\"",
            ),
            (
                "socket \"/run/s\"\n",
                7,
                "key with no value",
                "write socket = \"/run/s\"",
            ),
            (
                "a = [\"x\" \"y\"]\n",
                9,
                "missing comma between array elements",
                "write a comma before this",
            ),
            ("[log\nlevel = 1\n", 4, "unclosed table", "write `]` here"),
            ("s = \"é\n", 7, "invalid basic string", "write `\"` here"),
        ] {
            let errors = outline(text).unwrap_err();
            let first = &errors[0];
            assert_eq!(
                (first.what.as_str(), first.instead.as_str(), first.at),
                (what, instead, at),
                "{text}"
            );
        }
    }

    #[test]
    fn all_lines_that_are_wrong_are_named_each_once() {
        let errors = outline("a = x\nb = \"fine\"\nc = y y\n= 3\n").unwrap_err();
        let lines: Vec<_> = errors.iter().map(|error| error.at).collect();
        assert_eq!(lines, [4, 21, 25], "{errors:?}");
    }
}
