//! WIT-SVIDs.
//!
//! Spec: WIT-SVID §2 to §4.

use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_id::{SpiffeId, TrustDomainRef};
use plastron_keys::{JwsAlgorithm, PublicKey, PublicKeyKind, SigningKey};

use crate::MintError;
use crate::jws::{TokenSigner, push_json, push_number};
use crate::validity::{Issue, LAST_SECOND};

/// How long a WIT-SVID lives when nothing else is asked for, as in SPIRE: about as long as an X509-SVID (WIT-30).
pub const DEFAULT_WIT_SVID_LIFETIME: Duration = Duration::from_secs(3600);

/// A WIT signing key with its name.
#[derive(Clone, Debug)]
pub struct WitIssuer<'a> {
    trust_domain: TrustDomainRef<'a>,
    signer: TokenSigner<'a>,
    not_after: UnixTime,
}

impl<'a> WitIssuer<'a> {
    /// Takes the key that the bundle of `trust_domain` publishes for WIT-SVIDs as `key_id`, a name that no other key of the
    /// bundle has or had (WIT-04, WIT-44).
    ///
    /// # Errors
    ///
    /// [`MintError::WitAlgorithm`] for a key that no WIT-SVID may be signed with: Ed25519. [`MintError::KeyId`] for an empty
    /// name.
    pub fn new(
        trust_domain: TrustDomainRef<'a>,
        key_id: &str,
        key: &'a dyn SigningKey,
    ) -> Result<Self, MintError> {
        if key_id.is_empty() {
            return Err(MintError::KeyId);
        }
        // These three and no others (WIT-02, WIT-05, WIT-08).
        let signer = TokenSigner::new(key, "wit+jwt", Some(key_id))
            .ok_or_else(|| MintError::WitAlgorithm(key.algorithm()))?;
        Ok(Self {
            trust_domain,
            signer,
            not_after: UnixTime::since_unix_epoch(Duration::from_secs(LAST_SECOND)),
        })
    }

    /// The end of the key, which no token outlives (WIT-30).
    pub fn not_after(self, not_after: UnixTime) -> Self {
        Self { not_after, ..self }
    }

    /// The `alg` of its tokens.
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.signer.algorithm()
    }

    /// Starts a WIT-SVID: `id`, for whoever holds the private half of `public_key`.
    pub fn wit_svid<'r>(
        &'r self,
        id: &'r SpiffeId,
        public_key: &'r PublicKey,
    ) -> WitSvidRequest<'r> {
        WitSvidRequest {
            issuer: self,
            id,
            public_key,
            proof_algorithm: None,
            lifetime: DEFAULT_WIT_SVID_LIFETIME,
            limit: self.not_after,
        }
    }
}

/// A WIT-SVID that is about to be signed. It has no `aud`, which is the proof's, no `nbf` and no `iss`.
#[derive(Clone, Debug)]
#[must_use = "nothing is minted until it is signed"]
pub struct WitSvidRequest<'r> {
    issuer: &'r WitIssuer<'r>,
    id: &'r SpiffeId,
    public_key: &'r PublicKey,
    proof_algorithm: Option<JwsAlgorithm>,
    lifetime: Duration,
    limit: UnixTime,
}

impl WitSvidRequest<'_> {
    /// The algorithm that the workload signs proofs with, `cnf.jwk.alg`. By default that of the curve, and for RSA RS256.
    pub fn proof_algorithm(mut self, algorithm: JwsAlgorithm) -> Self {
        self.proof_algorithm = Some(algorithm);
        self
    }

    /// How long it lives, from `iat` to `exp`, as [that of JWT-SVIDs](crate::JwtSvidRequest::lifetime) counts. An hour by
    /// default.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// A second at which it must have expired, such as the end of its registration. The end of the key is one already.
    pub fn not_after_limit(mut self, limit: UnixTime) -> Self {
        self.limit = self.limit.min(limit);
        self
    }

    /// Signs it. `jti`, of which 128 bits are random, tells it from all others, in audit records too (WIT-15).
    ///
    /// # Errors
    ///
    /// An ID that the authority may not speak for, a public key that no proof may be signed with, or not with that
    /// algorithm, nothing left to live, or a key that does not sign.
    pub fn sign(&self, jti: &str, now: SystemTime) -> Result<MintedWitSvid, MintError> {
        if self.id.path().is_empty() {
            return Err(MintError::NoPath);
        }
        if !self.id.is_member_of(self.issuer.trust_domain) {
            return Err(MintError::ForeignTrustDomain {
                asked: self.id.trust_domain().to_owned(),
            });
        }
        let kind = self.public_key.kind();
        let proof_algorithm = self
            .proof_algorithm
            .or_else(|| usual_algorithm(kind))
            .filter(|algorithm| algorithm.suits(kind))
            .ok_or(MintError::ProofAlgorithm(kind))?;
        let issue = Issue::at(now)?;
        let issued_at = issue.second(Duration::ZERO);
        let expires_at = issue.end_from_second(self.lifetime, self.limit)?;
        let claims = self.claims(proof_algorithm, jti, issued_at, expires_at);
        Ok(MintedWitSvid {
            token: self.issuer.signer.sign(&claims)?,
            issued_at,
            expires_at,
        })
    }

    /// The claims set, without an audience (WIT-10, WIT-11, WIT-17, WIT-22, WIT-26).
    fn claims(
        &self,
        proof_algorithm: JwsAlgorithm,
        jti: &str,
        issued_at: UnixTime,
        expires_at: UnixTime,
    ) -> Vec<u8> {
        let mut json = Vec::with_capacity(512);
        json.extend_from_slice(b"{\"sub\":");
        push_json(&mut json, self.id.as_str());
        json.extend_from_slice(b",\"exp\":");
        push_number(&mut json, expires_at.as_secs());
        json.extend_from_slice(b",\"iat\":");
        push_number(&mut json, issued_at.as_secs());
        json.extend_from_slice(b",\"jti\":");
        push_json(&mut json, jti);
        json.extend_from_slice(b",\"cnf\":{\"jwk\":{\"alg\":");
        push_json(&mut json, proof_algorithm.as_str());
        for (name, value) in self.public_key.jwk().members() {
            json.push(b',');
            push_json(&mut json, name);
            json.push(b':');
            push_json(&mut json, value);
        }
        json.extend_from_slice(b"}}}");
        json
    }
}

/// The algorithm that everybody has for keys of this kind.
fn usual_algorithm(kind: PublicKeyKind) -> Option<JwsAlgorithm> {
    match kind {
        PublicKeyKind::EcP256 => Some(JwsAlgorithm::Es256),
        PublicKeyKind::EcP384 => Some(JwsAlgorithm::Es384),
        PublicKeyKind::EcP521 => Some(JwsAlgorithm::Es512),
        PublicKeyKind::Rsa { .. } => Some(JwsAlgorithm::Rs256),
        _ => None,
    }
}

/// A token that was signed just now. It is no secret: its private key is (WIT-42).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MintedWitSvid {
    /// The token in compact serialization.
    pub token: String,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`: the first second at which it is no longer valid.
    pub expires_at: UnixTime,
}
