//! The configuration: one TOML file, checked as a whole.
//!
//! All that is wrong is found at once, and each finding says where it stands and what to write instead. What is allowed
//! but hardly meant is a warning. Flags and environment variables go before the file.

mod difference;
mod document;
mod entries;
mod keys;
mod lint;
mod problem;
mod selectors;
mod settings;
#[cfg(test)]
mod tests;
mod value;
mod values;

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use plastron_entry::RegistrationEntry;
use plastron_keys::KeyType;
use toml::de::DeValue;
use tracing_subscriber::filter::Targets;

use crate::accounts::Accounts;

pub(crate) use self::{
    difference::{Count, Difference},
    keys::{KEYS, Key},
    problem::{Place, Problems, Severity},
    settings::{ForeignBundle, Log, LogFormat, Owner, PathMeaning, Settings},
    value::{duration, moment, show_duration},
    values::Given,
};
use self::{
    document::{Node, Top},
    entries::Entries,
    settings::{Attest, Audit, Authority, Limits, WorkloadApi},
    value::{Wrong, choice, count, lifetime, loopback, mode, nearest, size},
    values::{Findings, Values},
};

/// A configuration that may be put in force.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) settings: Settings,
    pub(crate) lint: Lint,
}

/// Looks for what is allowed in a configuration but hardly meant. Knows where things stand in the file.
#[derive(Debug)]
pub(crate) struct Lint {
    /// What is odd about the configuration by itself.
    warnings: Problems,
    lines: problem::Lines,
    entries_at: Vec<usize>,
    bundles_at: Vec<usize>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It is wrong.
    #[error("{0}")]
    Broken(Problems),
}

impl ConfigError {
    /// One sentence for each thing that is wrong.
    pub(crate) fn sentences(&self) -> Vec<String> {
        match self {
            Self::Broken(problems) => problems.sentences().collect(),
            unreadable => vec![unreadable.to_string()],
        }
    }
}

/// Reads a file and checks it.
///
/// # Errors
///
/// When it cannot be read, and with all that is wrong.
pub(crate) fn load(file: &Path, given: &[Given]) -> Result<Checked, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable {
        file: file.to_owned(),
        error,
    };
    let bytes = fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let upto = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()])
            .into_owned();
        let findings = [problem::Problem {
            severity: Severity::Error,
            place: Place::Line(upto.matches('\n').count() + 1),
            what: "the file is not UTF-8".to_owned(),
            instead: "write it as UTF-8".to_owned(),
        }];
        ConfigError::Broken(Problems::new(file, findings.into()))
    })?;
    check(&text, file, given)
}

/// Checks the text of a file.
pub(crate) fn check(text: &str, file: &Path, given: &[Given]) -> Result<Checked, ConfigError> {
    let lines = problem::Lines::of(text);
    let findings = Findings::new(&lines);
    let mut entries = Entries::default();
    let read = document::read(text, |node| match node {
        Some(node) => entries.take(node, &findings),
        None => {
            entries = Entries::default();
            findings.clear();
        }
    });
    let top = match read {
        Ok(top) => top,
        Err(errors) => {
            findings.clear();
            errors
                .into_iter()
                .for_each(|error| findings.error(error.at, error.what, error.instead));
            return Err(ConfigError::Broken(Problems::new(
                file,
                findings.into_list(),
            )));
        }
    };
    let folder = std::path::absolute(file).ok();
    let folder = folder
        .as_deref()
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"));
    let values = Values::new(&top, given, folder, &findings);
    let (bundles, bundles_at): (Vec<_>, Vec<_>) =
        bundles(&top, folder, &findings).into_iter().unzip();
    let settings = settings(&values, (bundles, &bundles_at), &mut entries);
    if let Some(settings) = &settings {
        lint::settings(settings, &values);
    }
    let problems = Problems::new(file, findings.into_list());
    match settings {
        Some(settings) if problems.count(Severity::Error) == 0 => Ok(Checked {
            settings,
            lint: Lint {
                warnings: problems,
                lines,
                entries_at: entries.at,
                bundles_at,
            },
        }),
        _ => Err(ConfigError::Broken(problems)),
    }
}

impl Checked {
    /// All that is odd, on this machine and at this time.
    pub(crate) fn warnings(&self, now: SystemTime) -> Problems {
        let entries: Vec<_> = self.settings.entries.iter().collect();
        self.lint
            .warnings(&self.settings, &entries, usize::MAX, now)
    }
}

