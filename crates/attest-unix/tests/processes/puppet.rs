//! A process that does as it is told: this executable, started again, before the test harness has come to life.
//!
//! A puppet reads one command a line from its standard input, byte by byte, and answers one line to each, so it can go on
//! in another program image or another process. It has one thread. Its connection is descriptor 9, which survives an exec.

use std::ffi::{CString, c_int};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

/// The puppet's connection.
const CONNECTION: c_int = 9;
/// What makes a process a puppet: its only argument.
const ARGUMENT: &str = "puppet";

/// The strings of a puppet.
pub(crate) struct Puppet {
    child: Child,
    tell: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Puppet {
    /// Starts this executable as a puppet.
    pub(crate) fn start() -> Self {
        Self::start_as(&std::env::current_exe().unwrap(), |_| {})
    }

    /// Starts the executable at `path`, a copy of this one.
    pub(crate) fn start_at(path: &Path) -> Self {
        Self::start_as(path, |_| {})
    }

    /// Starts with other ids, environment, …
    pub(crate) fn start_as(path: &Path, adjust: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(path);
        command
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        adjust(&mut command);
        let one_at_a_time = NO_COPY_IN_PROGRESS.lock().unwrap();
        let mut child = command.spawn().unwrap();
        drop(one_at_a_time);
        let mut puppet = Self {
            tell: child.stdin.take().unwrap(),
            said: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        assert_eq!(puppet.hear(), "ready");
        puppet
    }

    /// Gives a command and waits for the answer.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.hear()
    }

    /// Gives a command that is answered with `ok`.
    #[track_caller]
    pub(crate) fn order(&mut self, command: &str) {
        assert_eq!(self.ask(command), "ok", "{command}");
    }

    /// Gives a command.
    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.tell, "{command}").unwrap();
    }

    /// Waits for the answer.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    #[track_caller]
    pub(crate) fn connect(&mut self, socket: &Path) {
        self.order(&format!("connect {}", socket.display()));
    }

    /// Executes the program at `path`, a copy of this one; the connection stays.
    #[track_caller]
    pub(crate) fn exec(&mut self, path: &Path) {
        assert_eq!(self.ask(&format!("exec {}", path.display())), "ready");
    }

    /// The pid of whoever answers by now.
    pub(crate) fn pid(&mut self) -> i32 {
        self.ask("pid").parse().unwrap()
    }

    /// Ends it, and waits until it is gone and reaped.
    pub(crate) fn end(mut self) {
        // It may have ended by itself.
        let _broken = self.tell.write_all(b"exit\n");
        drop(self.tell);
        self.child.wait().unwrap();
    }

    /// Ends it, and does not reap it yet: a zombie.
    pub(crate) fn end_unreaped(&mut self) {
        self.tell("exit");
        assert_eq!(self.hear(), "", "its end of the pipe is closed");
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::waitid(
            rustix::process::WaitId::Pid(pid),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .unwrap();
    }
}

/// A file that is open for writing is not executed, and a child has all open files until it executes something.
static NO_COPY_IN_PROGRESS: Mutex<()> = Mutex::new(());

/// A copy of this executable, to be another program.
pub(crate) fn copy_of_this_program(to: &Path) {
    // This too starts a child, once.
    plastron_attest_unix::KernelFeatures::detect();
    let _one_at_a_time = NO_COPY_IN_PROGRESS.lock().unwrap();
    std::fs::copy(std::env::current_exe().unwrap(), to).unwrap();
}

#[used]
// SAFETY: a function that the loader calls before `main`, in a process that has one thread then.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    if line.split(|byte| *byte == 0).nth(1) == Some(ARGUMENT.as_bytes()) {
        say("ready");
        follow();
        std::process::exit(0);
    }
}

fn follow() {
    while let Some(command) = next_command() {
        let (verb, rest) = command.split_once(' ').unwrap_or((&command, ""));
        obey(verb, rest);
    }
}

