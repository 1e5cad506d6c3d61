//! What an authority is made of when it is not running.

use std::{error::Error, time::SystemTime};

use zeroize::Zeroizing;

use crate::Phase;

/// An authority at rest: everything that it needs to go on after a restart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// The bundle's sequence number. It never goes back (BUNDLE-13).
    pub sequence: u64,
    /// The keys that sign X.509-SVIDs, each with its certificate.
    pub x509: Vec<KeyState>,
    /// The keys that sign JWT-SVIDs.
    pub jwt: Vec<KeyState>,
    /// The keys that sign WIT-SVIDs.
    #[cfg(feature = "wit")]
    pub wit: Vec<KeyState>,
}

/// A key at rest.
#[derive(Clone, Eq, PartialEq)]
pub struct KeyState {
    /// What the key is called.
    pub id: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it ends.
    pub ends_at: SystemTime,
    /// The private key, PKCS#8 DER. Wiped when dropped.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// The certificate, DER, of a key that signs X.509-SVIDs.
    pub certificate: Option<Vec<u8>>,
}

impl std::fmt::Debug for KeyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyState")
            .field("id", &self.id)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

/// Where an authority's state lives.
pub trait KeyStore: Send + Sync + std::fmt::Debug {
    /// What was stored last; `None` when nothing ever was.
    ///
    /// # Errors
    ///
    /// What is there cannot be read. The caller must not take that for "nothing": a new authority in the place of one that
    /// is merely unreadable locks everybody out.
    fn load(&self) -> Result<Option<State>, KeyStoreError>;

    /// Stores the whole state, so that after a crash either this or the one before is there.
    ///
    /// # Errors
    ///
    /// It is not certain that the state is stored. The one before still is.
    fn store(&self, state: &State) -> Result<(), KeyStoreError>;
}

/// Why a key store failed, in the words of that store.
pub type KeyStoreError = Box<dyn Error + Send + Sync>;
