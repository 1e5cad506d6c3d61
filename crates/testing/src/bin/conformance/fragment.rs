//! Where a file speaks: its comments and its strings, which are all that can cite.

/// One comment, or one string without its quotes. Comments on lines of their own that follow each other are one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fragment {
    /// The line that it begins in, from 0.
    pub(crate) line: usize,
    pub(crate) is_comment: bool,
    /// What stands before it and behind it on its lines.
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) text: String,
}

/// How a language writes comments and strings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Language {
    /// `//`, and `'` for one character alone.
    Rust,
    /// `#`, and `'` as good as `"`.
    Python,
}

impl Language {
    pub(crate) fn of(file: &str) -> Self {
        let name = file.rsplit('/').next().unwrap_or(file);
        match name.rsplit_once('.') {
            Some((_, "rs" | "go" | "proto")) => Self::Rust,
            _ => Self::Python,
        }
    }

    fn comment(self) -> &'static str {
        match self {
            Self::Rust => "//",
            Self::Python => "#",
        }
    }
}

pub(crate) fn fragments(text: &str, language: Language) -> Vec<Fragment> {
    let mut found: Vec<Fragment> = Vec::new();
    let mut at = 0;
    let mut counted = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let Some((opening, closing, is_comment)) = opened(text, at, language) else {
            at += after_character(rest, language);
            continue;
        };
        let from = at + opening;
        let len = length(&text[from..], &closing, is_comment);
        let end = (from + len + closing.trim_end_matches('\n').len()).min(text.len());
        counted = (at, counted.1 + text[counted.0..at].matches('\n').count());
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[end..].find('\n').map_or(text.len(), |more| end + more);
        let fragment = Fragment {
            line: counted.1,
            is_comment,
            before: text[line_start..at].trim().to_owned(),
            after: text[end..line_end].trim().to_owned(),
            text: joined(&text[from..from + len]),
        };
        at = end;
        match found.last_mut() {
            Some(last) if continues(last, &fragment, text, line_start) => {
                last.text = format!("{} {}", last.text, fragment.text);
            }
            _ => found.push(fragment),
        }
    }
    found
}

/// How many bytes open a fragment at `at`, what closes it, and whether it is a comment.
fn opened(text: &str, at: usize, language: Language) -> Option<(usize, String, bool)> {
    let rest = &text[at..];
    if rest.starts_with(language.comment()) {
        let len = rest.len() - rest.trim_start_matches(['/', '#', '!']).len();
        return Some((len, "\n".into(), true));
    }
    let quotes: &[&str] = match language {
        Language::Rust => &["\"", "`"],
        Language::Python => &["\"\"\"", "\"", "'"],
    };
    if let Some(quote) = quotes.iter().find(|quote| rest.starts_with(**quote)) {
        return Some((quote.len(), (*quote).to_owned(), false));
    }
    let raw = rest
        .strip_prefix('r')
        .filter(|_| !text[..at].ends_with(is_word))?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    (language == Language::Rust && raw[hashes..].starts_with('"'))
        .then(|| (hashes + 2, format!("\"{}", "#".repeat(hashes)), false))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Up to what closes it, or all.
fn length(rest: &str, closing: &str, is_comment: bool) -> usize {
    let has_escapes = !is_comment && matches!(closing, "\"" | "'" | "\"\"\"");
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        if !escaped && rest[at..].starts_with(closing) {
            return at;
        }
        escaped = has_escapes && c == '\\' && !escaped;
    }
    rest.len()
}

/// Bytes to the next place where a fragment may begin: a character in quotes is none, and a lifetime has no second quote.
fn after_character(rest: &str, language: Language) -> usize {
    let one = rest.chars().next().map_or(1, char::len_utf8);
    if language != Language::Rust || !rest.starts_with('\'') {
        return one;
    }
    let mut characters = rest.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(one, |end| 3 + end + 1),
        Some(_) => match characters.next() {
            Some((end, '\'')) => end + 1,
            _ => one,
        },
        None => one,
    }
}

/// In one line, as it is read.
fn joined(text: &str) -> String {
    let lines: Vec<_> = text
        .split('\n')
        .map(|line| line.trim_end_matches('\\').trim())
        .collect();
    lines.join(" ").trim().to_owned()
}

fn continues(last: &Fragment, next: &Fragment, text: &str, line_start: usize) -> bool {
    let line_before = text[..line_start]
        .trim_end_matches('\n')
        .lines()
        .next_back();
    let is_next = line_before.is_some_and(|line| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with('#')
    });
    last.is_comment
        && next.is_comment
        && is_next
        && last.before.is_empty()
        && next.before.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, language: Language) -> Vec<(usize, String)> {
        let found = fragments(text, language).into_iter();
        found
            .map(|fragment| (fragment.line, fragment.text))
            .collect()
    }

    #[test]
    fn finds_comments_and_strings_and_nothing_else() {
        let rust = "\
fn a<'a>(c: char) { // one
    let q = '\"'; let n = b'\\''; // two
    // three
    // and four
    check(\"fi\\\"ve\", r#\"s\"ix\"#, bar\"seven\");
    let long = \"eight \\
        and nine\";
}
";
        let want = [
            (0, "one"),
            (1, "two"),
            (2, "three and four"),
            (4, "fi\\\"ve"),
            (4, "s\"ix"),
            (4, "seven"),
            (5, "eight and nine"),
        ];
        let want: Vec<_> = want.map(|(line, text)| (line, text.to_owned())).into();
        assert_eq!(texts(rust, Language::Rust), want);
        let python = "def a():\n    \"\"\"one\"\"\"\n    b('two', \"three\")  # four\n";
        let want = [(1, "one"), (2, "two"), (2, "three"), (2, "four")];
        let want: Vec<_> = want.map(|(line, text)| (line, text.to_owned())).into();
        assert_eq!(texts(python, Language::Python), want);
    }

    #[test]
    fn knows_what_stands_beside() {
        let found = &fragments("    (\"X\", one(), 2), // Y\n", Language::Rust);
        assert_eq!(
            (found[0].before.as_str(), found[0].after.as_str()),
            ("(", ", one(), 2), // Y")
        );
        assert_eq!(found[1].before, "(\"X\", one(), 2),");
    }
}
