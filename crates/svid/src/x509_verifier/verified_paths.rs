//! Paths that were verified, so that the same chain under the same authorities is not verified again.
//!
//! # Why what is remembered may be relied on
//!
//! The result of a verification depends on the chain, the authorities, the role, the algorithms and the time, and on nothing
//! else. Chain and role make the key, the identity of the authorities and the time are compared on each use, and the algorithms
//! belong to the [`VerifiedPaths`], which lends them to its verifiers. So a path that is found here keeps every rule now:
//!
//! - **The chain**: all its certificates count as they were presented. What was signed of the leaf is known by its SHA-256, the
//!   leaf's signature and the certificates after it by their bytes; what else a leaf has, DER writes in one way. One byte, one
//!   certificate or another order makes another chain.
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
//! # Why nobody can drive others out
//!
//! Only what verified is remembered, so whoever sends garbage drives nothing out. Nor does somebody else's chain varied: a chain
//! is remembered when it is its path in order and nothing else, and it has the one place of what was signed of its leaf. For
//! another place it takes another leaf, and that takes an authority. What can be varied without one, an ECDSA signature, which
//! has a twin, and the certificates above where several fit, stays in that place.
//!
//! What is driven out is what was not used for long: there are two generations, the older of which goes when the younger is
//! half of the capacity.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pki_types::{SignatureVerificationAlgorithm, UnixTime};
use plastron_bundle::X509AuthoritiesId;
use plastron_bundle::certificate::Certificate;
use sha2::{Digest as _, Sha256};

use super::PeerRole;
use super::path::Window;

/// The most bytes of a chain that is remembered, and of a certificate and a key: what is copied and digested is no more. Usual
/// chains have one or two thousand.
const MAX_LEN: usize = 16 * 1024;

/// Paths that [`X509Verifier`](super::X509Verifier) found before, with the algorithms that it found them with.
///
/// A chain that was verified takes no signatures when it comes again, and one whose intermediates were, takes that of its
/// leaf alone. What is accepted is the same. It can be shared between threads; they wait for one another for the time of a look-up,
/// some hundred nanoseconds. Takes about 300 bytes for each path, 200 for each certificate after a leaf, up to `capacity` of
/// either, and the bytes of the certificates after the leaves, once for all paths that share them.
pub struct VerifiedPaths<'a> {
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    memory: Mutex<Memory>,
}

struct Memory {
    paths: Generations<Arc<Path>>,
    /// What stands above leaves, to have it once.
    intermediates: Generations<Intermediates>,
    /// The signatures of intermediates that hold, by what was signed and the key.
    signatures: Generations<Arc<[u8]>>,
}

/// What is known of a chain, beside what was signed of its leaf.
struct Path {
    leaf_signature: Box<[u8]>,
    intermediates: Intermediates,
    authorities: X509AuthoritiesId,
    window: Window,
}

type Intermediates = Arc<[Box<[u8]>]>;

type Key = [u8; 32];

impl<'a> VerifiedPaths<'a> {
    /// Nothing yet, and at most `capacity` paths; less than two are taken for two.
    pub fn new(algorithms: &'a [&'a dyn SignatureVerificationAlgorithm], capacity: usize) -> Self {
        Self {
            algorithms,
            memory: Mutex::new(Memory {
                paths: Generations::new(capacity),
                intermediates: Generations::new(capacity),
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
        leaf: &Certificate<'p>,
        intermediates: &'p [&'p [u8]],
        role: PeerRole,
        authorities: &'p X509AuthoritiesId,
    ) -> Option<Place<'p>> {
        let len = leaf.der().len() + intermediates.iter().map(|der| der.len()).sum::<usize>();
        let role = match role {
            PeerRole::Client => b'c',
            PeerRole::Server => b's',
            PeerRole::Any => b'a',
        };
        (len <= MAX_LEN).then(|| Place {
            paths: self,
            key: digest(role, &[leaf.tbs()]),
            leaf_signature: leaf.signature(),
            intermediates,
            authorities,
        })
    }

    /// Where it is kept that the key of `issuer` signed `certificate`.
    pub(super) fn signature<'p>(
        &'p self,
        certificate: &Certificate<'p>,
        issuer: &Certificate<'_>,
    ) -> Option<Signature<'p>> {
        let len = issuer.spki().der().len() + certificate.der().len();
        (len <= MAX_LEN).then(|| Signature {
            paths: self,
            key: digest(b'i', &[issuer.spki().der(), certificate.tbs()]),
            signature: certificate.signature(),
        })
    }

    /// These certificates as other paths have them already, or a copy.
    fn shared(&self, intermediates: &[&[u8]]) -> Intermediates {
        let key = digest(b'o', intermediates);
        let (known, _forgotten) = self.memory().intermediates.get(&key);
        known.unwrap_or_else(|| {
            let copy: Intermediates = intermediates.iter().map(|der| (*der).into()).collect();
            let _forgotten = self.memory().intermediates.insert(key, Arc::clone(&copy));
            copy
        })
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
    leaf_signature: &'p [u8],
    intermediates: &'p [&'p [u8]],
    authorities: &'p X509AuthoritiesId,
}

