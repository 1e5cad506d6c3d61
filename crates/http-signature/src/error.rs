//! Why a request is not signed, or may not be.

/// What of the profile a request or its signature breaks.
///
/// What is wrong lies with whoever made the request; where one is about to be signed, that is oneself.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpSignatureError {
    /// The method is not a token, or the request target has characters that none may have: a mistake of the caller's.
    #[error("{0} is not that of an HTTP request")]
    RequestLine(&'static str),
    /// The request lacks a field that it must have: `signature-input`, `signature` or `workload-identity-token`.
    #[error("no field {0}")]
    FieldMissing(&'static str),
    /// A field that says one thing comes several times (WIT-47).
    #[error("field {0} comes more than once")]
    FieldRepeated(&'static str),
    /// A field has bytes that are not visible ASCII, spaces or tabs; folded lines are among these.
    #[error("field {0} has bytes that are not visible ASCII")]
    FieldBytes(Box<str>),
    /// A field is longer than [`MAX_FIELD_LEN`](crate::MAX_FIELD_LEN), or, where signatures are in it, than
    /// [`MAX_SIGNATURE_FIELD_LEN`](crate::MAX_SIGNATURE_FIELD_LEN).
    #[error("field {field} of {len} bytes")]
    FieldTooLong {
        /// The field.
        field: Box<str>,
        /// Bytes received.
        len: usize,
    },
    /// A field is not a structured field as it would be written anew. Spec: RFC 9651 §4.1.
    #[error("field {field} is malformed at byte {at}")]
    Malformed {
        /// The field.
        field: &'static str,
        /// Where, in bytes from the start.
        at: usize,
    },
    /// A field has more members, items or parameters than are read.
    #[error("field {field} with more than {most} {what}")]
    TooMany {
        /// The field.
        field: &'static str,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// A label, a parameter or a component comes twice, so that it could be read in two ways.
    #[error("{0} comes twice")]
    Duplicate(Box<str>),
    /// No signature has the tag of the profile.
    #[error("no signature has the tag {TAG}", TAG = crate::TAG)]
    NoSignature,
    /// Several signatures have the tag of the profile.
    #[error("several signatures have the tag {TAG}", TAG = crate::TAG)]
    SeveralSignatures,
    /// The field `signature` has none under the label that `signature-input` has.
    #[error("no signature under its label")]
    LabelMissing,
    /// A component is covered that is none of a request, or that is not read here: a derived one other than `@method` and
    /// `@request-target`, one with parameters, or a name that is not in lower case.
    #[error("component {0} is not supported")]
    Component(Box<str>),
    /// A field is covered that the request does not have.
    #[error("component {0} is not in the request")]
    ComponentAbsent(Box<str>),
    /// A component that must be covered is not.
    #[error("component {0} is not covered")]
    Uncovered(&'static str),
    /// A parameter that must be there is not.
    #[error("no parameter {0}")]
    ParameterMissing(&'static str),
    /// A parameter that the profile forbids: `keyid` or `alg`.
    #[error("parameter {0} is forbidden")]
    ParameterForbidden(&'static str),
    /// A parameter is of another type, empty, or cannot be: a string that is not visible ASCII, or an end before its
    /// beginning.
    #[error("parameter {0} has no value that it may have")]
    Parameter(&'static str),
    /// The request has a body, and no `content-digest`.
    #[error("a body without content-digest")]
    DigestMissing,
    /// `content-digest` has no digest by SHA-256 or SHA-512.
    #[error("content-digest with neither sha-256 nor sha-512")]
    DigestAlgorithm,
    /// `content-digest` is not of this body (WIT-39).
    #[error("content-digest is not of the body")]
    Digest,
    /// The token is in `authorization`, where it never is (WIT-35).
    #[error("the token is in the field authorization")]
    TokenInAuthorization,
}

impl HttpSignatureError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::FieldRepeated(_) => "WIT-47",
            Self::Digest => "WIT-39",
            Self::TokenInAuthorization => "WIT-35",
            _ => "WIT-53",
        }
    }
}
