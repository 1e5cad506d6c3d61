//! Log lines on the standard error, for people or for machines.
//!
//! Who reads them may stop, and then a write takes for ever. So a thread of its own writes them, and what it cannot keep up
//! with is counted and told when it can again.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::{
    Registry,
    filter::{Filtered, Targets},
    fmt,
    layer::{Layer, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

use crate::config::{Log, LogFormat};

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// Lines that may wait to be written.
const WAITING: usize = 1024;
/// How long the last lines may take.
const LAST: Duration = Duration::from_secs(1);

/// The log, whose level can change while it is written.
#[derive(Clone)]
pub(super) struct Logging {
    level: reload::Handle<Filtered<Lines, Targets, Registry>, Registry>,
    pen: Pen,
}

/// Where lines are put that are to be written. Never waits.
#[derive(Clone)]
struct Pen {
    pieces: SyncSender<Piece>,
    lost: Arc<AtomicU64>,
}

enum Piece {
    Line(Box<[u8]>),
    /// Told when all before has been written.
    End(SyncSender<()>),
}

impl Pen {
    /// Has a thread write to `out`.
    fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (pieces, waiting) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let pen = Self {
            pieces,
            lost: Arc::clone(&lost),
        };
        thread::Builder::new()
            .name("log".into())
            .stack_size(64 << 10)
            .spawn(move || write_lines(out, &waiting, &lost))?;
        Ok(pen)
    }

    /// Waits until what was put here has been written, but not for long.
    fn finish(&self) {
        let (written, end) = sync_channel(1);
        if self.pieces.try_send(Piece::End(written)).is_ok() {
            let _late = end.recv_timeout(LAST);
        }
    }
}

/// The log takes whole lines.
impl Write for Pen {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.pieces.try_send(Piece::Line(line.into())).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(mut out: impl Write, waiting: &Receiver<Piece>, lost: &AtomicU64) {
    for piece in waiting {
        match piece {
            Piece::Line(line) => {
                // There is nobody to tell that there is nobody to tell.
                let _ = out.write_all(&line);
                let lost = lost.swap(0, Relaxed);
                if lost > 0 {
                    let _ = writeln!(out, "{lost} lines of the log are lost: nobody read them");
                }
            }
            Piece::End(written) => {
                let _nobody_waits = written.try_send(());
            }
        }
    }
}

/// Begins to log.
///
/// # Errors
///
/// There is no descriptor or no thread for it.
pub(super) fn start(log: &Log) -> io::Result<Logging> {
    // A descriptor of its own, so that nobody waits for the lock that others write to the standard error under.
    let pen = Pen::new(File::from(io::stderr().as_fd().try_clone_to_owned()?))?;
    let out = pen.clone();
    // journald stamps each line itself.
    let stamped = std::env::var_os("JOURNAL_STREAM").is_none();
    let lines = fmt::layer().with_writer(move || out.clone());
    let lines: Lines = match (log.format, stamped) {
        (LogFormat::Json, _) => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
        (LogFormat::Text, true) => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        (LogFormat::Text, false) => lines.with_ansi(false).without_time().boxed(),
    };
    let (layer, handle) = reload::Layer::new(lines.with_filter(log.level.clone()));
    // Somebody else logs already where several agents run in one process, as in tests.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(Logging { level: handle, pen })
}

impl Logging {
    /// Logs more or less from now on.
    pub(super) fn set_level(&self, level: Targets) {
        let _ = self.level.modify(|layer| *layer.filter_mut() = level);
    }

    /// Waits a moment for the last lines.
    pub(super) fn finish(&self) {
        self.pen.finish();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn a_reader_that_stops_holds_nobody_up_and_learns_what_he_missed() {
        let (reader, writer) = UnixStream::pair().unwrap();
        let mut pen = Pen::new(writer).unwrap();
        let line = format!("{}\n", "x".repeat(4095));
        // More than the socket and the channel take together.
        for _ in 0..4 * WAITING {
            assert_eq!(pen.write(line.as_bytes()).unwrap(), 4096);
        }
        let mut lines = BufReader::new(reader).lines();
        let told = lines.find(|line| !line.as_ref().unwrap().starts_with('x'));
        let told = told.unwrap().unwrap();
        assert!(
            told.ends_with(" lines of the log are lost: nobody read them"),
            "{told}"
        );
    }

    #[test]
    fn the_last_lines_are_written_before_the_end() {
        let (reader, writer) = UnixStream::pair().unwrap();
        let mut pen = Pen::new(writer).unwrap();
        pen.write_all(b"first\nlast\n").unwrap();
        pen.finish();
        reader.set_nonblocking(true).unwrap();
        let lines: Vec<_> = BufReader::new(reader)
            .lines()
            .map_while(Result::ok)
            .collect();
        assert_eq!(lines, ["first", "last"]);
    }
}
