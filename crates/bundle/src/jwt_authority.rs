//! JWT authorities: the public keys that a trust domain signs its JWT-SVIDs under.

use pki_types::UnixTime;
use plastron_keys::{PublicKey, PublicKeyKind};

/// A key that verifies JWT-SVIDs, under the name that tokens call it by.
///
/// Spec: JWT-SVID §6 (JWT-48, JWT-49).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JwtAuthority {
    key_id: Box<str>,
    public_key: PublicKey,
    expires_at: Option<UnixTime>,
}

impl JwtAuthority {
    /// Gives a key its name, the `kid` of its tokens.
    ///
    /// # Errors
    ///
    /// An empty name, and Ed25519, for which JWT-SVIDs have no algorithm (JWT-05).
    pub fn new(
        key_id: impl Into<Box<str>>,
        public_key: PublicKey,
    ) -> Result<Self, JwtAuthorityError> {
        let key_id = key_id.into();
        if key_id.is_empty() {
            return Err(JwtAuthorityError::KeyId);
        }
        if public_key.kind() == PublicKeyKind::Ed25519 {
            return Err(JwtAuthorityError::Algorithm);
        }
        Ok(Self {
            key_id,
            public_key,
            expires_at: None,
        })
    }

    /// Notes when the last token signed with it will have expired. It is not published.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: UnixTime) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// The `kid`: compared as it is, case included (JWT-10).
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// When the last token signed with it will have expired, where its publisher knows.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }
}

/// Why a key is no JWT authority.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtAuthorityError {
    /// It has no `kid`, or an empty one (JWT-49, JWT-54).
    #[error("key without kid")]
    KeyId,
    /// No algorithm of JWT-SVIDs is for such keys (JWT-05).
    #[error("JWT-SVIDs have no algorithm for this key")]
    Algorithm,
}

impl JwtAuthorityError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::KeyId => "JWT-54",
            Self::Algorithm => "JWT-05",
        }
    }
}
