//! What `/proc` shows of a process at one time.
//!
//! Everything in here may wait for the process, so it runs in the [lanes](crate::lanes). Nothing in here knows whose pid
//! it is: that the process is still the same is for the caller to check, before and after.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, StatxFlags, readlinkat, statx};

use crate::status::Status;
use crate::sys;

/// All that is looked at again every ten seconds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    pub(crate) groups: Result<Vec<u32>, Unseen>,
    pub(crate) program: Result<Program, Unseen>,
}

/// The file that runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Program {
    pub(crate) file: FileId,
    /// Its path as the kernel tells it. Where that leads, in whose view, it does not say.
    pub(crate) link: PathBuf,
    /// That path leads to the very file in the agent's view. Not looked at for a program that is not
    /// [unaided](Self::unaided).
    pub(crate) at_path: Result<(), Unseen>,
    /// Nothing says that more than this program decides what the process does.
    pub(crate) unaided: Result<(), Unseen>,
}

/// A file, whatever it is called.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct FileId {
    device: (u32, u32),
    inode: u64,
}

/// Why something about a process is not known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unseen {
    /// A file under `/proc/PID` may not be read.
    NoPermission(&'static str),
    /// A file under `/proc/PID` is not there, though the process is.
    Hidden(&'static str),
    /// Reading a file under `/proc/PID` fails with this error.
    Unreadable(&'static str, i32),
    /// There is no usable `/proc`.
    NoProc,
    /// The file that runs has been deleted or replaced, or never had a name.
    NoFile,
    /// Another file is at the path, as seen from the agent.
    OtherFile,
    /// The agent may not look at the path.
    Unreachable(i32),
    /// The path is no UTF-8, so no selector can say it.
    NoText,
    /// Somebody traces the process.
    Traced,
    /// The process is in a user namespace that is not the agent's.
    ForeignUserNamespace,
}

impl Seen {
    /// Looks at whoever has this pid, by a pidfd where the kernel lets it.
    ///
    /// # Errors
    ///
    /// The agent is short of descriptors or memory: nothing about the process.
    pub(crate) fn look(pid: i32, pidfd: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        let status = sort_out("status", Status::read(pid))?;
        let program = match program_file(pid)? {
            Err(unseen) => Err(unseen),
            Ok(file) => match sort_out("exe", read_exe(pid))? {
                Err(unseen) => Err(unseen),
                Ok(link) => {
                    let unaided = match &status {
                        Err(unseen) => Err(unseen.clone()),
                        Ok(status) if status.traced => Err(Unseen::Traced),
                        Ok(_) => in_our_user_namespace(pid, pidfd)?,
                    };
                    // Where somebody else may have made up the path, it is not gone to: it can lead anywhere.
                    let at_path = match &unaided {
                        Err(aided) => Err(aided.clone()),
                        Ok(()) => at_path(&link, file)?,
                    };
                    Ok(Program {
                        file,
                        link,
                        at_path,
                        unaided,
                    })
                }
            },
        };
        Ok(Self {
            groups: status.map(|status| status.groups),
            program,
        })
    }

    /// What is known without `/proc`.
    pub(crate) const fn nothing() -> Self {
        Self {
            groups: Err(Unseen::NoProc),
            program: Err(Unseen::NoProc),
        }
    }

    /// The file that runs, when it could be seen.
    pub(crate) fn file(&self) -> Result<FileId, &Unseen> {
        self.program.as_ref().map(|program| program.file)
    }
}

impl Program {
    /// The path as a caller in a container has it, wherever in the agent's view that leads.
    pub(crate) fn caller_path(&self) -> Result<&Path, Unseen> {
        if is_marked_deleted(&self.link) {
            return Err(Unseen::NoFile);
        }
        Ok(&self.link)
    }

    /// The path under which the agent finds that file, unless somebody else has a say in what it does.
    pub(crate) fn host_path(&self) -> Result<&Path, Unseen> {
        self.unaided.clone()?;
        self.at_path.clone()?;
        Ok(&self.link)
    }
}

impl Unseen {
    /// In words for an operator.
    pub(crate) fn words(&self, pid: i32) -> Cow<'static, str> {
        match self {
            Self::NoPermission(file) => format!(
                "no permission to read /proc/{pid}/{file}: the agent needs CAP_SYS_PTRACE"
            )
            .into(),
            Self::Hidden(file) => format!(
                "/proc/{pid}/{file} is hidden: /proc is mounted with hidepid, or the process is ending"
            )
            .into(),
            Self::Unreadable(file, code) => format!(
                "/proc/{pid}/{file} cannot be read: {}",
                io::Error::from_raw_os_error(*code)
            )
            .into(),
            Self::NoProc => "no /proc that belongs to the agent's pid namespace".into(),
            Self::NoFile => "the program was deleted or replaced, or never had a file".into(),
            Self::OtherFile => {
                "what runs is not the file at its path in the agent's mount namespace".into()
            }
            Self::Unreachable(code) => format!(
                "the agent cannot look at the program's path: {}",
                io::Error::from_raw_os_error(*code)
            )
            .into(),
            Self::NoText => "the program's path is not UTF-8".into(),
            Self::Traced => "the process is traced".into(),
            Self::ForeignUserNamespace => "the process is in another user namespace".into(),
        }
    }
}

impl FileId {
    /// What a path leads to, without asking the file system for anything that the kernel has not.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let seen = statx(
            CWD,
            path,
            AtFlags::STATX_DONT_SYNC,
            StatxFlags::TYPE | StatxFlags::INO,
        )?;
        Ok(Self {
            device: (seen.stx_dev_major, seen.stx_dev_minor),
            inode: seen.stx_ino,
        })
    }

    /// An open file.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        let seen = statx(
            file,
            c"",
            AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC,
            StatxFlags::TYPE | StatxFlags::INO,
        )?;
        Ok(Self {
            device: (seen.stx_dev_major, seen.stx_dev_minor),
            inode: seen.stx_ino,
        })
    }
}

