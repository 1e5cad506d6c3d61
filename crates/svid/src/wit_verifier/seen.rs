//! Remembering proofs, where they are to be used once. Spec: WIT-SVID §5 (WIT-38).

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use pki_types::UnixTime;
use sha2::{Digest as _, Sha256};

/// What tells a proof from all others, and how long it could be used again.
///
/// It is a hash of the token that it is of and of its `jti`, so that nobody can use up the IDs of others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProofId {
    hash: [u8; 32],
    until: u64,
}

impl ProofId {
    pub(super) fn new(token_hash: &[u8; 32], jti: &str, until: u64) -> Self {
        let hash = Sha256::new()
            .chain_update(token_hash)
            .chain_update(jti)
            .finalize();
        Self {
            hash: hash.into(),
            until,
        }
    }

    /// The ID, for a memory that several processes share.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The first second at which nobody accepts the proof any more, leeway included.
    pub fn until(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.until))
    }
}

/// Proofs that were used, each until nobody would accept it any more. It holds so many and no more.
///
/// ```
/// # use plastron_svid::{ReplayError, SeenProofs, VerifiedWitSvid};
/// # use pki_types::UnixTime;
/// fn accept(svid: &VerifiedWitSvid, seen: &mut SeenProofs, now: UnixTime) -> Result<(), ReplayError> {
///     match svid.proof_id() {
///         Some(proof) => seen.first_use(proof, now),
///         None => Ok(()),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SeenProofs {
    most: usize,
    hashes: HashSet<[u8; 32]>,
    by_end: BTreeSet<(u64, [u8; 32])>,
}

impl SeenProofs {
    /// An empty memory for `most` proofs, of about 150 bytes each: the proofs a second that are expected, times the
    /// seconds that one may live, leeway included.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            hashes: HashSet::new(),
            by_end: BTreeSet::new(),
        }
    }

    /// Notes a proof that was verified just now.
    ///
    /// # Errors
    ///
    /// It was used before; or the memory is full, and then nothing is accepted until proofs end.
    pub fn first_use(&mut self, proof: &ProofId, now: UnixTime) -> Result<(), ReplayError> {
        while let Some((until, hash)) = self.by_end.first().copied()
            && until <= now.as_secs()
        {
            self.by_end.pop_first();
            self.hashes.remove(&hash);
        }
        if self.hashes.contains(&proof.hash) {
            return Err(ReplayError::Used);
        }
        if self.hashes.len() >= self.most {
            return Err(ReplayError::Full { most: self.most });
        }
        self.hashes.insert(proof.hash);
        self.by_end.insert((proof.until, proof.hash));
        Ok(())
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// Why a proof is not accepted although it is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It was used before (WIT-38).
    #[error("the proof was used before")]
    Used,
    /// The memory is full, so that nobody can tell (WIT-38).
    #[error("{most} proofs are remembered already")]
    Full {
        /// What it holds.
        most: usize,
    },
}
