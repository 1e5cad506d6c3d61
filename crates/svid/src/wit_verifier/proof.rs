//! Workload Proof Tokens: short-lived tokens by which a workload shows that it holds the key of its WIT-SVID.
//!
//! Spec: draft-ietf-wimse-wpt-02 §2 (WIT-51, WIT-52).

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use pki_types::UnixTime;
use plastron_bundle::json_object::{self, Faults, Loose, Members, PerhapsObject};
use serde::de::MapAccess;
use sha2::{Digest as _, Sha256};

use super::expected::Expected;
use super::{ProofError, ProofId, UnprovenWitSvid};
use crate::token::{Audience, Compact, Header, TimeClaims};

/// The most bytes of a proof.
pub const MAX_PROOF_LEN: usize = 8 * 1024;

/// A proof as it was received, with what it must agree with.
///
/// What came along with it and what the proof says came along must be the same: a proof that leaves out an access token,
/// or names one that was not there, is none of this request (WIT-39).
#[derive(Clone, Copy)]
pub struct WorkloadProof<'a> {
    token: &'a str,
    expected: Expected<'a>,
    access_token: Option<&'a str>,
    transaction_token: Option<&'a str>,
    other_tokens: &'a [(&'a str, &'a str)],
}

impl<'a> WorkloadProof<'a> {
    /// A proof that must be for one of `audiences`: what its receiver is configured to be, never what the request says
    /// (WIT-52). Normally a URI without query and fragment.
    pub fn new(token: &'a str, audiences: &'a [&'a str]) -> Self {
        Self {
            token,
            expected: Expected::new(audiences),
            access_token: None,
            transaction_token: None,
            other_tokens: &[],
        }
    }

    /// The OAuth access token that the request carries, which `ath` must be of.
    #[must_use]
    pub fn access_token(mut self, token: &'a str) -> Self {
        self.access_token = Some(token);
        self
    }

    /// The transaction token that the request carries, which `tth` must be of.
    #[must_use]
    pub fn transaction_token(mut self, token: &'a str) -> Self {
        self.transaction_token = Some(token);
        self
    }

    /// Other tokens that the request carries, by the names that `oth` has for them, each once.
    #[must_use]
    pub fn other_tokens(mut self, tokens: &'a [(&'a str, &'a str)]) -> Self {
        self.other_tokens = tokens;
        self
    }

    /// Sets how far ahead its end may be. [`DEFAULT_MAX_PROOF_LIFETIME`](crate::DEFAULT_MAX_PROOF_LIFETIME) otherwise.
    #[must_use]
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.expected.max_lifetime = max_lifetime;
        self
    }

    /// Checks it against the token that it came with.
    pub(super) fn check(
        &self,
        svid: &UnprovenWitSvid<'_>,
        now: UnixTime,
    ) -> Result<ProofId, ProofError> {
        self.expected.check()?;
        let compact = Compact::split(self.token, MAX_PROOF_LEN)?;
        let header = compact.header()?;
        let header = Header::parse(&header)?;
        if header.algorithm != svid.algorithm() {
            return Err(ProofError::Algorithm);
        }
        if !header.is_of(&["wpt+jwt"], false) {
            return Err(ProofError::Type);
        }
        if header.dangerous() == Some("crit") {
            return Err(ProofError::Critical);
        }
        let payload = compact.payload()?;
        svid.check_proof(compact.signed(), &compact.signature()?)?;

        let claims = Claims::parse(&payload, self)?;
        if claims.audience != Some(Audience::Matches) {
            return Err(ProofError::Audience);
        }
        let until = self.expected.check_times(&claims.times, svid.leeway, now)?;
        let jti = match &claims.jti {
            Some(Loose::Text(jti)) if !jti.is_empty() => jti,
            _ => return Err(ProofError::IdMissing),
        };
        if !is_hash(&claims.wth, &svid.token_hash) {
            return Err(ProofError::OtherToken);
        }
        claims.check_bound(self)?;
        Ok(ProofId::new(&svid.token_hash, jti, until))
    }
}

impl std::fmt::Debug for WorkloadProof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkloadProof")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

