//! A file system whose file is closed never, or read by others when somebody lets them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::puppet::{end_with, fork, mount, say};

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;

/// Mounts it at `at`, in a mount namespace that nobody else sees, and opens its file. When the file is being closed, its
/// server says so, with its own pid, and leaves it at that.
pub(crate) fn open_unclosable(at: &Path) -> File {
    mount_at(
        at,
        &File::open("/proc/self/exe").unwrap(),
        |operation, _| {
            if operation == FLUSH {
                say(&format!("stuck {}", std::process::id()));
            }
            operation != FLUSH
        },
    );
    File::open(at.join("file")).unwrap()
}

/// Mounts it at `at`, in a mount namespace that nobody else sees. Its file is this program. The first who reads of it what
/// this process has not waits until somebody opens the FIFO `until` for writing.
pub(crate) fn mount_unreadable(at: &Path, until: &Path) {
    let me = std::process::id();
    let mut waits = true;
    mount_at(
        at,
        &File::open("/proc/self/exe").unwrap(),
        |operation, who| {
            if waits && operation == READ && who != me {
                File::open(until).unwrap();
                waits = false;
            }
            true
        },
    );
}

/// A child of this process serves `content`. `is_answered` is told of each operation, and of whose it is.
fn mount_at(at: &Path, content: &File, is_answered: impl FnMut(u32, u32) -> bool) {
    let mut device = File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    // SAFETY: numbers.
    crate::puppet::check(unsafe { libc::unshare(libc::CLONE_NEWNS) });
    mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE, "");
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
        device.as_raw_fd()
    );
    mount("slow", at.to_str().unwrap(), "fuse", 0, &options);
    let served = std::process::id() as usize;
    fork(|| {
        end_with(served);
        serve(&mut device, content, is_answered);
    });
}

fn serve(device: &mut File, content: &File, mut is_answered: impl FnMut(u32, u32) -> bool) {
    let size = u32::try_from(content.metadata().unwrap().len()).unwrap();
    let mut request = vec![0; 1 << 17];
    while let Ok(length) = device.read(&mut request) {
        let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        let (operation, node, who) = (word(4), word(16), word(32));
        let mut answer = Vec::new();
        let mut error = 0;
        assert!(length >= 40);
        if !is_answered(operation, who) {
            continue;
        }
        match operation {
            INIT => {
                put(&mut answer, &[7, 31, 65536, 0, 16 | 12 << 16, 65536, 1]);
                answer.resize(64, 0);
            }
            GETATTR => {
                put(&mut answer, &[100, 0, 0, 0]);
                attributes(&mut answer, node, size);
            }
            LOOKUP => {
                put(&mut answer, &[2, 0, 0, 0, 100, 0, 100, 0, 0, 0]);
                attributes(&mut answer, 2, size);
            }
            OPEN => put(&mut answer, &[1, 0, 0, 0]),
            READ => {
                answer.resize(word(56) as usize, 0);
                let read = content.read_at(&mut answer, u64::from(word(48))).unwrap();
                answer.truncate(read);
            }
            FORGET | BATCH_FORGET => continue,
            _ => error = -libc::ENOSYS,
        }
        let mut reply = Vec::new();
        put(
            &mut reply,
            &[
                u32::try_from(16 + answer.len()).unwrap(),
                error.cast_unsigned(),
            ],
        );
        reply.extend_from_slice(&request[8..16]);
        reply.extend_from_slice(&answer);
        device.write_all(&reply).unwrap();
    }
}

fn attributes(answer: &mut Vec<u8>, node: u32, size: u32) {
    let mode = if node == 1 {
        libc::S_IFDIR | 0o755
    } else {
        libc::S_IFREG | 0o755
    };
    // Inode, size and blocks; six times; their nanoseconds; mode, links, owner, group, device, block size, flags.
    put(answer, &[node, 0, size, 0, 1, 0]);
    put(answer, &[0; 9]);
    put(answer, &[mode, 1, 0, 0, 0, 4096, 0]);
}

fn put(answer: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        answer.extend_from_slice(&word.to_le_bytes());
    }
}
