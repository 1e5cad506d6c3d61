//! Structured fields, as signatures have them: dictionaries of lists with parameters, and of bytes.
//!
//! Only what a writer would write is read, one text for one value: what is signed of `signature-input` is its text, and
//! others write it anew to verify it. Labels and parameters come once, though RFC 9651 lets the last one win. Spec: RFC 9651
//! §3, §4.1.

use std::borrow::Cow;

use base64ct::{Base64, Encoding as _};

use crate::HttpSignatureError as Error;

/// The most members of a dictionary, which are the signatures of a request, or the digests of its body.
pub const MAX_MEMBERS: usize = 8;

/// The most items of a list, which are the components that a signature covers.
pub const MAX_ITEMS: usize = 32;

/// The most parameters of a list or of an item.
pub const MAX_PARAMETERS: usize = 16;

/// An item without its parameters. What the profile has no use for is read past.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value<'t> {
    Integer(i64),
    Text(Cow<'t, str>),
    Boolean(bool),
    Other,
}

pub(crate) type Parameters<'t> = Vec<(&'t str, Value<'t>)>;

/// A list with its parameters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct InnerList<'t> {
    pub(crate) items: Vec<(Value<'t>, Parameters<'t>)>,
    pub(crate) parameters: Parameters<'t>,
    /// All of it, as it was received.
    pub(crate) text: &'t str,
}

/// Reads a field from its beginning to its end.
pub(crate) struct Reader<'t> {
    field: &'static str,
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(field: &'static str, text: &'t str) -> Self {
        Self { field, text, at: 0 }
    }

    /// Reads a dictionary, the whole field, and leaves the value of each member to `member`.
    pub(crate) fn dictionary(
        mut self,
        mut member: impl FnMut(&mut Self, &'t str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut labels = Vec::new();
        loop {
            let label = self.key()?;
            if labels.contains(&label) {
                return Err(Error::Duplicate(label.into()));
            }
            self.bound(labels.len(), "members", MAX_MEMBERS)?;
            labels.push(label);
            self.expect(b'=')?;
            member(&mut self, label)?;
            self.skip_white();
            if self.peek().is_none() {
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_white();
        }
    }

    /// A list of items in parentheses, with its parameters.
    pub(crate) fn inner_list(&mut self) -> Result<InnerList<'t>, Error> {
        let start = self.at;
        let mut items = Vec::new();
        self.expect(b'(')?;
        if !self.take(b')') {
            loop {
                self.bound(items.len(), "items", MAX_ITEMS)?;
                items.push((self.value()?, self.parameters()?));
                if self.take(b')') {
                    break;
                }
                self.expect(b' ')?;
            }
        }
        let parameters = self.parameters()?;
        Ok(InnerList {
            items,
            parameters,
            text: &self.text[start..self.at],
        })
    }

    /// Bytes in base64 between colons.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        self.expect(b':')?;
        let start = self.at;
        let base64 = self.take_while(|byte| byte != b':');
        self.expect(b':')?;
        Base64::decode_vec(base64).map_err(|_| self.malformed(start))
    }

    /// The parameters of what was just read.
    pub(crate) fn parameters(&mut self) -> Result<Parameters<'t>, Error> {
        let mut parameters = Parameters::new();
        while self.take(b';') {
            let name = self.key()?;
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(Error::Duplicate(name.into()));
            }
            self.bound(parameters.len(), "parameters", MAX_PARAMETERS)?;
            let at = self.at;
            let value = match self.take(b'=') {
                // It would be written without.
                true => Some(self.value()?).filter(|value| *value != Value::Boolean(true)),
                false => Some(Value::Boolean(true)),
            };
            parameters.push((name, value.ok_or_else(|| self.malformed(at))?));
        }
        Ok(parameters)
    }

    fn value(&mut self) -> Result<Value<'t>, Error> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b':') => self.bytes().map(|_| Value::Other),
            Some(b'?') => {
                self.at += 1;
                match self.take_while(|byte| matches!(byte, b'0' | b'1')) {
                    "0" => Ok(Value::Boolean(false)),
                    "1" => Ok(Value::Boolean(true)),
                    _ => Err(self.malformed(self.at)),
                }
            }
            Some(first) if first.is_ascii_alphabetic() || first == b'*' => {
                self.take_while(|byte| {
                    crate::request::is_token(byte) || matches!(byte, b':' | b'/')
                });
                Ok(Value::Other)
            }
            _ => Err(self.malformed(self.at)),
        }
    }

    fn string(&mut self) -> Result<Cow<'t, str>, Error> {
        self.expect(b'"')?;
        let plain =
            self.take_while(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
        let mut text = Cow::Borrowed(plain);
        while !self.take(b'"') {
            self.expect(b'\\')?;
            match self.peek() {
                Some(escaped @ (b'"' | b'\\')) => text.to_mut().push(char::from(escaped)),
                _ => return Err(self.malformed(self.at)),
            }
            self.at += 1;
            let more = self
                .take_while(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
            text.to_mut().push_str(more);
        }
        Ok(text)
    }

    /// An integer of up to 15 digits; a number with a fraction is read past.
    fn number(&mut self) -> Result<Value<'t>, Error> {
        let start = self.at;
        self.take(b'-');
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let text = &self.text[start..self.at];
        let is_written = digits.len() <= 15 && (digits == "0" || !digits.starts_with('0'));
        let integer = text.parse().ok().filter(|_| is_written);
        let integer = integer.ok_or_else(|| self.malformed(start))?;
        if !self.take(b'.') {
            return match text {
                "-0" => Err(self.malformed(start)),
                _ => Ok(Value::Integer(integer)),
            };
        }
        let fraction = self.take_while(|byte| byte.is_ascii_digit());
        let is_written = match fraction.len() {
            1 => true,
            2 | 3 => !fraction.ends_with('0'),
            _ => false,
        };
        match is_written && digits.len() <= 12 {
            true => Ok(Value::Other),
            false => Err(self.malformed(start)),
        }
    }

    fn key(&mut self) -> Result<&'t str, Error> {
        let start = self.at;
        let key = self.take_while(
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'),
        );
        match key.bytes().next() {
            Some(b'a'..=b'z' | b'*') => Ok(key),
            _ => Err(self.malformed(start)),
        }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'t str {
        let rest = &self.text[self.at..];
        let len = rest
            .bytes()
            .take_while(|byte| byte.is_ascii() && accept(*byte))
            .count();
        self.at += len;
        &rest[..len]
    }

    fn skip_white(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.malformed(self.at))
        }
    }

    /// That one more fits, where there are `len` already.
    fn bound(&self, len: usize, what: &'static str, most: usize) -> Result<(), Error> {
        let field = self.field;
        if len < most {
            Ok(())
        } else {
            Err(Error::TooMany { field, what, most })
        }
    }

    fn malformed(&self, at: usize) -> Error {
        Error::Malformed {
            field: self.field,
            at,
        }
    }
}

#[cfg(test)]
mod tests;
