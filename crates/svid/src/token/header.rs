//! The JOSE header. Spec: JWT-SVID §2; RFC 7515 §4.

use std::borrow::Cow;

use plastron_bundle::JsonError;
use plastron_bundle::json_object::{self, Faults, Loose, Members};
use plastron_keys::JwsAlgorithm;
use serde::de::MapAccess;

use super::JwtError;

/// What the header says.
#[derive(Debug)]
pub(super) struct Header<'h> {
    pub(super) algorithm: JwsAlgorithm,
    pub(super) key_id: Option<Cow<'h, str>>,
}

impl<'h> Header<'h> {
    /// Reads a header; the algorithm is judged before anything else in it (JWT-06).
    pub(super) fn parse(json: &'h [u8], strict: bool) -> Result<Self, JwtError> {
        let text = std::str::from_utf8(json).map_err(|_| JwtError::Header(JsonError::Syntax))?;
        let mut members = HeaderMembers::default();
        json_object::read(text, &mut members).map_err(JwtError::Header)?;
        let algorithm = match members.alg {
            Some(Loose::Text(alg)) => alg.parse().map_err(|_| JwtError::Algorithm)?,
            _ => return Err(JwtError::Algorithm),
        };
        match members.typ {
            None => (),
            Some(Loose::Text(typ)) if typ == "JWT" || typ == "JOSE" => (),
            Some(_) => return Err(JwtError::Type),
        }
        if let Some(member) = members.dangerous {
            return Err(JwtError::HeaderMember { member });
        }
        if strict && members.has_others {
            return Err(JwtError::UnknownHeaderMember);
        }
        let key_id = match members.kid {
            None => None,
            Some(Loose::Text(kid)) => Some(kid),
            Some(_) => return Err(JwtError::Header(JsonError::Syntax)),
        };
        Ok(Self { algorithm, key_id })
    }
}

#[derive(Default)]
struct HeaderMembers<'h> {
    alg: Option<Loose<'h>>,
    kid: Option<Loose<'h>>,
    typ: Option<Loose<'h>>,
    /// The first member that must not be there.
    dangerous: Option<&'static str>,
    has_others: bool,
}

/// Members that bring a key along, say that the payload is something else, or that something must be understood that is
/// not (JWT-14, JWT-15, AMB-22).
const DANGEROUS: [&str; 8] = ["crit", "b64", "jwk", "jku", "x5c", "x5u", "zip", "enc"];

impl<'de> Members<'de> for HeaderMembers<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error> {
        match name {
            "alg" => self.alg = Some(Loose::next(value, faults)?),
            "kid" => self.kid = Some(Loose::next(value, faults)?),
            "typ" => self.typ = Some(Loose::next(value, faults)?),
            _ => {
                let dangerous = DANGEROUS.into_iter().find(|dangerous| *dangerous == name);
                self.dangerous = self.dangerous.or(dangerous);
                self.has_others = true;
                json_object::skip(value, faults)?;
            }
        }
        Ok(())
    }
}
