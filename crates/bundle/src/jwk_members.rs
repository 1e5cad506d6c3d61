//! The members of a JWK that say which key it is, as they come out of JSON.

use std::borrow::Cow;

use plastron_keys::{Jwk, PublicKey, PublicKeyError};
use serde::de::MapAccess;

use crate::json_object::{self, Faults, Loose};

/// What was read of them. Nothing is judged before it is asked for.
#[derive(Clone, Debug, Default)]
pub struct JwkMembers<'a> {
    kty: Option<Cow<'a, str>>,
    crv: Option<Cow<'a, str>>,
    x: Option<Cow<'a, str>>,
    y: Option<Cow<'a, str>>,
    n: Option<Cow<'a, str>>,
    e: Option<Cow<'a, str>>,
    is_secret: bool,
}

/// Why members are not those of a public key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JwkError {
    /// `kty` is missing, or names nothing known.
    KeyType(Option<Box<str>>),
    /// This member is missing or has the wrong type.
    Member(&'static str),
    /// There are members of a private or symmetric key.
    Secret,
    /// They are not those of a usable key.
    PublicKey(PublicKeyError),
}

impl<'a> JwkMembers<'a> {
    /// Takes the value of a member, unless it is not one of these; then the value is still to be taken.
    ///
    /// # Errors
    ///
    /// Whatever `value` says.
    pub fn take<A: MapAccess<'a>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<bool, A::Error> {
        let text = match name {
            "kty" => &mut self.kty,
            "crv" => &mut self.crv,
            "x" => &mut self.x,
            "y" => &mut self.y,
            "n" => &mut self.n,
            "e" => &mut self.e,
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" => {
                self.is_secret = true;
                json_object::skip(value, faults)?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *text = Loose::next(value, faults)?.text();
        Ok(true)
    }

    /// `kty`, where it is a string.
    pub fn kty(&self) -> Option<&str> {
        self.kty.as_deref()
    }

    /// The public key that they are of (JWT-52).
    ///
    /// # Errors
    ///
    /// As [`jwk`](Self::jwk); private members, and members of no usable key.
    pub fn public_key(&self) -> Result<PublicKey, JwkError> {
        if self.is_secret {
            return Err(JwkError::Secret);
        }
        PublicKey::from_jwk(&self.jwk()?).map_err(JwkError::PublicKey)
    }

    /// The public members.
    ///
    /// # Errors
    ///
    /// An unknown `kty`, and one without its members.
    pub fn jwk(&self) -> Result<Jwk<'_>, JwkError> {
        Ok(match self.kty() {
            Some("EC") => Jwk::Ec {
                crv: member("crv", &self.crv)?,
                x: member("x", &self.x)?,
                y: member("y", &self.y)?,
            },
            Some("RSA") => Jwk::Rsa {
                n: member("n", &self.n)?,
                e: member("e", &self.e)?,
            },
            Some("OKP") => Jwk::Okp {
                crv: member("crv", &self.crv)?,
                x: member("x", &self.x)?,
            },
            other => return Err(JwkError::KeyType(other.map(Box::from))),
        })
    }
}

fn member<'a>(
    name: &'static str,
    value: &'a Option<Cow<'a, str>>,
) -> Result<Cow<'a, str>, JwkError> {
    let value = value.as_deref().ok_or(JwkError::Member(name))?;
    Ok(Cow::Borrowed(value))
}