pub(crate) fn next_command() -> Option<String> {
    let mut line = Vec::new();
    loop {
        let mut byte = 0u8;
        // SAFETY: one byte to read into. Unbuffered, so that nothing is lost in an exec.
        match unsafe { libc::read(0, (&raw mut byte).cast(), 1) } {
            1 if byte == b'\n' => return Some(String::from_utf8(line).unwrap()),
            1 => line.push(byte),
            _ => return None,
        }
    }
}

pub(crate) fn say(answer: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{answer}").unwrap();
    out.flush().unwrap();
}

fn obey(verb: &str, rest: &str) {
    match verb {
        "pid" => say(&std::process::id().to_string()),
        "exit" => std::process::exit(0),
        // A socket of its own, connected now or later.
        "connect" => {
            hold(UnixStream::connect(rest).unwrap().into_raw_fd());
            say("ok");
        }
        "write" => {
            connection().write_all(rest.as_bytes()).unwrap();
            say("ok");
        }
        "read" => {
            let mut buffer = [0; 256];
            let read = connection().read(&mut buffer).unwrap();
            say(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        // Writes and goes on as another program at once, so that nothing comes between the two.
        "exec" => exec(rest),
        "write-and-exec" => {
            let (text, path) = rest.split_once(' ').unwrap();
            connection().write_all(text.as_bytes()).unwrap();
            exec(path);
        }
        "exec-memfd" => {
            let program = std::fs::read("/proc/self/exe").unwrap();
            // SAFETY: a name, and no flags, so it stays open until it runs.
            let fd = unsafe { libc::memfd_create(c"nameless".as_ptr(), 0) };
            // SAFETY: just made, and nobody else's.
            unsafe { File::from_raw_fd(libc::dup(fd)) }
                .write_all(&program)
                .unwrap();
            exec(&format!("/proc/self/fd/{fd}"));
        }
        "exec-cat" => {
            // What comes in goes out on the connection.
            check(
                // SAFETY: numbers.
                unsafe { libc::dup2(CONNECTION, 1) },
            );
            let error = Command::new("/bin/cat").exec();
            panic!("{error}");
        }
        "ids" => {
            let all: Vec<libc::uid_t> = numbers(rest);
            let [uid, gid, groups @ ..] = &all[..] else {
                panic!("{rest}")
            };
            let (uid, gid) = (*uid, *gid);
            // SAFETY: as many groups as it says.
            check(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) });
            // SAFETY: numbers. The libc calls, since they are for the whole process.
            check(unsafe { libc::setresgid(gid, gid, gid) });
            // SAFETY: as above.
            check(unsafe { libc::setresuid(uid, uid, uid) });
            // What a change of ids takes away: others of the new uid may look again.
            // SAFETY: numbers.
            check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) });
            say("ok");
        }
        "groups" => {
            let groups: Vec<libc::gid_t> = numbers(rest);
            // SAFETY: as many groups as it says.
            check(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) });
            say("ok");
        }
        "undumpable" => {
            // SAFETY: numbers.
            check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) });
            say("ok");
        }
        "name" => {
            std::fs::write("/proc/self/comm", rest.replace("\\n", "\n")).unwrap();
            say("ok");
        }
        // A child writes, and is gone again.
        "child-write" => {
            let child = fork(|| {
                connection().write_all(rest.as_bytes()).unwrap();
            });
            wait_for(child);
            say(&child.to_string());
        }
        // A child connects a socket that this process has made, writes, and is gone again.
        "child-connect" => {
            let (path, text) = rest.split_once(' ').unwrap();
            // SAFETY: numbers.
            let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
            check(socket);
            hold(socket);
            let child = fork(|| {
                let address = rustix::net::SocketAddrUnix::new(path).unwrap();
                rustix::net::connect(connection_fd(), &address).unwrap();
                connection().write_all(text.as_bytes()).unwrap();
            });
            wait_for(child);
            say(&child.to_string());
        }
        // The same, but the child stays until it is told.
        "child-connect-and-stay" => {
            let (path, text) = rest.split_once(' ').unwrap();
            // SAFETY: numbers.
            let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
            check(socket);
            hold(socket);
            let child = fork(|| {
                let address = rustix::net::SocketAddrUnix::new(path).unwrap();
                rustix::net::connect(connection_fd(), &address).unwrap();
                connection().write_all(text.as_bytes()).unwrap();
                say(&std::process::id().to_string());
                next_command();
            });
            wait_for(child);
            say("gone");
        }
        // From now on a child is the puppet; this process is gone.
        "leave" => {
            let parent = std::process::id();
            let child = fork(|| {
                // SAFETY: no arguments.
                while unsafe { libc::getppid() } == parent.cast_signed() {
                    std::thread::yield_now();
                }
                say("ok");
                follow();
            });
            assert!(child > 0);
            std::process::exit(0);
        }
        // From now on a child with this very pid is the puppet; this process waits for it.
        "become-pid" => {
            let pid: libc::pid_t = rest.parse().unwrap();
            let child = clone_at(pid);
            if child == 0 {
                say("ok");
                follow();
                std::process::exit(0);
            }
            if child < 0 {
                say(&std::io::Error::last_os_error().to_string());
                return;
            }
            wait_for(child);
            std::process::exit(0);
        }
        // From now on a child in namespaces of its own is the puppet, root in there.
        "unshare-user-and-pid" => {
            // SAFETY: no arguments.
            let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
            // SAFETY: numbers.
            check(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWPID) });
            permitted(std::fs::write("/proc/self/setgroups", "deny"));
            permitted(std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")));
            permitted(std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")));
            let child = fork(|| {
                say("ok");
                follow();
            });
            wait_for(child);
            std::process::exit(0);
        }
        "unshare-pid" => {
            // SAFETY: numbers.
            check(unsafe { libc::unshare(libc::CLONE_NEWPID) });
            let child = fork(|| {
                say("ok");
                follow();
            });
            wait_for(child);
            std::process::exit(0);
        }
        "unshare-mounts" => {
            // SAFETY: numbers.
            check(unsafe { libc::unshare(libc::CLONE_NEWNS) });
            mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE, "");
            say("ok");
        }
        "bind-mount" => {
            let (what, at) = rest.split_once(' ').unwrap();
            mount(what, at, "", libc::MS_BIND, "");
            say("ok");
        }
        "hide-processes" => {
            mount("proc", "/proc", "proc", 0, "hidepid=invisible");
            say("ok");
        }
        "own-proc" => {
            mount("proc", "/proc", "proc", 0, "");
            say("ok");
        }
        // Writes in the name of another process.
        "forge" => {
            let (pid, text) = rest.split_once(' ').unwrap();
            say(&forge(pid.parse().unwrap(), text));
        }
        // A child writes in the name of this process.
        "child-forge" => {
            let me = std::process::id().cast_signed();
            let child = fork(|| {
                assert_eq!(forge(me, rest), "ok");
            });
            wait_for(child);
            say("ok");
        }
        // Gives the connection to whoever connects there.
        "give" => {
            let (stream, _) = UnixListener::bind(rest).unwrap().accept().unwrap();
            let fds = [connection_fd()];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
            assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
            rustix::net::sendmsg(
                &stream,
                &[std::io::IoSlice::new(b"x")],
                &mut control,
                rustix::net::SendFlags::empty(),
            )
            .unwrap();
            say("ok");
        }
        "take" => {
            let stream = loop {
                match UnixStream::connect(rest) {
                    Ok(stream) => break stream,
                    Err(_not_yet) => std::thread::yield_now(),
                }
            };
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
            rustix::net::recvmsg(
                &stream,
                &mut [std::io::IoSliceMut::new(&mut [0])],
                &mut control,
                rustix::net::RecvFlags::empty(),
            )
            .unwrap();
            for message in control.drain() {
                if let rustix::net::RecvAncillaryMessage::ScmRights(mut fds) = message {
                    hold(fds.next().unwrap().into_raw_fd());
                }
            }
            say("ok");
        }
        // Sends a descriptor over its connection.
        "send-descriptor" => {
            let file = File::open(rest).unwrap();
            let fds = [std::os::fd::AsFd::as_fd(&file)];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
            assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
            let sent = rustix::net::sendmsg(
                connection_fd(),
                &[std::io::IoSlice::new(b"x")],
                &mut control,
                rustix::net::SendFlags::empty(),
            );
            say(&sent.map_or_else(|error| error.to_string(), |_| "ok".into()));
        }
        // Has somebody else keep the memory of this program in use.
        "share-memory" => {
            let me = std::process::id() as usize;
            let mut stack = vec![0u8; 64 * 1024].into_boxed_slice();
            let top = stack.as_mut_ptr_range().end;
            // SAFETY: the child runs on a stack of its own that is never freed, and does nothing but wait.
            let child = unsafe {
                libc::clone(
                    wait_for_the_end_of,
                    top.cast(),
                    libc::CLONE_VM,
                    std::ptr::without_provenance_mut(me),
                )
            };
            std::mem::forget(stack);
            check(child);
            say(&child.to_string());
        }
        "traced" => {
            let parent = std::process::id().cast_signed();
            let (mut reader, mut writer) = std::io::pipe().unwrap();
            fork(|| {
                // SAFETY: numbers. Seizing does not stop it.
                check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, parent, 0, 0) } as c_int);
                writer.write_all(b"x").unwrap();
                wait_for_the_end_of(std::ptr::without_provenance_mut(parent as usize));
            });
            drop(writer);
            match reader.read_exact(&mut [0]) {
                Ok(()) => say("ok"),
                // The child has said why.
                Err(_) => std::process::exit(0),
            }
        }
        "address" => say(&(WORDS.as_ptr().addr()).to_string()),
        "write-words" => {
            // SAFETY: that many bytes are there. Volatile, since others change them.
            let words = unsafe { std::ptr::read_volatile(&raw const WORDS) };
            connection().write_all(&words).unwrap();
            say("ok");
        }
        "limitations" => say(&format!(
            "{:?}",
            plastron_attest_unix::Capabilities::probe().limitations
        )),
        "agent" => crate::sight::be_an_agent(Path::new(rest)),
        "agent-with-a-child" => {
            let me = std::process::id() as usize;
            fork(|| {
                let connection = loop {
                    match UnixStream::connect(rest) {
                        Ok(connection) => break connection,
                        Err(_not_yet) => std::thread::yield_now(),
                    }
                };
                wait_for_the_end_of(std::ptr::without_provenance_mut(me));
                drop(connection);
            });
            crate::sight::be_an_agent(Path::new(rest));
        }
        // Opens a file that is never done closing, as an exec will do.
        "open-unclosable" => {
            std::mem::forget(crate::slow_files::open_unclosable(Path::new(rest)));
            say("ok");
        }
        // A file system with this program in it, which who else reads it gets when somebody lets him.
        "mount-unreadable" => {
            let (at, until) = rest.split_once(' ').unwrap();
            crate::slow_files::mount_unreadable(Path::new(at), Path::new(until));
            say("ok");
        }
        // Stops another process, and is its tracer.
        "attach" => {
            // SAFETY: numbers.
            check(unsafe { libc::ptrace(libc::PTRACE_ATTACH, tracee(rest), 0, 0) } as c_int);
            wait_for(tracee(rest));
            say("ok");
        }
        // Writes into its memory, and lets it go.
        "inject-and-detach" => {
            let [pid, address, word] = rest.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{rest}")
            };
            let address: usize = address.parse().unwrap();
            let word = usize::from_ne_bytes(word.as_bytes().try_into().unwrap());
            // SAFETY: addresses of the other process, which the kernel checks.
            check(
                unsafe { libc::ptrace(libc::PTRACE_POKEDATA, tracee(pid), address, word) } as c_int,
            );
            // SAFETY: numbers.
            check(unsafe { libc::ptrace(libc::PTRACE_DETACH, tracee(pid), 0, 0) } as c_int);
            say("ok");
        }
        // Makes the kernel say that another program runs.
        "forge-program" => say(&crate::forged::forge_program(Path::new(rest))),
        _ => panic!("no such command: {verb}"),
    }
}

