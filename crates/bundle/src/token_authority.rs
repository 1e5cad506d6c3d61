//! Authorities for tokens: the public keys that a trust domain signs its JWT-SVIDs under, and its WIT-SVIDs.

use std::marker::PhantomData;

use pki_types::UnixTime;
use plastron_keys::{PublicKey, PublicKeyKind};

use crate::SkipReason;
use crate::document::Use;

/// A key that verifies tokens of one kind, under the name that they call it by.
///
/// `U` is the kind. A key is an authority for the tokens that it was published for and for no others (BUNDLE-32, JWT-39).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenAuthority<U> {
    key_id: Box<str>,
    public_key: PublicKey,
    expires_at: Option<UnixTime>,
    signs: PhantomData<U>,
}

/// A key that verifies JWT-SVIDs. Spec: JWT-SVID §6 (JWT-48, JWT-49).
pub type JwtAuthority = TokenAuthority<JwtUse>;

/// A key that verifies WIT-SVIDs. Spec: WIT-SVID §6 (WIT-43, WIT-44).
#[cfg(feature = "wit")]
pub type WitAuthority = TokenAuthority<WitUse>;

impl<U: TokenUse> TokenAuthority<U> {
    /// Gives a key its name, the `kid` of its tokens.
    ///
    /// # Errors
    ///
    /// An empty name, and Ed25519, for which tokens have no algorithm (JWT-05, WIT-06).
    pub fn new(
        key_id: impl Into<Box<str>>,
        public_key: PublicKey,
    ) -> Result<Self, TokenAuthorityError> {
        let key_id = key_id.into();
        if key_id.is_empty() {
            return Err(TokenAuthorityError::KeyId);
        }
        if public_key.kind() == PublicKeyKind::Ed25519 {
            return Err(TokenAuthorityError::Algorithm);
        }
        Ok(Self {
            key_id,
            public_key,
            expires_at: None,
            signs: PhantomData,
        })
    }

    /// Notes when the last token signed with it will have expired. It is not published.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: UnixTime) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// The `kid`: compared as it is, case included (JWT-10, WIT-03).
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

/// A kind of token, by the `use` that its keys are published with.
pub trait TokenUse: of::Kind {}

/// Of JWT-SVIDs: `jwt-svid`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JwtUse {}

impl TokenUse for JwtUse {}

/// Of WIT-SVIDs: `wit-svid`.
#[cfg(feature = "wit")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WitUse {}

#[cfg(feature = "wit")]
impl TokenUse for WitUse {}

/// What only this crate may say of a kind of token, so that there are no others.
pub(crate) mod of {
    use super::{SkipReason, TokenAuthorityError, Use};

    pub trait Kind {
        const USE: Use;
        /// What is reported of a key of this use that is no authority.
        const SKIPPED: fn(TokenAuthorityError) -> SkipReason;
    }
}

impl of::Kind for JwtUse {
    const USE: Use = Use::Jwt;
    const SKIPPED: fn(TokenAuthorityError) -> SkipReason = SkipReason::JwtAuthority;
}

#[cfg(feature = "wit")]
impl of::Kind for WitUse {
    const USE: Use = Use::Wit;
    const SKIPPED: fn(TokenAuthorityError) -> SkipReason = SkipReason::WitAuthority;
}

/// Why a key is no authority for tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenAuthorityError {
    /// It has no `kid`, or an empty one (JWT-49, JWT-54, WIT-44).
    #[error("key without kid")]
    KeyId,
    /// No algorithm of tokens is for such keys (JWT-05, WIT-06).
    #[error("tokens have no algorithm for this key")]
    Algorithm,
}
