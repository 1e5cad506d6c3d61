//! Paths that were verified, so that the same chain under the same authorities is not verified again.
//!
//! # Why what is remembered may be relied on
//!
//! The result of a verification depends on the chain, the authorities, the role, the algorithms and the time, and on nothing
//! else. Chain and role make the key, the identity of the authorities and the time are compared on each use, and the algorithms
//! belong to the [`VerifiedPaths`], which lends them to its verifiers. So a path that is found here keeps every rule now:
//!
//! - **The chain**: all its certificates count as they were presented, each with its length in front, by their SHA-256. One
//!   byte, one certificate or another order makes another chain.
//! - **The authorities**: by the identity of the list in the bundle ([`X509AuthoritiesId`]), which ends with any change of it
//!   and never comes back. So revoking an authority, that is taking it out of the bundle, takes effect with the next call. A
//!   source that cannot tell its lists apart gets no use of this.
//! - **The time**: a path is remembered with the first and the last second at which all of its certificates are valid, the
//!   authority's included. Outside them it is looked for anew, since there may be another.
//! - **The leaf**: all rules on it are checked each time, and its trust domain's authorities are asked for each time. What is
//!   not of this module either, the proof that the peer holds the key and whether it may do what it wants, is never
//!   remembered.
//!
//! Beside whole paths it remembers which certificates after the leaf are signed by which key. That is a fact about bytes
//! which nothing can undo, and it is worth nothing by itself: the path still has to be found, to an authority of the bundle, and
//! all its rules still have to hold. It saves the signatures of intermediates under a leaf that has not been seen.
//!
//! Only what verified is remembered, and no chain with certificates beside its path, so that whoever sends garbage, or somebody
//! else's chain with garbage behind it, drives nothing out. What is driven out is what was not used for long: there are two
//! generations, the older of which goes when the younger is half of the capacity.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pki_types::{SignatureVerificationAlgorithm, UnixTime};
use plastron_bundle::X509AuthoritiesId;
use plastron_bundle::certificate::Certificate;
use sha2::{Digest as _, Sha256};

use super::PeerRole;
use super::path::Window;

/// The most bytes of a chain that is remembered: digesting them takes 10 µs, a fifth of a signature. Usual chains have one
/// or two thousand.
const MAX_LEN: usize = 16 * 1024;

/// Paths that [`X509Verifier`](super::X509Verifier) found before, with the algorithms that it found them with.
///
/// A chain that was verified takes no signatures when it comes again, and one whose intermediates were, takes that of its
/// leaf alone. What is accepted is the same. It can be shared between threads; they wait for one another for the time of a look-up,
/// some hundred nanoseconds. Takes about 100 bytes for each path and each certificate after a leaf, up to `capacity` of either.
pub struct VerifiedPaths<'a> {
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    memory: Mutex<Memory>,
}

struct Memory {
    paths: Generations<Path>,
    signatures: Generations<()>,
}

/// What is known of a chain.
#[derive(Clone)]
struct Path {
    authorities: X509AuthoritiesId,
    window: Window,
}

type Key = [u8; 32];

