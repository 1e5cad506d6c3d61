//! A file system that answers everything but the closing of its file.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use crate::puppet::{fork, mount, say};

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;

/// Mounts it at `at`, in a mount namespace that nobody else sees, and opens its file. A child of this process serves it; when
/// the file is being closed, it says so, with its own pid, and leaves it at that.
pub(crate) fn open_unclosable(at: &Path) -> File {
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
    fork(|| {
        // Its copies of the puppet's pipes would keep the test waiting.
        serve(&mut device);
    });
    drop(device);
    File::open(at.join("file")).unwrap()
}

fn serve(device: &mut File) {
    let mut request = vec![0; 1 << 17];
    while let Ok(length) = device.read(&mut request) {
        let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        let (operation, node) = (word(4), word(16));
        let mut answer = Vec::new();
        let mut error = 0;
        assert!(length >= 40);
        match operation {
            INIT => {
                put(&mut answer, &[7, 31, 65536, 0, 16 | 12 << 16, 65536, 1]);
                answer.resize(64, 0);
            }
            GETATTR => {
                put(&mut answer, &[100, 0, 0, 0]);
                attributes(&mut answer, node);
            }
            LOOKUP => {
                put(&mut answer, &[2, 0, 0, 0, 100, 0, 100, 0, 0, 0]);
                attributes(&mut answer, 2);
            }
            OPEN => put(&mut answer, &[1, 0, 0, 0]),
            FORGET | BATCH_FORGET => continue,
            FLUSH => {
                say(&format!("stuck {}", std::process::id()));
                continue;
            }
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

fn attributes(answer: &mut Vec<u8>, node: u32) {
    let mode = if node == 1 {
        libc::S_IFDIR | 0o755
    } else {
        libc::S_IFREG | 0o644
    };
    // Inode, size and blocks; six times; their nanoseconds; mode, links, owner, group, device, block size, flags.
    put(answer, &[node, 0, 4096, 0, 1, 0]);
    put(answer, &[0; 9]);
    put(answer, &[mode, 1, 0, 0, 0, 4096, 0]);
}

fn put(answer: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        answer.extend_from_slice(&word.to_le_bytes());
    }
}
