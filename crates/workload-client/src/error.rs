//! What can go wrong between a workload and its agent.

use tonic::{Code, Status};

use crate::ResponseError;

/// Why a call has no result.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The agent refused, or could not be reached (`Unavailable`).
    #[error("the Workload API says {code:?}: {message}")]
    Status {
        /// The code. What to do about it: requirements §11.2.
        code: Code,
        /// The agent's words.
        message: String,
    },
    /// The agent's answer breaks the rules.
    #[error("an unusable answer of the Workload API")]
    Response(#[from] ResponseError),
}

impl ClientError {
    /// The status code, if it was one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::Response(_) => None,
        }
    }

    /// Whether the caller has no identity, or not the one he asked for.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        self.code() == Some(Code::PermissionDenied)
    }

    /// Whether the agent does not have the call, or has its profile off. It is not tried again (WAPI-59).
    #[must_use]
    pub fn is_unimplemented(&self) -> bool {
        self.code() == Some(Code::Unimplemented)
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Status {
            code: status.code(),
            message: words(&status),
        }
    }
}

/// A status's message; where tonic made the status, with what lay below it.
fn words(status: &Status) -> String {
    let mut words = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = error.source();
    }
    words
}
