//! A reader of strict DER over one borrowed buffer. It hands out positions, so that an owned certificate can keep them.

use super::CertificateError;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;

/// A context-specific tag of a primitive value.
pub(super) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// A context-specific tag of a value made of others.
pub(super) const fn context_constructed(number: u8) -> u8 {
    0xa0 | number
}

/// The most bytes one value takes, header included: what two length octets can say, so that positions fit 16 bits.
pub(super) const MAX_LEN: usize = 0xffff;

/// A stretch of the buffer. Empty means absent where a field is optional.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= MAX_LEN);
        // Positions are at most MAX_LEN: `Reader::new` refuses longer buffers.
        Self {
            start: start as u16,
            end: end as u16,
        }
    }

    /// The bytes themselves, in the buffer that the reader had.
    pub(super) fn of(self, der: &[u8]) -> &[u8] {
        &der[usize::from(self.start)..usize::from(self.end)]
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One tag, its length and its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) tag: u8,
    /// Header and content.
    pub(super) whole: Span,
    pub(super) content: Span,
}

/// Reads one element after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    der: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// Reads `der` from its start.
    pub(super) fn new(der: &'a [u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_LEN {
            return Err(CertificateError::TooLong { len: der.len() });
        }
        Ok(Self {
            der,
            at: 0,
            end: der.len(),
        })
    }

    /// Reads what lies inside an element.
    pub(super) fn inside(&self, content: Span) -> Self {
        Self {
            der: self.der,
            at: usize::from(content.start),
            end: usize::from(content.end),
        }
    }

    pub(super) fn bytes(&self, span: Span) -> &'a [u8] {
        span.of(self.der)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> Span {
        Span::new(self.at, self.end)
    }

    pub(super) fn malformed(&self) -> CertificateError {
        CertificateError::Der { at: self.at }
    }

    /// The next element, whatever its tag.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Element, CertificateError> {
        let (tag, header, len) = match self.der[self.at..self.end] {
            [tag, len @ 0..=0x7f, ..] => (tag, 2, usize::from(len)),
            [tag, 0x81, len @ 0x80..=0xff, ..] => (tag, 3, usize::from(len)),
            [tag, 0x82, high @ 1..=0xff, low, ..] => {
                (tag, 4, usize::from(high) << 8 | usize::from(low))
            }
            _ => return Err(self.malformed()),
        };
        let content = self.at + header;
        // Tag numbers above 30 take more than one octet; X.509 has none.
        if tag & 0x1f == 0x1f || len > self.end - content {
            return Err(self.malformed());
        }
        let element = Element {
            tag,
            whole: Span::new(self.at, content + len),
            content: Span::new(content, content + len),
        };
        self.at = content + len;
        Ok(element)
    }

    /// The next element, which has this tag.
    #[inline]
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element, CertificateError> {
        if self.peek() != Some(tag) {
            return Err(self.malformed());
        }
        self.next()
    }

    /// The next element if it has this tag.
    #[inline]
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element>, CertificateError> {
        if self.peek() == Some(tag) {
            self.next().map(Some)
        } else {
            Ok(None)
        }
    }

    /// A reader of what lies in the next element, which has this tag.
    #[inline]
    pub(super) fn enter(&mut self, tag: u8) -> Result<Self, CertificateError> {
        let element = self.expect(tag)?;
        Ok(self.inside(element.content))
    }

    /// The octets of the next element, a BIT STRING of whole octets.
    pub(super) fn bit_string(&mut self) -> Result<Span, CertificateError> {
        let content = self.expect(BIT_STRING)?.content;
        match self.bytes(content) {
            [0, ..] => Ok(Span {
                start: content.start + 1,
                end: content.end,
            }),
            _ => Err(self.malformed()),
        }
    }

    /// Checks that all has been read.
    #[inline]
    pub(super) fn finish(self) -> Result<(), CertificateError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    fn peek(&self) -> Option<u8> {
        self.der[self.at..self.end].first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(der: &[u8]) -> Result<(u8, Vec<u8>), CertificateError> {
        let mut reader = Reader::new(der)?;
        let element = reader.next()?;
        Ok((element.tag, reader.bytes(element.content).to_vec()))
    }

    #[test]
    fn reads_each_form_of_length() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 0x80]].concat();
        let longer = [&[0x04, 0x82, 0x01, 0x00][..], &[7; 0x100]].concat();
        assert_eq!(first(&[0x05, 0x00]), Ok((0x05, vec![])));
        assert_eq!(first(&[0x04, 0x01, 0xff]), Ok((0x04, vec![0xff])));
        assert_eq!(first(&long), Ok((0x04, vec![7; 0x80])));
        assert_eq!(first(&longer), Ok((0x04, vec![7; 0x100])));
    }

    #[test]
    fn refuses_what_is_not_der() {
        for (der, why) in [
            (&[][..], "nothing"),
            (&[0x04], "no length"),
            (&[0x04, 0x01], "content missing"),
            (&[0x04, 0x80, 0x00, 0x00], "indefinite length"),
            (
                &[0x04, 0x81, 0x01, 0x00],
                "length in two octets that fits one",
            ),
            (
                &[0x04, 0x82, 0x00, 0x81],
                "length in three octets that fits two",
            ),
            (&[0x04, 0x83, 0x01, 0x00, 0x00], "length beyond the limit"),
            (&[0x1f, 0x01, 0x00], "tag of several octets"),
        ] {
            assert_eq!(first(der), Err(CertificateError::Der { at: 0 }), "{why}");
        }
        assert_eq!(
            first(&[0; MAX_LEN + 1]),
            Err(CertificateError::TooLong { len: MAX_LEN + 1 })
        );
    }

    #[test]
    fn a_bit_string_has_whole_octets() {
        let read = |der: &[u8]| Reader::new(der).and_then(|mut reader| reader.bit_string());
        assert!(read(&[0x03, 0x02, 0x00, 0xaa]).is_ok());
        assert!(read(&[0x03, 0x02, 0x01, 0xaa]).is_err());
        assert!(read(&[0x03, 0x00]).is_err());
    }
}
