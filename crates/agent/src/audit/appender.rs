//! Appends chained lines, and knows after a failure how far they came.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use super::{
    chain::{Head, Line},
    file::End,
};

/// Room that stays between commits: a whole one, so that a busy log does not grow its buffer anew each time.
const MOST_KEPT: usize = 64 << 10;

/// Lines on their way into a file. What was pushed counts as written after [`Appender::commit`].
pub(super) struct Appender<W> {
    out: W,
    /// Lines not written yet.
    buffer: Vec<u8>,
    /// The end of the chain as it is in the file, and with what is in the buffer.
    written: Head,
    pushed: Head,
    /// Bytes of a torn line at the end of the file, that the next record declares.
    torn: u64,
    /// The file does not end in a newline.
    open_line: bool,
}

/// Writing failed.
#[derive(Debug)]
pub(super) struct Failed {
    /// How many of the pushed lines are in the file nevertheless. The others are forgotten.
    pub(super) lines: usize,
    pub(super) error: io::Error,
}

impl<W: Write> Appender<W> {
    /// Goes on from `head` in a file that ends like this.
    pub(super) fn new(out: W, head: Head, end: End) -> Self {
        let End {
            torn, open_line, ..
        } = end;
        Self {
            out,
            buffer: Vec::new(),
            written: head,
            pushed: head,
            torn,
            open_line,
        }
    }

    /// The last record in the file.
    pub(super) fn head(&self) -> Head {
        self.written
    }

    pub(super) fn file(&self) -> &W {
        &self.out
    }

    /// Goes on in another file, with the same chain.
    pub(super) fn go_on_in(&mut self, out: W, end: End) {
        debug_assert!(
            self.buffer.is_empty(),
            "what was pushed was committed to the file before"
        );
        self.out = out;
        self.torn += end.torn;
        self.open_line = end.open_line;
    }

    /// Bytes that wait for a commit.
    pub(super) fn pushed_bytes(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn push(&mut self, time: SystemTime, kind: &str, body: &[&str]) {
        if !self.buffer.is_empty() {
            self.pushed.append(&mut self.buffer, time, kind, body);
            return;
        }
        if self.open_line {
            self.buffer.push(b'\n');
        }
        if self.torn == 0 {
            self.pushed.append(&mut self.buffer, time, kind, body);
            return;
        }
        let torn = format!("\"torn\":{}", self.torn);
        let body = [&[torn.as_str()], body].concat();
        self.pushed.append(&mut self.buffer, time, kind, &body);
    }

    /// Writes what was pushed.
    pub(super) fn commit(&mut self) -> Result<(), Failed> {
        let mut done = 0;
        let failure = loop {
            if done == self.buffer.len() {
                break None;
            }
            match self.out.write(&self.buffer[done..]) {
                Ok(0) => break Some(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        let outcome = match failure {
            None => {
                if done > 0 {
                    (self.torn, self.open_line) = (0, false);
                }
                self.written = self.pushed;
                Ok(())
            }
            Some(error) => Err(Failed {
                lines: self.settle(done),
                error,
            }),
        };
        self.pushed = self.written;
        self.buffer.clear();
        self.buffer.shrink_to(MOST_KEPT);
        outcome
    }

    /// Takes stock when only `done` bytes were written. Returns the number of complete lines among them.
    fn settle(&mut self, done: usize) -> usize {
        if done == 0 {
            return 0;
        }
        // The newline that closed an open line before.
        let closed = usize::from(self.open_line);
        let end = match self.buffer[closed..].get(done - closed) {
            // All of a line but its newline.
            Some(b'\n') => done,
            _ => self.buffer[..done]
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(closed, |at| at + 1)
                .max(closed),
        };
        let complete = &self.buffer[closed..end];
        let lines = complete
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .count();
        let last = complete
            .strip_suffix(b"\n")
            .unwrap_or(complete)
            .rsplit(|byte| *byte == b'\n')
            .next();
        match last.and_then(Line::parse) {
            Some(line) => {
                self.written = line.head();
                self.torn = (done - end) as u64;
            }
            None => self.torn += done as u64,
        }
        self.open_line = self.buffer[done - 1] != b'\n';
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes and then no more, as a full disk does.
    struct Disk {
        content: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const EMPTY: End = End {
        head: None,
        torn: 0,
        open_line: false,
    };

    fn records(content: &[u8]) -> Vec<Result<Line, Vec<u8>>> {
        let lines = content
            .strip_suffix(b"\n")
            .expect("the file ends in a newline");
        lines
            .split(|byte| *byte == b'\n')
            .map(|line| Line::parse(line).ok_or(line.to_vec()))
            .collect()
    }

    #[test]
    fn wherever_a_disk_runs_full_the_chain_goes_on_from_the_last_complete_line_once_there_is_room()
    {
        let whole = {
            let mut log = Appender::new(Vec::new(), Head::START, EMPTY);
            for _ in 0..3 {
                log.push(SystemTime::UNIX_EPOCH, "x509_svid", &[]);
            }
            log.commit().unwrap();
            log.out
        };
        for room in 0..whole.len() {
            let disk = Disk {
                content: Vec::new(),
                room,
            };
            let mut log = Appender::new(disk, Head::START, EMPTY);
            let mut left = 3;
            // It fails, it fails again with a little room, it works.
            for more in [0, 5, usize::MAX / 2] {
                log.out.room += more;
                for _ in 0..left {
                    log.push(SystemTime::UNIX_EPOCH, "x509_svid", &[]);
                }
                match log.commit() {
                    Ok(()) => left = 0,
                    Err(failed) => left -= failed.lines,
                }
            }
            assert_eq!(left, 0);
            log.push(SystemTime::UNIX_EPOCH, "stop", &[]);
            log.commit().unwrap();

            let mut expected = Head::START;
            let mut torn = 0;
            for record in records(&log.out.content) {
                match record {
                    Err(piece) => torn += piece.len() as u64 + 1,
                    Ok(line) => {
                        assert!(line.intact, "room {room}");
                        assert_eq!(
                            (line.fields.seq, line.prev),
                            (expected.seq + 1, expected.hash),
                            "room {room}"
                        );
                        assert!(
                            torn == line.fields.torn || torn == line.fields.torn + 1,
                            "room {room}"
                        );
                        torn = 0;
                        expected = line.head();
                    }
                }
            }
            assert_eq!((expected, expected.seq), (log.head(), 4), "room {room}");
        }
    }

    #[test]
    fn a_torn_line_found_in_the_file_is_closed_and_declared() {
        let mut log = Appender::new(
            b"{\"seq\":1,".to_vec(),
            Head::START,
            End {
                head: None,
                torn: 9,
                open_line: true,
            },
        );
        log.push(SystemTime::UNIX_EPOCH, "start", &["\"pid\":1"]);
        log.push(SystemTime::UNIX_EPOCH, "stop", &[]);
        log.commit().unwrap();
        let records = records(&log.out);
        assert_eq!(records[0].as_ref().unwrap_err(), b"{\"seq\":1,");
        assert_eq!(records[1].as_ref().unwrap().fields.torn, 9);
        assert_eq!(records[2].as_ref().unwrap().fields.torn, 0);
    }

    #[test]
    fn nothing_pushed_is_nothing_written() {
        let mut log = Appender::new(
            Vec::new(),
            Head::START,
            End {
                head: None,
                torn: 9,
                open_line: true,
            },
        );
        log.commit().unwrap();
        assert!(log.out.is_empty());
        log.push(SystemTime::UNIX_EPOCH, "start", &[]);
        log.commit().unwrap();
        assert!(log.out.starts_with(b"\n{"));
    }
}