/// Whether a claim is the hash in base64url. A hash of what is known to both sides is no secret.
fn is_hash(claim: &Option<Loose<'_>>, hash: &[u8; 32]) -> bool {
    let mut space = [0; 43];
    let text = Base64UrlUnpadded::encode(hash, &mut space).expect("43 characters for 32 bytes");
    matches!(claim, Some(Loose::Text(claim)) if claim == text)
}

/// Whether a claim is of this token, or neither is there.
fn agrees(claim: &Option<Loose<'_>>, token: Option<&str>) -> bool {
    match token {
        Some(token) => is_hash(claim, &Sha256::digest(token).into()),
        None => claim.is_none(),
    }
}

/// The claims of one proof. Reading them judges nothing yet but who it is for.
struct Claims<'e, 'p> {
    expected: &'e [&'e str],
    audience: Option<Audience>,
    times: TimeClaims<'p>,
    jti: Option<Loose<'p>>,
    wth: Option<Loose<'p>>,
    ath: Option<Loose<'p>>,
    tth: Option<Loose<'p>>,
    oth: Option<Option<Others<'e, 'p>>>,
    other_tokens: &'e [(&'e str, &'e str)],
}

impl<'e, 'p> Claims<'e, 'p> {
    fn parse(payload: &'p str, proof: &WorkloadProof<'e>) -> Result<Self, ProofError> {
        let mut claims = Self {
            expected: proof.expected.audiences,
            audience: None,
            times: TimeClaims::default(),
            jti: None,
            wth: None,
            ath: None,
            tth: None,
            oth: None,
            other_tokens: proof.other_tokens,
        };
        json_object::read(payload, &mut claims).map_err(|_| ProofError::Malformed)?;
        Ok(claims)
    }

    /// Checks that the proof is of the tokens that came along with it, of each, and of no others.
    fn check_bound(&self, proof: &WorkloadProof<'_>) -> Result<(), ProofError> {
        let bound = |claim| ProofError::Bound { claim };
        if !agrees(&self.ath, proof.access_token) {
            return Err(bound("ath"));
        }
        if !agrees(&self.tth, proof.transaction_token) {
            return Err(bound("tth"));
        }
        let agrees = match &self.oth {
            None => proof.other_tokens.is_empty(),
            Some(None) => false,
            Some(Some(others)) => {
                !others.has_unknown
                    && others.hashes.len() == proof.other_tokens.len()
                    && others
                        .hashes
                        .iter()
                        .all(|(token, hash)| agrees(hash, Some(token)))
            }
        };
        if agrees { Ok(()) } else { Err(bound("oth")) }
    }
}

impl<'de> Members<'de> for Claims<'_, 'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        let claim = match name {
            "aud" => {
                self.audience = Some(Audience::read(self.expected, value, faults)?);
                return Ok(());
            }
            "oth" => {
                let mut others = Others::new(self.other_tokens);
                let is_object = value.next_value_seed(PerhapsObject::new(&mut others, faults))?;
                self.oth = Some(is_object.then_some(others));
                return Ok(());
            }
            "exp" => &mut self.times.exp,
            "nbf" => &mut self.times.nbf,
            "jti" => &mut self.jti,
            "wth" => &mut self.wth,
            "ath" => &mut self.ath,
            "tth" => &mut self.tth,
            _ => return json_object::skip(value, faults),
        };
        *claim = Some(Loose::next(value, faults)?);
        Ok(())
    }
}

/// The members of `oth`: hashes by names that both sides know.
struct Others<'e, 'p> {
    known: &'e [(&'e str, &'e str)],
    /// Each with the token that it should be of.
    hashes: Vec<(&'e str, Option<Loose<'p>>)>,
    has_unknown: bool,
}

impl<'e> Others<'e, '_> {
    fn new(known: &'e [(&'e str, &'e str)]) -> Self {
        Self {
            known,
            hashes: Vec::new(),
            has_unknown: false,
        }
    }
}

impl<'de> Members<'de> for Others<'_, 'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        match self.known.iter().find(|(known, _)| *known == name) {
            Some((_, token)) => {
                let hash = Loose::next(value, faults)?;
                self.hashes.push((token, Some(hash)));
                Ok(())
            }
            None => {
                self.has_unknown = true;
                json_object::skip(value, faults)
            }
        }
    }
}
