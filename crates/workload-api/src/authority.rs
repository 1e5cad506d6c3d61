//! Callers whose gRPC is the C core: Python, C++, Ruby, PHP and others.
//!
//! On a Unix socket that library sends the socket's path as `:authority`, percent-encoded: `run%2Fagent.sock`. The `http`
//! crate takes no `%` there, and `h2` then resets the stream with PROTOCOL_ERROR before anybody sees the request. Nobody
//! needs the value. So each `%` in it is overwritten with `-` on the way in, in place: no length changes, and whatever
//! HPACK keeps for later requests it keeps mended.
//!
//! That takes knowing where in the bytes that value is: frames by their lengths (RFC 9113 §4.1), and in header blocks the
//! representations by theirs (RFC 7541 §6). Nothing is decoded and nothing is kept but where reading stands. What is
//! malformed is left to `h2`, which sees it as it came. Spec: Workload Endpoint §3 (WEP-03).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

/// A connection that is read with its authorities mended, and in turn with others: what a task may do at a time counts
/// bytes, not readings.
#[derive(Debug)]
pub(crate) struct Mended<T> {
    io: T,
    frames: Frames,
}

impl<T> Mended<T> {
    pub(crate) fn new(io: T) -> Self {
        Self {
            io,
            frames: Frames::default(),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Mended<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let turn = ready!(coop::poll_proceed(cx));
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        turn.made_progress();
        let read = &mut buf.filled_mut()[before..];
        for _ in 0..read.len() / PIECE {
            if let Poll::Ready(turn) = coop::poll_proceed(cx) {
                turn.made_progress();
            }
        }
        self.frames.mend(read);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Mended<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Where reading stands among the frames.
#[derive(Debug)]
struct Frames {
    /// Bytes to come that are none of our business: the preface, other frames, padding.
    skip: u32,
    /// The head of the frame that is being read, and how much of it is there.
    head: [u8; HEAD_LEN],
    head_len: usize,
    /// The frame's own bytes before its block: length of the padding, priority.
    prefix: u32,
    padded: bool,
    /// What is left of the block in this frame, and the padding after it.
    block: u32,
    padding: u32,
    header: Header,
}

/// Bytes that count as much as one operation of Tokio's, of which a task may do some hundred before others get their turn.
/// Reading at most that much of ever so small frames takes less than a millisecond.
const PIECE: usize = 256;

const PREFACE_LEN: u32 = 24;
const HEAD_LEN: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

impl Default for Frames {
    fn default() -> Self {
        Self {
            skip: PREFACE_LEN,
            head: [0; HEAD_LEN],
            head_len: 0,
            prefix: 0,
            padded: false,
            block: 0,
            padding: 0,
            header: Header::default(),
        }
    }
}

impl Frames {
    /// Goes on with `input`, and mends what of an authority is in it.
    fn mend(&mut self, mut input: &mut [u8]) {
        while !input.is_empty() {
            if self.skip > 0 {
                advance(&mut input, &mut self.skip);
            } else if self.prefix > 0 {
                let [first, rest @ ..] = input else { return };
                if std::mem::take(&mut self.padded) {
                    self.padding = u32::from(*first).min(self.block);
                    self.block -= self.padding;
                }
                self.prefix -= 1;
                input = rest;
            } else if self.block > 0 {
                let block = advance(&mut input, &mut self.block);
                self.header.mend(block);
            } else if self.padding > 0 {
                self.skip = std::mem::take(&mut self.padding);
            } else {
                let len = input.len().min(HEAD_LEN - self.head_len);
                let (head, rest) = input.split_at_mut(len);
                self.head[self.head_len..self.head_len + len].copy_from_slice(head);
                self.head_len += len;
                input = rest;
                if self.head_len == HEAD_LEN {
                    self.begin();
                }
            }
        }
    }

    /// A frame begins.
    fn begin(&mut self) {
        self.head_len = 0;
        let [a, b, c, kind, flags, ..] = self.head;
        let len = u32::from_be_bytes([0, a, b, c]);
        match kind {
            HEADERS => {
                self.header = Header::default();
                self.padded = flags & PADDED != 0;
                let priority = if flags & PRIORITY != 0 { 5 } else { 0 };
                self.prefix = (u32::from(self.padded) + priority).min(len);
                self.block = len - self.prefix;
            }
            CONTINUATION => self.block = len,
            _ => self.skip = len,
        }
    }
}

/// Takes up to `left` bytes from the front.
fn advance<'i>(input: &mut &'i mut [u8], left: &mut u32) -> &'i mut [u8] {
    let len = input
        .len()
        .min(usize::try_from(*left).unwrap_or(usize::MAX));
    let (taken, rest) = std::mem::take(input).split_at_mut(len);
    *input = rest;
    *left -= u32::try_from(len).expect("no more than was left");
    taken
}

/// Where reading stands within a header block.
#[derive(Debug, Default)]
enum Header {
    /// Before a representation.
    #[default]
    Between,
    /// In an integer that takes several bytes.
    Integer { of: Integer, value: u32, shift: u32 },
    /// Before the length of a name.
    NameLen,
    /// In a name: what is left of it, and whether it is `:authority` so far, to which byte.
    Name { left: u32, matches: Option<usize> },
    /// Before the length of a value.
    ValueLen { authority: bool },
    /// In a value.
    Value { left: u32, authority: bool },
}

#[derive(Clone, Copy, Debug)]
enum Integer {
    /// An index that stands for a whole field, or a size of the table: nothing follows.
    Alone,
    /// The index of a name: beyond the single byte that `:authority` has.
    NameIndex,
    /// A name in Huffman's code is not compared.
    NameLen {
        plain: bool,
    },
    ValueLen {
        authority: bool,
    },
}

const AUTHORITY: &[u8] = b":authority";
/// The index of `:authority` in the static table (RFC 7541, Appendix A).
const AUTHORITY_INDEX: u8 = 1;
const HUFFMAN: u8 = 0x80;

impl Header {
    fn mend(&mut self, mut block: &mut [u8]) {
        loop {
            match self {
                Self::Name { left, matches } => {
                    let part = advance(&mut block, left);
                    if let Some(at) = matches {
                        let is_authority = AUTHORITY[*at..].starts_with(part);
                        *matches = is_authority.then_some(*at + part.len());
                    }
                    if *left > 0 {
                        return;
                    }
                    let authority = *matches == Some(AUTHORITY.len());
                    *self = Self::ValueLen { authority };
                }
                Self::Value { left, authority } => {
                    let part = advance(&mut block, left);
                    if *authority {
                        part.iter_mut()
                            .filter(|byte| **byte == b'%')
                            .for_each(|byte| *byte = b'-');
                    }
                    if *left > 0 {
                        return;
                    }
                    *self = Self::Between;
                }
                _ => {
                    let [byte, rest @ ..] = block else { return };
                    self.byte(*byte);
                    block = rest;
                }
            }
        }
    }

