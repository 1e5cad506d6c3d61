//! What a file of certificates, keys, tokens or bundles looks like, from the outside.

use std::borrow::Cow;

/// How every certificate in DER begins, and no token does.
const SEQUENCE: u8 = 0x30;
const PEM: &[u8] = b"-----BEGIN ";
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The form of a file. That it looks so does not mean that it is right.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Form<'f> {
    /// Blocks of PEM. What stands around them may have been in any encoding.
    Pem(Cow<'f, str>),
    /// A JSON object, from its brace on.
    Json(&'f str),
    /// Any other text.
    Text(&'f str),
    /// What is no text, or begins as DER does.
    Binary(&'f [u8]),
}

impl<'f> Form<'f> {
    pub(crate) fn of(bytes: &'f [u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok();
        let is_like_der = bytes.first() == Some(&SEQUENCE);
        let may_be_text = text.is_some() || !is_like_der;
        if may_be_text && bytes.windows(PEM.len()).any(|part| part == PEM) {
            return Self::Pem(String::from_utf8_lossy(bytes));
        }
        let Some(text) = text.filter(|_| !is_like_der) else {
            return Self::Binary(bytes);
        };
        let object = text.trim_start_matches(BYTE_ORDER_MARK).trim_start();
        match object.starts_with('{') {
            true => Self::Json(object),
            false => Self::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_begins_with_or_has_in_it() {
        let pem = "-----BEGIN CERTIFICATE-----";
        for (bytes, want) in [
            (&b""[..], Form::Text("")),
            (b"words", Form::Text("words")),
            (b"\n {\"keys\": []}\n", Form::Json("{\"keys\": []}\n")),
            (b"\xef\xbb\xbf{}", Form::Json("{}")),
            (pem.as_bytes(), Form::Pem(pem.into())),
            (
                b"\xc4\n-----BEGIN X",
                Form::Pem("\u{fffd}\n-----BEGIN X".into()),
            ),
            (b"0 s:-----BEGIN X", Form::Pem("0 s:-----BEGIN X".into())),
            (
                b"0\x82\xff-----BEGIN X",
                Form::Binary(b"0\x82\xff-----BEGIN X"),
            ),
            (b"0\x01", Form::Binary(b"0\x01")),
            (b"\xff", Form::Binary(b"\xff")),
        ] {
            assert_eq!(Form::of(bytes), want, "{bytes:?}");
        }
    }
}
