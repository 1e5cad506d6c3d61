//! Checks audit files: what was changed, taken out, put in another order or cut.
//!
//! A chain may lie in several files, since they are rotated; they are taken in the order in which they continue each other,
//! whatever the order in which they are named. A file that was torn by a crash, and records that a disk had no room for, are
//! told and are no fault: the chain itself declares them.

mod files;
mod walk;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use pki_types::SignatureVerificationAlgorithm;
use plastron_keys::PublicKey;

use self::walk::Walk;
use super::chain::Head;

/// Bytes of a line. The longest that is ever written is a small part of it.
const LINE: u64 = 4 << 20;
/// Findings and notes that are listed; more are counted.
const LISTED: usize = 1000;

/// How audit files are checked.
#[derive(Clone, Debug)]
pub struct Verify<'a> {
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    key: Option<PublicKey>,
    head: Option<Head>,
}

impl<'a> Verify<'a> {
    /// A check with these algorithms, by the keys that the files name themselves.
    pub fn new(algorithms: &'a [&'a dyn SignatureVerificationAlgorithm]) -> Self {
        Self {
            algorithms,
            key: None,
            head: None,
        }
    }

    /// Trusts heads by this key alone. Without it, whoever replaced the files whole goes unnoticed.
    #[must_use]
    pub fn key(mut self, key: PublicKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Asks for this record: what somebody has seen, or the agent keeps in its data directory. Without it, files that were
    /// cut at the end go unnoticed.
    #[must_use]
    pub fn head(mut self, head: Head) -> Self {
        self.head = Some(head);
        self
    }

    /// Reads the files, each once, and says what it found.
    ///
    /// # Errors
    ///
    /// A file cannot be read. What is wrong with its content is in the report.
    pub fn files<P: AsRef<Path>>(&self, paths: &[P]) -> io::Result<Report> {
        let paths = files::in_order(paths)?;
        let mut walk = Walk::new(self);
        for (file, path) in paths.iter().enumerate() {
            let mut lines = Lines::new(File::open(path)?);
            walk.begin_file(file);
            while let Some((line, ended)) = lines.next()? {
                walk.line(line, ended);
            }
        }
        Ok(walk.finish(paths))
    }
}

/// What is in audit files.
#[derive(Clone, Debug)]
pub struct Report {
    /// The files, in the order in which they continue each other.
    pub files: Vec<PathBuf>,
    /// How many records there are.
    pub records: u64,
    /// What is wrong, in the order of the files. Empty: nothing was found.
    pub findings: Vec<Finding>,
    /// What is worth knowing, and no fault.
    pub notes: Vec<Note>,
    /// Findings and notes beyond those listed.
    pub left_out: u64,
    /// The last signed head before the first finding: all up to it is as it was written.
    pub vouched: Option<Vouched>,
    /// Records after the last signed head. Nobody vouches for them yet.
    pub unsigned: u64,
    /// Records that the agent says it lost.
    pub lost: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }

    /// The file of a place.
    pub fn file(&self, place: Place) -> &Path {
        &self.files[place.file]
    }
}

/// A line of one of the files.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Which file, an index of [`Report::files`].
    pub file: usize,
    /// Which line, from 1.
    pub line: u64,
}

/// A signed head.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vouched {
    /// Where it stands.
    pub at: Place,
    /// The last record that it vouches for.
    pub seq: u64,
    /// When it was written, as it says.
    pub time: String,
    /// The identifier of the key that signed it.
    pub key: String,
}

/// Something wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Where it shows.
    pub at: Place,
    /// What it is.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The line is not what it was: its hash is another.
    #[error("record {seq} was changed")]
    Changed {
        /// The record.
        seq: u64,
    },
    /// The record before is another than the one that this one was chained to.
    #[error("record {seq} was written after another record than the one before it")]
    Replaced {
        /// The record.
        seq: u64,
    },
    /// The line is no record.
    #[error("no record")]
    Unreadable,
    /// Records are not there, before this line or after the last one.
    #[error("records {first} to {last} are missing")]
    Missing {
        /// The first one.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// The record stands later than it was written.
    #[error("record {seq} stands after record {after}")]
    Misplaced {
        /// The record.
        seq: u64,
        /// The latest record before it.
        after: u64,
    },
    /// The record was there before.
    #[error("record {seq} stands here a second time")]
    Repeated {
        /// The record.
        seq: u64,
    },
    /// The files begin in the middle of one.
    #[error("what came before record {seq} was cut off")]
    BeginningCut {
        /// The first record.
        seq: u64,
    },
    /// The head is signed by a key that is not trusted, or that no record before has named.
    #[error("the head is signed by unknown key {key}")]
    UnknownKey {
        /// Its identifier, as the head states it.
        key: String,
    },
    /// The signature of a head is not one over the record before it.
    #[error("the signature of the head is wrong")]
    Signature,
    /// The record that had to be there is another.
    #[error("record {seq} is not the one that was asked for")]
    OtherHead {
        /// The record.
        seq: u64,
    },
}

/// Something worth knowing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// Where it shows.
    pub at: Place,
    /// What it is.
    pub remark: Remark,
}

/// What can be worth knowing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Remark {
    /// A record was being written when the machine or the agent went down, or the disk ran full.
    #[error("a torn line")]
    Torn,
    /// Earlier files were not given.
    #[error("the files begin with record {seq}; earlier ones were not given")]
    Begins {
        /// The first record.
        seq: u64,
    },
    /// The agent began a chain, although another ends before.
    #[error("a new chain begins")]
    NewChain,
    /// Heads are signed by another key from here on.
    #[error("heads are signed by key {key} from here on")]
    KeyChanged {
        /// Its identifier.
        key: String,
    },
    /// The agent lost records.
    #[error("{count} records were lost")]
    Lost {
        /// How many.
        count: u64,
    },
}

/// The lines of a file, none longer than [`LINE`] in memory.
struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
}

impl Lines {
    fn new(file: File) -> Self {
        Self {
            reader: BufReader::with_capacity(256 << 10, file),
            line: Vec::new(),
        }
    }

    /// The next line without its newline, and whether it had one. Of one that is too long the beginning, which is no record.
    fn next(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        self.line.clear();
        self.reader
            .by_ref()
            .take(LINE)
            .read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let mut ended = self.line.pop_if(|byte| *byte == b'\n').is_some();
        if !ended && self.line.len() as u64 == LINE {
            ended = self.reader.skip_until(b'\n')? > 0;
        }
        Ok(Some((&self.line, ended)))
    }
}
