//! The JOSE header. Spec: RFC 7515 §4.

use plastron_bundle::JsonError;
use plastron_bundle::json_object::{self, Faults, Loose, Members};
use plastron_keys::JwsAlgorithm;
use serde::de::MapAccess;

use super::Fault;

/// What the header says.
#[derive(Debug)]
pub(crate) struct Header<'h> {
    pub(crate) algorithm: JwsAlgorithm,
    members: HeaderMembers<'h>,
}

impl<'h> Header<'h> {
    /// Reads a header; the algorithm is judged before anything else in it (JWT-06, WIT-07).
    pub(crate) fn parse(json: &'h [u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(json).map_err(|_| Fault::Header(JsonError::Syntax))?;
        let mut members = HeaderMembers::default();
        json_object::read(text, &mut members).map_err(Fault::Header)?;
        let algorithm = match &members.alg {
            Some(Loose::Text(alg)) => alg.parse().map_err(|_| Fault::Algorithm)?,
            _ => return Err(Fault::Algorithm),
        };
        Ok(Self { algorithm, members })
    }

    /// Whether `typ` is one of `types`, or is missing and may be. Case counts (JWT-13, WIT-05, AMB-21, AMB-26).
    pub(crate) fn is_of(&self, types: &[&str], may_be_missing: bool) -> bool {
        match &self.members.typ {
            None => may_be_missing,
            Some(Loose::Text(typ)) => types.contains(&&**typ),
            Some(_) => false,
        }
    }

    /// `kid`, a string where it is there (WIT-03).
    pub(crate) fn key_id(&self) -> Result<Option<&str>, Fault> {
        match &self.members.kid {
            None => Ok(None),
            Some(Loose::Text(kid)) => Ok(Some(kid)),
            Some(_) => Err(Fault::Header(JsonError::Syntax)),
        }
    }

    /// `crit` where it is there, else the first member that brings a key along, says that the payload is something else, or that something must be
    /// understood that is not (JWT-14, JWT-15, AMB-22).
    pub(crate) fn dangerous(&self) -> Option<&'static str> {
        self.members.dangerous
    }

    /// Whether there are members beside `alg`, `kid` and `typ`.
    pub(crate) fn has_others(&self) -> bool {
        self.members.has_others
    }
}

#[derive(Debug, Default)]
struct HeaderMembers<'h> {
    alg: Option<Loose<'h>>,
    kid: Option<Loose<'h>>,
    typ: Option<Loose<'h>>,
    dangerous: Option<&'static str>,
    has_others: bool,
}

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
                if self.dangerous.is_none() || dangerous == Some("crit") {
                    self.dangerous = dangerous.or(self.dangerous);
                }
                self.has_others = true;
                json_object::skip(value, faults)?;
            }
        }
        Ok(())
    }
}