impl Lint {
    /// All that is odd about a configuration, on this machine and at this time. The entries are those that stood in it, in
    /// its order. At most so many files, users and groups are looked for.
    pub(crate) fn warnings(
        &self,
        settings: &Settings,
        entries: &[&RegistrationEntry],
        looks: usize,
        now: SystemTime,
    ) -> Problems {
        let findings = Findings::new(&self.lines);
        lint::bundles(settings, &self.bundles_at, &findings);
        lint::entries(
            settings,
            &lint::Placed {
                entries,
                at: &self.entries_at,
            },
            looks,
            &findings,
            now,
        );
        self.warnings.and(findings.into_list())
    }
}

fn settings(
    values: &Values<'_, '_>,
    (bundles, bundles_at): (Vec<ForeignBundle>, &[usize]),
    entries: &mut Entries,
) -> Option<Settings> {
    let findings = values.findings();
    let trust_domain = values.text("trust_domain", entries::trust_domain);
    if trust_domain.is_none() && values.place("trust_domain").is_none() {
        findings.add(
            Severity::Error,
            Place::Line(1),
            Wrong::new(
                "trust_domain is missing",
                "write trust_domain = \"example.org\" at the top of the file",
            ),
        );
    }
    let workload_api = workload_api(values);
    let authority = authority(values);
    let audit = audit(values);
    let limits = limits(values);
    let attest = Attest {
        timeout: values
            .text("attest.timeout", patience)
            .unwrap_or(Duration::from_secs(5)),
        unix_path: values
            .text("attest.unix.path", |text| choice(text, &PathMeaning::NAMES))
            .unwrap_or(PathMeaning::Host),
        hash_size_limit: values
            .size("attest.unix.hash_size_limit", size)
            .unwrap_or(1 << 30),
    };
    let log = Log {
        format: values
            .text("log.format", |text| choice(text, &LogFormat::NAMES))
            .unwrap_or(LogFormat::Text),
        level: values
            .text("log.level", level)
            .unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO)),
    };
    let metrics = values.text("metrics.listen", loopback);
    let health = values.text("health.listen", loopback);
    let data_dir = values.path("data_dir");

    let trust_domain = trust_domain?;
    entries.check_together(trust_domain.as_ref(), findings);
    for (bundle, at) in bundles.iter().zip(bundles_at) {
        if bundle.trust_domain == trust_domain {
            findings.error(
                *at,
                format!(
                    "{trust_domain} is the agent's own trust domain, whose bundle it makes itself"
                ),
                "remove this [[bundle]]",
            );
        }
    }
    Some(Settings {
        trust_domain,
        data_dir,
        workload_api,
        authority,
        audit,
        limits,
        attest,
        log,
        metrics,
        health,
        entries: std::mem::take(&mut entries.list),
        bundles,
    })
}

fn workload_api(values: &Values<'_, '_>) -> WorkloadApi {
    let socket = values.path("workload_api.socket").map(|path| {
        match path.to_str().and_then(|text| text.split_once("unix:")) {
            // Also as a URI, since that is how clients write it.
            Some((_, uri)) => PathBuf::from(uri.strip_prefix("//").unwrap_or(uri)),
            None => path,
        }
    });
    let wit_svid = values.boolean("workload_api.wit_svid").unwrap_or(false);
    if wit_svid && !cfg!(feature = "wit") {
        values.refuse(
            "workload_api.wit_svid",
            "this plastron-agent was built without WIT-SVIDs",
            "leave the key out, or build it with --features wit",
        );
    }
    WorkloadApi {
        wit_svid,
        socket: socket.unwrap_or_else(crate::socket::default_path),
        mode: values.text("workload_api.mode", mode).unwrap_or(0o666),
        owner: values.text("workload_api.owner", owner),
        unauthenticated_bundles: values
            .boolean("workload_api.unauthenticated_bundles")
            .unwrap_or(false),
        handshake_timeout: values
            .text("workload_api.handshake_timeout", patience)
            .unwrap_or(Duration::from_secs(10)),
    }
}

