//! Claims that several kinds of token have. Spec: RFC 7519 §4.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::json_object::{Faults, Loose};
use plastron_id::SpiffeIdRef;
use serde::de::MapAccess;

use super::{Fault, SubjectFault};

/// What `aud` says to whoever expects certain values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Audience {
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
    pub(crate) fn read<'de, A: MapAccess<'de>>(
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

/// The claims about time, as they were read.
#[derive(Debug, Default)]
pub(crate) struct TimeClaims<'p> {
    pub(crate) exp: Option<Loose<'p>>,
    pub(crate) nbf: Option<Loose<'p>>,
    pub(crate) iat: Option<Loose<'p>>,
}

/// When a token is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The first second at which it is not.
    pub(crate) expires_at: u64,
    #[cfg(feature = "wit")]
    pub(crate) not_before: Option<u64>,
    pub(crate) issued_at: Option<u64>,
}

impl TimeClaims<'_> {
    /// Judges them, with so much leeway on `exp` and on `nbf`; only to be called once the signature holds.
    pub(crate) fn check(
        &self,
        now: UnixTime,
        leeway: Duration,
        nbf_leeway: Duration,
    ) -> Result<Times, Fault> {
        let now = now.as_secs();
        let exp = self.exp.as_ref().ok_or(Fault::ExpiryMissing)?;
        let expires_at = seconds(exp).ok_or(Fault::ExpiryMissing)?;
        if now >= expires_at.saturating_add(leeway.as_secs()) {
            return Err(Fault::Expired { expires_at, now });
        }
        let not_before = match &self.nbf {
            Some(nbf) => Some(seconds(nbf).ok_or(Fault::NotBefore)?),
            None => None,
        };
        if let Some(not_before) = not_before
            && now.saturating_add(nbf_leeway.as_secs()) < not_before
        {
            return Err(Fault::NotYetValid { not_before, now });
        }
        Ok(Times {
            expires_at,
            #[cfg(feature = "wit")]
            not_before,
            // Informative, so that a bad one is as good as none (JWT-31, WIT-23, AMB-43).
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

/// The subject, which says whose keys to take (JWT-18, JWT-19, WIT-10).
pub(crate) fn subject<'s>(
    sub: &'s Option<Loose<'_>>,
    allow_missing_path: bool,
) -> Result<SpiffeIdRef<'s>, SubjectFault> {
    let Some(Loose::Text(sub)) = sub else {
        return Err(SubjectFault::Missing);
    };
    let id = SpiffeIdRef::parse(sub).map_err(SubjectFault::Malformed)?;
    if id.path().is_empty() && !allow_missing_path {
        return Err(SubjectFault::WithoutPath);
    }
    Ok(id)
}

/// Where the subject is found once the claims are gone.
#[derive(Clone, Debug)]
pub(crate) enum SubjectPlace {
    /// In the payload, as it stands.
    Payload(Range<usize>),
    /// Not there, since it was written with escapes.
    Own(Box<str>),
}

impl SubjectPlace {
    /// Where `sub` lies in `payload`, which it was read from.
    pub(crate) fn new(sub: &Option<Loose<'_>>, payload: &str) -> Self {
        match sub {
            Some(Loose::Text(Cow::Borrowed(sub))) => {
                let start = sub.as_ptr() as usize - payload.as_ptr() as usize;
                Self::Payload(start..start + sub.len())
            }
            Some(Loose::Text(Cow::Owned(sub))) => Self::Own(sub.as_str().into()),
            _ => Self::Own(Box::default()),
        }
    }

    /// The SPIFFE ID, which was parsed when the token was verified.
    pub(crate) fn id<'p>(&'p self, payload: &'p str) -> SpiffeIdRef<'p> {
        let subject = match self {
            Self::Payload(range) => &payload[range.clone()],
            Self::Own(subject) => subject,
        };
        SpiffeIdRef::parse(subject).expect("parsed when the token was verified")
    }
}
