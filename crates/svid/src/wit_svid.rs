//! A WIT-SVID of one's own, from the local Workload API: a token, and the private key that it names.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::JsonError;
use plastron_bundle::json_object::{self, Faults, Loose, Members};
use plastron_bundle::jwk_members::JwkMembers;
use plastron_id::SpiffeId;
use plastron_keys::{JwsAlgorithm, KeyBackend, KeyError, Pkcs8Key, PrivateJwk, PrivateKey};
use serde::de::MapAccess;
use zeroize::Zeroizing;

use crate::WitError;
use crate::token::{Compact, Header};
use crate::wit_verifier::{Claims, MAX_WIT_LEN, check_header};

/// The most bytes of a private JWK: one of RSA 8192 takes seven thousand.
const MAX_KEY_LEN: usize = 16 * 1024;

/// A WIT-SVID to present, with its private key; nobody here has looked at its signature.
///
/// Its parts are known to belong together. Clones share them, so that there is one copy of the key, which is wiped with the
/// last clone; `Debug` does not show it. The key is not to be used after the token has expired (WIT-49).
#[derive(Clone)]
pub struct WitSvid {
    parts: Arc<Parts>,
}

struct Parts {
    token: String,
    id: SpiffeId,
    expires_at: UnixTime,
    algorithm: JwsAlgorithm,
    key: Zeroizing<Vec<u8>>,
    hint: Box<str>,
}

impl WitSvid {
    /// Takes what the local Workload API gives, which is trusted to give out good ones: an ID, a token, a private JWK, and
    /// what the operator calls the identity.
    ///
    /// The name says what it is: not for tokens that others present, for which there is
    /// [`WitVerifier`](crate::WitVerifier). All but the signature is checked all the same, without leeway, and that the
    /// parts belong together.
    ///
    /// # Errors
    ///
    /// The first rule broken.
    ///
    /// Spec: Workload API §7.2.1 (WAPI-62, WAPI-63).
    pub fn parse_insecure(
        id: &SpiffeId,
        token: &str,
        private_jwk: &str,
        hint: &str,
        now: UnixTime,
    ) -> Result<Self, WitSvidError> {
        let compact = Compact::split(token, MAX_WIT_LEN).map_err(WitError::from)?;
        let header = compact.header().map_err(WitError::from)?;
        check_header(&Header::parse(&header).map_err(WitError::from)?)?;
        compact.signature().map_err(WitError::from)?;
        let payload = compact.payload().map_err(WitError::from)?;
        let claims = Claims::parse(&payload)?;
        if claims.subject()? != id.as_ref() {
            return Err(WitSvidError::OtherId);
        }
        let times = claims.check(now, Duration::ZERO)?;
        let confirmation = claims.confirmation()?;
        let key = parse_private_jwk(private_jwk)?;
        if *key.public_key() != confirmation.key {
            return Err(WitSvidError::OtherKey);
        }
        Ok(Self {
            parts: Arc::new(Parts {
                token: token.into(),
                id: id.clone(),
                expires_at: UnixTime::since_unix_epoch(Duration::from_secs(times.expires_at)),
                algorithm: confirmation.algorithm,
                key: Zeroizing::new(key.der().to_vec()),
                hint: hint.into(),
            }),
        })
    }

    /// The token, to be presented with a proof and never as a bearer token.
    pub fn token(&self) -> &str {
        &self.parts.token
    }

    /// The SPIFFE ID that it is about.
    pub fn id(&self) -> &SpiffeId {
        &self.parts.id
    }

    /// The first second at which it is no longer valid.
    pub fn expires_at(&self) -> UnixTime {
        self.parts.expires_at
    }

    /// What the operator calls this identity; empty where nothing was said.
    pub fn hint(&self) -> &str {
        &self.parts.hint
    }

    /// The algorithm of its proofs, that of `cnf.jwk.alg`.
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.parts.algorithm
    }

    /// Loads the key that proofs are signed with.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unsupported`] where the backend signs with another algorithm than [`algorithm`](Self::algorithm), and
    /// whatever it says of the key.
    pub fn private_key(&self, backend: &dyn KeyBackend) -> Result<Box<dyn PrivateKey>, KeyError> {
        let key = backend.from_pkcs8(&self.parts.key)?;
        if key.algorithm() != self.parts.algorithm.signature_algorithm() {
            return Err(KeyError::Unsupported);
        }
        Ok(key)
    }
}

impl fmt::Debug for WitSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitSvid")
            .field("id", &self.parts.id)
            .field("expires_at", &self.parts.expires_at.as_secs())
            .field("hint", &self.parts.hint)
            .finish_non_exhaustive()
    }
}

/// Why parts are not a WIT-SVID with its key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WitSvidError {
    /// The token breaks a rule.
    #[error(transparent)]
    Token(#[from] WitError),
    /// The token is about another SPIFFE ID (WAPI-63).
    #[error("the token is about another SPIFFE ID")]
    OtherId,
    /// The private key is not a JSON object with different members, or too long (WAPI-62).
    #[error("unreadable private key")]
    Json(#[from] JsonError),
    /// The private key lacks members of a private JWK, or they do not belong together (WAPI-62).
    #[error("private key: {0}")]
    Key(#[from] KeyError),
    /// The private key is not that of `cnf.jwk` (WAPI-63).
    #[error("the token is about another key")]
    OtherKey,
}

fn parse_private_jwk(json: &str) -> Result<Pkcs8Key, WitSvidError> {
    if json.len() > MAX_KEY_LEN {
        return Err(JsonError::Syntax.into());
    }
    let mut members = PrivateMembers::default();
    json_object::read(json, &mut members)?;
    let PrivateMembers {
        public,
        d,
        primes,
        has_more_primes,
    } = members;
    if has_more_primes {
        return Err(KeyError::Unsupported.into());
    }
    let [p, q, dp, dq, qi] = primes;
    let jwk = PrivateJwk {
        public: public.jwk().map_err(|_| KeyError::Malformed)?,
        d: d.ok_or(KeyError::Malformed)?,
        primes: match (p, q, dp, dq, qi) {
            (Some(p), Some(q), Some(dp), Some(dq), Some(qi)) => Some([p, q, dp, dq, qi]),
            _ => None,
        },
    };
    Ok(Pkcs8Key::from_jwk(&jwk)?)
}

/// The members of a private JWK. Those of RSA beyond `d` are in the order of [`PrivateJwk::PRIMES`].
#[derive(Default)]
struct PrivateMembers<'a> {
    public: JwkMembers<'a>,
    d: Option<Zeroizing<String>>,
    primes: [Option<Zeroizing<String>>; 5],
    has_more_primes: bool,
}

impl<'de> Members<'de> for PrivateMembers<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        let prime = PrivateJwk::PRIMES.iter().position(|prime| *prime == name);
        let secret = match (name, prime) {
            ("d", _) => &mut self.d,
            (_, Some(prime)) => &mut self.primes[prime],
            ("oth", _) => {
                self.has_more_primes = true;
                return json_object::skip(value, faults);
            }
            _ if self.public.take(name, value, faults)? => return Ok(()),
            _ => return json_object::skip(value, faults),
        };
        let text = Loose::next(value, faults)?.text();
        *secret = text.map(|text| Zeroizing::new(text.into_owned()));
        Ok(())
    }
}
