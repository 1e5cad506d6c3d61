//! What a caller gets instead of an answer.

use std::borrow::Cow;
use std::fmt;

use tonic::Code;

/// A gRPC status: why a caller does not get what he asked for.
///
/// The codes of this API are few (requirements §11.2): `InvalidArgument` for a request that can never succeed,
/// `PermissionDenied` for a caller without identity, `Unavailable` for whatever may pass, `Unimplemented` for what is
/// not there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The status code.
    pub code: Code,
    /// Words for people. They go to the caller: nothing secret.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with any code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The request can never succeed: repeating it is pointless.
    #[must_use]
    pub fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// The caller has no identity, or not the one he asked for.
    #[must_use]
    pub fn permission_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }

    /// It may work later.
    #[must_use]
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// There is no such call here, or its profile is off.
    #[must_use]
    pub fn unimplemented(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unimplemented, message)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}
