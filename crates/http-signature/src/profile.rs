//! What a signature has to cover. Spec: draft-ietf-wimse-http-signature-06 §2 (WIT-53).

use crate::{HttpRequest, HttpSignatureError as Error, content_digest};

/// The field of the token (WIT-47).
const TOKEN: &str = "workload-identity-token";

/// Fields that are covered where they are there, each of which may come once. Two values of one could be told apart neither
/// in the signature base nor by all who read them. Spec: RFC 9421 §7.5.7.
const FIELDS: [&str; 5] = [
    "content-type",
    "content-digest",
    "authorization",
    "txn-token",
    TOKEN,
];

/// The components that a signature of this request must cover, once the request is one that can be signed: with a token,
/// which is not in `authorization` (WIT-35), and a digest of its body.
pub(crate) fn components(request: &HttpRequest<'_>) -> Result<Vec<&'static str>, Error> {
    let mut components = vec!["@method", "@request-target"];
    for name in FIELDS {
        if request.has(name)? {
            components.push(name);
        }
    }
    let token = request.sole_field(TOKEN)?;
    if components.contains(&"authorization") && request.sole_field("authorization")?.contains(token)
    {
        return Err(Error::TokenInAuthorization);
    }
    content_digest::check(request)?;
    Ok(components)
}
