//! The claims that SPIFFE defines. Spec: JWT-SVID §3; RFC 7519 §4.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::json_object::{self, Faults, Loose, Members};
use plastron_id::SpiffeIdRef;
use serde::de::MapAccess;

use super::JwtError;

/// The claims of one token, as far as they matter. Reading them judges nothing yet.
pub(super) struct Claims<'p> {
    sub: Option<Loose<'p>>,
    audience: Option<Audience>,
    exp: Option<Loose<'p>>,
    nbf: Option<Loose<'p>>,
    iat: Option<Loose<'p>>,
}

/// What `aud` says to whoever expects certain values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Audience {
    /// One of the values is expected.
    Matches,
    /// There are values, and none of them is expected.
    Differs,
    /// An empty list.
    Empty,
    /// Neither a string nor a list of strings.
    Malformed,
}

impl Audience {
    /// Reads `aud`, one string or a list of them (JWT-20, AMB-46).
    fn read<'de, A: MapAccess<'de>>(
        expected: &[&str],
        value: &mut A,
        faults: &Faults,
    ) -> Result<Self, A::Error> {
        let judge = |value: &Loose<'_>| match value {
            Loose::Text(value) if expected.contains(&&**value) => Self::Matches,
            Loose::Text(_) => Self::Differs,
            _ => Self::Malformed,
        };
        let mut all = Self::Empty;
        let value = Loose::next_list(value, faults, |element| {
            all = match (all, judge(&element)) {
                (Self::Malformed, _) | (_, Self::Malformed) => Self::Malformed,
                (Self::Matches, _) | (_, Self::Matches) => Self::Matches,
                _ => Self::Differs,
            };
        })?;
        Ok(match value {
            Loose::List => all,
            single => judge(&single),
        })
    }
}

/// When a token is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The first second at which it is not.
    pub(super) expires_at: u64,
    pub(super) issued_at: Option<u64>,
}

/// Where the subject is found once the claims are gone.
#[derive(Clone, Debug)]
pub(super) enum SubjectPlace {
    /// In the payload, as it stands.
    Payload(Range<usize>),
    /// Not there, since it was written with escapes.
    Own(Box<str>),
}

impl SubjectPlace {
    pub(super) fn of<'p>(&'p self, payload: &'p str) -> &'p str {
        match self {
            Self::Payload(range) => &payload[range.clone()],
            Self::Own(subject) => subject,
        }
    }
}

impl<'p> Claims<'p> {
    /// Reads a payload, and compares its audience on the way.
    pub(super) fn parse(payload: &'p str, expected: &[&str]) -> Result<Self, JwtError> {
        let mut reader = ClaimsReader {
            expected,
            claims: Self {
                sub: None,
                audience: None,
                exp: None,
                nbf: None,
                iat: None,
            },
        };
        json_object::read(payload, &mut reader).map_err(JwtError::Claims)?;
        Ok(reader.claims)
    }

    /// The subject, which says whose keys to take (JWT-18, JWT-19).
    pub(super) fn subject(&self, allow_missing_path: bool) -> Result<SpiffeIdRef<'_>, JwtError> {
        let Some(Loose::Text(sub)) = &self.sub else {
            return Err(JwtError::SubjectMissing);
        };
        let id = SpiffeIdRef::parse(sub).map_err(JwtError::Subject)?;
        if id.path().is_empty() && !allow_missing_path {
            return Err(JwtError::SubjectWithoutPath);
        }
        Ok(id)
    }

    /// Where the subject lies in `payload`, which these claims were read from.
    pub(super) fn subject_place(&self, payload: &str) -> SubjectPlace {
        match &self.sub {
            Some(Loose::Text(Cow::Borrowed(sub))) => {
                let start = sub.as_ptr() as usize - payload.as_ptr() as usize;
                SubjectPlace::Payload(start..start + sub.len())
            }
            Some(Loose::Text(Cow::Owned(sub))) => SubjectPlace::Own(sub.as_str().into()),
            _ => SubjectPlace::Own(Box::default()),
        }
    }

    /// Judges times and audience; only to be called once the signature holds.
    pub(super) fn check(&self, now: UnixTime, leeway: Duration) -> Result<Times, JwtError> {
        let (now, leeway) = (now.as_secs(), leeway.as_secs());
        let exp = self.exp.as_ref().ok_or(JwtError::ExpiryMissing)?;
        let expires_at = seconds(exp).ok_or(JwtError::ExpiryMissing)?;
        if now >= expires_at.saturating_add(leeway) {
            return Err(JwtError::Expired { expires_at, now });
        }
        if let Some(nbf) = &self.nbf {
            let not_before = seconds(nbf).ok_or(JwtError::NotBefore)?;
            if now.saturating_add(leeway) < not_before {
                return Err(JwtError::NotYetValid { not_before, now });
            }
        }
        match self.audience {
            Some(Audience::Matches) => (),
            Some(Audience::Differs) => return Err(JwtError::Audience),
            Some(Audience::Empty | Audience::Malformed) | None => {
                return Err(JwtError::AudienceMissing);
            }
        }
        Ok(Times {
            expires_at,
            // Informative, so that a bad one is as good as none (JWT-31, AMB-43).
            issued_at: self.iat.as_ref().and_then(seconds),
        })
    }
}

/// A NumericDate as the first whole second that is not before it, which is all that a clock of whole seconds can tell.
/// Spec: RFC 7519 §2 (JWT-30).
fn seconds(date: &Loose<'_>) -> Option<u64> {
    match date {
        Loose::Unsigned(seconds) => Some(*seconds),
        Loose::Negative => Some(0),
        // Saturates: what is beyond the range of u64 is beyond any clock.
        Loose::Float(seconds) => Some(seconds.ceil() as u64),
        _ => None,
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
            "exp" => &mut claims.exp,
            "nbf" => &mut claims.nbf,
            "iat" => &mut claims.iat,
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