fn authority(values: &Values<'_, '_>) -> Authority {
    let key_type = values
        .text("authority.key_type", key_type_of)
        .unwrap_or(KeyType::EcP256);
    let default_token_key_type = if key_type == KeyType::Ed25519 {
        KeyType::EcP256
    } else {
        key_type
    };
    let token_key_type = |name, kind| {
        let key_type = values.text(name, |text| match key_type_of(text) {
            Ok(KeyType::Ed25519) => Err(Wrong::new(
                format!("no algorithm of {kind} signs with ed25519"),
                "write \"ec-p256\", or another of ec-p384, rsa-2048, rsa-3072, rsa-4096",
            )),
            other => other,
        });
        key_type.unwrap_or(default_token_key_type)
    };
    Authority {
        key_type,
        jwt_key_type: token_key_type("authority.jwt_key_type", "JWT-SVIDs"),
        wit_key_type: token_key_type("authority.wit_key_type", "WIT-SVIDs"),
        wit_svid_ttl: values
            .text("authority.wit_svid_ttl", lifetime)
            .unwrap_or(Duration::from_secs(3600)),
        x509_svid_key_type: values
            .text("authority.x509_svid_key_type", key_type_of)
            .unwrap_or(KeyType::EcP256),
        x509_ca_ttl: values
            .text("authority.x509_ca_ttl", lifetime)
            .unwrap_or(Duration::from_secs(24 * 3600)),
        x509_svid_ttl: values
            .text("authority.x509_svid_ttl", lifetime)
            .unwrap_or(Duration::from_secs(3600)),
        jwt_svid_ttl: values
            .text("authority.jwt_svid_ttl", lifetime)
            .unwrap_or(Duration::from_secs(300)),
        jwt_issuer: values.text("authority.jwt_issuer", |text| match text {
            "" => Err(Wrong::new(
                "the issuer is empty",
                "write a URL, or leave the key out",
            )),
            text => Ok(text.to_owned()),
        }),
    }
}

fn audit(values: &Values<'_, '_>) -> Option<Audit> {
    let file = values.path("audit.file");
    let file_mode = values.text("audit.mode", mode);
    let head_every = values.number("audit.head_every", count);
    if file.is_none() && values.place("audit.file").is_none() {
        for name in ["audit.mode", "audit.head_every"] {
            if values.place(name).is_some() {
                values.refuse(
                    name,
                    format!("{name} has no audit.file"),
                    "write file = \"audit.jsonl\" under [audit]",
                );
            }
        }
    }
    Some(Audit {
        file: file?,
        mode: file_mode.unwrap_or(0o600),
        head_every: head_every.unwrap_or(1000),
    })
}

fn limits(values: &Values<'_, '_>) -> Limits {
    Limits {
        connections: values.number("limits.connections", count),
        connections_per_uid: values.number("limits.connections_per_uid", count),
        streams_per_connection: values.number("limits.streams_per_connection", count),
        streams_per_uid: values.number("limits.streams_per_uid", count),
        request_bytes_per_uid: values
            .size("limits.request_bytes_per_uid", request_bytes)
            .unwrap_or(8 << 20),
        request_bytes_in_all: values
            .size("limits.request_bytes_in_all", request_bytes)
            .unwrap_or(64 << 20),
        jwt_signatures_per_uid: values
            .number("limits.jwt_signatures_per_uid", count)
            .unwrap_or(100),
        cached_x509_svids: values
            .number("limits.cached_x509_svids", count)
            .unwrap_or(1000),
        cached_jwt_svids: values
            .number("limits.cached_jwt_svids", count)
            .unwrap_or(4096),
        cached_jwt_bytes: values
            .size("limits.cached_jwt_bytes", size)
            .unwrap_or(8 << 20),
    }
}

/// How long is waited for a caller: neither no time at all nor more than whoever calls would wait.
fn patience(text: &str) -> Result<Duration, Wrong> {
    match duration(text)? {
        Duration::ZERO => Err(Wrong::new(
            "no time at all would let nobody in",
            "write \"10s\"",
        )),
        long if long > LONGEST_PATIENCE => Err(Wrong::new(
            format!("{text:?} is longer than any caller waits"),
            "write \"5m\" or less",
        )),
        duration => Ok(duration),
    }
}

/// Who takes longer holds his place for nothing.
const LONGEST_PATIENCE: Duration = Duration::from_secs(300);

/// Room for at least one request.
fn request_bytes(text: &str) -> Result<u64, Wrong> {
    match size(text)? {
        small if small < LARGEST_REQUEST => Err(Wrong::new(
            format!("{text:?} is less than one request may have"),
            "write \"64KiB\" or more",
        )),
        bytes => Ok(bytes),
    }
}

/// See [`plastron_workload_api::Limits::request_bytes`].
const LARGEST_REQUEST: u64 = 64 << 10;

fn key_type_of(text: &str) -> Result<KeyType, Wrong> {
    choice(
        text,
        &KeyType::ALL.map(|key_type| (key_type.as_str(), key_type)),
    )
}

