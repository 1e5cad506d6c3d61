//! `/proc/PID/status`: ids, groups and tracer of a process, in text.

use std::fs::File;
use std::io::{self, Read as _};

use crate::sys::Ids;

/// No process has more: 65,536 groups of eleven bytes, and the rest.
const LARGEST: u64 = 1 << 20;

/// What of it is looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Status {
    pub(crate) ids: Ids,
    pub(crate) groups: Vec<u32>,
    pub(crate) traced: bool,
    /// It runs a program: it is not a zombie, nor about to be one.
    pub(crate) has_memory: bool,
}

impl Status {
    /// Reads that of whichever process has this pid. Never waits, and needs no permission unless `/proc` is mounted with
    /// `hidepid`.
    pub(crate) fn read(pid: i32) -> io::Result<Self> {
        let mut file = File::open(format!("/proc/{pid}/status"))?;
        let mut buffer = [0; 4096];
        let mut length = 0;
        while length < buffer.len() {
            let read = file.read(&mut buffer[length..])?;
            if read == 0 {
                return Self::parse(&buffer[..length]).ok_or(io::ErrorKind::InvalidData.into());
            }
            length += read;
        }
        let mut text = buffer.to_vec();
        file.take(LARGEST).read_to_end(&mut text)?;
        Self::parse(&text).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// The process' name is in there too, with newlines escaped, so it can be no line of its own.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut uid = None;
        let mut gid = None;
        let mut groups = None;
        let mut tracer = None;
        let mut has_memory = false;
        for line in text.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let numbers = || Numbers(&line[colon + 1..]);
            match &line[..colon] {
                // Real, effective, saved, file system.
                b"Uid" => uid = uid.or(numbers().nth(1)),
                b"Gid" => gid = gid.or(numbers().nth(1)),
                b"Groups" => groups = groups.or_else(|| Some(numbers().collect())),
                b"TracerPid" => tracer = tracer.or(numbers().next()),
                b"VmSize" => has_memory = true,
                _ => {}
            }
        }
        Some(Self {
            ids: Ids {
                uid: uid?,
                gid: gid?,
            },
            groups: groups?,
            traced: tracer? != 0,
            has_memory,
        })
    }
}

/// Decimal numbers between blanks. Ends before what is none.
struct Numbers<'a>(&'a [u8]);

impl Iterator for Numbers<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let text = self.0.trim_ascii_start();
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut number = 0u32;
        for digit in &text[..digits] {
            number = number
                .checked_mul(10)?
                .checked_add(u32::from(digit - b'0'))?;
        }
        self.0 = &text[digits..];
        (digits > 0).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tsh\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nTracerPid:\t0\n\
        Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t4 24 4294967295 \nVmSize:\t    4 kB\n";

    fn parse(text: &str) -> Option<Status> {
        Status::parse(text.as_bytes())
    }

    #[test]
    fn effective_ids_groups_and_tracer_are_read() {
        let status = parse(STATUS).unwrap();
        assert_eq!(status.ids, Ids { uid: 2, gid: 6 });
        assert_eq!(status.groups, [4, 24, u32::MAX]);
        assert!(!status.traced);
        assert!(status.has_memory);
        for (from, to, want) in [
            (
                "Groups:\t4 24 4294967295 ",
                "Groups:\t ",
                Status {
                    groups: vec![],
                    ..status.clone()
                },
            ),
            (
                "TracerPid:\t0",
                "TracerPid:\t9",
                Status {
                    traced: true,
                    ..status.clone()
                },
            ),
            (
                "VmSize:\t    4 kB\n",
                "",
                Status {
                    has_memory: false,
                    ..status.clone()
                },
            ),
        ] {
            assert_eq!(parse(&STATUS.replace(from, to)), Some(want), "{to:?}");
        }
    }

    #[test]
    fn a_name_says_nothing_about_ids() {
        let status = STATUS.replace("sh\n", "a) S 1 (\\nUid:\\t0\\t0\\t0\\t0\n");
        assert_eq!(parse(&status), parse(STATUS));
        let status = STATUS.replace("sh\n", "Uid:\t0\t0\t0\t0\n");
        assert_eq!(parse(&status), parse(STATUS));
    }

    #[test]
    fn what_is_no_status_says_nothing() {
        for text in [
            "",
            "Uid:\t1\t2\t3\t4\n",
            &STATUS.replace("Uid:\t1\t2", "Uid:\t1\tx"),
            &STATUS.replace("Groups", "Group"),
            &STATUS.replace("\t2\t3\t4", ""),
            &STATUS.replace("\t2\t3", "\t4294967296\t3"),
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn this_process_reads_its_own() {
        let status = Status::read(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(
            status.ids.uid,
            rustix::process::geteuid().as_raw(),
            "effective uid"
        );
        assert!(status.has_memory);
    }
}
