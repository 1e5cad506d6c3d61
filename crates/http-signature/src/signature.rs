//! The signature of a request that was received.

use std::borrow::Cow;
use std::fmt;

use crate::base::signature_base;
use crate::parameters::{is_of_profile, wants_signed_response};
use crate::structured::{InnerList, Reader, Value};
use crate::{HttpRequest, HttpSignatureError as Error, SignatureParameters, profile};

/// The most bytes of `Signature-Input`, and of `Signature`.
pub const MAX_SIGNATURE_FIELD_LEN: usize = 8 * 1024;

/// The one signature of the profile that a request has.
///
/// It covers what it must, its digest is of the body, and its parameters are those of the profile. Whether it is under the
/// right key, in time and for its receiver, nobody has looked at.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct HttpSignature {
    /// What it says of itself.
    pub parameters: SignatureParameters<'static>,
    /// Whether the sender takes no answer that is not signed.
    pub wants_signed_response: bool,
    /// What was signed.
    pub base: Vec<u8>,
    /// The signature, in the form of JWS.
    pub signature: Vec<u8>,
}

impl HttpSignature {
    /// Finds the signature by its tag, whatever its label is.
    ///
    /// # Errors
    ///
    /// The first rule broken. All of it is the peer's: no request panics, or costs more than its length allows.
    ///
    /// Spec: RFC 9421 §3.2, §4; draft-ietf-wimse-http-signature-06 §2 (WIT-39, WIT-53).
    pub fn of(request: &HttpRequest<'_>) -> Result<Self, Error> {
        let input = signature_field(request, "signature-input")?;
        let (label, list) = find(&input)?;
        let parameters = SignatureParameters::read(&list.parameters)?;
        let wants_signed_response = wants_signed_response(&list.parameters)?;
        let covered = covered(&list)?;
        for component in profile::components(request)? {
            if !covered.contains(&component) {
                return Err(Error::Uncovered(component));
            }
        }
        let base = signature_base(request, &covered, list.text)?;
        let signature = labelled(&signature_field(request, "signature")?, label)?;
        Ok(Self {
            parameters: SignatureParameters {
                nonce: parameters.nonce.into_owned().into(),
                audience: parameters.audience.into_owned().into(),
                ..parameters
            },
            wants_signed_response,
            base,
            signature,
        })
    }
}

/// Tokens of others are in what was signed: `Debug` does not show it.
impl fmt::Debug for HttpSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSignature")
            .field("parameters", &self.parameters)
            .field("wants_signed_response", &self.wants_signed_response)
            .finish_non_exhaustive()
    }
}

fn signature_field<'r>(
    request: &HttpRequest<'r>,
    name: &'static str,
) -> Result<Cow<'r, str>, Error> {
    let value = request.field(name, MAX_SIGNATURE_FIELD_LEN)?;
    value.ok_or(Error::FieldMissing(name))
}

/// The label and the list of the one signature with the tag of the profile.
fn find(input: &str) -> Result<(&str, InnerList<'_>), Error> {
    let mut found = None;
    let mut several = false;
    Reader::new("signature-input", input).dictionary(|reader, label| {
        let list = reader.inner_list()?;
        if is_of_profile(&list.parameters) {
            several |= found.is_some();
            found = Some((label, list));
        }
        Ok(())
    })?;
    if several {
        return Err(Error::SeveralSignatures);
    }
    found.ok_or(Error::NoSignature)
}

/// The names of the components that a list covers, each once and without parameters.
fn covered<'l>(list: &'l InnerList<'_>) -> Result<Vec<&'l str>, Error> {
    let mut covered = Vec::with_capacity(list.items.len());
    for (name, parameters) in &list.items {
        let Value::Text(name) = name else {
            return Err(Error::Component("that is not a string".into()));
        };
        if !parameters.is_empty() {
            return Err(Error::Component(name.as_ref().into()));
        }
        if covered.contains(&&**name) {
            return Err(Error::Duplicate(name.as_ref().into()));
        }
        covered.push(&**name);
    }
    Ok(covered)
}

/// The signature under this label.
fn labelled(signatures: &str, label: &str) -> Result<Vec<u8>, Error> {
    let mut found = None;
    Reader::new("signature", signatures).dictionary(|reader, other| {
        let signature = reader.bytes()?;
        reader.parameters()?;
        if other == label {
            found = Some(signature);
        }
        Ok(())
    })?;
    found.ok_or(Error::LabelMissing)
}