fn level(text: &str) -> Result<Targets, Wrong> {
    const LEVELS: [(&str, ()); 5] = [
        ("error", ()),
        ("warn", ()),
        ("info", ()),
        ("debug", ()),
        ("trace", ()),
    ];
    if !text.contains([',', '=']) {
        choice(&text.to_ascii_lowercase(), &LEVELS)?;
    }
    text.parse().map_err(|_| {
        Wrong::new(
            format!("{text:?} is not a level"),
            "write a level, or levels by module: \"info,plastron_agent=debug\"",
        )
    })
}

/// A user, a group, or both, by name or number.
fn owner(text: &str) -> Result<Owner, Wrong> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let accounts = Accounts::read();
    let id = |name: &str, sort: &str, known: Option<u32>| match name {
        "" => Ok(None),
        name => name.parse().ok().or(known).map(Some).ok_or_else(|| {
            let instead = "write user, user:group or :group, as `id` prints them, or numbers";
            Wrong::new(format!("this machine has no {sort} {name:?}"), instead)
        }),
    };
    let (uid, gid) = (
        id(user, "user", accounts.uid(user))?,
        id(group, "group", accounts.gid(group))?,
    );
    if uid.is_none() && gid.is_none() {
        return Err(Wrong::new(
            "the owner is empty",
            "write user, user:group or :group, or leave the key out",
        ));
    }
    Ok(Owner {
        text: text.to_owned(),
        uid,
        gid,
    })
}

/// The `[[bundle]]` tables, each with where it stands.
fn bundles(top: &Top<'_>, folder: &Path, findings: &Findings<'_>) -> Vec<(ForeignBundle, usize)> {
    let mut bundles: Vec<(ForeignBundle, usize)> = Vec::new();
    for item in top.items().filter(|item| item.key == "bundle") {
        if item.value.get().as_array().is_none() {
            let what = format!("bundle is {}, where tables belong", item.value.sort());
            findings.error(item.key_at, what, "write [[bundle]], with two brackets");
        }
        for node in item.value.elements() {
            let Some((bundle, at)) = bundle(node, folder, findings) else {
                continue;
            };
            match bundles
                .iter()
                .find(|(known, _)| known.trust_domain == bundle.trust_domain)
            {
                Some((known, first)) => findings.error(
                    at,
                    format!(
                        "the bundle of {} stands at line {} already",
                        known.trust_domain,
                        findings.line(*first)
                    ),
                    "remove one of the two",
                ),
                None => bundles.push((bundle, at)),
            }
        }
    }
    bundles
}

fn bundle(
    node: Node<'_, '_>,
    folder: &Path,
    findings: &Findings<'_>,
) -> Option<(ForeignBundle, usize)> {
    const EXAMPLES: [(&str, &str); 2] = [
        ("trust_domain", "trust_domain = \"partner.org\""),
        ("file", "file = \"partner.json\""),
    ];
    let mut found: HashMap<&str, (&str, usize)> = HashMap::new();
    let mut whole = true;
    for item in node.items() {
        let example = EXAMPLES
            .iter()
            .find(|(key, _)| *key == item.key)
            .map(|(_, example)| *example);
        let at = item.value.span().start;
        match (example, item.value.get()) {
            (Some(_), DeValue::String(text)) if !text.is_empty() => {
                found.insert(item.key, (text, at));
                continue;
            }
            (Some(example), _) => {
                let what = format!("{} is {}, where text belongs", item.key, item.value.sort());
                findings.error(at, what, format!("write {example}"));
            }
            (None, _) => {
                let instead = match nearest(item.key, EXAMPLES.map(|(key, _)| key)) {
                    Some(key) => format!("write {key}"),
                    None => "leave it out, or write one of trust_domain, file".to_owned(),
                };
                findings.error(
                    item.key_at,
                    format!("[[bundle]] knows no key {:?}", item.key),
                    instead,
                );
            }
        }
        whole = false;
    }
    for (key, example) in EXAMPLES {
        if whole && !found.contains_key(key) {
            findings.error(
                node.span().start,
                format!("this bundle has no {key}"),
                format!("write {example}"),
            );
        }
    }
    let ((name, at), (file, _)) = found
        .get("trust_domain")
        .zip(found.get("file"))
        .filter(|_| whole)?;
    match entries::trust_domain(name) {
        Ok(trust_domain) => Some((
            ForeignBundle {
                trust_domain,
                file: folder.join(file),
            },
            *at,
        )),
        Err(wrong) => {
            findings.error(*at, format!("trust_domain: {}", wrong.what), wrong.instead);
            None
        }
    }
}