/// The file that this process runs.
pub(crate) fn program_file(pid: i32) -> io::Result<Result<FileId, Unseen>> {
    sort_out("exe", FileId::at(Path::new(&format!("/proc/{pid}/exe"))))
}

fn read_exe(pid: i32) -> io::Result<PathBuf> {
    let link = readlinkat(CWD, format!("/proc/{pid}/exe"), Vec::with_capacity(256))?;
    Ok(OsStr::from_bytes(link.as_bytes()).into())
}

fn at_path(link: &Path, file: FileId) -> io::Result<Result<(), Unseen>> {
    let gone = if is_marked_deleted(link) {
        Unseen::NoFile
    } else {
        Unseen::OtherFile
    };
    match FileId::at(link) {
        Ok(found) if found == file => Ok(Ok(())),
        Ok(_other) => Ok(Err(gone)),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Ok(Err(gone)),
            Some(code) if !is_ours(code) => Ok(Err(Unseen::Unreachable(code))),
            _ => Err(error),
        },
    }
}

/// How the kernel writes the path of a file whose name is gone, and how anybody may name a file.
fn is_marked_deleted(link: &Path) -> bool {
    link.as_os_str().as_bytes().ends_with(b" (deleted)")
}

fn in_our_user_namespace(
    pid: i32,
    pidfd: Option<BorrowedFd<'_>>,
) -> io::Result<Result<(), Unseen>> {
    static OURS: OnceLock<Option<FileId>> = OnceLock::new();
    let Some(ours) = *OURS.get_or_init(|| FileId::at(Path::new("/proc/self/ns/user")).ok()) else {
        // A kernel without user namespaces.
        return Ok(Ok(()));
    };
    let theirs = match pidfd {
        Some(pidfd) => {
            sys::pidfd_user_namespace(pidfd).and_then(|namespace| FileId::of(&namespace))
        }
        None => FileId::at(Path::new(&format!("/proc/{pid}/ns/user"))),
    };
    Ok(match sort_out("ns/user", theirs)? {
        Ok(theirs) if theirs == ours => Ok(()),
        Ok(_foreign) => Err(Unseen::ForeignUserNamespace),
        Err(unseen) => Err(unseen),
    })
}

/// The inode of one of this process' own namespaces.
pub(crate) fn namespace_of_self(kind: &str) -> Option<u64> {
    let file = FileId::at(Path::new(&format!("/proc/self/ns/{kind}")));
    file.ok().map(|file| file.inode)
}

/// Parts what cannot be known of a process from what the agent is short of.
pub(crate) fn sort_out<T>(
    file: &'static str,
    seen: io::Result<T>,
) -> io::Result<Result<T, Unseen>> {
    let error = match seen {
        Ok(seen) => return Ok(Ok(seen)),
        Err(error) => error,
    };
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => Ok(Err(Unseen::NoPermission(file))),
        Some(libc::ENOENT | libc::ESRCH) => Ok(Err(Unseen::Hidden(file))),
        Some(code) if !is_ours(code) => Ok(Err(Unseen::Unreadable(file, code))),
        _ => Err(error),
    }
}

fn is_ours(code: i32) -> bool {
    matches!(
        code,
        libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EINTR | libc::EAGAIN
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_the_file_that_it_runs() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let seen = Seen::look(pid, None).unwrap();
        let program = seen.program.unwrap();
        assert_eq!(program.host_path(), Ok(&*std::env::current_exe().unwrap()));
        assert_eq!(program.caller_path(), program.host_path());
        assert_eq!(
            FileId::of(std::fs::File::open("/proc/self/exe").unwrap()).unwrap(),
            program.file
        );
    }

    #[test]
    fn being_short_of_descriptors_says_nothing_about_a_process() {
        for (code, about_the_process) in [
            (libc::EACCES, true),
            (libc::EPERM, true),
            (libc::ENOENT, true),
            (libc::ESRCH, true),
            (libc::ENAMETOOLONG, true),
            (libc::EMFILE, false),
            (libc::ENFILE, false),
            (libc::ENOMEM, false),
        ] {
            let error = Err::<(), _>(io::Error::from_raw_os_error(code));
            assert_eq!(sort_out("exe", error).is_ok(), about_the_process, "{code}");
        }
    }
}
