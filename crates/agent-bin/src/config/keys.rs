//! The keys that a configuration has, in one table: names, flags, variables, and what happens when they change.

use super::{
    Settings,
    settings::{LogFormat, PathMeaning},
    value::show_duration,
};

/// One key outside `[[entry]]` and `[[bundle]]`.
#[derive(Debug)]
pub(crate) struct Key {
    /// With its tables, joined by dots.
    pub(crate) name: &'static str,
    /// What the value is, for the help text.
    pub(crate) value: &'static str,
    pub(crate) help: &'static str,
    /// Whether a running agent takes a change of it.
    pub(crate) live: bool,
    /// The value in force, as it would be written.
    pub(crate) shown: fn(&Settings) -> Option<String>,
}

impl Key {
    /// The flag that overrides it, without dashes.
    pub(crate) fn flag(&self) -> String {
        match self.name {
            "workload_api.socket" => "socket".to_owned(),
            name => name.replace(['.', '_'], "-"),
        }
    }

    /// The environment variable that overrides it.
    pub(crate) fn variable(&self) -> String {
        format!("PLASTRON_{}", self.flag().replace('-', "_").to_uppercase())
    }

    /// The table it stands in; empty at the top.
    pub(crate) fn table(&self) -> &'static str {
        self.name.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Its name within its table.
    pub(crate) fn last(&self) -> &'static str {
        self.name
            .rsplit_once('.')
            .map_or(self.name, |(_, last)| last)
    }
}

/// The key with this name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The tables that hold keys or other tables: `attest` and `attest.unix`.
pub(crate) fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| {
        key.name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// What may stand in a table: its keys and the tables within it, each once.
pub(crate) fn members(table: &str) -> Vec<&'static str> {
    let within = |key: &'static Key| match table {
        "" => Some(key.name),
        table => key.name.strip_prefix(table)?.strip_prefix('.'),
    };
    let mut members: Vec<_> = KEYS
        .iter()
        .filter_map(within)
        .map(|rest| rest.split('.').next().unwrap_or(rest))
        .collect();
    members.dedup();
    members
}

