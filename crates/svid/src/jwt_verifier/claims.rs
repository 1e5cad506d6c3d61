//! The claims of a JWT-SVID. Spec: JWT-SVID §3.

use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::json_object::{self, Faults, Loose, Members};
use plastron_id::SpiffeIdRef;
use serde::de::MapAccess;

use super::JwtError;
use crate::token::{self, Audience, SubjectPlace, TimeClaims, Times};

/// The claims of one token, as far as they matter. Reading them judges nothing yet.
pub(super) struct Claims<'p> {
    sub: Option<Loose<'p>>,
    audience: Option<Audience>,
    times: TimeClaims<'p>,
}

impl<'p> Claims<'p> {
    /// Reads a payload, and compares its audience on the way.
    pub(super) fn parse(payload: &'p str, expected: &[&str]) -> Result<Self, JwtError> {
        let mut reader = ClaimsReader {
            expected,
            claims: Self {
                sub: None,
                audience: None,
                times: TimeClaims::default(),
            },
        };
        json_object::read(payload, &mut reader).map_err(JwtError::Claims)?;
        Ok(reader.claims)
    }

    /// The subject, which says whose keys to take (JWT-18, JWT-19).
    pub(super) fn subject(&self, allow_missing_path: bool) -> Result<SpiffeIdRef<'_>, JwtError> {
        Ok(token::subject(&self.sub, allow_missing_path)?)
    }

    /// Where the subject lies in `payload`, which these claims were read from.
    pub(super) fn subject_place(&self, payload: &str) -> SubjectPlace {
        SubjectPlace::new(&self.sub, payload)
    }

    /// Judges times and audience (JWT-21, JWT-22, JWT-26 to JWT-31); only to be called once the signature holds.
    pub(super) fn check(&self, now: UnixTime, leeway: Duration) -> Result<Times, JwtError> {
        let times = self.times.check(now, leeway, leeway)?;
        match self.audience {
            Some(Audience::Matches) => Ok(times),
            Some(Audience::Differs) => Err(JwtError::Audience),
            Some(Audience::Empty | Audience::Malformed) | None => Err(JwtError::AudienceMissing),
        }
    }
}

struct ClaimsReader<'e, 'p> {
    expected: &'e [&'e str],
    claims: Claims<'p>,
}

impl<'de> Members<'de> for ClaimsReader<'_, 'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        let claims = &mut self.claims;
        let claim = match name {
            "sub" => &mut claims.sub,
            "exp" => &mut claims.times.exp,
            "nbf" => &mut claims.times.nbf,
            "iat" => &mut claims.times.iat,
            "aud" => {
                claims.audience = Some(Audience::read(self.expected, value, faults)?);
                return Ok(());
            }
            _ => return json_object::skip(value, faults),
        };
        *claim = Some(Loose::next(value, faults)?);
        Ok(())
    }
}
