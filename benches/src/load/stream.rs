//! Thousands of open streams, each on its own connection, for a few microseconds of the driver's time each.
//!
//! A client library would spend more on an update than the server does, and the measurement would be of it. So this
//! speaks the little HTTP/2 that a held stream takes: one request of fixed bytes, then frames by their length. Messages are
//! counted, not decoded.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinSet, LocalSet};

use crate::{Result, clock};

/// So many connections are being opened at a time.
const OPENING: usize = 64;
/// How long any of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Open streams. Dropping closes them all.
pub(crate) struct Streams {
    local: LocalSet,
    tasks: JoinSet<Result<()>>,
    seen: Rc<Seen>,
    count: usize,
}

/// When messages arrived.
#[derive(Default)]
struct Seen {
    /// Arrivals since the last look.
    arrivals: RefCell<VecDeque<Instant>>,
    changed: Notify,
}

impl Streams {
    /// Opens `count` streams, and waits for the first message on each.
    pub(crate) async fn open(socket: &Path, count: usize) -> Result<Self> {
        let mut streams = Self {
            local: LocalSet::new(),
            tasks: JoinSet::new(),
            seen: Rc::default(),
            count,
        };
        let gate = Rc::new(Semaphore::new(OPENING));
        for _ in 0..count {
            let task = hold(socket.to_owned(), streams.seen.clone(), gate.clone());
            streams.tasks.spawn_local_on(task, &streams.local);
        }
        streams.next_messages().await?;
        Ok(streams)
    }

    /// Waits until as many messages have arrived as there are streams: when the first of them did, and when the last.
    pub(crate) async fn next_messages(&mut self) -> Result<(Instant, Instant)> {
        let Self {
            local,
            tasks,
            seen,
            count,
        } = self;
        let all = async {
            while seen.arrivals.borrow().len() < *count {
                seen.changed.notified().await;
            }
            let mut arrivals = seen.arrivals.borrow_mut();
            let wanted: Vec<_> = arrivals.drain(..*count).collect();
            (wanted[0], wanted[*count - 1])
        };
        let waiting = local.run_until(async {
            tokio::select! {
                times = all => Ok(times),
                Some(ended) = tasks.join_next() => {
                    ended??;
                    Err("a stream was ended".into())
                }
            }
        });
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .map_err(|_| "messages are missing after a minute")?
    }

    /// Waits until the server has ended all streams: when the last was.
    pub(crate) async fn ended(mut self) -> Result<Instant> {
        let all = self.local.run_until(async {
            while let Some(ended) = self.tasks.join_next().await {
                ended??;
            }
            Result::Ok(clock::now())
        });
        tokio::time::timeout(PATIENCE, all)
            .await
            .map_err(|_| "a stream goes on after a minute")?
    }

    /// Drops messages that arrive within `time`: updates that a measurement has not asked for.
    pub(crate) async fn settle(&mut self, time: Duration) {
        self.local.run_until(tokio::time::sleep(time)).await;
        self.seen.arrivals.borrow_mut().clear();
    }
}

/// One stream, until it ends.
async fn hold(socket: PathBuf, seen: Rc<Seen>, gate: Rc<Semaphore>) -> Result<()> {
    let mut permit = Some(gate.acquire().await?);
    let mut connection = UnixStream::connect(socket).await?;
    connection.write_all(&opening_bytes()).await?;
    let mut frames = Frames::default();
    // Kept small: ten thousand of them are open.
    let mut buffer = [0; 4096];
    loop {
        let read = connection.read(&mut buffer).await?;
        if read == 0 {
            return Err("the connection was closed".into());
        }
        let heard = frames.take(&buffer[..read]);
        if heard.ended {
            return Ok(());
        }
        if !heard.answer.is_empty() {
            connection.write_all(&heard.answer).await?;
        }
        if heard.messages > 0 {
            drop(permit.take());
            seen.arrivals
                .borrow_mut()
                .extend(std::iter::repeat_n(clock::now(), heard.messages));
            seen.changed.notify_one();
        }
    }
}

// HTTP/2 (RFC 9113), as much as is needed.

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Preface, settings, and `FetchX509SVID` with an empty message.
fn opening_bytes() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    // HPACK (RFC 7541): POST and http by their index, all else as literals without indexing.
    let mut headers = vec![0x83, 0x86];
    let mut literal = |name: &[u8], value: &str| {
        headers.extend_from_slice(name);
        headers.push(u8::try_from(value.len()).expect("short values only"));
        headers.extend_from_slice(value.as_bytes());
    };
    literal(&[0x04], "/SpiffeWorkloadAPI/FetchX509SVID");
    literal(&[0x01], "localhost");
    literal(&[0x0f, 0x10], "application/grpc");
    literal(b"\x00\x02te", "trailers");
    literal(b"\x00\x12workload.spiffe.io", "true");
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &headers));
    bytes.extend(frame(DATA, END_STREAM, 1, &[0; 5]));
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("short frames only")
        .to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Cuts what arrives into frames, and the data in them into gRPC messages.
