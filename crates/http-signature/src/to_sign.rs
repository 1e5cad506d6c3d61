//! A request that is about to be signed.

use std::fmt;

use base64ct::{Base64, Encoding as _};

use crate::base::signature_base;
use crate::{HttpRequest, HttpSignatureError as Error, SignatureParameters, profile};

/// The label of our signatures. It means nothing to whoever verifies them, and is the one that the draft has.
const LABEL: &str = "wimse";

/// What is signed of a request: the components that the profile asks for, and no others.
#[derive(Clone)]
#[must_use = "nothing is signed until its fields are made"]
pub struct ToSign {
    input: String,
    base: Vec<u8>,
}

impl ToSign {
    /// Collects it. `request` has all fields that it will be sent with but for those of the signature; the token, and where
    /// there is a body its [digest](crate::content_digest), are among them.
    ///
    /// # Errors
    ///
    /// What would make the receiver refuse it.
    ///
    /// Spec: RFC 9421 §3.1; draft-ietf-wimse-http-signature-06 §2 (WIT-53).
    pub fn new(
        request: &HttpRequest<'_>,
        parameters: &SignatureParameters<'_>,
    ) -> Result<Self, Error> {
        let components = profile::components(request)?;
        let mut input = format!("(\"{}\")", components.join("\" \""));
        input.push_str(&parameters.write()?);
        let base = signature_base(request, &components, &input)?;
        Ok(Self { input, base })
    }

    /// The bytes to sign.
    pub fn base(&self) -> &[u8] {
        &self.base
    }

    /// The two fields to add, with this signature in the form of JWS.
    pub fn fields(&self, signature: &[u8]) -> SignedFields {
        SignedFields {
            signature_input: format!("{LABEL}={}", self.input),
            signature: format!("{LABEL}=:{}:", Base64::encode_string(signature)),
        }
    }
}

/// Tokens of others are in what is signed: `Debug` does not show it.
impl fmt::Debug for ToSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToSign")
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

/// The values of the two fields of a signature.
///
/// Whoever has them and the request can use both while they live: `Debug` does not show the signature.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct SignedFields {
    /// `Signature-Input`.
    pub signature_input: String,
    /// `Signature`.
    pub signature: String,
}

impl fmt::Debug for SignedFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedFields")
            .field("signature_input", &self.signature_input)
            .finish_non_exhaustive()
    }
}
