//! Counters of a server, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tonic::Code;

/// What can be called.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// `FetchX509SVID`.
    FetchX509Svid,
    /// `FetchX509Bundles`.
    FetchX509Bundles,
    /// `FetchJWTSVID`.
    FetchJwtSvid,
    /// `FetchJWTBundles`.
    FetchJwtBundles,
    /// `ValidateJWTSVID`.
    ValidateJwtSvid,
    /// `FetchWITSVID`.
    FetchWitSvid,
    /// `FetchWITBundles`.
    FetchWitBundles,
    /// Any method of another service of the server.
    OtherService,
    /// What nobody here answers.
    Unknown,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::FetchX509Svid,
        Self::FetchX509Bundles,
        Self::FetchJwtSvid,
        Self::FetchJwtBundles,
        Self::ValidateJwtSvid,
        Self::FetchWitSvid,
        Self::FetchWitBundles,
        Self::OtherService,
        Self::Unknown,
    ];

    /// The name in the Workload API, or `other` or `unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FetchX509Svid => "FetchX509SVID",
            Self::FetchX509Bundles => "FetchX509Bundles",
            Self::FetchJwtSvid => "FetchJWTSVID",
            Self::FetchJwtBundles => "FetchJWTBundles",
            Self::ValidateJwtSvid => "ValidateJWTSVID",
            Self::FetchWitSvid => "FetchWITSVID",
            Self::FetchWitBundles => "FetchWITBundles",
            Self::OtherService => "other",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a connection was not served.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ConnectionRefused {
    /// Too many connections in all.
    Limit,
    /// Too many connections of its user ID.
    UidLimit,
    /// Attestation failed.
    Attestation,
    /// No complete request in time.
    Silent,
}

impl ConnectionRefused {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Limit, Self::UidLimit, Self::Attestation, Self::Silent];

    /// A word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::UidLimit => "uid_limit",
            Self::Attestation => "attestation",
            Self::Silent => "silent",
        }
    }
}

/// Counters of a server, since its start.
#[derive(Debug, Default)]
pub struct Stats {
    pub(crate) connections: AtomicU64,
    pub(crate) streams: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) lost: AtomicU64,
    refused: [AtomicU64; ConnectionRefused::ALL.len()],
    calls: [[AtomicU64; CODES]; Method::ALL.len()],
}

impl Stats {
    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Calls open now.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams.load(Relaxed)
    }

    /// Connections accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Failures to accept, such as for want of descriptors.
    #[must_use]
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Relaxed)
    }

    /// Messages of the Workload API sent.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages.load(Relaxed)
    }

    /// Connections ended since their caller was no longer who he was.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Connections that were not served.
    #[must_use]
    pub fn refused(&self, why: ConnectionRefused) -> u64 {
        self.refused[why as usize].load(Relaxed)
    }

    /// Calls that have ended with `code`.
    #[must_use]
    pub fn calls(&self, method: Method, code: Code) -> u64 {
        self.calls[method as usize][code as usize].load(Relaxed)
    }

    pub(crate) fn count_refused(&self, why: ConnectionRefused) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn count_call(&self, method: Method, code: Code) {
        self.calls[method as usize][code as usize].fetch_add(1, Relaxed);
    }
}

/// gRPC has the codes 0 to 16.
const CODES: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_code_and_reason_has_a_counter() {
        let stats = Stats::default();
        for method in Method::ALL {
            for code in (0..17).map(Code::from_i32) {
                stats.count_call(method, code);
                assert_eq!(stats.calls(method, code), 1, "{method:?} {code:?}");
            }
        }
        for why in ConnectionRefused::ALL {
            stats.count_refused(why);
            assert_eq!(stats.refused(why), 1, "{why:?}");
        }
    }
}
