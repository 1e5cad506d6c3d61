//! What the agent cannot see of processes on this machine, in words for an operator.

use std::fmt;
use std::path::Path;

use rustix::thread::{CapabilitySet, capabilities};

use crate::features::KernelFeatures;
use crate::image::ImageSight;
use crate::seen::namespace_of_self;

/// What can be seen, found out once.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What the kernel offers.
    pub features: KernelFeatures,
    /// What is out of sight, most consequential first.
    pub limitations: Vec<Limitation>,
}

/// Something that the agent cannot see, and what follows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Limitation {
    /// `/proc` is missing, or belongs to another pid namespace.
    NoProc,
    /// The agent has a pid namespace of its own.
    OwnPidNamespace,
    /// The agent has a user namespace of its own.
    OwnUserNamespace,
    /// The agent lacks CAP_SYS_PTRACE.
    NoPtrace,
    /// `/proc` hides the processes of others.
    HidePid,
    /// The kernel has no `SO_PEERPIDFD`.
    NoPeerPidfd,
    /// The kernel has no `PIDFD_GET_INFO`.
    NoPidfdInfo,
    /// The kernel has no `/proc/PID/pagemap`.
    NoPagemap,
}

impl Capabilities {
    /// Looks at the kernel, at `/proc` and at the agent's own privileges.
    pub fn probe() -> Self {
        let features = KernelFeatures::detect();
        let ptrace =
            capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE));
        let limits = [
            (!features.proc, Limitation::NoProc),
            (
                namespace_of_self("pid").is_some_and(|inode| inode != INITIAL_PID_NAMESPACE),
                Limitation::OwnPidNamespace,
            ),
            (
                namespace_of_self("user").is_some_and(|inode| inode != INITIAL_USER_NAMESPACE),
                Limitation::OwnUserNamespace,
            ),
            (!ptrace, Limitation::NoPtrace),
            (!ptrace && hides_processes(), Limitation::HidePid),
            (!features.peer_pidfd, Limitation::NoPeerPidfd),
            (!features.pidfd_info, Limitation::NoPidfdInfo),
            (
                features.proc && features.image != ImageSight::Pagemap,
                Limitation::NoPagemap,
            ),
        ];
        Self {
            features,
            limitations: limits
                .into_iter()
                .filter_map(|(applies, limit)| applies.then_some(limit))
                .collect(),
        }
    }
}

impl Limitation {
    /// One word for it, for metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoProc => "no_proc",
            Self::OwnPidNamespace => "own_pid_namespace",
            Self::OwnUserNamespace => "own_user_namespace",
            Self::NoPtrace => "no_ptrace",
            Self::HidePid => "hidepid",
            Self::NoPeerPidfd => "no_peer_pidfd",
            Self::NoPidfdInfo => "no_pidfd_info",
            Self::NoPagemap => "no_pagemap",
        }
    }
}

impl fmt::Display for Limitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoProc => {
                "/proc is missing or belongs to another pid namespace: no groups, paths or digests, and exec is not seen"
            }
            Self::OwnPidNamespace => {
                "the agent runs in a pid namespace of its own: processes outside of it cannot be named and are refused"
            }
            Self::OwnUserNamespace => {
                "the agent runs in a user namespace of its own: ids that are not mapped into it never match"
            }
            Self::NoPtrace => {
                "no CAP_SYS_PTRACE: for processes of other users than the agent's, no paths or digests, and exec is not seen"
            }
            Self::HidePid => {
                "/proc is mounted with hidepid: for processes of other users than the agent's, no groups"
            }
            Self::NoPeerPidfd => {
                "no SO_PEERPIDFD (Linux 6.5): a process is looked up by its pid after it connected, guarded by start times"
            }
            Self::NoPidfdInfo => {
                "no PIDFD_GET_INFO (Linux 6.13): ids are read from /proc, which costs more and needs to be visible"
            }
            Self::NoPagemap => {
                "no /proc/PID/pagemap: exec is seen by /proc/PID/environ, and a process can delay whoever reads that"
            }
        })
    }
}

/// The kernel numbers its first namespaces so.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

fn hides_processes() -> bool {
    std::fs::read(Path::new("/proc/self/mountinfo")).is_ok_and(|mounts| is_hidden(&mounts))
}

/// The mount that is on top at `/proc` says so among its options. (Membership in its `gid=` is not looked at.)
fn is_hidden(mounts: &[u8]) -> bool {
    let mounts = String::from_utf8_lossy(mounts);
    let top = mounts
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some("/proc"));
    top.and_then(|line| line.rsplit(' ').next())
        .is_some_and(|options| {
            options
                .split(',')
                .filter_map(|option| option.strip_prefix("hidepid="))
                .any(|how| !matches!(how, "0" | "off"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidepid_is_seen_on_the_mount_that_counts() {
        let open = "20 1 0:19 / /proc rw,nosuid - proc proc rw\n";
        let closed = "21 1 0:20 / /proc rw,nosuid shared:7 - proc proc rw,hidepid=invisible\n";
        let off = "21 1 0:20 / /proc rw,nosuid - proc proc rw,hidepid=off\n";
        let elsewhere = "22 1 0:21 / /srv/proc rw - proc proc rw,hidepid=2\n";
        for (mounts, want) in [
            (open.to_owned(), false),
            (closed.to_owned(), true),
            (off.to_owned(), false),
            (format!("{open}{closed}"), true),
            (format!("{closed}{open}"), false),
            (format!("{open}{elsewhere}"), false),
            (String::new(), false),
        ] {
            assert_eq!(is_hidden(mounts.as_bytes()), want, "{mounts}");
        }
    }

    #[test]
    fn every_limitation_has_a_name_and_words() {
        let probed = Capabilities::probe();
        for limit in probed.limitations {
            assert!(!limit.name().is_empty());
            assert!(!limit.to_string().is_empty());
        }
    }
}
