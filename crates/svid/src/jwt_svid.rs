//! A JWT-SVID of one's own, from the local Workload API.

use std::fmt;

use pki_types::UnixTime;
use plastron_id::SpiffeId;
use zeroize::Zeroizing;

use crate::JwtError;
use crate::jwt_verifier::parse_unverified;

/// A JWT-SVID to present, whose signature nobody here has looked at.
///
/// `Debug` does not show the token, and its memory is wiped (JWT-47).
#[derive(Clone)]
pub struct JwtSvid {
    token: Zeroizing<String>,
    id: SpiffeId,
    issued_at: Option<UnixTime>,
    expires_at: UnixTime,
    hint: Box<str>,
}

impl JwtSvid {
    /// Takes a token from the local Workload API, which is trusted to give out good ones.
    ///
    /// The name says what it is: not for tokens that others present, for which there is
    /// [`JwtVerifier`](crate::JwtVerifier). Form, subject, audience and expiry are checked all the same, without leeway.
    ///
    /// # Errors
    ///
    /// The first rule broken.
    ///
    /// Spec: JWT-SVID §4 (JWT-41).
    pub fn parse_insecure(
        token: &str,
        audiences: &[&str],
        now: UnixTime,
    ) -> Result<Self, JwtError> {
        let parsed = parse_unverified(token, audiences, now)?;
        Ok(Self {
            token: Zeroizing::new(token.into()),
            id: parsed.id().to_owned(),
            issued_at: parsed.issued_at(),
            expires_at: parsed.expires_at(),
            hint: Box::default(),
        })
    }

    /// Sets what the operator calls this identity.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.hint = hint.into();
        self
    }

    /// The token, to be put after `Bearer ` (JWT-43).
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The SPIFFE ID that it is about.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// When it was issued, as far as it says.
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// The first second at which it is no longer valid.
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// What the operator calls this identity; empty where nothing was said.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Debug for JwtSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSvid")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at.as_secs())
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}
