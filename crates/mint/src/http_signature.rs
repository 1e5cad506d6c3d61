//! HTTP Message Signatures: requests that a workload signs whole, with the key of its WIT-SVID.
//!
//! Spec: RFC 9421; draft-ietf-wimse-http-signature-06 §2 (WIT-53).

use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_http_signature::{HttpRequest, SignatureParameters, SignedFields, ToSign};
use plastron_keys::{JwsAlgorithm, SigningKey};

use crate::validity::{Issue, LAST_SECOND};
use crate::{DEFAULT_PROOF_LIFETIME, MintError, jws};

/// A signature that is about to be made, of one request for one audience.
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until it is signed"]
pub struct HttpSignatureRequest<'r> {
    request: &'r HttpRequest<'r>,
    key: &'r dyn SigningKey,
    algorithm: JwsAlgorithm,
    audience: &'r str,
    lifetime: Duration,
}

impl<'r> HttpSignatureRequest<'r> {
    /// Starts a signature of `request` with the private key of the WIT-SVID in it. The request has all of its fields, the
    /// token's and that of the [digest](plastron_http_signature::content_digest) of its body among them, and none is changed
    /// later. `audience` is normally the target URI without query and fragment.
    ///
    /// # Errors
    ///
    /// [`MintError::WitAlgorithm`] for a key that no proof may be signed with: Ed25519.
    pub fn new(
        request: &'r HttpRequest<'r>,
        key: &'r dyn SigningKey,
        audience: &'r str,
    ) -> Result<Self, MintError> {
        let algorithm = JwsAlgorithm::from_signature_algorithm(key.algorithm())
            .ok_or_else(|| MintError::WitAlgorithm(key.algorithm()))?;
        Ok(Self {
            request,
            key,
            algorithm,
            audience,
            lifetime: DEFAULT_PROOF_LIFETIME,
        })
    }

    /// How long it is valid. [`DEFAULT_PROOF_LIFETIME`] otherwise.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Signs it. `nonce`, of which 128 bits are random, tells it from all others, so that its receiver can accept it once.
    ///
    /// # Errors
    ///
    /// What would make the receiver refuse the request, no lifetime, or a key that does not sign.
    pub fn sign(&self, nonce: &str, now: SystemTime) -> Result<SignedFields, MintError> {
        let issue = Issue::at(now)?;
        let limit = UnixTime::since_unix_epoch(Duration::from_secs(LAST_SECOND));
        let parameters = SignatureParameters {
            created: issue.second(Duration::ZERO).as_secs(),
            expires: issue.end(self.lifetime, limit)?.as_secs(),
            nonce: nonce.into(),
            audience: self.audience.into(),
        };
        let to_sign = ToSign::new(self.request, &parameters)?;
        let signature = jws::sign(self.key, self.algorithm, to_sign.base())?;
        Ok(to_sign.fields(&signature))
    }
}
