//! The file that records go to, and the end of the chain that it holds already.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, io::Errno};

use super::chain::{Head, Line, LinkHash};
use crate::held_file::HeldFile;

/// How much of the end of a file is searched for a record, step by step. The longest record is below a tenth of the second.
const SEARCHED: [u64; 3] = [64 << 10, 1 << 20, 16 << 20];
/// How every record begins.
const BEGINNING: &[u8] = b"{\"seq\":";

/// Why an audit file cannot be written to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditFileError {
    /// It could not be opened or read.
    #[error("cannot open audit file {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a pipe or a socket.
    #[error("audit file {} is not a file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("audit file {} holds something other than audit records", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes to it.
    #[error("audit file {} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

/// An open audit file, and how it ends.
pub(super) struct Opened {
    pub(super) file: HeldFile,
    pub(super) end: End,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct End {
    /// The last complete record, if there is one.
    pub(super) head: Option<Head>,
    /// Bytes after it: a record that was being written when the machine or the agent went down.
    pub(super) torn: u64,
    /// The last line lacks its newline.
    pub(super) open_line: bool,
}

impl End {
    const EMPTY: Self = Self {
        head: None,
        torn: 0,
        open_line: false,
    };
}

/// Opens `path` for appending; makes it with `mode` where it is missing. Holds a lock against other writers while open.
pub(super) fn open(path: &Path, mode: u32) -> Result<Opened, AuditFileError> {
    let failed = |source: io::Error| AuditFileError::Open {
        path: path.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    options
        .read(true)
        .append(true)
        .mode(mode)
        // A pipe without a reader would hold the agent up.
        .custom_flags(OFlags::NONBLOCK.bits() as i32);
    let file = match options.clone().create_new(true).open(path) {
        // Whatever the umask takes away.
        Ok(new) => new
            .set_permissions(Permissions::from_mode(mode))
            .map(|()| new),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.create(true).open(path)
        }
        Err(error) => Err(error),
    };
    let file = file.map(HeldFile::new).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_char_device() {
        return Ok(Opened {
            file,
            end: End::EMPTY,
        });
    }
    if !kind.is_file() {
        return Err(AuditFileError::NotAFile {
            path: path.to_owned(),
        });
    }
    match file.lock() {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(AuditFileError::InUse {
                path: path.to_owned(),
            });
        }
        // Some file systems have no locks.
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => {}
        Err(error) => return Err(failed(error.into())),
    }
    match end_of(&file).map_err(failed)? {
        Some(end) => Ok(Opened { file, end }),
        None => Err(AuditFileError::Foreign {
            path: path.to_owned(),
        }),
    }
}

