//! Keys on disk: one private directory, one file per matter, each written whole or not at all.
//!
//! | file | holds |
//! | --- | --- |
//! | `authority.json` | the trust domain's signing keys and the sequence number of its bundle |
//! | `audit-key.json`, `audit-key.pub` | the key that signs audit heads, and its public half in PEM |
//! | `audit-head` | the head that was signed last |
//! | `lock` | nothing; it keeps two agents from one directory |
//!
//! Private keys are not encrypted here, so their files are 0600 in a directory that is 0700, and one that others could have
//! read or written is refused. A file that cannot be read is an error that names it, never a reason to begin anew: another
//! authority in the place of one that is merely unreadable locks everybody out.

mod authority_file;
mod file;

use std::{
    fs::{DirBuilder, OpenOptions},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use base64ct::{Base64, Encoding};
use plastron_authority::{KeyStore, KeyStoreError, State};
use plastron_id::TrustDomain;
use plastron_keys::{KeyBackend, KeyType, PrivateKey};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use self::file::KeyFileError;
use crate::held_file::HeldFile;

/// The format of the files that this program writes, and the only one that it reads.
const VERSION: u32 = 1;
const AUTHORITY: &str = "authority.json";
const AUDIT_KEY: &str = "audit-key.json";
const AUDIT_PUBLIC_KEY: &str = "audit-key.pub";
const AUDIT_HEAD: &str = "audit-head";
const LOCK: &str = "lock";

/// An agent's private directory. One process holds it at a time.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: Arc<HeldFile>,
}

impl DataDir {
    /// Takes hold of a directory; makes it, 0700, where it is missing.
    ///
    /// # Errors
    ///
    /// A directory that others own or can write to, or that another agent holds, or that cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeyFileError> {
        let path = path.into();
        let failed = |doing| {
            let path = path.clone();
            move |source| KeyFileError::Io {
                doing,
                path,
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(failed("make"))?;
        let metadata = path.metadata().map_err(failed("look at"))?;
        let (mode, uid) = (metadata.mode(), metadata.uid());
        if !file::is_ours(uid) {
            return Err(KeyFileError::Foreign { path, uid });
        }
        if mode & 0o022 != 0 {
            return Err(KeyFileError::Exposed {
                path,
                mode: mode & 0o7777,
                others: "write to",
            });
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map(HeldFile::new)
            .map_err(failed("lock"))?;
        match lock.lock() {
            Ok(()) => Ok(Self {
                path,
                _lock: Arc::new(lock),
            }),
            Err(Errno::WOULDBLOCK) => Err(KeyFileError::InUse { path }),
            Err(error) => Err(failed("lock")(error.into())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the signing keys of `trust_domain` live.
    pub fn authority(&self, trust_domain: TrustDomain) -> DiskKeyStore {
        DiskKeyStore {
            dir: self.clone(),
            trust_domain,
        }
    }

    /// The key that signs audit heads: the one that is here, or a new one, which stays.
    ///
    /// # Errors
    ///
    /// A key that is here but cannot be read, or a new one that cannot be made or stored.
    pub fn audit_key(&self, keys: &dyn KeyBackend) -> Result<Arc<dyn PrivateKey>, KeyFileError> {
        let path = self.path.join(AUDIT_KEY);
        let key = match file::read(&path)? {
            Some(content) => {
                let stored: StoredKey<'_> = file::parse(&path, &content)?;
                let pkcs8 = file::base64(&path, "pkcs8", stored.pkcs8)?;
                keys.from_pkcs8(&pkcs8)
                    .map_err(|source| KeyFileError::Key { path, source })?
            }
            None => {
                let key = keys
                    .generate(KeyType::EcP256)
                    .map_err(|source| KeyFileError::Key {
                        path: path.clone(),
                        source,
                    })?;
                let pkcs8 = Zeroizing::new(Base64::encode_string(&key.to_pkcs8()));
                file::write(
                    &path,
                    &StoredKey {
                        version: VERSION,
                        pkcs8: &pkcs8,
                    },
                )?;
                key
            }
        };
        let pem = pem(key.public_key().spki_der());
        file::write_public(&self.path.join(AUDIT_PUBLIC_KEY), pem.as_bytes())?;
        Ok(key.into())
    }

    /// Where the audit keeps its last signed head.
    pub fn audit_head_file(&self) -> PathBuf {
        self.path.join(AUDIT_HEAD)
    }
}

/// One key by itself.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredKey<'a> {
    version: u32,
    pkcs8: &'a str,
}

/// The signing keys of a trust domain in a [`DataDir`].
#[derive(Debug)]
pub struct DiskKeyStore {
    dir: DataDir,
    trust_domain: TrustDomain,
}

impl KeyStore for DiskKeyStore {
    fn load(&self) -> Result<Option<State>, KeyStoreError> {
        let path = self.dir.path.join(AUTHORITY);
        let content = file::read(&path)?;
        Ok(content
            .map(|content| authority_file::parse(&path, &content, &self.trust_domain))
            .transpose()?)
    }

    fn store(&self, state: &State) -> Result<(), KeyStoreError> {
        Ok(authority_file::write(
            &self.dir.path.join(AUTHORITY),
            state,
            &self.trust_domain,
        )?)
    }
}

/// Signing keys that live as long as the process.
#[derive(Debug, Default)]
pub struct MemoryKeyStore(Mutex<Option<State>>);

impl MemoryKeyStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

impl KeyStore for MemoryKeyStore {
    fn load(&self) -> Result<Option<State>, KeyStoreError> {
        Ok(self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone())
    }

    fn store(&self, state: &State) -> Result<(), KeyStoreError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state.clone());
        Ok(())
    }
}

fn pem(spki: &[u8]) -> String {
    let body = Base64::encode_string(spki);
    let mut text = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str("-----END PUBLIC KEY-----\n");
    text
}
