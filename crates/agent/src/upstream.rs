//! Where SVIDs come from: an embedded authority today, a server behind the same trait.
//!
//! Private keys are made on the agent and never travel (`design.md` §3.2): an upstream sees public keys only. It decides
//! lifetimes at the end: what it returns may live shorter than what was asked for, never longer.

mod embedded;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use plastron_attest::BoxFuture;
use plastron_authority::Slot;
use plastron_bundle::Bundle;
use plastron_id::SpiffeId;
use plastron_keys::PublicKey;
use tokio::sync::watch;

pub use embedded::{Embedded, EmbeddedError, EmbeddedSettings};
pub use plastron_authority::{Done, Kind, Phase};

/// An authority that signs for this agent.
pub trait Upstream: Send + Sync + 'static {
    /// Signs an X509-SVID over a key that the agent made.
    fn x509_svid(&self, request: X509Request) -> BoxFuture<'_, Result<X509Issued, UpstreamError>>;

    /// Signs a JWT-SVID.
    fn jwt_svid(&self, request: JwtRequest) -> BoxFuture<'_, Result<JwtIssued, UpstreamError>>;

    /// Signs a WIT-SVID over a key that the agent made.
    #[cfg(feature = "wit")]
    fn wit_svid(&self, request: WitRequest) -> BoxFuture<'_, Result<WitIssued, UpstreamError>> {
        drop(request);
        let refused = UpstreamError::Refused {
            reason: "it signs no WIT-SVIDs".into(),
        };
        Box::pin(std::future::ready(Err(refused)))
    }

    /// The bundle of the agent's own trust domain, now and as it changes.
    fn bundle(&self) -> watch::Receiver<Arc<Bundle>>;

    /// Replaces signing keys ahead of their time: prepare, publish, wait until that has spread, activate. Says what was
    /// done, in order.
    fn rotate(&self, kinds: &'static [Kind]) -> BoxFuture<'_, Result<Vec<Done>, UpstreamError>>;

    /// The signing keys, as far as they are known here.
    fn authorities(&self) -> Vec<AuthorityState>;

    /// What keeps it from working as it should, if anything does.
    fn problem(&self) -> Option<String>;
}

/// A signing key, for those who ask how it is.
#[derive(Clone, Debug)]
pub struct AuthorityState {
    /// What it signs.
    pub kind: Kind,
    /// Its name.
    pub id: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it ends.
    pub ends_at: SystemTime,
}

impl AuthorityState {
    fn new<K>(kind: Kind, slot: &Slot<K>) -> Self {
        Self {
            kind,
            id: slot.id.clone(),
            phase: slot.phase,
            created_at: slot.created_at,
            ends_at: slot.ends_at,
        }
    }
}

/// What an X509-SVID is asked for.
#[derive(Clone, Debug)]
pub struct X509Request {
    /// The workload's SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The workload's public key; the private half stays with the agent.
    pub public_key: PublicKey,
    /// DNS names for the SAN; the first becomes the Common Name.
    pub dns_names: Vec<Box<str>>,
    /// How long it should live, counted from the moment of issue.
    pub lifetime: Duration,
}

/// An X509-SVID as the upstream signed it.
#[derive(Clone, Debug)]
pub struct X509Issued {
    /// DER certificates, leaf first, concatenated (WAPI-24).
    pub chain: Vec<u8>,
    /// The leaf's serial number, big-endian; what audit records are joined on.
    pub serial: Vec<u8>,
    /// The moment of issue. `notBefore` lies a little earlier.
    pub issued_at: SystemTime,
    /// The last moment of its validity.
    pub expires_at: SystemTime,
}

/// What a JWT-SVID is asked for.
#[derive(Clone, Debug)]
pub struct JwtRequest {
    /// The workload's SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The `aud` values, in the caller's order; at least one.
    pub audiences: Arc<[Box<str>]>,
    /// How long it should live.
    pub lifetime: Duration,
}

/// A JWT-SVID as the upstream signed it.
#[derive(Clone)]
pub struct JwtIssued {
    /// The compact token. A secret: it is shown to nobody but the caller it is for.
    pub token: String,
    /// Its `jti`; what audit records are joined on.
    pub jti: String,
    /// The moment of issue.
    pub issued_at: SystemTime,
    /// Its `exp`.
    pub expires_at: SystemTime,
}

impl std::fmt::Debug for JwtIssued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtIssued")
            .field("jti", &self.jti)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What a WIT-SVID is asked for.
#[cfg(feature = "wit")]
#[derive(Clone, Debug)]
pub struct WitRequest {
    /// The workload's SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The workload's public key; the private half stays with the agent.
    pub public_key: PublicKey,
    /// How long it should live.
    pub lifetime: Duration,
}

/// A WIT-SVID as the upstream signed it.
#[cfg(feature = "wit")]
#[derive(Clone, Debug)]
pub struct WitIssued {
    /// The compact token. It is no secret, as its key is (WIT-42).
    pub token: String,
    /// Its `jti`; what audit records are joined on.
    pub jti: String,
    /// The moment of issue.
    pub issued_at: SystemTime,
    /// Its `exp`.
    pub expires_at: SystemTime,
}

/// Why an upstream did not sign.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// It is not there, or has no key that is still valid.
    #[error("the authority cannot sign now: {reason}")]
    Unavailable {
        /// What is wrong, for the operator.
        reason: String,
    },
    /// It will not sign this, now or later.
    #[error("the authority refuses: {reason}")]
    Refused {
        /// Which rule refused it.
        reason: String,
    },
}
