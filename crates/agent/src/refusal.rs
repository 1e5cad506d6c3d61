//! What callers are told when they get nothing: the one place where the agent's errors become gRPC statuses.

use plastron_attest::{AttestError, PeerLost};
use plastron_workload_api::Refusal;
use tonic::Code;

use crate::{jwt::JwtRefused, upstream::UpstreamError};

/// The caller matches no entry (WAPI-31, WAPI-37, WAPI-45, WAPI-51).
pub(crate) fn no_identity() -> Refusal {
    Refusal::permission_denied("no identity issued: no registration entry matches this process")
}

/// The caller matches no entry by what could be established so far.
pub(crate) fn unfinished() -> Refusal {
    Refusal::unavailable(
        "not all facts about this process could be established yet, and by the others no registration entry matches; try again",
    )
}

/// The caller asked for an identity that it does not have (WAPI-45).
pub(crate) fn not_entitled(spiffe_id: &str) -> Refusal {
    Refusal::permission_denied(format!(
        "no registration entry gives {spiffe_id} to this process"
    ))
}

/// The caller's identity hangs on its program, and the program has not spoken since it was looked at.
pub(crate) fn silent_program() -> Refusal {
    Refusal::unavailable(
        "the program on this connection has not spoken since it was looked at; connect again",
    )
}

/// What is held has expired and nothing newer could be had.
pub(crate) fn expired() -> Refusal {
    Refusal::unavailable("the SVID has expired and could not be renewed")
}

/// The agent is going down.
pub(crate) fn stopping() -> Refusal {
    Refusal::unavailable("the agent is stopping")
}

/// A request that breaks a rule.
pub(crate) fn invalid(what: impl Into<String>) -> Refusal {
    Refusal::invalid_argument(what.into())
}

/// The process is not any more what connected, or nothing is known of it any more. A client stops using what it has when
/// its permission is denied, so that is for callers who are seen to be somebody else.
pub(crate) fn from_lost(lost: &PeerLost) -> Refusal {
    let code = match lost {
        PeerLost::Exited | PeerLost::Unobservable => Code::Unavailable,
        _ => Code::PermissionDenied,
    };
    Refusal::new(code, lost.to_string())
}

/// The caller could not be looked at.
pub(crate) fn from_attest(error: &AttestError) -> Refusal {
    match error {
        AttestError::Lost(lost) => from_lost(lost),
        error => Refusal::unavailable(format!("the process could not be attested: {error}")),
    }
}

/// Nobody signed.
pub(crate) fn from_upstream(error: &UpstreamError) -> Refusal {
    Refusal::unavailable(error.to_string())
}

/// No JWT-SVID.
pub(crate) fn from_jwt(refused: &JwtRefused) -> Refusal {
    match refused {
        JwtRefused::TooMany { per_second } => Refusal::unavailable(format!(
            "this user's allowance of {per_second} new JWT-SVIDs a second is spent; try again"
        )),
        JwtRefused::Upstream(error) => from_upstream(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_seen_to_be_somebody_else_is_denied_permission() {
        for (lost, want) in [
            (PeerLost::Exited, Code::Unavailable),
            (PeerLost::Unobservable, Code::Unavailable),
            (PeerLost::ProgramChanged, Code::PermissionDenied),
            (PeerLost::IdsChanged, Code::PermissionDenied),
            (PeerLost::FactsChanged, Code::PermissionDenied),
            (PeerLost::ForeignWriter { pid: 7 }, Code::PermissionDenied),
            (PeerLost::UnknownWriter, Code::PermissionDenied),
        ] {
            for refusal in [from_lost(&lost), from_attest(&AttestError::Lost(lost))] {
                assert_eq!(refusal.code, want, "{lost:?}");
                assert_eq!(refusal.message, lost.to_string());
            }
        }
    }
}
