//! Seeing that a process runs another program than before.
//!
//! Exec changes neither pid nor start time, and a program that executes the same file again not even the path. It does
//! replace the memory of the process. Files under `/proc/PID` that show memory stay bound to the memory they were opened
//! on, so one that is kept open tells whether that is still in use.
//!
//! What that does not show: who may trace the program can keep its memory in use after it is gone. Nothing that an
//! attacker could do to his own program in this way makes another's facts his, because facts are framed by two looks at
//! the file that runs (see `look`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::sys::IdleProcess;

/// Which descriptor is bound to the program image.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ImageSight {
    /// `/proc/PID/pagemap`. A read of one byte can only fail, but fails otherwise when the memory is gone, and before
    /// anything of the process is touched. That matters: reading `environ` takes a lock of the process that it can hold
    /// for as long as it likes, and with it whoever reads. Kernels have it by default, and it is tried before it is relied on.
    Pagemap,
    /// `/proc/PID/environ`, which reads nothing when the memory is gone; `/proc/PID/maps` when the environment is empty.
    Environ,
}

impl ImageSight {
    /// Its name under `/proc/PID`.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Pagemap => "pagemap",
            Self::Environ => "environ",
        }
    }

    /// The first that does on this kernel what it should.
    pub(crate) fn detect() -> Self {
        if tells_the_living_from_the_dead(Self::Pagemap).unwrap_or(false) {
            Self::Pagemap
        } else {
            Self::Environ
        }
    }
}

fn tells_the_living_from_the_dead(sight: ImageSight) -> io::Result<bool> {
    let mut process = IdleProcess::start()?;
    let image = Image::open(process.pid(), sight)?;
    let lives = image.is_current()?;
    process.end();
    Ok(lives && !image.is_current()?)
}

/// A descriptor bound to the program image that a process ran when it was opened.
#[derive(Debug)]
pub(crate) struct Image {
    file: File,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Pagemap,
    /// Reads something while the memory is in use.
    Readable,
}

impl Image {
    /// Takes hold of the image that `pid` runs now.
    ///
    /// Waits for a process that is just executing a program, which can make that take forever: never call this where
    /// others wait.
    pub(crate) fn open(pid: i32, sight: ImageSight) -> io::Result<Self> {
        if sight == ImageSight::Pagemap {
            return Ok(Self {
                file: File::open(format!("/proc/{pid}/pagemap"))?,
                kind: Kind::Pagemap,
            });
        }
        let environ = Self {
            file: File::open(format!("/proc/{pid}/environ"))?,
            kind: Kind::Readable,
        };
        if environ.is_current()? {
            return Ok(environ);
        }
        Ok(Self {
            file: File::open(format!("/proc/{pid}/maps"))?,
            kind: Kind::Readable,
        })
    }

    /// Whether the process still runs that image. About a microsecond; with [`ImageSight::Pagemap`] it never waits.
    pub(crate) fn is_current(&self) -> io::Result<bool> {
        let read = self.file.read_at(&mut [0], 0);
        match (self.kind, read) {
            (Kind::Readable, Ok(bytes)) => Ok(bytes > 0),
            // Entries are eight bytes long, so no part of one can be read.
            (Kind::Pagemap, Err(error)) if error.raw_os_error() == Some(libc::EINVAL) => Ok(true),
            (Kind::Pagemap, Ok(0)) => Ok(false),
            (Kind::Pagemap, Ok(_)) => Err(io::ErrorKind::InvalidData.into()),
            (_, Err(error)) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
            (_, Err(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    const SIGHTS: [ImageSight; 2] = [ImageSight::Pagemap, ImageSight::Environ];

    #[test]
    fn both_descriptors_tell_the_living_from_the_dead() {
        for sight in SIGHTS {
            assert!(tells_the_living_from_the_dead(sight).unwrap(), "{sight:?}");
        }
        assert_eq!(ImageSight::detect(), ImageSight::Pagemap);
    }

    #[test]
    fn an_exec_of_the_same_file_is_seen_with_and_without_an_environment() {
        for sight in SIGHTS {
            for environment in [&[][..], &[("A", "b")]] {
                let mut child = Command::new("/bin/sh")
                    .args(["-c", "read go; exec /bin/sh -c 'echo new; read go'"])
                    .env_clear()
                    .envs(environment.iter().copied())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let pid = i32::try_from(child.id()).unwrap();
                let image = Image::open(pid, sight).unwrap();
                assert!(image.is_current().unwrap(), "{sight:?} {environment:?}");
                let mut input = child.stdin.take().unwrap();
                std::io::Write::write_all(&mut input, b"go\n").unwrap();
                let mut said = String::new();
                BufReader::new(child.stdout.take().unwrap())
                    .read_line(&mut said)
                    .unwrap();
                assert_eq!(said, "new\n");
                assert!(!image.is_current().unwrap(), "{sight:?} {environment:?}");
                let again = Image::open(pid, sight).unwrap();
                assert!(again.is_current().unwrap());
                drop(input);
                child.wait().unwrap();
                assert!(!again.is_current().unwrap(), "{sight:?} {environment:?}");
            }
        }
    }
}
