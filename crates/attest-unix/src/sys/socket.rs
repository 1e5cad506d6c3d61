//! Unix sockets whose other end is known: the peer, and the writer of each piece.
//!
//! rustix has most of this, but its credentials hold a pid that cannot be zero, and zero is what the kernel says for a
//! process it cannot name.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use tokio::io::ReadBuf;

/// `SO_PASSRIGHTS`, Linux 6.16, where libc does not name it.
#[cfg(not(any(target_arch = "sparc", target_arch = "sparc64")))]
const SO_PASSRIGHTS: libc::c_int = 83;
#[cfg(any(target_arch = "sparc", target_arch = "sparc64"))]
const SO_PASSRIGHTS: libc::c_int = 0x5c;

/// A process as the kernel names it to this one. A pid of 0 is one outside of this process' namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Credentials {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What one `recvmsg` brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Received {
    pub(crate) bytes: usize,
    /// Who wrote the bytes; 0 when the kernel did not say.
    pub(crate) writer: i32,
}

/// Who connected, or for the other side who listened.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = length_of::<libc::ucred>();
    // SAFETY: `peer` is `length` bytes to write to, and any bytes are a `ucred`.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Credentials {
        pid: peer.pid,
        uid: peer.uid,
        gid: peer.gid,
    })
}

/// A pidfd of the process that connected, whatever its pid means by now. Linux 6.5.
pub(crate) fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut pidfd: libc::c_int = -1;
    let mut length = length_of::<libc::c_int>();
    // SAFETY: `pidfd` is `length` bytes to write to.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            (&raw mut pidfd).cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    if pidfd < 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: the kernel has just made this descriptor, close-on-exec, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

/// Has the kernel refuse descriptors that are sent to this socket, and to those it accepts. Linux 6.16.
pub(crate) fn refuse_descriptors(socket: BorrowedFd<'_>) -> io::Result<()> {
    let no: libc::c_int = 0;
    // SAFETY: the option's value is an integer, which outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const no).cast(),
            length_of::<libc::c_int>(),
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether descriptors can come with bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Descriptors {
    /// The kernel refuses them.
    Refused,
    /// They are looked for, and bytes that come with some are left where they are: whoever takes them has to close them,
    /// which can take for ever.
    LookedFor,
}

impl Descriptors {
    /// As it is on a socket that was accepted.
    pub(crate) fn on(socket: BorrowedFd<'_>) -> Self {
        let mut passed: libc::c_int = 1;
        let mut length = length_of::<libc::c_int>();
        // SAFETY: `passed` is `length` bytes to write to.
        let done = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                SO_PASSRIGHTS,
                (&raw mut passed).cast(),
                &raw mut length,
            )
        };
        if done == 0 && passed == 0 {
            Self::Refused
        } else {
            Self::LookedFor
        }
    }
}

/// Receives what one process wrote. Never waits.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
    descriptors: Descriptors,
) -> io::Result<Received> {
    // SAFETY: initialised bytes may be seen as bytes that need not be; `receive_raw` writes initialised ones only.
    let into = unsafe { &mut *(std::ptr::from_mut(into) as *mut [MaybeUninit<u8>]) };
    receive_looking(socket, into, descriptors)
}

/// Receives what one process wrote behind what `into` holds; what another than `from` wrote is dropped.
pub(crate) fn receive_into(
    socket: BorrowedFd<'_>,
    into: &mut ReadBuf<'_>,
    from: i32,
    descriptors: Descriptors,
) -> io::Result<Received> {
    // SAFETY: `receive_raw` writes initialised bytes only.
    let received = receive_looking(socket, unsafe { into.unfilled_mut() }, descriptors)?;
    if received.bytes > 0 && received.writer == from {
        // SAFETY: the kernel has written this many bytes from the start of the unfilled part.
        unsafe { into.assume_init(received.bytes) };
        into.advance(received.bytes);
    }
    Ok(received)
}

/// Room for one `SCM_CREDENTIALS`, and no descriptor: what does not fit, the kernel drops.
#[repr(align(8))]
struct Control([MaybeUninit<u8>; CONTROL_LENGTH]);

// SAFETY: arithmetic on a length.
const CONTROL_LENGTH: usize = unsafe { libc::CMSG_SPACE(length_of::<libc::ucred>()) } as usize;

fn receive_looking(
    socket: BorrowedFd<'_>,
    into: &mut [MaybeUninit<u8>],
    descriptors: Descriptors,
) -> io::Result<Received> {
    if descriptors == Descriptors::Refused {
        return Ok(receive_raw(socket, into, 0)?.0);
    }
    // No more than was looked at: what came since may have some.
    let (seen, more_came_along) = receive_raw(socket, into, libc::MSG_PEEK)?;
    if more_came_along {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "descriptors came with the bytes",
        ));
    }
    if seen.bytes == 0 {
        return Ok(seen);
    }
    Ok(receive_raw(socket, &mut into[..seen.bytes], 0)?.0)
}

/// Also says whether there was more than the credentials beside the bytes.
fn receive_raw(
    socket: BorrowedFd<'_>,
    into: &mut [MaybeUninit<u8>],
    flags: libc::c_int,
) -> io::Result<(Received, bool)> {
    let mut piece = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let mut control = Control([MaybeUninit::uninit(); CONTROL_LENGTH]);
    // SAFETY: `msghdr` is integers and pointers, for which all zeros are a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_LENGTH as _;
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: `message` points to one piece and to control space, both alive and of the lengths that it says.
    let bytes = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let bytes = usize::try_from(bytes).map_err(|_negative| io::Error::last_os_error())?;
    let received = Received {
        bytes,
        writer: writer_of(&message),
    };
    Ok((received, message.msg_flags & libc::MSG_CTRUNC != 0))
}

fn writer_of(message: &libc::msghdr) -> i32 {
    // SAFETY: `message` is as the kernel filled it, its control space alive.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: a header that the kernel wrote, or null.
    while let Some(control) = unsafe { header.as_ref() } {
        // SAFETY: arithmetic on a length.
        let least = unsafe { libc::CMSG_LEN(length_of::<libc::ucred>()) };
        let long_enough = control.cmsg_len as u64 >= u64::from(least);
        if control.cmsg_level == libc::SOL_SOCKET
            && control.cmsg_type == libc::SCM_CREDENTIALS
            && long_enough
        {
            // SAFETY: the kernel wrote a `ucred` behind the header; it may lie at any address.
            let writer =
                unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(header).cast::<libc::ucred>()) };
            return writer.pid;
        }
        // SAFETY: as for the first.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    0
}

const fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}
