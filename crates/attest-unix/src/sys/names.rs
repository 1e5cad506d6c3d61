//! Names of users and groups, from whatever databases the C library asks.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;

/// The largest record looked at: a group of some ten thousand members.
const LARGEST: usize = 1 << 20;

/// The user's name. `None`: there is no such user, or its name is no text. May take as long as the network does.
pub(crate) fn user_name(uid: u32) -> io::Result<Option<String>> {
    by_growing(|buffer| {
        let mut record = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: a record to fill, a buffer of that length for what it points to, and where to say that it is filled.
        let code = unsafe {
            libc::getpwuid_r(
                uid,
                record.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        // SAFETY: where `found` is set, it points to the filled record.
        (code, unsafe { found.as_ref() }.map(|record| record.pw_name))
    })
}

/// The group's name, as [`user_name`].
pub(crate) fn group_name(gid: u32) -> io::Result<Option<String>> {
    by_growing(|buffer| {
        let mut record = MaybeUninit::<libc::group>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: as in `user_name`.
        let code = unsafe {
            libc::getgrgid_r(
                gid,
                record.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        // SAFETY: as in `user_name`.
        (code, unsafe { found.as_ref() }.map(|record| record.gr_name))
    })
}

/// Calls `look_up` with a buffer, and with a larger one as long as it says that the record does not fit.
fn by_growing(
    mut look_up: impl FnMut(&mut [c_char]) -> (c_int, Option<*mut c_char>),
) -> io::Result<Option<String>> {
    let mut buffer = vec![0; 1024];
    loop {
        match look_up(&mut buffer) {
            (libc::ERANGE, _) if buffer.len() < LARGEST => buffer.resize(buffer.len() * 4, 0),
            (libc::EINTR, _) => {}
            (0, None) => return Ok(None),
            (0, Some(name)) => {
                if name.is_null() {
                    return Ok(None);
                }
                // SAFETY: the name of a filled record is a C string in `buffer`, which is still there.
                let name = unsafe { CStr::from_ptr(name) };
                return Ok(name.to_str().ok().map(str::to_owned));
            }
            // "Not found", as some databases say it.
            (libc::ENOENT | libc::ESRCH, _) => return Ok(None),
            (code, _) => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}