fn number(value: Option<usize>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// All of them, table by table.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "trust_domain",
        value: "NAME",
        help: "The trust domain whose identities are given out",
        live: false,
        shown: |settings| Some(settings.trust_domain.to_string()),
    },
    Key {
        name: "data_dir",
        value: "DIR",
        help: "Where signing keys are kept [default: in memory alone]",
        live: false,
        shown: |settings| {
            settings
                .data_dir
                .as_ref()
                .map(|dir| dir.display().to_string())
        },
    },
    Key {
        name: "workload_api.socket",
        value: "PATH",
        help: "The Unix socket to serve on [default: /run/plastron/agent.sock as root, else in $XDG_RUNTIME_DIR]",
        live: false,
        shown: |settings| Some(settings.workload_api.socket.display().to_string()),
    },
    Key {
        name: "workload_api.mode",
        value: "MODE",
        help: "Mode of the socket, in octal [default: 0666]",
        live: false,
        shown: |settings| Some(format!("{:04o}", settings.workload_api.mode)),
    },
    Key {
        name: "workload_api.owner",
        value: "USER:GROUP",
        help: "Owner of the socket, user, user:group or :group [default: who runs the agent]",
        live: false,
        shown: |settings| {
            settings
                .workload_api
                .owner
                .as_ref()
                .map(|owner| owner.text.clone())
        },
    },
    Key {
        name: "workload_api.unauthenticated_bundles",
        value: "BOOL",
        help: "Whether callers without an entry may fetch bundles and validate tokens [default: false]",
        live: false,
        shown: |settings| Some(settings.workload_api.unauthenticated_bundles.to_string()),
    },
    Key {
        name: "workload_api.wit_svid",
        value: "BOOL",
        help: "Whether WIT-SVIDs are given out, an experimental profile [default: false]",
        live: false,
        shown: |settings| Some(settings.workload_api.wit_svid.to_string()),
    },
    Key {
        name: "workload_api.handshake_timeout",
        value: "DURATION",
        help: "How long a caller may take to say that it speaks HTTP/2 [default: 10s]",
        live: false,
        shown: |settings| Some(show_duration(settings.workload_api.handshake_timeout)),
    },
    Key {
        name: "authority.key_type",
        value: "TYPE",
        help: "Type of the key that signs X.509-SVIDs [default: ec-p256]",
        live: false,
        shown: |settings| Some(settings.authority.key_type.to_string()),
    },
    Key {
        name: "authority.jwt_key_type",
        value: "TYPE",
        help: "Type of the key that signs JWT-SVIDs [default: as key_type]",
        live: false,
        shown: |settings| Some(settings.authority.jwt_key_type.to_string()),
    },
    Key {
        name: "authority.x509_svid_key_type",
        value: "TYPE",
        help: "Type of the keys of X.509-SVIDs [default: ec-p256]",
        live: false,
        shown: |settings| Some(settings.authority.x509_svid_key_type.to_string()),
    },
    Key {
        name: "authority.x509_ca_ttl",
        value: "DURATION",
        help: "Lifetime of a signing key [default: 24h]",
        live: false,
        shown: |settings| Some(show_duration(settings.authority.x509_ca_ttl)),
    },
    Key {
        name: "authority.x509_svid_ttl",
        value: "DURATION",
        help: "Lifetime of an X.509-SVID whose entry names none [default: 1h]",
        live: false,
        shown: |settings| Some(show_duration(settings.authority.x509_svid_ttl)),
    },
    Key {
        name: "authority.jwt_svid_ttl",
        value: "DURATION",
        help: "Lifetime of a JWT-SVID whose entry names none [default: 5m]",
        live: false,
        shown: |settings| Some(show_duration(settings.authority.jwt_svid_ttl)),
    },
    Key {
        name: "authority.jwt_issuer",
        value: "URL",
        help: "The `iss` claim of JWT-SVIDs [default: none]",
        live: false,
        shown: |settings| settings.authority.jwt_issuer.clone(),
    },
    Key {
        name: "authority.wit_key_type",
        value: "TYPE",
        help: "Type of the key that signs WIT-SVIDs [default: as key_type]",
        live: false,
        shown: |settings| Some(settings.authority.wit_key_type.to_string()),
    },
    Key {
        name: "authority.wit_svid_ttl",
        value: "DURATION",
        help: "Lifetime of a WIT-SVID [default: 1h]",
        live: false,
        shown: |settings| Some(show_duration(settings.authority.wit_svid_ttl)),
    },
    Key {
        name: "audit.file",
        value: "PATH",
        help: "Where releases and refusals are recorded [default: nowhere]",
        live: false,
        shown: |settings| {
            settings
                .audit
                .as_ref()
                .map(|audit| audit.file.display().to_string())
        },
    },
    Key {
        name: "audit.mode",
        value: "MODE",
        help: "Mode of the audit file, in octal [default: 0600]",
        live: false,
        shown: |settings| {
            settings
                .audit
                .as_ref()
                .map(|audit| format!("{:04o}", audit.mode))
        },
    },
    Key {
        name: "audit.head_every",
        value: "COUNT",
        help: "Records between two signatures of the audit chain [default: 1000]",
        live: false,
        shown: |settings| {
            settings
                .audit
                .as_ref()
                .map(|audit| audit.head_every.to_string())
        },
    },
    Key {
        name: "limits.connections",
        value: "COUNT",
        help: "Connections at a time [default: what the descriptor limit allows]",
        live: false,
        shown: |settings| number(settings.limits.connections),
    },
    Key {
        name: "limits.connections_per_uid",
        value: "COUNT",
        help: "Connections of one uid at a time [default: half of all]",
        live: false,
        shown: |settings| number(settings.limits.connections_per_uid),
    },
    Key {
        name: "limits.streams_per_connection",
        value: "COUNT",
        help: "Calls on one connection at a time",
        live: false,
        shown: |settings| number(settings.limits.streams_per_connection),
    },
    Key {
        name: "limits.streams_per_uid",
        value: "COUNT",
        help: "Calls of one uid at a time",
        live: false,
        shown: |settings| number(settings.limits.streams_per_uid),
    },
    Key {
        name: "limits.request_bytes_per_uid",
        value: "SIZE",
        help: "Bytes of requests of one uid held at a time [default: 8MiB]",
        live: false,
        shown: |settings| Some(settings.limits.request_bytes_per_uid.to_string()),
    },
    Key {
        name: "limits.request_bytes_in_all",
        value: "SIZE",
        help: "Bytes of all requests held at a time [default: 64MiB]",
        live: false,
        shown: |settings| Some(settings.limits.request_bytes_in_all.to_string()),
    },
    Key {
        name: "limits.jwt_signatures_per_uid",
        value: "COUNT",
        help: "New JWT-SVIDs for one uid, a second [default: 100]",
        live: false,
        shown: |settings| Some(settings.limits.jwt_signatures_per_uid.to_string()),
    },
    Key {
        name: "limits.cached_x509_svids",
        value: "COUNT",
        help: "X.509-SVIDs kept while nobody watches them [default: 1000]",
        live: false,
        shown: |settings| Some(settings.limits.cached_x509_svids.to_string()),
    },
    Key {
        name: "limits.cached_jwt_svids",
        value: "COUNT",
        help: "JWT-SVIDs kept [default: 4096]",
        live: false,
        shown: |settings| Some(settings.limits.cached_jwt_svids.to_string()),
    },
    Key {
        name: "limits.cached_jwt_bytes",
        value: "SIZE",
        help: "Bytes of JWT-SVIDs kept [default: 8MiB]",
        live: false,
        shown: |settings| Some(settings.limits.cached_jwt_bytes.to_string()),
    },
    Key {
        name: "attest.timeout",
        value: "DURATION",
        help: "How long an attestor may look at one caller [default: 5s]",
        live: false,
        shown: |settings| Some(show_duration(settings.attest.timeout)),
    },
    Key {
        name: "attest.unix.path",
        value: "WHOSE",
        help: "Whose view of the file system unix:path means, host or caller [default: host]",
        live: false,
        shown: |settings| name_of(&PathMeaning::NAMES, settings.attest.unix_path),
    },
    Key {
        name: "attest.unix.hash_size_limit",
        value: "SIZE",
        help: "Largest program that is hashed for unix:sha256 [default: 1GiB]",
        live: false,
        shown: |settings| Some(settings.attest.hash_size_limit.to_string()),
    },
    Key {
        name: "log.format",
        value: "FORMAT",
        help: "How log lines look, text or json [default: text]",
        live: false,
        shown: |settings| name_of(&LogFormat::NAMES, settings.log.format),
    },
    Key {
        name: "log.level",
        value: "LEVEL",
        help: "What is logged: error, warn, info, debug or trace, also by module, as in info,plastron_agent=debug \
               [default: info]",
        live: true,
        shown: |settings| Some(settings.log.level.to_string()),
    },
    Key {
        name: "metrics.listen",
        value: "ADDRESS",
        help: "Where metrics are served over HTTP, on this machine alone [default: nowhere]",
        live: false,
        shown: |settings| settings.metrics.map(|address| address.to_string()),
    },
    Key {
        name: "health.listen",
        value: "ADDRESS",
        help: "Where health is served over HTTP, on this machine alone [default: nowhere]",
        live: false,
        shown: |settings| settings.health.map(|address| address.to_string()),
    },
];

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: T) -> Option<String> {
    names
        .iter()
        .find(|(_, known)| *known == value)
        .map(|(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_keys_share_a_name_flag_or_variable() {
        for name in [
            |key: &Key| key.name.to_owned(),
            |key: &Key| key.flag(),
            |key: &Key| key.variable(),
        ] {
            let names: BTreeSet<_> = KEYS.iter().map(name).collect();
            assert_eq!(names.len(), KEYS.len());
        }
        assert_eq!(
            find("workload_api.socket").unwrap().variable(),
            "PLASTRON_SOCKET"
        );
        assert_eq!(find("attest.unix.path").unwrap().flag(), "attest-unix-path");
    }

    #[test]
    fn tables_know_their_members() {
        assert_eq!(members("attest"), ["timeout", "unix"]);
        assert_eq!(members("attest.unix"), ["path", "hash_size_limit"]);
        assert!(members("").contains(&"workload_api"));
        assert!(
            is_table("attest")
                && is_table("attest.unix")
                && !is_table("attest.unix.path")
                && !is_table("att")
        );
    }
}
