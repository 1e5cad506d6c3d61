//! A process of which the kernel says that it runs another program than it does.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// `struct prctl_mm_map` of `linux/prctl.h`.
#[repr(C)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// Has `/proc/self/exe` lead to `path`. It takes no privilege but that to make user namespaces, in which another process
/// that has the same memory may say what this one is.
pub(crate) fn forge_program(path: &Path) -> String {
    let program = File::open(path).unwrap();
    unmap_own_program();
    let field = {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<u64> = stat[stat.rfind(')').unwrap() + 4..]
            .split_whitespace()
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        // By their numbers in proc_pid_stat(5).
        move |number: usize| fields[number - 4]
    };
    let mut map = MemoryMap {
        start_code: field(26),
        end_code: field(27),
        start_data: field(45),
        end_data: field(46),
        start_brk: field(47),
        // SAFETY: a number.
        brk: unsafe { libc::sbrk(0) }.addr() as u64,
        start_stack: field(28),
        arg_start: field(48),
        arg_end: field(49),
        env_start: field(50),
        env_end: field(51),
        auxv: 0,
        auxv_size: 0,
        exe_fd: program.as_raw_fd().cast_unsigned(),
    };
    let mut stack = vec![0u8; 64 * 1024];
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_NEWUSER | libc::SIGCHLD;
    // SAFETY: a stack and an argument that are there until the child has ended, for which this waits.
    let child = unsafe { libc::clone(say_so, top.cast(), flags, (&raw mut map).cast()) };
    if child < 0 {
        return io::Error::last_os_error().to_string();
    }
    let mut status = 0;
    // SAFETY: a number to write to.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    match libc::WEXITSTATUS(status) {
        0 => "ok".into(),
        error => io::Error::from_raw_os_error(error).to_string(),
    }
}

/// Says what the process is. Returns an error number, or 0.
extern "C" fn say_so(map: *mut libc::c_void) -> c_int {
    // SAFETY: the map lives in the memory of both.
    let said = unsafe {
        libc::prctl(
            libc::PR_SET_MM,
            libc::PR_SET_MM_MAP as libc::c_ulong,
            map.addr(),
            size_of::<MemoryMap>(),
            0,
        )
    };
    if said == 0 {
        return 0;
    }
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// Puts copies in the place of all that is mapped of the file that runs. The kernel keeps it named while any of it is.
fn unmap_own_program() {
    let own = std::fs::read_link("/proc/self/exe").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let address = |text: &str| usize::from_str_radix(text, 16).unwrap();
    let pieces: Vec<(usize, usize, c_int)> = maps
        .lines()
        .filter(|line| line.ends_with(own.to_str().unwrap()))
        .map(|line| {
            let (range, rest) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let may = [
                ('r', libc::PROT_READ),
                ('w', libc::PROT_WRITE),
                ('x', libc::PROT_EXEC),
            ];
            let may = may.iter().filter(|(letter, _)| rest[..3].contains(*letter));
            (address(start), address(end), may.map(|(_, bit)| bit).sum())
        })
        .collect();
    for (start, end, may) in pieces {
        let (at, length) = (std::ptr::with_exposed_provenance_mut(start), end - start);
        // SAFETY: new memory, that is filled with what it takes the place of, in a process with one thread. Whether that is
        // this very code makes no difference, since it is the same code then.
        unsafe {
            let copy = libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(copy, libc::MAP_FAILED);
            if may & libc::PROT_READ != 0 {
                std::ptr::copy_nonoverlapping(at, copy, length);
            }
            assert_eq!(libc::mprotect(copy, length, may), 0);
            let how = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            assert_eq!(libc::mremap(copy, length, length, how, at), at);
        }
    }
}