fn tracee(pid: &str) -> libc::pid_t {
    pid.parse().unwrap()
}

pub(crate) static WORDS: [u8; 8] = *b"innocent";

/// Ends with the process that started it, whose pid is given.
extern "C" fn wait_for_the_end_of(parent: *mut libc::c_void) -> c_int {
    end_with(parent.addr());
    loop {
        // SAFETY: no arguments.
        unsafe { libc::pause() };
    }
}

pub(crate) fn end_with(parent: usize) {
    // SAFETY: numbers.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // It may have been too late for the signal.
        if usize::try_from(libc::getppid()) != Ok(parent) {
            libc::_exit(0);
        }
    }
}

fn exec(path: &str) {
    let error = Command::new(path).arg(ARGUMENT).exec();
    panic!("{path}: {error}");
}

fn hold(fd: c_int) {
    // SAFETY: numbers. Without close-on-exec.
    check(unsafe { libc::dup2(fd, CONNECTION) });
    if fd != CONNECTION {
        // SAFETY: it was given to this function.
        unsafe { libc::close(fd) };
    }
}

fn connection() -> std::mem::ManuallyDrop<UnixStream> {
    // SAFETY: open whenever a test asks for it, and never closed by this handle.
    std::mem::ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(CONNECTION) })
}

fn connection_fd() -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: as above.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(CONNECTION) }
}

