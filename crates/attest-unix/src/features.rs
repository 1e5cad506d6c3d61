//! What this kernel has for knowing processes.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::OnceLock;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use crate::image::ImageSight;
use crate::sys;

/// What the kernel offers, best to least. [`KernelFeatures::detect`] finds it out once; a test, or a sandbox whose
/// system calls differ from what they seem, takes a weaker set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KernelFeatures {
    /// `SO_PEERPIDFD` (Linux 6.5): a hold on the process that connected, independent of its pid. Without it the pid is
    /// looked up after the fact, and start times guard against another process that got the same pid.
    pub peer_pidfd: bool,
    /// `PIDFD_GET_INFO` (Linux 6.13): the ids of a process in one call. Without it `/proc/PID/status` is read.
    pub pidfd_info: bool,
    /// `SO_PASSRIGHTS` (Linux 6.16): nobody can send descriptors. Without it they are looked for before each reading, and
    /// connections are closed on threads of their own: to close a descriptor can take as long as its sender likes.
    pub refuses_descriptors: bool,
    /// How the exec of another program is seen.
    pub image: ImageSight,
    /// `/proc` is there and numbers processes as this process does. Without it only ids are known.
    pub proc: bool,
}

impl KernelFeatures {
    /// Tries what there is, the first time in this process: a millisecond, and one short-lived process.
    pub fn detect() -> Self {
        static DETECTED: OnceLock<KernelFeatures> = OnceLock::new();
        *DETECTED.get_or_init(|| Self {
            peer_pidfd: has_peer_pidfd(),
            pidfd_info: has_pidfd_info(),
            refuses_descriptors: can_refuse_descriptors(),
            image: ImageSight::detect(),
            proc: proc_is_ours(Path::new("/proc")),
        })
    }

    /// What Linux 5.4 has.
    pub const fn least() -> Self {
        Self {
            peer_pidfd: false,
            pidfd_info: false,
            refuses_descriptors: false,
            image: ImageSight::Environ,
            proc: true,
        }
    }
}

fn has_peer_pidfd() -> bool {
    on_a_socket(|socket| sys::peer_pidfd(socket).is_ok())
}

fn can_refuse_descriptors() -> bool {
    on_a_socket(|socket| sys::refuse_descriptors(socket).is_ok())
}

fn on_a_socket(works: impl FnOnce(BorrowedFd<'_>) -> bool) -> bool {
    let pair = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    );
    pair.is_ok_and(|(one, _other)| works(one.as_fd()))
}

fn has_pidfd_info() -> bool {
    pidfd_open(getpid(), PidfdFlags::empty())
        .is_ok_and(|pidfd| matches!(sys::pidfd_ids(pidfd.as_fd()), Ok(Some(_))))
}

/// A `/proc` of another pid namespace would tell of other processes under the same numbers.
fn proc_is_ours(proc: &Path) -> bool {
    std::fs::read_link(proc.join("self"))
        .is_ok_and(|name| name.as_os_str() == getpid().as_raw_nonzero().to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proc_that_numbers_processes_otherwise_is_not_believed() {
        assert!(proc_is_ours(Path::new("/proc")));
        let other = tempfile::tempdir().unwrap();
        assert!(!proc_is_ours(other.path()), "no proc at all");
        std::os::unix::fs::symlink("1", other.path().join("self")).unwrap();
        assert_eq!(
            proc_is_ours(other.path()),
            getpid().as_raw_nonzero().get() == 1
        );
    }
}
