//! The claims of a WIT-SVID. Spec: WIT-SVID §3; RFC 7800 §3.2.

use std::borrow::Cow;
use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::json_object::{self, Faults, Loose, Members, PerhapsObject};
use plastron_bundle::jwk_members::{JwkError, JwkMembers};
use plastron_id::SpiffeIdRef;
use plastron_keys::{JwsAlgorithm, PublicKey};
use serde::de::MapAccess;

use super::WitError;
use crate::token::{self, SubjectPlace, TimeClaims, Times};

/// The claims of one token, as far as they matter. Reading them judges nothing yet; others are ignored (WIT-29).
#[derive(Default)]
pub(crate) struct Claims<'p> {
    sub: Option<Loose<'p>>,
    has_audience: bool,
    times: TimeClaims<'p>,
    cnf: Option<Cnf<'p>>,
}

/// The key that whoever presents the token must hold, and the algorithm that he proves it with.
#[derive(Clone, Debug)]
pub(crate) struct Confirmation {
    pub(crate) algorithm: JwsAlgorithm,
    pub(crate) key: PublicKey,
}

impl<'p> Claims<'p> {
    pub(crate) fn parse(payload: &'p str) -> Result<Self, WitError> {
        let mut claims = Self::default();
        json_object::read(payload, &mut claims).map_err(WitError::Claims)?;
        Ok(claims)
    }

    /// The subject, which says whose keys to take (WIT-10).
    pub(crate) fn subject(&self) -> Result<SpiffeIdRef<'_>, WitError> {
        Ok(token::subject(&self.sub, false)?)
    }

    /// Where the subject lies in `payload`, which these claims were read from.
    pub(crate) fn subject_place(&self, payload: &str) -> SubjectPlace {
        SubjectPlace::new(&self.sub, payload)
    }

    /// Judges times and audience; only to be called once the signature holds. `iat` does not matter (WIT-23).
    pub(crate) fn check(&self, now: UnixTime, leeway: Duration) -> Result<Times, WitError> {
        let times = self.times.check(now, leeway, Duration::ZERO)?;
        if self.has_audience {
            return Err(WitError::Audience);
        }
        Ok(times)
    }

    /// The key in `cnf`, which must be there (WIT-11 to WIT-14).
    pub(crate) fn confirmation(&self) -> Result<Confirmation, WitError> {
        let cnf = self.cnf.as_ref().ok_or(WitError::Confirmation)?;
        let jwk = cnf.jwk.as_ref().ok_or(WitError::Confirmation)?;
        if cnf.has_other_keys {
            return Err(WitError::Confirmation);
        }
        let algorithm = jwk.alg.as_ref().and_then(|alg| alg.parse().ok());
        let algorithm: JwsAlgorithm = algorithm.ok_or(WitError::ConfirmationAlgorithm)?;
        let key = jwk.key.public_key().map_err(|error| match error {
            JwkError::Secret => WitError::ConfirmationSecret,
            JwkError::KeyType(_) => WitError::ConfirmationKeyType,
            JwkError::Member(member) => WitError::ConfirmationMember { member },
            JwkError::PublicKey(error) => WitError::ConfirmationKey(error),
        })?;
        if !algorithm.suits(key.kind()) {
            return Err(WitError::ConfirmationMismatch);
        }
        Ok(Confirmation { algorithm, key })
    }
}

impl<'de> Members<'de> for Claims<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        let claim = match name {
            "sub" => &mut self.sub,
            "exp" => &mut self.times.exp,
            "nbf" => &mut self.times.nbf,
            "iat" => &mut self.times.iat,
            "cnf" => {
                let mut cnf = Cnf::default();
                let is_object = value.next_value_seed(PerhapsObject::new(&mut cnf, faults))?;
                self.cnf = is_object.then_some(cnf);
                return Ok(());
            }
            "aud" => {
                self.has_audience = true;
                return json_object::skip(value, faults);
            }
            _ => return json_object::skip(value, faults),
        };
        *claim = Some(Loose::next(value, faults)?);
        Ok(())
    }
}

/// The members of `cnf`.
#[derive(Default)]
struct Cnf<'p> {
    jwk: Option<ConfirmationJwk<'p>>,
    /// It has a key in another form too, and there may be one key only. Spec: RFC 7800 §3.1.
    has_other_keys: bool,
}

impl<'de> Members<'de> for Cnf<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        match name {
            "jwk" => {
                let mut jwk = ConfirmationJwk::default();
                let is_object = value.next_value_seed(PerhapsObject::new(&mut jwk, faults))?;
                self.jwk = is_object.then_some(jwk);
                Ok(())
            }
            "jwe" | "jku" => {
                self.has_other_keys = true;
                json_object::skip(value, faults)
            }
            _ => json_object::skip(value, faults),
        }
    }
}

/// The members of `cnf.jwk`.
#[derive(Default)]
struct ConfirmationJwk<'p> {
    alg: Option<Cow<'p, str>>,
    key: JwkMembers<'p>,
}

impl<'de> Members<'de> for ConfirmationJwk<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        if name == "alg" {
            self.alg = Loose::next(value, faults)?.text();
            return Ok(());
        }
        if self.key.take(name, value, faults)? {
            return Ok(());
        }
        json_object::skip(value, faults)
    }
}
