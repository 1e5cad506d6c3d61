//! The socket that processes connect to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, Uid, chownat, flock, fstat, open,
};
use rustix::net::sockopt::{set_socket_passcred, socket_acceptconn};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::geteuid;

use crate::connection::UnixConnection;
use crate::processes::Processes;
use crate::sys;

/// How many connections may wait to be accepted; the kernel's own limit, usually 4096, applies too.
const BACKLOG: i32 = 4096;

/// Where to listen, and who may connect.
#[derive(Clone, Debug)]
pub struct BindOptions {
    path: PathBuf,
    mode: u32,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl BindOptions {
    /// A socket at `path` to which everybody may connect (0666): who gets what is for entries to say.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            mode: 0o666,
            uid: None,
            gid: None,
        }
    }

    /// Other permissions. Writing is what it takes to connect.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Another owner, another group, or both.
    #[must_use]
    pub const fn owner(mut self, uid: Option<u32>, gid: Option<u32>) -> Self {
        self.uid = uid;
        self.gid = gid;
        self
    }
}

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody listens there, or another agent is about to.
    #[error("{} is in use", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// What is there is no socket, and is left alone.
    #[error("{} is not a socket", path.display())]
    NotASocket {
        /// What is there.
        path: PathBuf,
    },
    /// The operating system refused a step.
    #[error("{what} {} failed", path.display())]
    Failed {
        /// Which step.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A Unix socket whose connections know their peer and the writer of each byte.
#[derive(Debug)]
pub struct UnixListener {
    listener: tokio::net::UnixListener,
    processes: Processes,
    /// What to remove at the end, unless systemd owns it.
    _bound: Option<Bound>,
}

impl UnixListener {
    /// Binds a socket: takes the place of a socket that nobody listens on, never of a live one or of another file.
    ///
    /// `PATH.lock` beside it is locked while the listener lives, and stays, so that two agents that start together cannot
    /// both find the socket abandoned. The socket has its owner and permissions before anybody can connect. It is removed
    /// when the listener is dropped.
    ///
    /// Needs a tokio runtime with I/O enabled.
    ///
    /// # Errors
    ///
    /// The path is taken, or a step failed.
    pub fn bind(options: &BindOptions, processes: Processes) -> Result<Self, BindError> {
        let mut bound = Bound::take(&options.path)?;
        let socket = bound.listen(options, &processes)?;
        let listener = from_owned(socket).map_err(|source| bound.failed("listening on", source))?;
        Ok(Self {
            listener,
            processes,
            _bound: Some(bound),
        })
    }

    /// Takes a socket that is listened on already, such as one from systemd.
    ///
    /// Its unit should say `PassCredentials=yes`: what processes wrote that connected before this call has no known writer
    /// otherwise, and they have to connect again.
    ///
    /// Needs a tokio runtime with I/O enabled.
    ///
    /// # Errors
    ///
    /// It is no Unix stream socket that is listened on.
    pub fn from_std(
        listener: std::os::unix::net::UnixListener,
        processes: Processes,
    ) -> io::Result<Self> {
        if !socket_acceptconn(&listener)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the socket is not listened on",
            ));
        }
        name_writers(listener.as_fd(), &processes)?;
        Ok(Self {
            listener: from_owned(listener.into())?,
            processes,
            _bound: None,
        })
    }

    /// Waits for the next connection. Dropping the future loses none.
    ///
    /// # Errors
    ///
    /// What the operating system said, such as that the agent is out of descriptors. The listener stays good.
    pub async fn accept(&self) -> io::Result<UnixConnection> {
        let (stream, _unnamed) = self.listener.accept().await?;
        UnixConnection::new(stream, &self.processes)
    }

    /// The processes behind its connections.
    pub const fn processes(&self) -> &Processes {
        &self.processes
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

fn from_owned(socket: OwnedFd) -> io::Result<tokio::net::UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

/// Has the kernel name the writer of all bytes, and carry no descriptors. Connections inherit it when they are made.
fn name_writers(socket: BorrowedFd<'_>, processes: &Processes) -> io::Result<()> {
    set_socket_passcred(socket, true)?;
    if processes.0.features.refuses_descriptors {
        sys::refuse_descriptors(socket)?;
    }
    Ok(())
}

/// A path that is this listener's.
#[derive(Debug)]
struct Bound {
    path: PathBuf,
    /// Device and inode of the socket, once there is one.
    socket: Option<(u64, u64)>,
    lock: File,
}

impl Bound {
    fn take(path: &Path) -> Result<Self, BindError> {
        let failed = |what| {
            move |source: io::Error| BindError::Failed {
                what,
                path: path.into(),
                source,
            }
        };
        let in_use = || BindError::InUse { path: path.into() };
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&lock_path)
            .map_err(|source| BindError::Failed {
                what: "opening",
                path: lock_path.into(),
                source,
            })?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => in_use(),
            error => failed("locking")(error.into()),
        })?;
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("looking at")(error)),
            Ok(there) if !there.file_type().is_socket() => {
                return Err(BindError::NotASocket { path: path.into() });
            }
            Ok(_) if is_live(path).map_err(failed("trying"))? => return Err(in_use()),
            Ok(_) => std::fs::remove_file(path).map_err(failed("removing"))?,
        }
        Ok(Self {
            path: path.into(),
            socket: None,
            lock,
        })
    }

    fn listen(
        &mut self,
        options: &BindOptions,
        processes: &Processes,
    ) -> Result<OwnedFd, BindError> {
        let path = self.path.clone();
        let failed = |what| {
            let path = path.clone();
            move |error: rustix::io::Errno| match error {
                rustix::io::Errno::ADDRINUSE => BindError::InUse { path },
                error => BindError::Failed {
                    what,
                    path,
                    source: error.into(),
                },
            }
        };
        let address = SocketAddrUnix::new(&path).map_err(failed("naming a socket"))?;
        let socket = stream_socket().map_err(failed("making a socket for"))?;
        bind(&socket, &address).map_err(failed("binding"))?;
        let file = open_socket_file(&path).map_err(|error| self.failed("looking at", error))?;
        let there = fstat(&file).map_err(failed("looking at"))?;
        self.socket = Some((there.st_dev, there.st_ino));
        sys::set_mode(file.as_fd(), Mode::from_raw_mode(options.mode))
            .map_err(|error| self.failed("setting the mode of", error))?;
        if options.uid.is_some() || options.gid.is_some() {
            let uid = options.uid.map(Uid::from_raw);
            let gid = options.gid.map(Gid::from_raw);
            chownat(&file, c"", uid, gid, AtFlags::EMPTY_PATH)
                .map_err(failed("setting the owner of"))?;
        }
        name_writers(socket.as_fd(), processes).map_err(|error| self.failed("preparing", error))?;
        // Nobody could connect until here.
        listen(&socket, BACKLOG).map_err(failed("listening on"))?;
        Ok(socket)
    }

    fn failed(&self, what: &'static str, source: io::Error) -> BindError {
        BindError::Failed {
            what,
            path: self.path.clone(),
            source,
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let there = self.path.symlink_metadata();
        if there.is_ok_and(|there| self.socket == Some((there.dev(), there.ino()))) {
            let _gone_by_itself = std::fs::remove_file(&self.path);
        }
        // Closing alone leaves the lock to a child that was forked a moment ago, until it execs.
        let _held_by_us = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// The file of a socket that this process has just bound. Whoever may write in its folder can have put something else
/// there since then: a link, or another file of ours, whose mode and owner are not to change.
fn open_socket_file(path: &Path) -> io::Result<OwnedFd> {
    let file = open(
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let there = fstat(&file)?;
    let is_socket = FileType::from_raw_mode(there.st_mode) == FileType::Socket;
    if !is_socket || there.st_nlink != 1 || there.st_uid != geteuid().as_raw() {
        return Err(io::Error::other(
            "another file has taken the place of the socket",
        ));
    }
    Ok(file)
}

fn stream_socket() -> rustix::io::Result<OwnedFd> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
}

/// Whether somebody listens. In doubt somebody does.
fn is_live(path: &Path) -> io::Result<bool> {
    let address = SocketAddrUnix::new(path)?;
    match connect(&stream_socket()?, &address) {
        Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOENT) => Ok(false),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_took_the_place_of_the_socket_keeps_its_mode() {
        for kind in ["socket", "link", "hard link", "file"] {
            let dir = tempfile::tempdir().unwrap();
            let (path, other) = (dir.path().join("agent.sock"), dir.path().join("other"));
            let bound = std::os::unix::net::UnixListener::bind(&path).unwrap();
            if kind != "socket" {
                std::fs::rename(&path, &other).unwrap();
            }
            match kind {
                "link" => symlink(&other, &path).unwrap(),
                "hard link" => std::fs::hard_link(&other, &path).unwrap(),
                "file" => drop(File::create(&path).unwrap()),
                _ => {}
            }
            let file = open_socket_file(&path);
            assert_eq!(file.is_ok(), kind == "socket", "{kind}");
            if let Ok(file) = file {
                sys::set_mode(file.as_fd(), Mode::from_raw_mode(0o642)).unwrap();
                assert_eq!(
                    path.metadata().unwrap().permissions().mode() & 0o7777,
                    0o642
                );
            }
            drop(bound);
        }
    }
}
