//! Verifying a JWT-SVID: a signed JWT in compact form, whose subject is a SPIFFE ID.
//!
//! The order is that of JWT-40: size, parts, header, algorithm, type, subject, bundle, key, signature, and only then the
//! claims. Spec: JWT-SVID §4; RFC 7515 §5.2; RFC 7519 §7.2.

mod claims;
mod error;
#[cfg(test)]
mod wycheproof;

use std::fmt;
use std::time::Duration;

use pki_types::{SignatureVerificationAlgorithm, UnixTime};
use plastron_bundle::{JwtAuthority, JwtBundleSource};
use plastron_id::SpiffeIdRef;

pub use error::JwtError;

use crate::token::{self, Compact, Header, SubjectPlace, Times};
use claims::Claims;

/// The most bytes of a token (JWT-40): twice what our own issuer's 32 audiences of 1 KiB come to.
pub const MAX_TOKEN_LEN: usize = 96 * 1024;

/// How far clocks may differ where nothing else is said (JWT-27, AMB-41).
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);

/// How far clocks may differ at most (JWT-27).
pub const MAX_LEEWAY: Duration = Duration::from_secs(120);

/// The most keys that are tried on a token without `kid` (AMB-20).
pub const MAX_KEYS_TRIED: usize = 16;

/// Says what is accepted as a JWT-SVID.
#[derive(Clone, Copy)]
pub struct JwtVerifier<'a> {
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    leeway: Duration,
    strict_header: bool,
    allow_missing_key_id: bool,
    allow_missing_path: bool,
}

impl<'a> JwtVerifier<'a> {
    /// A verifier that knows these signature algorithms, with [`DEFAULT_LEEWAY`].
    pub fn new(algorithms: &'a [&'a dyn SignatureVerificationAlgorithm]) -> Self {
        Self {
            algorithms,
            leeway: DEFAULT_LEEWAY,
            strict_header: false,
            allow_missing_key_id: false,
            allow_missing_path: false,
        }
    }

    /// Sets how far clocks may differ, at most [`MAX_LEEWAY`], which stands for anything longer.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(MAX_LEEWAY);
        self
    }

    /// Refuses every header member but `alg`, `kid` and `typ`, since issuers may set no other (JWT-04, AMB-22).
    ///
    /// Otherwise those that could mislead are refused, and the rest is ignored.
    #[must_use]
    pub fn strict_header(mut self) -> Self {
        self.strict_header = true;
        self
    }

    /// Accepts a token without `kid`, and tries the keys of the trust domain that suit its algorithm (AMB-20).
    #[must_use]
    pub fn allow_missing_key_id(mut self) -> Self {
        self.allow_missing_key_id = true;
        self
    }

    /// Accepts a trust domain itself as the subject (AMB-06).
    #[must_use]
    pub fn allow_missing_path(mut self) -> Self {
        self.allow_missing_path = true;
        self
    }

    /// Checks that `token` is a JWT-SVID for one of `audiences` at `now`.
    ///
    /// The keys are those of the trust domain that the subject names, and no others (JWT-38). Audiences are compared exactly.
    ///
    /// # Errors
    ///
    /// The first rule broken. `token` is the peer's: no input panics, or costs more than its length allows. Nothing of the
    /// claims but the subject's trust domain shows before the signature holds.
    ///
    /// Spec: JWT-SVID §4 (JWT-37 to JWT-40).
    pub fn verify(
        &self,
        token: &str,
        audiences: &[&str],
        bundles: &dyn JwtBundleSource,
        now: UnixTime,
    ) -> Result<VerifiedJwtSvid, JwtError> {
        check_expected(audiences)?;
        let compact = Compact::split(token, MAX_TOKEN_LEN)?;
        let header = compact.header()?;
        let header = Header::parse(&header)?;
        check_header(&header, self.strict_header)?;
        if header.key_id()?.is_none() && !self.allow_missing_key_id {
            return Err(JwtError::KeyIdMissing);
        }
        let payload = compact.payload()?;
        let claims = Claims::parse(&payload, audiences)?;
        let id = claims.subject(self.allow_missing_path)?;
        let trust_domain = id.trust_domain();
        let authorities = match bundles.jwt_authorities(trust_domain) {
            None => return Err(JwtError::UnknownTrustDomain(trust_domain.to_owned())),
            Some([]) => return Err(JwtError::NoAuthorities(trust_domain.to_owned())),
            Some(authorities) => authorities,
        };
        self.check_signature(&compact, &header, authorities)?;
        let times = claims.check(now, self.leeway)?;
        let subject = claims.subject_place(&payload);
        Ok(VerifiedJwtSvid {
            payload,
            subject,
            times,
        })
    }

    fn check_signature(
        &self,
        compact: &Compact<'_>,
        header: &Header<'_>,
        authorities: &[JwtAuthority],
    ) -> Result<(), JwtError> {
        let signature = compact.signature()?;
        let check = |authority: &JwtAuthority| {
            token::check_signature(
                self.algorithms,
                header.algorithm,
                authority.public_key(),
                compact.signed(),
                &signature,
            )
        };
        if let Some(key_id) = header.key_id()? {
            // With a `kid`, no other key is tried (JWT-10).
            let authority =
                token::authority(authorities, key_id).ok_or_else(|| JwtError::UnknownKey {
                    key_id: key_id.into(),
                })?;
            return Ok(check(authority)?);
        }
        authorities
            .iter()
            .filter(|authority| header.algorithm.suits(authority.public_key().kind()))
            .take(MAX_KEYS_TRIED)
            .any(|authority| check(authority).is_ok())
            .then_some(())
            .ok_or(JwtError::Signature)
    }
}

