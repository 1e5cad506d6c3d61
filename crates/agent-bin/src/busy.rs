//! Says on a terminal what a command is at, once that takes more than a moment.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// After so long, a command says what it is at, or what it waits for.
pub(crate) const A_MOMENT: Duration = Duration::from_secs(1);

/// A command is at something, until this is dropped.
#[derive(Debug)]
#[must_use = "it is over when this is dropped"]
pub(crate) struct Busy {
    /// Dropped at the end.
    at_it: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    /// Is at `what`, in words such as `reading a file`.
    pub(crate) fn with(what: impl Into<String>) -> Self {
        match io::stderr().is_terminal() {
            true => Self::telling(what.into(), A_MOMENT, io::stderr()),
            false => Self {
                at_it: None,
                thread: None,
            },
        }
    }

    fn telling(what: String, moment: Duration, mut out: impl Write + Send + 'static) -> Self {
        let (at_it, end) = channel();
        let thread = thread::Builder::new().spawn(move || {
            if end.recv_timeout(moment) == Err(RecvTimeoutError::Timeout) {
                let _ = writeln!(out, "{what} …");
            }
        });
        Self {
            at_it: Some(at_it),
            // It can go without saying.
            thread: thread.ok(),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.at_it.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _, pipe};

    use super::*;

    fn busy(moment: Duration) -> (Busy, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (Busy::telling("reading".into(), moment, writer), reader)
    }

    #[test]
    fn what_takes_more_than_a_moment_is_told_and_what_does_not_is_not() {
        let (busy, mut told) = busy(Duration::ZERO);
        let mut line = [0; 12];
        told.read_exact(&mut line).unwrap();
        assert_eq!(str::from_utf8(&line), Ok("reading …\n"));
        drop(busy);
        let (busy, mut told) = self::busy(Duration::from_secs(3600));
        drop(busy);
        assert_eq!(told.read(&mut line).unwrap(), 0);
    }
}
