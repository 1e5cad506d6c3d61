//! What a signature says of itself. Spec: RFC 9421 §2.3; draft-ietf-wimse-http-signature-06 §2.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::HttpSignatureError as Error;
use crate::structured::{self, Value};

/// The `tag` of the signatures of the profile, by which they are found.
pub const TAG: &str = "wimse-workload-to-workload";

/// The parameters that every signature of the profile has, but for its `tag`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignatureParameters<'p> {
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The first second at which it is no longer valid.
    pub expires: u64,
    /// What tells it from all others.
    pub nonce: Cow<'p, str>,
    /// Who it is for, `wimse-aud`.
    pub audience: Cow<'p, str>,
}

impl<'p> SignatureParameters<'p> {
    /// Reads the parameters of a signature. Those that the profile does not know are covered and say nothing.
    pub(crate) fn read(parameters: &structured::Parameters<'p>) -> Result<Self, Error> {
        for forbidden in ["keyid", "alg"] {
            if find(parameters, forbidden).is_ok() {
                return Err(Error::ParameterForbidden(forbidden));
            }
        }
        let seconds = |name| match find(parameters, name)? {
            Value::Integer(seconds) => u64::try_from(*seconds).map_err(|_| Error::Parameter(name)),
            _ => Err(Error::Parameter(name)),
        };
        let text = |name| match find(parameters, name)? {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(Error::Parameter(name)),
        };
        let read = Self {
            created: seconds("created")?,
            expires: seconds("expires")?,
            nonce: text("nonce")?,
            audience: text("wimse-aud")?,
        };
        read.check()?;
        Ok(read)
    }

    /// The parameters as they stand behind the list of components.
    pub(crate) fn write(&self) -> Result<String, Error> {
        self.check()?;
        let mut text = format!(";created={};expires={}", self.created, self.expires);
        for (name, value) in [
            ("nonce", &*self.nonce),
            ("tag", TAG),
            ("wimse-aud", &*self.audience),
        ] {
            let value = value.replace('\\', r"\\").replace('"', "\\\"");
            write!(text, r#";{name}="{value}""#).expect("written into memory");
        }
        Ok(text)
    }

    fn check(&self) -> Result<(), Error> {
        for (name, value) in [("nonce", &self.nonce), ("wimse-aud", &self.audience)] {
            if value.is_empty() || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return Err(Error::Parameter(name));
            }
        }
        if self.created > MAX_INTEGER {
            return Err(Error::Parameter("created"));
        }
        if self.expires < self.created || self.expires > MAX_INTEGER {
            return Err(Error::Parameter("expires"));
        }
        Ok(())
    }
}

/// The largest integer that a structured field has. Spec: RFC 9651 §3.3.1.
const MAX_INTEGER: u64 = 999_999_999_999_999;

/// Whether the signature with these parameters is one of the profile.
pub(crate) fn is_of_profile(parameters: &structured::Parameters<'_>) -> bool {
    matches!(find(parameters, "tag"), Ok(Value::Text(tag)) if tag == TAG)
}

/// Whether the sender takes no answer that is not signed.
pub(crate) fn wants_signed_response(
    parameters: &structured::Parameters<'_>,
) -> Result<bool, Error> {
    const NAME: &str = "wimse-sign-response";
    match find(parameters, NAME) {
        Ok(Value::Boolean(wanted)) => Ok(*wanted),
        Ok(_) => Err(Error::Parameter(NAME)),
        Err(_) => Ok(false),
    }
}

fn find<'a, 'p>(
    parameters: &'a structured::Parameters<'p>,
    name: &'static str,
) -> Result<&'a Value<'p>, Error> {
    let found = parameters.iter().find(|(other, _)| *other == name);
    found
        .map(|(_, value)| value)
        .ok_or(Error::ParameterMissing(name))
}