impl Place<'_> {
    /// When the path is valid that is remembered, if it is at `now`.
    pub(super) fn recall(&self, now: UnixTime) -> Option<Window> {
        let (path, _forgotten) = self.paths.memory().paths.get(&self.key);
        let path = path?;
        let is_same_chain = *path.leaf_signature == *self.leaf_signature
            && path
                .intermediates
                .iter()
                .map(|der| &**der)
                .eq(self.intermediates.iter().copied());
        (is_same_chain && path.authorities == *self.authorities && path.window.contains(now))
            .then_some(path.window)
    }

    pub(super) fn remember(self, window: Window) {
        let path = Arc::new(Path {
            leaf_signature: self.leaf_signature.into(),
            intermediates: self.paths.shared(self.intermediates),
            authorities: self.authorities.clone(),
            window,
        });
        let _forgotten = self.paths.memory().paths.insert(self.key, path);
    }
}

/// Where one signature of an intermediate is remembered.
pub(super) struct Signature<'p> {
    paths: &'p VerifiedPaths<'p>,
    key: Key,
    signature: &'p [u8],
}

impl Signature<'_> {
    pub(super) fn is_known(&self) -> bool {
        let (known, _forgotten) = self.paths.memory().signatures.get(&self.key);
        known.is_some_and(|known| *known == *self.signature)
    }

    pub(super) fn remember(self) {
        let signature = self.signature.into();
        let _forgotten = self.paths.memory().signatures.insert(self.key, signature);
    }
}

/// The SHA-256 of parts in their order, each with its length in front, after a byte that says what they are.
fn digest(kind: u8, parts: &[&[u8]]) -> Key {
    let mut hash = Sha256::new_with_prefix([kind]);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
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

    /// The value of a key, and those that had to go for it to stay: to be dropped where nobody waits.
    fn get(&mut self, key: &Key) -> (Option<V>, Forgotten<V>) {
        if let Some(value) = self.younger.get(key) {
            return (Some(value.clone()), Forgotten::new());
        }
        let Some(value) = self.older.remove(key) else {
            return (None, Forgotten::new());
        };
        let forgotten = self.insert(*key, value.clone());
        (Some(value), forgotten)
    }

    /// Adds a value, and returns those that had to go, as [`get`](Self::get) does.
    #[must_use]
    fn insert(&mut self, key: Key, value: V) -> Forgotten<V> {
        let mut forgotten = Forgotten::new();
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

type Forgotten<V> = BTreeMap<Key, V>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_go_is_handed_out_and_not_dropped_under_the_lock() {
        let mut generations = Generations::new(4);
        let key = |number: u8| [number; 32];
        for number in [1, 2, 3, 4] {
            assert!(generations.insert(key(number), number).is_empty());
        }
        // Full: 3 and 4 are younger. To keep 1, the younger become the older, and 2 has to go.
        let (value, forgotten) = generations.get(&key(1));
        assert_eq!(value, Some(1));
        assert_eq!(forgotten.into_values().collect::<Vec<_>>(), [2]);
        assert_eq!(generations.get(&key(2)), (None, Forgotten::new()));
        assert_eq!(generations.len(), 3);
    }
}
