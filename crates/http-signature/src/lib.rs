//! HTTP Message Signatures of requests, as WIMSE profiles them for workloads: what a signature must cover, what it says of
//! itself, and the bytes that are signed.
//!
//! No key is here, no clock, and nobody's expectation: `plastron-mint` signs, and `plastron-svid` verifies. Both call this
//! for what they have to agree on.
//!
//! ```
//! use plastron_http_signature::{HttpRequest, HttpSignature, SignatureParameters, ToSign, content_digest};
//!
//! let body = b"{}";
//! let digest = content_digest(body);
//! let mut fields = vec![
//!     ("Content-Digest", digest.as_bytes()),
//!     ("Workload-Identity-Token", b"a.b.c"),
//! ];
//! let parameters = SignatureParameters {
//!     created: 1_700_000_000,
//!     expires: 1_700_000_010,
//!     nonce: "n-1".into(),
//!     audience: "https://payments.example/pay".into(),
//! };
//! let request = HttpRequest::new("POST", "/pay?n=1", &fields).body(body);
//! let to_sign = ToSign::new(&request, &parameters)?;
//! let signed = to_sign.fields(b"a signature of to_sign.base()");
//!
//! fields.push(("Signature-Input", signed.signature_input.as_bytes()));
//! fields.push(("Signature", signed.signature.as_bytes()));
//! let received = HttpSignature::of(&HttpRequest::new("POST", "/pay?n=1", &fields).body(body))?;
//! assert_eq!(received.base, to_sign.base());
//! # Ok::<(), plastron_http_signature::HttpSignatureError>(())
//! ```
//!
//! Tier 1. Work is bounded by the length of the request and by the limits that stand here as constants. Left out: responses;
//! derived components other than the two that WIMSE asks for; parameters of components, which would cover something else
//! than what is received.
//!
//! Spec: RFC 9421; RFC 9530; draft-ietf-wimse-http-signature-06 (WIT-53).

mod base;
mod content_digest;
mod error;
mod parameters;
mod profile;
mod request;
mod signature;
mod structured;
mod to_sign;

pub use content_digest::content_digest;
pub use error::HttpSignatureError;
pub use parameters::{SignatureParameters, TAG};
pub use request::{HttpRequest, MAX_FIELD_LEN};
pub use signature::{HttpSignature, MAX_SIGNATURE_FIELD_LEN};
pub use structured::{MAX_ITEMS, MAX_MEMBERS, MAX_PARAMETERS};
pub use to_sign::{SignedFields, ToSign};
