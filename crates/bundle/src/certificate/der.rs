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
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// Header and content.
    pub(super) whole: &'a [u8],
    /// Where `whole` starts in the buffer.
    at: usize,
    /// Bytes of tag and length.
    header: usize,
}

impl<'a> Element<'a> {
    pub(super) fn content(&self) -> &'a [u8] {
        &self.whole[self.header..]
    }

    pub(super) fn whole_span(&self) -> Span {
        Span::new(self.at, self.at + self.whole.len())
    }

    pub(super) fn content_span(&self) -> Span {
        Span::new(self.at + self.header, self.at + self.whole.len())
    }

    /// A reader of what lies inside.
    pub(super) fn inside(&self) -> Reader<'a> {
        Reader {
            rest: self.content(),
            at: self.at + self.header,
        }
    }
}

/// Reads one element after the other.
///
/// A certificate takes fifty calls of these methods. Inlined, they keep the reader in registers and cost a third of what
/// they do as calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    /// What has not been read yet.
    rest: &'a [u8],
    /// Where `rest` starts in the buffer.
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `der` from its start.
    pub(super) fn new(der: &'a [u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_LEN {
            return Err(CertificateError::TooLong { len: der.len() });
        }
        Ok(Self { rest: der, at: 0 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Where in the buffer the next element starts.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Passes over so many bytes: an element that the caller has seen in [`rest`](Self::rest).
    pub(super) fn skip(&mut self, len: usize) {
        self.rest = &self.rest[len..];
        self.at += len;
    }

    pub(super) fn malformed(&self) -> CertificateError {
        CertificateError::Der { at: self.at }
    }

    /// The next element, whatever its tag.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Element<'a>, CertificateError> {
        let (tag, header, len) = match *self.rest {
            [tag, len @ 0..=0x7f, ..] => (tag, 2, usize::from(len)),
            [tag, 0x81, len @ 0x80..=0xff, ..] => (tag, 3, usize::from(len)),
            [tag, 0x82, high @ 1..=0xff, low, ..] => {
                (tag, 4, usize::from(u16::from_be_bytes([high, low])))
            }
            _ => return Err(self.malformed()),
        };
        let Some((whole, rest)) = self.rest.split_at_checked(header + len) else {
            return Err(self.malformed());
        };
        // Tag numbers above 30 take more than one octet; X.509 has none.
        if tag & 0x1f == 0x1f {
            return Err(self.malformed());
        }
        let element = Element {
            tag,
            whole,
            at: self.at,
            header,
        };
        self.rest = rest;
        self.at += whole.len();
        Ok(element)
    }

    /// The next element, which has this tag.
    #[inline(always)]
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element<'a>, CertificateError> {
        if self.rest.first() != Some(&tag) {
            return Err(self.malformed());
        }
        self.next()
    }

    /// The next element if it has this tag.
    #[inline(always)]
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, CertificateError> {
        if self.rest.first() == Some(&tag) {
            self.next().map(Some)
        } else {
            Ok(None)
        }
    }

    /// A reader of what lies in the next element, which has this tag.
    #[inline(always)]
    pub(super) fn enter(&mut self, tag: u8) -> Result<Self, CertificateError> {
        Ok(self.expect(tag)?.inside())
    }

    /// Where the octets of the next element are, a BIT STRING of whole octets.
    #[inline(always)]
    pub(super) fn bit_string(&mut self) -> Result<Span, CertificateError> {
        let element = self.expect(BIT_STRING)?;
        match element.content() {
            [0, ..] => {
                let content = element.content_span();
                Ok(Span {
                    start: content.start + 1,
                    end: content.end,
                })
            }
            _ => Err(self.malformed()),
        }
    }

    /// Checks that all has been read.
    #[inline(always)]
    pub(super) fn finish(self) -> Result<(), CertificateError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(der: &[u8]) -> Result<(u8, Vec<u8>), CertificateError> {
        let mut reader = Reader::new(der)?;
        let element = reader.next()?;
        Ok((element.tag, element.content().to_vec()))
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
