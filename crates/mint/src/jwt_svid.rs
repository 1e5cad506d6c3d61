//! JWT-SVIDs.
//!
//! Spec: JWT-SVID §2, §3; RFC 7515 §7.1, RFC 7518 §3.

use std::fmt;
use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_id::{SpiffeId, TrustDomainRef};
use plastron_keys::{JwsAlgorithm, SigningKey};

use crate::MintError;
use crate::jws::{TokenSigner, push_json, push_number};
use crate::validity::{Issue, LAST_SECOND};

/// How long a JWT-SVID lives when nothing else is asked for, as in SPIRE. The rule is: as short as practical (JWT-28).
pub const DEFAULT_JWT_SVID_LIFETIME: Duration = Duration::from_secs(300);

/// A JWT signing key with its name.
#[derive(Clone, Debug)]
pub struct JwtIssuer<'a> {
    trust_domain: TrustDomainRef<'a>,
    signer: TokenSigner<'a>,
    issuer: Option<&'a str>,
    not_after: UnixTime,
}

impl<'a> JwtIssuer<'a> {
    /// Takes the key that the bundle of `trust_domain` publishes as `key_id`. `issuer` becomes `iss`: SPIFFE asks for
    /// none, OIDC consumers do.
    ///
    /// # Errors
    ///
    /// [`MintError::JwtAlgorithm`] for a key that no JWT-SVID may be signed with: Ed25519. [`MintError::KeyId`] for an empty
    /// `key_id`.
    pub fn new(
        trust_domain: TrustDomainRef<'a>,
        key_id: &str,
        key: &'a dyn SigningKey,
        issuer: Option<&'a str>,
    ) -> Result<Self, MintError> {
        if key_id.is_empty() {
            return Err(MintError::KeyId);
        }
        // These three and no others (JWT-04), `kid` always (JWT-09), and the `typ` of JWTs (JWT-12).
        let signer = TokenSigner::new(key, "JWT", Some(key_id))
            .ok_or_else(|| MintError::JwtAlgorithm(key.algorithm()))?;
        Ok(Self {
            trust_domain,
            signer,
            issuer,
            not_after: UnixTime::since_unix_epoch(Duration::from_secs(LAST_SECOND)),
        })
    }

    /// The end of the key, which no token outlives (JWT-28).
    pub fn not_after(self, not_after: UnixTime) -> Self {
        Self { not_after, ..self }
    }

    /// The `alg` of its tokens.
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.signer.algorithm()
    }

    /// Starts a JWT-SVID: `id`, towards `audiences`. One audience is best, since each can replay the token to the others
    /// (JWT-24).
    pub fn jwt_svid<'r, S: AsRef<str>>(
        &'r self,
        id: &'r SpiffeId,
        audiences: &'r [S],
    ) -> JwtSvidRequest<'r, S> {
        JwtSvidRequest {
            issuer: self,
            id,
            audiences,
            lifetime: DEFAULT_JWT_SVID_LIFETIME,
            limit: self.not_after,
        }
    }
}

/// A JWT-SVID that is about to be signed.
#[derive(Clone, Debug)]
#[must_use = "nothing is minted until it is signed"]
pub struct JwtSvidRequest<'r, S> {
    issuer: &'r JwtIssuer<'r>,
    id: &'r SpiffeId,
    audiences: &'r [S],
    lifetime: Duration,
    limit: UnixTime,
}

impl<S: AsRef<str>> JwtSvidRequest<'_, S> {
    /// How long it lives, from `iat` to `exp`: a fraction of a second less than from the moment of issue, as `iat` is the
    /// second in which that lies. A lifetime of one second is two where less than half of it would be left. Five minutes by
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

    /// Signs it. `jti` tells it from all others, in audit records too.
    ///
    /// # Errors
    ///
    /// An ID that the authority may not speak for or that has no path (JWT-17, JWT-19), no audience (JWT-20), nothing left to live
    /// (JWT-25, JWT-28), or a key that does not sign.
    pub fn sign(&self, jti: &str, now: SystemTime) -> Result<MintedJwtSvid, MintError> {
        if self.id.path().is_empty() {
            return Err(MintError::NoPath);
        }
        if !self.id.is_member_of(self.issuer.trust_domain) {
            return Err(MintError::ForeignTrustDomain {
                asked: self.id.trust_domain().to_owned(),
            });
        }
        if self.audiences.is_empty()
            || self
                .audiences
                .iter()
                .any(|audience| audience.as_ref().is_empty())
        {
            return Err(MintError::Audience);
        }
        let issue = Issue::at(now)?;
        let issued_at = issue.second(Duration::ZERO);
        let expires_at = issue.end_from_second(self.lifetime, self.limit)?;
        let claims = self.claims(jti, issued_at, expires_at);

        Ok(MintedJwtSvid {
            token: self.issuer.signer.sign(&claims)?,
            issued_at,
            expires_at,
        })
    }

    /// The claims set: `aud` is an array also where it has one element (AMB-46), `iat` and `jti` are always there
    /// (JWT-32, JWT-33).
    fn claims(&self, jti: &str, issued_at: UnixTime, expires_at: UnixTime) -> Vec<u8> {
        let audiences: usize = self
            .audiences
            .iter()
            .map(|audience| audience.as_ref().len() + 3)
            .sum();
        let issuer = self.issuer.issuer.map_or(0, |issuer| issuer.len() + 9);
        let mut json =
            Vec::with_capacity(96 + self.id.as_str().len() + audiences + jti.len() + issuer);
        json.extend_from_slice(b"{\"sub\":");
        push_json(&mut json, self.id.as_str());
        for (i, audience) in self.audiences.iter().enumerate() {
            json.extend_from_slice(if i == 0 { b",\"aud\":[" } else { b"," });
            push_json(&mut json, audience.as_ref());
        }
        json.extend_from_slice(b"],\"exp\":");
        push_number(&mut json, expires_at.as_secs());
        json.extend_from_slice(b",\"iat\":");
        push_number(&mut json, issued_at.as_secs());
        json.extend_from_slice(b",\"jti\":");
        push_json(&mut json, jti);
        if let Some(issuer) = self.issuer.issuer {
            json.extend_from_slice(b",\"iss\":");
            push_json(&mut json, issuer);
        }
        json.push(b'}');
        json
    }
}

/// A token that was signed just now.
///
/// It is a bearer credential: `Debug` does not show it (JWT-47).
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct MintedJwtSvid {
    /// The token in compact serialization.
    pub token: String,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`: the first second at which it is no longer valid.
    pub expires_at: UnixTime,
}

impl fmt::Debug for MintedJwtSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedJwtSvid")
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