    /// One byte outside of strings.
    fn byte(&mut self, byte: u8) {
        *self = match self {
            Self::Between => {
                // RFC 7541 §6: indexed, literal with indexing, size update, and two literals without.
                let (bits, of) = match byte {
                    0x80.. => (7, Integer::Alone),
                    0x40.. => (6, Integer::NameIndex),
                    0x20.. => (5, Integer::Alone),
                    _ => (4, Integer::NameIndex),
                };
                integer(byte, bits, of)
            }
            Self::NameLen => integer(
                byte,
                7,
                Integer::NameLen {
                    plain: byte & HUFFMAN == 0,
                },
            ),
            Self::ValueLen { authority } => {
                // A `%` within Huffman's code cannot be overwritten; the C core does not use it.
                let authority = *authority && byte & HUFFMAN == 0;
                integer(byte, 7, Integer::ValueLen { authority })
            }
            Self::Integer { of, value, shift } => {
                let part = u32::from(byte & 0x7f)
                    .checked_shl(*shift)
                    .unwrap_or(u32::MAX);
                let value = value.saturating_add(part);
                match byte & 0x80 {
                    0 => whole(*of, value),
                    _ => Self::Integer {
                        of: *of,
                        value,
                        shift: shift.saturating_add(7),
                    },
                }
            }
            Self::Name { .. } | Self::Value { .. } => unreachable!("strings are taken whole"),
        };
    }
}

/// An integer with a prefix of so many bits begins (RFC 7541 §5.1).
fn integer(byte: u8, bits: u32, of: Integer) -> Header {
    let most = (1 << bits) - 1;
    match u32::from(byte) & most {
        value if value == most => Header::Integer {
            of,
            value,
            shift: 0,
        },
        value => whole(of, value),
    }
}

fn whole(of: Integer, value: u32) -> Header {
    match of {
        Integer::Alone => Header::Between,
        Integer::NameIndex if value == 0 => Header::NameLen,
        Integer::NameIndex => Header::ValueLen {
            authority: value == u32::from(AUTHORITY_INDEX),
        },
        Integer::NameLen { plain } => Header::Name {
            left: value,
            matches: plain.then_some(0),
        },
        Integer::ValueLen { authority } => Header::Value {
            left: value,
            authority,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends frames that mean nothing, as fast as they are read.
    struct Flood;

    impl AsyncRead for Flood {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buf.put_slice(&[0; 900]);
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn who_floods_gives_others_their_turn() {
        let mut mended = Mended::new(Flood);
        for _ in 0..3 {
            let read = std::future::poll_fn(|cx| {
                let mut read = 0;
                while read < 1 << 20 {
                    let mut space = [0; 1000];
                    let mut buf = ReadBuf::new(&mut space);
                    if Pin::new(&mut mended).poll_read(cx, &mut buf).is_pending() {
                        break;
                    }
                    read += buf.filled().len();
                }
                Poll::Ready(read)
            });
            let read = read.await;
            assert!((1..=64 * 1024).contains(&read), "{read} bytes at one go");
            tokio::task::yield_now().await;
        }
    }

    /// What grpcio 1.85 sends on `unix:///tmp/a/b.sock`, from its preface to the second request on the connection.
    fn c_core() -> Vec<u8> {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, &[0, 2, 0, 0, 0, 0]));
        bytes.extend(frame(8, 0, &[0, 0x3f, 0, 1]));
        let mut block = b"\x40\x05:path\x20/SpiffeWorkloadAPI/FetchX509SVID".to_vec();
        block.extend(b"\x40\x0a:authority\x10tmp%2Fa%2Fb.sock\x83\x86");
        block.extend(b"\x40\x0ccontent-type\x10application/grpc\x40\x02te\x08trailers");
        block.extend(b"\x40\x0agrpc-tag-%\x03a%b\x00\x12workload.spiffe.io\x04true");
        bytes.extend(frame(HEADERS, 4, &block));
        bytes.extend(frame(0, 1, b"\0\0\0\0\x05%%%%%"));
        bytes.extend(frame(HEADERS, 4, b"\xc0\xbf\x83\x86\x3f\xe1\x1f"));
        bytes
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = u8::try_from(payload.len()).expect("short frames only");
        [&[0, 0, len, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn mended(bytes: &[u8], pieces: usize) -> Vec<u8> {
        let mut frames = Frames::default();
        let mut bytes = bytes.to_vec();
        bytes
            .chunks_mut(pieces)
            .for_each(|piece| frames.mend(piece));
        bytes
    }

    #[test]
    fn overwrites_percent_signs_in_the_authority_and_nowhere_else_whatever_the_cuts() {
        // WEP-03 +: a gRPC client of another language.
        let came = c_core();
        let text = String::from_utf8_lossy(&came).replace("tmp%2Fa%2Fb.sock", "tmp-2Fa-2Fb.sock");
        for pieces in 1..=came.len() {
            let left = mended(&came, pieces);
            assert_eq!(
                String::from_utf8_lossy(&left),
                text,
                "in pieces of {pieces}"
            );
        }
    }

    #[test]
    fn finds_the_authority_in_every_representation() {
        let preface = [b'.'; PREFACE_LEN as usize];
        let long = [b"\x01\x7f\x49".to_vec(), vec![b'%'; 200]].concat();
        let long_mended = [b"\x01\x7f\x49".to_vec(), vec![b'-'; 200]].concat();
        for (what, flags, block, want) in [
            ("indexed name", 4, &b"\x41\x03a%b"[..], &b"\x41\x03a-b"[..]),
            ("without indexing", 4, b"\x01\x03a%b", b"\x01\x03a-b"),
            ("never indexed", 4, b"\x11\x03a%b", b"\x11\x03a-b"),
            (
                "its name in full",
                4,
                b"\x00\x0a:authority\x01%",
                b"\x00\x0a:authority\x01-",
            ),
            ("a value of 200 bytes", 4, &long, &long_mended),
            (
                "after padding and priority",
                4 | PADDED | PRIORITY,
                b"\x02\0\0\0\0\x10\x01\x01%%%",
                b"\x02\0\0\0\0\x10\x01\x01-%%",
            ),
            (
                "another name",
                4,
                b"\x42\x01%\x0f\x10\x01%",
                b"\x42\x01%\x0f\x10\x01%",
            ),
            (
                "a longer name",
                4,
                b"\x00\x0b:authority2\x01%",
                b"\x00\x0b:authority2\x01%",
            ),
            ("Huffman's code", 4, b"\x01\x81%", b"\x01\x81%"),
        ] {
            let came = [&preface[..], &frame(HEADERS, flags, block)].concat();
            let want = [&preface[..], &frame(HEADERS, flags, want)].concat();
            for pieces in 1..=came.len() {
                assert_eq!(mended(&came, pieces), want, "{what}, in pieces of {pieces}");
            }
        }
    }

    #[test]
    fn goes_on_over_continuations() {
        let preface = [b'.'; PREFACE_LEN as usize];
        let of = |end: &[u8]| {
            let (first, second) = (
                frame(HEADERS, 0, b"\x00\x0a:auth"),
                frame(CONTINUATION, 4, end),
            );
            [&preface[..], &first, &second].concat()
        };
        assert_eq!(mended(&of(b"ority\x02%%"), 7), of(b"ority\x02--"));
    }

    #[test]
    fn survives_what_no_client_sends() {
        let preface = [b'.'; PREFACE_LEN as usize];
        let endless = [
            &[0x7f][..],
            &[0xff; 40],
            b"\x00\x7f\xff\xff\xff\xff\xff\xff",
        ]
        .concat();
        for payload in [&endless[..], b"\x40", b"\xff", b"\x00\x05ab", b"", b"\x41"] {
            for flags in [0, PADDED, PRIORITY, PADDED | PRIORITY] {
                let came = [
                    &preface[..],
                    &frame(HEADERS, flags, payload),
                    &frame(HEADERS, 4, b"\x01\x01%"),
                ]
                .concat();
                let left = mended(&came, 3);
                assert!(
                    left.ends_with(b"\x01\x01-"),
                    "{payload:?} with flags {flags}"
                );
            }
        }
    }
}