impl fmt::Debug for JwtVerifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifier")
            .field("leeway", &self.leeway)
            .field("strict_header", &self.strict_header)
            .field("allow_missing_key_id", &self.allow_missing_key_id)
            .field("allow_missing_path", &self.allow_missing_path)
            .finish_non_exhaustive()
    }
}

/// Takes a token apart and checks all but its signature, without leeway.
pub(crate) fn parse_unverified(
    token: &str,
    audiences: &[&str],
    now: UnixTime,
) -> Result<VerifiedJwtSvid, JwtError> {
    check_expected(audiences)?;
    let compact = Compact::split(token, MAX_TOKEN_LEN)?;
    let header = compact.header()?;
    let header = Header::parse(&header)?;
    check_header(&header, false)?;
    header.key_id()?;
    compact.signature()?;
    let payload = compact.payload()?;
    let claims = Claims::parse(&payload, audiences)?;
    claims.subject(true)?;
    let times = claims.check(now, Duration::ZERO)?;
    let subject = claims.subject_place(&payload);
    Ok(VerifiedJwtSvid {
        payload,
        subject,
        times,
    })
}

/// Whoever verifies must know who he is; "nobody" does not mean "anybody" (JWT-23, AMB-23).
fn check_expected(audiences: &[&str]) -> Result<(), JwtError> {
    if audiences.is_empty() || audiences.contains(&"") {
        return Err(JwtError::NoExpectedAudience);
    }
    Ok(())
}

/// What a header may have beside `alg` and `kid` (JWT-13 to JWT-15, AMB-21, AMB-22).
fn check_header(header: &Header<'_>, strict: bool) -> Result<(), JwtError> {
    if !header.is_of(&["JWT", "JOSE"], true) {
        return Err(JwtError::Type);
    }
    if let Some(member) = header.dangerous() {
        return Err(JwtError::HeaderMember { member });
    }
    if strict && header.has_others() {
        return Err(JwtError::UnknownHeaderMember);
    }
    Ok(())
}

/// A JWT-SVID that was verified.
///
/// It is a bearer token: whoever has it may have it from another audience of it (JWT-46).
#[derive(Clone)]
pub struct VerifiedJwtSvid {
    payload: String,
    subject: SubjectPlace,
    times: Times,
}

impl VerifiedJwtSvid {
    /// The SPIFFE ID of the subject. Parses it again, which takes some tens of nanoseconds.
    pub fn id(&self) -> SpiffeIdRef<'_> {
        self.subject.id(&self.payload)
    }

    /// The first second at which it is no longer valid, leeway aside.
    pub fn expires_at(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.times.expires_at))
    }

    /// When it was issued, as far as it says; nothing depends on it (JWT-31).
    pub fn issued_at(&self) -> Option<UnixTime> {
        let seconds = self.times.issued_at?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    /// The claims, as the JSON text that was signed.
    pub fn claims_json(&self) -> &str {
        &self.payload
    }

    /// The claims, those that SPIFFE does not know included (JWT-34). Parses them anew.
    pub fn claims(&self) -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(&self.payload).expect("parsed when the token was verified")
    }
}

impl fmt::Debug for VerifiedJwtSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedJwtSvid")
            .field("id", &self.id())
            .field("expires_at", &self.times.expires_at)
            .finish_non_exhaustive()
    }
}
