//! Workload Proof Tokens: what a workload signs to show that it holds the key of its WIT-SVID.
//!
//! Spec: draft-ietf-wimse-wpt-02 §2 (WIT-51).

use std::fmt;
use std::time::{Duration, SystemTime};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use pki_types::UnixTime;
use plastron_keys::SigningKey;
use sha2::{Digest as _, Sha256};

use crate::MintError;
use crate::jws::{TokenSigner, push_json, push_number};
use crate::validity::{Issue, LAST_SECOND};

/// How long a proof lives when nothing else is asked for. The shortest that works is best, a few seconds (WIT-37).
pub const DEFAULT_PROOF_LIFETIME: Duration = Duration::from_secs(10);

/// A proof that is about to be signed, of one WIT-SVID towards one audience.
#[derive(Clone, Debug)]
#[must_use = "nothing is minted until it is signed"]
pub struct WorkloadProofRequest<'r> {
    signer: TokenSigner<'r>,
    token: &'r str,
    audience: &'r str,
    access_token: Option<&'r str>,
    transaction_token: Option<&'r str>,
    other_tokens: &'r [(&'r str, &'r str)],
    lifetime: Duration,
}

impl<'r> WorkloadProofRequest<'r> {
    /// Starts a proof of `token`, a WIT-SVID, with its private key. `audience` is normally the target URI without query and
    /// fragment.
    ///
    /// # Errors
    ///
    /// [`MintError::WitAlgorithm`] for a key that no proof may be signed with: Ed25519.
    pub fn new(
        token: &'r str,
        key: &'r dyn SigningKey,
        audience: &'r str,
    ) -> Result<Self, MintError> {
        let signer = TokenSigner::new(key, "wpt+jwt", None)
            .ok_or_else(|| MintError::WitAlgorithm(key.algorithm()))?;
        Ok(Self {
            signer,
            token,
            audience,
            access_token: None,
            transaction_token: None,
            other_tokens: &[],
            lifetime: DEFAULT_PROOF_LIFETIME,
        })
    }

    /// The OAuth access token that goes along, for `ath`.
    pub fn access_token(mut self, token: &'r str) -> Self {
        self.access_token = Some(token);
        self
    }

    /// The transaction token that goes along, for `tth`.
    pub fn transaction_token(mut self, token: &'r str) -> Self {
        self.transaction_token = Some(token);
        self
    }

    /// Other tokens that go along, by the names that both sides have for them, for `oth`.
    pub fn other_tokens(mut self, tokens: &'r [(&'r str, &'r str)]) -> Self {
        self.other_tokens = tokens;
        self
    }

    /// How long it lives. [`DEFAULT_PROOF_LIFETIME`] otherwise.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Signs it. `jti`, of which 128 bits are random, tells it from all others, so that its receiver can accept it once.
    ///
    /// # Errors
    ///
    /// No audience, no `jti`, no lifetime, or a key that does not sign.
    pub fn sign(&self, jti: &str, now: SystemTime) -> Result<MintedProof, MintError> {
        if self.audience.is_empty() {
            return Err(MintError::Audience);
        }
        if jti.is_empty() {
            return Err(MintError::TokenId);
        }
        let limit = UnixTime::since_unix_epoch(Duration::from_secs(LAST_SECOND));
        let expires_at = Issue::at(now)?.end(self.lifetime, limit)?;
        Ok(MintedProof {
            token: self.signer.sign(&self.claims(jti, expires_at))?,
            expires_at,
        })
    }

    fn claims(&self, jti: &str, expires_at: UnixTime) -> Vec<u8> {
        let mut json = Vec::with_capacity(256);
        json.extend_from_slice(b"{\"aud\":");
        push_json(&mut json, self.audience);
        json.extend_from_slice(b",\"exp\":");
        push_number(&mut json, expires_at.as_secs());
        json.extend_from_slice(b",\"jti\":");
        push_json(&mut json, jti);
        json.extend_from_slice(b",\"wth\":");
        push_hash(&mut json, self.token);
        for (name, token) in [("ath", self.access_token), ("tth", self.transaction_token)] {
            if let Some(token) = token {
                json.push(b',');
                push_json(&mut json, name);
                json.push(b':');
                push_hash(&mut json, token);
            }
        }
        for (i, (name, token)) in self.other_tokens.iter().enumerate() {
            json.extend_from_slice(if i == 0 { b",\"oth\":{" } else { b"," });
            push_json(&mut json, name);
            json.push(b':');
            push_hash(&mut json, token);
        }
        if !self.other_tokens.is_empty() {
            json.push(b'}');
        }
        json.push(b'}');
        json
    }
}

/// A proof that was signed just now.
///
/// Whoever has it and its token can use it while it lives: `Debug` does not show it.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct MintedProof {
    /// The proof in compact serialization.
    pub token: String,
    /// `exp`: the first second at which it is no longer valid.
    pub expires_at: UnixTime,
}

impl fmt::Debug for MintedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedProof")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The SHA-256 of a token, as the claims of proofs have it.
fn push_hash(json: &mut Vec<u8>, token: &str) {
    push_json(
        json,
        &Base64UrlUnpadded::encode_string(&Sha256::digest(token)),
    );
}
