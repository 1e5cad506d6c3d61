//! A file that one process holds at a time.

use std::{
    fs::File,
    io::{self, Write},
    ops::Deref,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// An open file whose lock ends with it.
///
/// Closing alone would not do: a child that was forked a moment ago has a copy of the descriptor until it execs, and a
/// lock lives as long as any copy.
#[derive(Debug)]
pub(crate) struct HeldFile(File);

impl HeldFile {
    pub(crate) fn new(file: File) -> Self {
        Self(file)
    }

    /// # Errors
    ///
    /// [`Errno::WOULDBLOCK`] when somebody else has the lock; others where the file system has no locks.
    pub(crate) fn lock(&self) -> Result<(), Errno> {
        flock(&self.0, FlockOperation::NonBlockingLockExclusive)
    }
}

impl Deref for HeldFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Write for HeldFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        let _fails_only_where_there_are_no_locks = flock(&self.0, FlockOperation::Unlock);
    }
}