fn numbers<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<T> {
    text.split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

#[track_caller]
pub(crate) fn check(done: c_int) {
    if done < 0 {
        permitted(Err(std::io::Error::last_os_error()));
    }
}

/// Says that something is not permitted, if so, and ends.
#[track_caller]
fn permitted(done: std::io::Result<()>) {
    match done {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            say("not permitted");
            std::process::exit(0);
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: a puppet has one thread.
    match unsafe { libc::fork() } {
        0 => {
            child();
            std::process::exit(0)
        }
        pid => {
            check(pid);
            pid
        }
    }
}

fn wait_for(pid: libc::pid_t) {
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

fn clone_at(pid: libc::pid_t) -> libc::pid_t {
    // SAFETY: integers, for which all zeros are a value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.set_tid = (&raw const pid).addr() as u64;
    arguments.set_tid_size = 1;
    // SAFETY: a fork, by its newer name, in a process with one thread.
    let child = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    };
    libc::pid_t::try_from(child).unwrap()
}

pub(crate) fn mount(what: &str, at: &str, kind: &str, flags: libc::c_ulong, options: &str) {
    let text = |text: &str| CString::new(text).unwrap();
    let (what, at, kind, options) = (text(what), text(at), text(kind), text(options));
    // SAFETY: strings that live until it returns.
    check(unsafe {
        libc::mount(
            what.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    });
}

/// Sends `text` with credentials that name `pid`.
fn forge(pid: i32, text: &str) -> String {
    // SAFETY: no arguments.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let credentials = libc::ucred { pid, uid, gid };
    let mut piece = libc::iovec {
        iov_base: text.as_ptr().cast_mut().cast(),
        iov_len: text.len(),
    };
    let mut control = [0u64; 8];
    // SAFETY: integers and pointers, for which all zeros are a value; then as `sendmsg` wants it.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<libc::ucred>() as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_CREDENTIALS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<libc::ucred>() as u32) as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(header).cast(), credentials);
        libc::sendmsg(connection().as_raw_fd(), &message, 0)
    };
    if sent < 0 {
        return std::io::Error::last_os_error().to_string();
    }
    "ok".into()
}