#[derive(Default)]
struct Frames {
    /// Header of the frame that is being read, and how much of it is there.
    header: [u8; 9],
    header_len: usize,
    /// What is left of the frame's payload.
    left: usize,
    /// Payload of the control frames, which are short.
    payload: Vec<u8>,
    /// Prefix of the message that is being read, and how much of it is there.
    prefix: [u8; 5],
    prefix_len: usize,
    message_left: usize,
    /// Data since the window was last given back.
    received: u32,
}

/// What a piece of input amounts to.
#[derive(Default)]
struct Heard {
    messages: usize,
    answer: Vec<u8>,
    ended: bool,
}

impl Frames {
    fn take(&mut self, mut input: &[u8]) -> Heard {
        let mut heard = Heard::default();
        while !input.is_empty() {
            if self.header_len < 9 {
                let part = input.len().min(9 - self.header_len);
                self.header[self.header_len..self.header_len + part]
                    .copy_from_slice(&input[..part]);
                self.header_len += part;
                input = &input[part..];
                if self.header_len < 9 {
                    break;
                }
                self.left = usize::from(self.header[0]) << 16
                    | usize::from(self.header[1]) << 8
                    | usize::from(self.header[2]);
            }
            let part = input.len().min(self.left);
            match self.header[3] {
                DATA => self.data(&input[..part], &mut heard),
                PING => self.payload.extend_from_slice(&input[..part]),
                _ => {}
            }
            self.left -= part;
            input = &input[part..];
            if self.left == 0 {
                self.end_of_frame(&mut heard);
            }
        }
        heard
    }

    fn data(&mut self, mut input: &[u8], heard: &mut Heard) {
        self.received += u32::try_from(input.len()).expect("a frame's length has 24 bits");
        while !input.is_empty() {
            if self.prefix_len < 5 {
                let part = input.len().min(5 - self.prefix_len);
                self.prefix[self.prefix_len..self.prefix_len + part]
                    .copy_from_slice(&input[..part]);
                self.prefix_len += part;
                input = &input[part..];
                if self.prefix_len < 5 {
                    break;
                }
                let [_, length @ ..] = self.prefix;
                self.message_left = u32::from_be_bytes(length) as usize;
            }
            let part = input.len().min(self.message_left);
            self.message_left -= part;
            input = &input[part..];
            if self.message_left == 0 {
                heard.messages += 1;
                self.prefix_len = 0;
            }
        }
    }

    fn end_of_frame(&mut self, heard: &mut Heard) {
        let [_, _, _, kind, flags, ..] = self.header;
        self.header_len = 0;
        match kind {
            SETTINGS if flags & ACK == 0 => heard.answer.extend(frame(SETTINGS, ACK, 0, &[])),
            PING if flags & ACK == 0 => heard.answer.extend(frame(PING, ACK, 0, &self.payload)),
            RST_STREAM | GOAWAY => heard.ended = true,
            HEADERS | DATA if flags & END_STREAM != 0 => heard.ended = true,
            _ => {}
        }
        self.payload.clear();
        // Both windows begin with 65,535 bytes.
        if self.received > 30_000 {
            let size = self.received.to_be_bytes();
            heard.answer.extend(frame(WINDOW_UPDATE, 0, 0, &size));
            heard.answer.extend(frame(WINDOW_UPDATE, 0, 1, &size));
            self.received = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_messages_whatever_the_cuts() {
        let mut message = vec![0, 0, 0, 0, 7];
        message.extend([9; 7]);
        let mut bytes = frame(SETTINGS, 0, 0, &[0; 6]);
        bytes.extend(frame(HEADERS, END_HEADERS, 1, &[0x88]));
        bytes.extend(frame(DATA, 0, 1, &message[..3]));
        bytes.extend(frame(DATA, 0, 1, &[&message[3..], &message[..]].concat()));
        bytes.extend(frame(PING, 0, 0, b"12345678"));
        let mut want = frame(SETTINGS, ACK, 0, &[]);
        want.extend(frame(PING, ACK, 0, b"12345678"));
        for size in 1..bytes.len() {
            let mut frames = Frames::default();
            let (mut messages, mut answer) = (0, Vec::new());
            for piece in bytes.chunks(size) {
                let heard = frames.take(piece);
                messages += heard.messages;
                answer.extend(heard.answer);
                assert!(!heard.ended);
            }
            assert_eq!((messages, &answer), (2, &want), "in pieces of {size}");
        }
        assert!(
            Frames::default()
                .take(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]))
                .ended
        );
    }
}
