//! HTTP Message Signatures: requests that are signed whole with the key of the WIT-SVID in them.
//!
//! What such a signature covers, and that it covers what it must, is judged in `plastron-http-signature`; here is what takes
//! a key, a clock and a configuration. Spec: RFC 9421; draft-ietf-wimse-http-signature-06 (WIT-53).

use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::json_object::Loose;
use plastron_http_signature::{HttpRequest, HttpSignature};
use sha2::{Digest as _, Sha256};

use super::expected::Expected;
use super::{ProofError, ProofId, UnprovenWitSvid, WIT_HEADER};
use crate::token::TimeClaims;

/// A request as it was received, which its signature must be of, with what the signature must agree with.
#[derive(Clone, Copy, Debug)]
pub struct HttpProof<'a> {
    request: &'a HttpRequest<'a>,
    expected: Expected<'a>,
}

impl<'a> HttpProof<'a> {
    /// A request that must be for one of `audiences`: what its receiver is configured to be, never what the request says.
    /// Normally a URI without query and fragment.
    pub fn new(request: &'a HttpRequest<'a>, audiences: &'a [&'a str]) -> Self {
        Self {
            request,
            expected: Expected::new(audiences),
        }
    }

    /// Sets how far ahead the end of the signature may be.
    /// [`DEFAULT_MAX_PROOF_LIFETIME`](crate::DEFAULT_MAX_PROOF_LIFETIME) otherwise.
    #[must_use]
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.expected.max_lifetime = max_lifetime;
        self
    }

    /// The token that the request carries (WIT-47).
    pub(super) fn token(&self) -> Result<&'a str, ProofError> {
        Ok(self.request.sole_field(WIT_HEADER)?)
    }

    /// Checks the signature against the token, which was verified before.
    pub(super) fn check(
        &self,
        svid: &UnprovenWitSvid<'_>,
        now: UnixTime,
    ) -> Result<ProofId, ProofError> {
        self.expected.check()?;
        if Sha256::digest(self.token()?)[..] != svid.token_hash {
            return Err(ProofError::OtherToken);
        }
        let signed = HttpSignature::of(self.request)?;
        svid.check_proof(&signed.base, &signed.signature)?;

        let parameters = &signed.parameters;
        if !self.expected.audiences.contains(&&*parameters.audience) {
            return Err(ProofError::Audience);
        }
        let times = TimeClaims {
            exp: Some(Loose::Unsigned(parameters.expires)),
            nbf: Some(Loose::Unsigned(parameters.created)),
            iat: None,
        };
        let until = self.expected.check_times(&times, svid.leeway, now)?;
        if signed.wants_signed_response {
            return Err(ProofError::SignedResponse);
        }
        Ok(ProofId::new(&svid.token_hash, &parameters.nonce, until))
    }
}