/// Whether `path` still names the open file.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Waits until what was written is on the disk, where there is one.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match rustix::fs::fdatasync(file) {
        Ok(()) | Err(Errno::INVAL | Errno::NOTSUP | Errno::ROFS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Finds the last record. `None` when the file holds something else.
pub(super) fn end_of(mut file: &File) -> io::Result<Option<End>> {
    let len = file.metadata()?.len();
    for searched in SEARCHED {
        let from = len.saturating_sub(searched);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(searched).read_to_end(&mut tail)?;
        if let Some(end) = end_in(&tail, from == 0) {
            return Ok(Some(end));
        }
        if from == 0 {
            // Torn within the first record of all?
            let common = tail.len().min(BEGINNING.len());
            let ours = tail[..common] == BEGINNING[..common];
            return Ok(ours.then_some(End {
                head: None,
                torn: len,
                open_line: len > 0 && tail.last() != Some(&b'\n'),
            }));
        }
    }
    Ok(None)
}

/// Finds the last record in the end of a file. `whole`: `tail` is all of it, so its first line is a line.
fn end_in(tail: &[u8], whole: bool) -> Option<End> {
    let mut end = tail.len();
    loop {
        let newline = tail[..end].iter().rposition(|byte| *byte == b'\n');
        let start = match newline {
            Some(at) => at + 1,
            None if whole => 0,
            None => return None,
        };
        if let Some(line) = Line::parse(&tail[start..end]) {
            let after = (end + 1).min(tail.len());
            return Some(End {
                head: Some(line.head()),
                torn: (tail.len() - after) as u64,
                open_line: tail.last() != Some(&b'\n'),
            });
        }
        end = newline?;
    }
}

/// Where the last signed head is kept beside the file, so that one that was cut or taken away is noticed at the next start.
#[derive(Clone, Debug)]
pub(super) struct HeadFile(pub(super) PathBuf);

impl HeadFile {
    /// The head that was kept last.
    pub(super) fn read(&self) -> io::Result<Option<Head>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => parse_head(&text)
                .map(Some)
                .ok_or_else(|| io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&self, head: Head) -> io::Result<()> {
        let mut name = self.0.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        writeln!(file, "{} {}", head.seq, head.hash)?;
        std::fs::rename(new, &self.0)
    }
}

fn parse_head(text: &str) -> Option<Head> {
    let (seq, hash) = text.strip_suffix('\n')?.split_once(' ')?;
    Some(Head {
        seq: seq.parse().ok()?,
        hash: LinkHash::parse(hash.as_bytes())?,
    })
}

/// Reads the head that a running or stopped agent keeps in its data directory, for [`super::Verify::head`].
///
/// # Errors
///
/// When the file cannot be read, or is none of ours. A missing one is `None`.
pub fn read_head_file(path: &Path) -> io::Result<Option<Head>> {
    HeadFile(path.to_owned()).read()
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use super::*;

    fn lines(count: usize) -> (Vec<u8>, Vec<Head>) {
        let (mut head, mut out) = (Head::START, Vec::new());
        let heads = (0..count)
            .map(|_| {
                head.append(
                    &mut out,
                    SystemTime::UNIX_EPOCH,
                    "x509_svid",
                    &["\"path\":\"\\n\""],
                );
                head
            })
            .collect();
        (out, heads)
    }

    #[test]
    fn the_end_of_a_file_is_found_whatever_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let (whole, heads) = lines(3);
        let last = whole.len()
            - whole[..whole.len() - 1]
                .iter()
                .rposition(|byte| *byte == b'\n')
                .unwrap()
            - 1;
        let at = |head, torn, open_line| End {
            head,
            torn,
            open_line,
        };
        let long = [whole.clone(), vec![0; 100_000]].concat();
        for (what, content, want) in [
            ("nothing", &[][..], at(None, 0, false)),
            ("whole lines", &whole, at(Some(heads[2]), 0, false)),
            (
                "no last newline",
                &whole[..whole.len() - 1],
                at(Some(heads[2]), 0, true),
            ),
            (
                "half a last line",
                &whole[..whole.len() - last / 2],
                at(Some(heads[1]), (last - last / 2) as u64, true),
            ),
            ("half a first line", &whole[..50], at(None, 50, true)),
            ("two bytes", &whole[..2], at(None, 2, true)),
            (
                "zeros after a crash",
                &long,
                at(Some(heads[2]), 100_000, true),
            ),
        ] {
            fs::write(&path, content).unwrap();
            assert_eq!(open(&path, 0o600).unwrap().end, want, "{what}");
        }
    }

    #[test]
    fn the_end_of_a_long_file_is_found_from_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let (whole, heads) = lines(2000);
        assert!(whole.len() > 2 * SEARCHED[0] as usize);
        fs::write(&path, whole).unwrap();
        assert_eq!(open(&path, 0o600).unwrap().end.head, heads.last().copied());
    }

    #[test]
    fn a_new_file_has_the_mode_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        // More than the umask of any machine lets through, and an old file keeps what it has.
        for asked in [0o666, 0o600] {
            drop(open(&path, asked).unwrap());
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        }
    }

    #[test]
    fn what_is_no_audit_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("passwd");
        fs::write(&file, "root:x:0:0::/root:/bin/sh\n").unwrap();
        assert!(matches!(
            open(&file, 0o600),
            Err(AuditFileError::Foreign { .. })
        ));
        assert!(matches!(
            open(dir.path(), 0o600),
            Err(AuditFileError::Open { .. })
        ));
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
        assert!(matches!(
            open(&pipe, 0o600),
            Err(AuditFileError::NotAFile { .. })
        ));
        assert!(matches!(
            open(&dir.path().join("no/such"), 0o600),
            Err(AuditFileError::Open { .. })
        ));
    }

    #[test]
    fn two_writers_never_share_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let first = open(&path, 0o600).unwrap();
        assert!(matches!(
            open(&path, 0o600),
            Err(AuditFileError::InUse { .. })
        ));
        drop(first);
        open(&path, 0o600).unwrap();
    }

    #[test]
    fn a_head_is_kept_beside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let kept = HeadFile(dir.path().join("audit-head"));
        assert_eq!(kept.read().unwrap(), None);
        let head = lines(2).1[1];
        kept.write(lines(1).1[0]).unwrap();
        kept.write(head).unwrap();
        assert_eq!(kept.read().unwrap(), Some(head));
        fs::write(&kept.0, "7 cafe\n").unwrap();
        assert!(kept.read().is_err());
    }
}
