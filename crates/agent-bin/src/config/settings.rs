//! What an agent is told, checked: the values behind the keys of the file.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use plastron_entry::RegistrationEntry;
use plastron_id::TrustDomain;
use plastron_keys::KeyType;
use tracing_subscriber::filter::Targets;

/// A whole configuration.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) trust_domain: TrustDomain,
    /// Where signing keys are kept; `None` keeps them in memory.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) workload_api: WorkloadApi,
    pub(crate) authority: Authority,
    pub(crate) audit: Option<Audit>,
    pub(crate) limits: Limits,
    pub(crate) attest: Attest,
    pub(crate) log: Log,
    /// Where metrics are served, of this machine alone.
    pub(crate) metrics: Option<SocketAddr>,
    /// Where health is served, of this machine alone.
    pub(crate) health: Option<SocketAddr>,
    /// In the order of the file.
    pub(crate) entries: Vec<RegistrationEntry>,
    pub(crate) bundles: Vec<ForeignBundle>,
}

/// `[workload_api]`
#[derive(Clone, Debug)]
pub(crate) struct WorkloadApi {
    pub(crate) socket: PathBuf,
    pub(crate) mode: u32,
    pub(crate) owner: Option<Owner>,
    pub(crate) unauthenticated_bundles: bool,
    /// Never in a program that was built without.
    pub(crate) wit_svid: bool,
    pub(crate) handshake_timeout: Duration,
}

/// Who owns the socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Owner {
    /// As it stands in the file.
    pub(crate) text: String,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

/// `[authority]`
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub(crate) key_type: KeyType,
    pub(crate) jwt_key_type: KeyType,
    pub(crate) x509_svid_key_type: KeyType,
    pub(crate) x509_ca_ttl: Duration,
    pub(crate) x509_svid_ttl: Duration,
    pub(crate) jwt_svid_ttl: Duration,
    pub(crate) jwt_issuer: Option<String>,
    pub(crate) wit_key_type: KeyType,
    pub(crate) wit_svid_ttl: Duration,
}

/// `[audit]`
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    pub(crate) file: PathBuf,
    pub(crate) mode: u32,
    /// Records between two signed heads.
    pub(crate) head_every: usize,
}

/// `[limits]`; what is `None` follows from the descriptors the process may have.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: Option<usize>,
    pub(crate) connections_per_uid: Option<usize>,
    pub(crate) streams_per_connection: Option<usize>,
    pub(crate) streams_per_uid: Option<usize>,
    pub(crate) request_bytes_per_uid: u64,
    pub(crate) request_bytes_in_all: u64,
    pub(crate) jwt_signatures_per_uid: usize,
    pub(crate) cached_x509_svids: usize,
    pub(crate) cached_jwt_svids: usize,
    pub(crate) cached_jwt_bytes: u64,
}

/// `[attest]`
#[derive(Clone, Debug)]
pub(crate) struct Attest {
    pub(crate) timeout: Duration,
    pub(crate) unix_path: PathMeaning,
    pub(crate) hash_size_limit: u64,
}

/// What `unix:path` means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PathMeaning {
    /// The file at that path as the agent sees it.
    Host,
    /// The file at that path as the caller sees it, in its own mount namespace.
    Caller,
}

/// `[log]`
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: Targets,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// A `[[bundle]]`: where the bundle of a foreign trust domain comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ForeignBundle {
    pub(crate) trust_domain: TrustDomain,
    pub(crate) file: PathBuf,
}

impl PathMeaning {
    pub(crate) const NAMES: [(&'static str, Self); 2] =
        [("host", Self::Host), ("caller", Self::Caller)];
}

impl LogFormat {
    pub(crate) const NAMES: [(&'static str, Self); 2] =
        [("text", Self::Text), ("json", Self::Json)];
}
