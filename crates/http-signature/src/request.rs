//! A request, as far as signatures see it.

use std::borrow::Cow;
use std::fmt;

use crate::HttpSignatureError as Error;

/// The most bytes of a field that is covered; a token in one takes up to sixteen thousand.
pub const MAX_FIELD_LEN: usize = 32 * 1024;

/// The request that is signed, or that was received.
#[derive(Clone, Copy)]
pub struct HttpRequest<'r> {
    pub(crate) method: &'r str,
    pub(crate) target: &'r str,
    fields: &'r [(&'r str, &'r [u8])],
    pub(crate) body: &'r [u8],
}

impl<'r> HttpRequest<'r> {
    /// A request without a body. `method` is as sent, case included; `target` is the request target, which for most requests
    /// is path and query, `:path` in HTTP/2; `fields` are all header fields in the order in which they are sent, several of
    /// one name possible, names in any case.
    pub fn new(method: &'r str, target: &'r str, fields: &'r [(&'r str, &'r [u8])]) -> Self {
        Self {
            method,
            target,
            fields,
            body: &[],
        }
    }

    /// Its content, as it is sent: whole, and with its content coding.
    #[must_use]
    pub fn body(mut self, body: &'r [u8]) -> Self {
        self.body = body;
        self
    }

    /// The value of a field that must be there once, without white space around.
    ///
    /// # Errors
    ///
    /// It is not there, or more than once, or has bytes that no value of it has.
    pub fn sole_field(&self, name: &'static str) -> Result<&'r str, Error> {
        let mut lines = self.lines(name);
        let line = lines.next().ok_or(Error::FieldMissing(name))?;
        if lines.next().is_some() {
            return Err(Error::FieldRepeated(name));
        }
        value_of(name, line)
    }

    /// The value of a field, that of all its lines in one. Spec: RFC 9421 §2.1.
    pub(crate) fn field(&self, name: &str, most: usize) -> Result<Option<Cow<'r, str>>, Error> {
        let mut whole: Option<Cow<'r, str>> = None;
        for line in self.lines(name) {
            let line = value_of(name, line)?;
            let whole = match &mut whole {
                None => whole.insert(line.into()),
                Some(before) => {
                    before.to_mut().push_str(", ");
                    before.to_mut().push_str(line);
                    before
                }
            };
            if whole.len() > most {
                return Err(Error::FieldTooLong {
                    field: name.into(),
                    len: whole.len(),
                });
            }
        }
        Ok(whole)
    }

    /// Whether the field comes, and no more than once.
    pub(crate) fn has(&self, name: &'static str) -> Result<bool, Error> {
        match self.lines(name).take(2).count() {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::FieldRepeated(name)),
        }
    }

    /// Judges what is not in fields, so that each of it is one line of the signature base.
    pub(crate) fn check_line(&self) -> Result<(), Error> {
        if self.method.is_empty() || !self.method.bytes().all(is_token) {
            return Err(Error::RequestLine("method"));
        }
        if self.target.is_empty() || !self.target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::RequestLine("target"));
        }
        Ok(())
    }

    fn lines(&self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let of_name = |field: &&(&str, &[u8])| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(of_name).map(|field| field.1)
    }
}

/// Fields hold tokens, and bodies are long: neither is shown.
impl fmt::Debug for HttpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// One line of a field without white space around. A line that goes on in the next is deprecated, and could be read in two
/// ways. Spec: RFC 9110 §5.5; RFC 9112 §5.2.
fn value_of<'r>(name: &str, line: &'r [u8]) -> Result<&'r str, Error> {
    let is_value = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    match std::str::from_utf8(line) {
        Ok(text) if line.iter().all(is_value) => Ok(text.trim_matches([' ', '\t'])),
        _ => Err(Error::FieldBytes(name.into())),
    }
}

/// A character of a token. Spec: RFC 9110 §5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
