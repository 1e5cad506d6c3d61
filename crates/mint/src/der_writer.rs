//! DER, written from its end to its beginning: when a header is due, the length of its content is known.

/// A buffer that grows towards its front.
pub(crate) struct DerWriter {
    /// What is written is `bytes[start..]`.
    bytes: Vec<u8>,
    start: usize,
}

impl DerWriter {
    /// A writer with room for `front` bytes, and for `back` more that [`append`](Self::append) puts behind them.
    pub(crate) fn with_capacity(front: usize, back: usize) -> Self {
        let mut bytes = Vec::with_capacity(front + back);
        bytes.resize(front, 0);
        Self {
            bytes,
            start: front,
        }
    }

    /// Bytes written so far: a mark for [`close`](Self::close).
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Puts `bytes` before all that is written.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if self.start < bytes.len() {
            self.grow(bytes.len());
        }
        let end = self.start;
        self.start -= bytes.len();
        self.bytes[self.start..end].copy_from_slice(bytes);
    }

    /// Puts the header of `tag` before what was written since `mark`.
    pub(crate) fn close(&mut self, tag: u8, mark: usize) {
        let header = Header::new(tag, self.len() - mark);
        self.put(header.as_bytes());
    }

    /// Puts a whole element before what is written.
    pub(crate) fn element(&mut self, tag: u8, content: &[u8]) {
        let mark = self.len();
        self.put(content);
        self.close(tag, mark);
    }

    /// Puts an INTEGER that holds the big-endian `number`.
    pub(crate) fn unsigned_integer(&mut self, number: &[u8]) {
        let mark = self.len();
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        self.put(number);
        if number.first().is_none_or(|byte| byte & 0x80 != 0) {
            self.put(&[0]);
        }
        self.close(INTEGER, mark);
    }

    /// Puts `bytes` behind all that is written.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts a BIT STRING of whole bytes behind all that is written.
    pub(crate) fn append_bit_string(&mut self, bytes: &[u8]) {
        self.append(Header::new(BIT_STRING, 1 + bytes.len()).as_bytes());
        self.append(&[0]);
        self.append(bytes);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.drain(..self.start);
        self.bytes
    }

    fn grow(&mut self, by: usize) {
        let more = by.max(self.bytes.len());
        self.bytes.splice(0..0, std::iter::repeat_n(0, more));
        self.start += more;
    }
}

/// Tag and length of an element.
struct Header {
    bytes: [u8; 5],
    len: usize,
}

impl Header {
    fn new(tag: u8, content: usize) -> Self {
        let [.., c, b, a] = content.to_be_bytes();
        let (bytes, len) = match content {
            0..0x80 => ([tag, a, 0, 0, 0], 2),
            0x80..0x100 => ([tag, 0x81, a, 0, 0], 3),
            0x100..0x1_0000 => ([tag, 0x82, b, a, 0], 4),
            _ => ([tag, 0x83, c, b, a], 5),
        };
        Self { bytes, len }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

#[cfg(test)]
mod tests {
    use super::*;
    use der::asn1::{AnyRef, OctetString};
    use der::{Decode as _, Encode as _};

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        // The reader refuses longer forms, so whatever it reads is as short as it can be.
        for len in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000] {
            let mut writer = DerWriter::with_capacity(0, 0);
            writer.element(OCTET_STRING, &vec![0xab; len]);
            let want = OctetString::new(vec![0xab; len]).unwrap().to_der().unwrap();
            assert_eq!(writer.into_bytes(), want, "{len}");
        }
    }

    #[test]
    fn integers_are_positive_and_minimal() {
        for (number, want) in [
            (&[0x7f][..], &[2, 1, 0x7f][..]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0, 0, 1, 0], &[2, 2, 1, 0]),
            (&[0, 0xff, 0xff], &[2, 3, 0, 0xff, 0xff]),
            (&[0, 0], &[2, 1, 0]),
        ] {
            let mut writer = DerWriter::with_capacity(8, 0);
            writer.unsigned_integer(number);
            assert_eq!(writer.into_bytes(), want, "{number:02x?}");
        }
    }

    #[test]
    fn grows_where_the_first_guess_was_too_small() {
        let mut writer = DerWriter::with_capacity(4, 0);
        writer.append(&[0x05, 0x00]);
        for _ in 0..100 {
            writer.element(OCTET_STRING, &[7; 50]);
        }
        writer.close(SEQUENCE, 0);
        let der = writer.into_bytes();
        assert_eq!(der.len(), 4 + 100 * 52 + 2);
        AnyRef::from_der(&der).unwrap();
    }
}
