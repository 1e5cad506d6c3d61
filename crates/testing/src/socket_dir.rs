//! A folder for sockets, whose paths must be short.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A private folder with a short path, removed at the end. A socket's path has at most 107 bytes.
#[derive(Debug)]
pub struct SocketDir {
    dir: TempDir,
}

impl SocketDir {
    /// Makes one under `/tmp`, whatever the environment says about temporary files.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("plastron-")
            .tempdir_in("/tmp")
            .expect("/tmp can be written to");
        Self { dir }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Default for SocketDir {
    fn default() -> Self {
        Self::new()
    }
}