impl<'a> VerifiedPaths<'a> {
    /// Nothing yet, and at most `capacity` paths; less than two are taken for two.
    pub fn new(algorithms: &'a [&'a dyn SignatureVerificationAlgorithm], capacity: usize) -> Self {
        Self {
            algorithms,
            memory: Mutex::new(Memory {
                paths: Generations::new(capacity),
                signatures: Generations::new(capacity),
            }),
        }
    }

    pub(super) fn algorithms(&self) -> &'a [&'a dyn SignatureVerificationAlgorithm] {
        self.algorithms
    }

    /// The place of one chain under these authorities.
    pub(super) fn place<'p>(
        &'p self,
        chain: &[&[u8]],
        role: PeerRole,
        authorities: &'p X509AuthoritiesId,
    ) -> Option<Place<'p>> {
        let role = match role {
            PeerRole::Client => b'c',
            PeerRole::Server => b's',
            PeerRole::Any => b'a',
        };
        Some(Place {
            paths: self,
            key: digest(role, chain)?,
            authorities,
        })
    }

    /// Where it is kept that the key of `issuer` signed `certificate`.
    pub(super) fn signature<'p>(
        &'p self,
        certificate: &Certificate<'_>,
        issuer: &Certificate<'_>,
    ) -> Option<Signature<'p>> {
        let key = digest(b'i', &[issuer.spki().der(), certificate.der()])?;
        Some(Signature { paths: self, key })
    }

    /// A thread that panicked while it had the lock left nothing half done: each use is one operation on a map.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for VerifiedPaths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory();
        f.debug_struct("VerifiedPaths")
            .field("paths", &memory.paths.len())
            .field("signatures", &memory.signatures.len())
            .finish_non_exhaustive()
    }
}

/// Where one chain under certain authorities is remembered.
pub(super) struct Place<'p> {
    paths: &'p VerifiedPaths<'p>,
    key: Key,
    authorities: &'p X509AuthoritiesId,
}

impl Place<'_> {
    /// When the path is valid that is remembered, if it is at `now`.
    pub(super) fn recall(&self, now: UnixTime) -> Option<Window> {
        let path = self.paths.memory().paths.get(&self.key)?;
        (path.authorities == *self.authorities && path.window.contains(now)).then_some(path.window)
    }

    pub(super) fn remember(self, window: Window) {
        let authorities = self.authorities.clone();
        let path = Path {
            authorities,
            window,
        };
        let _forgotten = self.paths.memory().paths.insert(self.key, path);
    }
}

/// Where one signature of an intermediate is remembered.
pub(super) struct Signature<'p> {
    paths: &'p VerifiedPaths<'p>,
    key: Key,
}

impl Signature<'_> {
    pub(super) fn is_known(&self) -> bool {
        self.paths.memory().signatures.get(&self.key).is_some()
    }

    pub(super) fn remember(self) {
        let _forgotten = self.paths.memory().signatures.insert(self.key, ());
    }
}

/// The SHA-256 of parts in their order, each with its length in front, after a byte that says what they are.
fn digest(kind: u8, parts: &[&[u8]]) -> Option<Key> {
    if parts.iter().map(|part| part.len()).sum::<usize>() > MAX_LEN {
        return None;
    }
    let mut hash = Sha256::new_with_prefix([kind]);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Some(hash.finalize().into())
}

/// A map that forgets what has not been used for long.
///
/// Ordered maps have no worst case that somebody could arrange for, and need no random numbers.
struct Generations<V> {
    younger: BTreeMap<Key, V>,
    older: BTreeMap<Key, V>,
    /// The most that either has.
    most: usize,
}

impl<V: Clone> Generations<V> {
    fn new(capacity: usize) -> Self {
        Self {
            younger: BTreeMap::new(),
            older: BTreeMap::new(),
            most: (capacity / 2).max(1),
        }
    }

    fn get(&mut self, key: &Key) -> Option<V> {
        if let Some(value) = self.younger.get(key) {
            return Some(value.clone());
        }
        let value = self.older.remove(key)?;
        let _ = self.insert(*key, value.clone());
        Some(value)
    }

    /// Adds a value, and returns those that had to go: to be dropped where nobody waits.
    #[must_use]
    fn insert(&mut self, key: Key, value: V) -> BTreeMap<Key, V> {
        let mut forgotten = BTreeMap::new();
        if self.younger.len() >= self.most && !self.younger.contains_key(&key) {
            forgotten = std::mem::replace(&mut self.older, std::mem::take(&mut self.younger));
        }
        self.younger.insert(key, value);
        forgotten
    }

    fn len(&self) -> usize {
        self.younger.len() + self.older.len()
    }
}
