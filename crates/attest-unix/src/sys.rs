//! What only C interfaces offer. All `unsafe` of the workspace is in here and in the two modules below.

mod names;
mod socket;

pub(crate) use names::{group_name, user_name};
pub(crate) use socket::{
    Credentials, Descriptors, peer_credentials, peer_pidfd, receive, receive_into,
    refuse_descriptors,
};

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, chmodat};
use rustix::pipe::{PipeFlags, pipe_with};

/// Effective user and group id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The effective ids of the process behind a pidfd, in one call and without its pid. `None` once it is gone for good; a
/// zombie still has ids. Linux 6.13.
pub(crate) fn pidfd_ids(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ids>> {
    // SAFETY: `pidfd_info` is integers only, for which all zeros are a value.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = u64::from(libc::PIDFD_INFO_PID | libc::PIDFD_INFO_CREDS);
    // SAFETY: the request says how many bytes the kernel may write, which is the size of `info`.
    let done = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO as _, &raw mut info) };
    if done != 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ESRCH) => Ok(None),
            _ => Err(error),
        };
    }
    let known = info.mask & u64::from(libc::PIDFD_INFO_CREDS) != 0;
    Ok(known.then_some(Ids {
        uid: info.euid,
        gid: info.egid,
    }))
}

/// The user namespace of the process behind a pidfd, without its pid. Linux 6.11.
pub(crate) fn pidfd_user_namespace(pidfd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: a request without an argument.
    let fd = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_USER_NAMESPACE as _, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, close-on-exec, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets the mode of a file that is open by its path alone (`O_PATH`).
pub(crate) fn set_mode(file: BorrowedFd<'_>, mode: Mode) -> io::Result<()> {
    let by_number = format!("/proc/self/fd/{}", file.as_raw_fd());
    match chmodat(CWD, by_number, mode, AtFlags::empty()) {
        Err(rustix::io::Errno::NOENT) => {}
        done => return Ok(done?),
    }
    // Without /proc. `fchmodat2` is a call of Linux 6.6, whose number is the same on all architectures that we know of.
    // SAFETY: an open descriptor, a path that ends with its NUL, and numbers.
    let done = unsafe {
        libc::syscall(
            452,
            file.as_raw_fd(),
            c"".as_ptr(),
            mode.as_raw_mode(),
            libc::AT_EMPTY_PATH,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Clock ticks since boot, the unit in which `/proc/PID/stat` says when a process started.
pub(crate) fn ticks_since_boot() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a timespec to write to. This clock cannot fail on Linux; if it did, `now` would stay zero.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    // SAFETY: a query without pointers.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let per_second = u64::try_from(per_second).unwrap_or(100).max(1);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * per_second + nanoseconds * per_second / 1_000_000_000
}

/// Gives memory that is free inside the allocator back to the system.
///
/// glibc keeps what thousands of closed streams have freed; other allocators have their own ways, and there this does
/// nothing. Takes milliseconds on a fragmented heap, so not for a path that somebody waits on.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// A copy of this process that does nothing, for trying out what the kernel says about one that goes away.
pub(crate) struct IdleProcess {
    pid: i32,
    hold: Option<OwnedFd>,
}

impl IdleProcess {
    pub(crate) fn start() -> io::Result<Self> {
        let (wait, hold) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: `clone` without any flag is a fork that sends no signal when the child ends. The child has one
        // thread, makes nothing but system calls on descriptors it owns, and ends.
        let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
        if pid == 0 {
            let mut byte = 0u8;
            // SAFETY: as above; `byte` lives on this stack. The parent's end of the pipe was copied with everything
            // else, and the read would never end while this copy is open.
            unsafe {
                libc::close(hold.as_raw_fd());
                libc::read(wait.as_raw_fd(), (&raw mut byte).cast(), 1);
                libc::_exit(0);
            }
        }
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            pid: i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidData)?,
            hold: Some(hold),
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Lets it end, and waits until it has.
    pub(crate) fn end(&mut self) {
        if self.hold.take().is_some() {
            // SAFETY: no status is asked for. `__WALL` because the child was to send no signal.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL) };
        }
    }
}

impl Drop for IdleProcess {
    fn drop(&mut self) {
        self.end();
    }
}
