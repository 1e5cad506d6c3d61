//! What whoever verifies a proof expects of it, whatever its form is.

use std::time::Duration;

use pki_types::UnixTime;

use super::ProofError;
use crate::token::TimeClaims;

/// How far ahead the end of a proof may be where nothing else is said. A few seconds are ideal (WIT-37).
pub const DEFAULT_MAX_PROOF_LIFETIME: Duration = Duration::from_secs(300);

/// Who a proof must be for, and how long it may live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) audiences: &'a [&'a str],
    pub(super) max_lifetime: Duration,
}

impl<'a> Expected<'a> {
    pub(super) fn new(audiences: &'a [&'a str]) -> Self {
        Self {
            audiences,
            max_lifetime: DEFAULT_MAX_PROOF_LIFETIME,
        }
    }

    /// That there is somebody whom a proof can be for.
    pub(super) fn check(&self) -> Result<(), ProofError> {
        if self.audiences.is_empty() || self.audiences.contains(&"") {
            return Err(ProofError::NoExpectedAudience);
        }
        Ok(())
    }

    /// That a proof is in time, ends soon, and does not live longer than that from its beginning either, if it has one
    /// (WIT-37). The first second at which nobody accepts it any more.
    pub(super) fn check_times(
        &self,
        times: &TimeClaims<'_>,
        leeway: Duration,
        now: UnixTime,
    ) -> Result<u64, ProofError> {
        let times = times.check(now, leeway, leeway)?;
        let (expires_at, now) = (times.expires_at, now.as_secs());
        let from = times.not_before.map_or(now, |created| created.min(now));
        let lifetime = expires_at.saturating_sub(from);
        if lifetime > self.max_lifetime.saturating_add(leeway).as_secs() {
            return Err(ProofError::Lifetime { lifetime });
        }
        Ok(expires_at.saturating_add(leeway.as_secs()))
    }
}
