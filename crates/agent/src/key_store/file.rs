//! A private file that is read with suspicion and replaced whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64ct::{Base64, Encoding};
use plastron_keys::KeyError;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::VERSION;

/// Bytes of a key file. Ten RSA keys of 4096 bits with their certificates are a twentieth of it.
const MOST: u64 = 1 << 20;

/// Why a file with keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The system says no.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can, or could, get at it.
    #[error("{} has mode {mode:04o}: others can {others} it", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What others can do.
        others: &'static str,
    },
    /// It belongs to somebody else than root and the agent's user.
    #[error("{} belongs to uid {uid}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// It is not a file of ours, or was changed or cut.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, without any of its content.
        what: String,
    },
    /// Another version of the program wrote it.
    #[error("{} has format {version}, and this program knows only format {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// It belongs to another trust domain.
    #[error("{} holds the keys of trust domain {found}, not of {wanted}", path.display())]
    TrustDomain {
        /// The file.
        path: PathBuf,
        /// Whose keys it holds.
        found: String,
        /// Whose keys were looked for.
        wanted: String,
    },
    /// Another process holds the directory.
    #[error("{} is in use by another agent", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The key in it cannot be used, or none can be made.
    #[error("the key of {} cannot be used", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
}

/// Reads a private file. `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyFileError> {
    let failed = |source| KeyFileError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let damaged = |what: &str| KeyFileError::Damaged {
        path: path.to_owned(),
        what: what.into(),
    };
    if !metadata.is_file() {
        return Err(damaged("not a file"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(KeyFileError::Exposed {
            path: path.to_owned(),
            mode: metadata.mode() & 0o7777,
            others: "get at",
        });
    }
    let uid = metadata.uid();
    if !is_ours(uid) {
        return Err(KeyFileError::Foreign {
            path: path.to_owned(),
            uid,
        });
    }
    if metadata.len() > MOST {
        return Err(damaged("too long"));
    }
    // All at once: a buffer that grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.take(MOST).read_to_end(&mut content).map_err(failed)?;
    Ok(Some(content))
}

/// Whether what belongs to `uid` is in no other hands than the agent's and root's.
pub(super) fn is_ours(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Reads a document of this format.
pub(super) fn parse<'c, T: Deserialize<'c>>(
    path: &Path,
    content: &'c [u8],
) -> Result<T, KeyFileError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    // Position and kind of an error, none of the content.
    let damaged = |error: serde_json::Error| KeyFileError::Damaged {
        path: path.to_owned(),
        what: match error.classify() {
            serde_json::error::Category::Eof => "cut off".into(),
            category => format!(
                "{category:?} error at line {} column {}",
                error.line(),
                error.column()
            )
            .to_lowercase(),
        },
    };
    let Versioned { version } = serde_json::from_slice(content).map_err(damaged)?;
    if version != VERSION {
        return Err(KeyFileError::Version {
            path: path.to_owned(),
            version,
        });
    }
    serde_json::from_slice(content).map_err(damaged)
}

/// Decodes a member of a document.
pub(super) fn base64(
    path: &Path,
    member: &str,
    text: &str,
) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    match Base64::decode_vec(text) {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        Err(_) => Err(KeyFileError::Damaged {
            path: path.to_owned(),
            what: format!("{member} is not base64"),
        }),
    }
}

/// Replaces a private file: after a crash the old content is there or the new one.
pub(super) fn write(path: &Path, document: &impl Serialize) -> Result<(), KeyFileError> {
    // Room ahead, as growing leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(64 << 10));
    serde_json::to_writer_pretty(&mut *content, document)
        .expect("keys are text, and a Vec takes what it is given");
    content.push(b'\n');
    replace(path, &content, 0o600)
}

/// Replaces a file that anybody may read, unless it has that content already.
pub(super) fn write_public(path: &Path, content: &[u8]) -> Result<(), KeyFileError> {
    if fs::read(path).is_ok_and(|standing| standing == content) {
        return Ok(());
    }
    replace(path, content, 0o644)
}

fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let failed = |source| KeyFileError::Io {
        doing: "write",
        path: path.to_owned(),
        source,
    };
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let outcome = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            // The name, too, must be on the disk.
            File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
        });
    outcome.map_err(|error| {
        let _ = fs::remove_file(&new);
        failed(error)
    })
}
