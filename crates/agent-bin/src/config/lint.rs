//! What is allowed but hardly meant: the mistakes that people make, and what this machine does not have.
//!
//! A running agent looks for these after it has put a configuration in force; nothing waits for them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs, io,
    path::Path,
    time::SystemTime,
};

use plastron_entry::{RegistrationEntry, Selector};

use crate::{accounts::Accounts, bundle_file, calendar};

use super::{
    PathMeaning, Settings,
    value::show_duration,
    values::{Findings, Values},
};

/// What is odd about a configuration by itself.
pub(crate) fn settings(settings: &Settings, values: &Values<'_, '_>) {
    let authority = &settings.authority;
    // Towards its end a signing key gives no more than what is left of its life (authority: it is replaced at a sixth).
    let longest = authority.x509_ca_ttl / 6;
    let wit_svid_ttl = settings
        .workload_api
        .wit_svid
        .then_some(("authority.wit_svid_ttl", authority.wit_svid_ttl));
    for (name, ttl) in [
        ("authority.x509_svid_ttl", authority.x509_svid_ttl),
        ("authority.jwt_svid_ttl", authority.jwt_svid_ttl),
    ]
    .into_iter()
    .chain(wit_svid_ttl)
    {
        if ttl > longest {
            values.warn(
                name,
                format!(
                    "{name} is {}, more than a sixth of authority.x509_ca_ttl: SVIDs signed late in the life of a signing \
                     key live shorter",
                    show_duration(ttl)
                ),
                format!("write \"{}\" or less, or a longer x509_ca_ttl", show_duration(longest)),
            );
        }
    }
    for (name, key_type) in [
        ("authority.key_type", authority.key_type),
        ("authority.x509_svid_key_type", authority.x509_svid_key_type),
    ] {
        if key_type == plastron_keys::KeyType::Ed25519 {
            values.warn(
                name,
                format!("{name} is ed25519, which many TLS peers and the clouds do not take"),
                "write \"ec-p256\" unless you know all who will see these certificates",
            );
        }
    }
    if let Some(issuer) = &authority.jwt_issuer
        && !issuer.starts_with("https://")
    {
        values.warn(
            "authority.jwt_issuer",
            format!("authority.jwt_issuer is {issuer:?}, and OIDC relying parties take https:// URLs alone"),
            "write the https:// URL under which the keys are published",
        );
    }
}

/// What is odd about the bundles of foreign trust domains, as far as their files can be read now. Each stands where `at` says.
pub(crate) fn bundles(settings: &Settings, at: &[usize], findings: &Findings<'_>) {
    let placed = settings.bundles.iter().zip(at);
    let (read, at): (Vec<_>, Vec<_>) = placed
        .filter_map(|(bundle, at)| {
            let bytes = fs::read(&bundle.file).ok()?;
            let parsed = bundle_file::parse(bundle.trust_domain.clone(), &bytes).ok()?;
            Some((parsed.bundle, *at))
        })
        .unzip();
    for odd in bundle_file::odd(&read.iter().collect::<Vec<_>>()) {
        findings.warning(at[odd.bundle], odd.what, odd.instead);
    }
}

/// Entries in the order of the file, with where the SPIFFE ID of each stands.
pub(crate) struct Placed<'a> {
    pub(crate) entries: &'a [&'a RegistrationEntry],
    pub(crate) at: &'a [usize],
}

/// What is odd about entries, on this machine and at this time. At most `looks` selectors are looked up.
pub(crate) fn entries(
    settings: &Settings,
    placed: &Placed<'_>,
    looks: usize,
    findings: &Findings<'_>,
    now: SystemTime,
) {
    let mut machine = Machine {
        looks,
        path: settings.attest.unix_path,
        accounts: None,
        seen: HashMap::new(),
    };
    let bundles: HashSet<&str> = settings
        .bundles
        .iter()
        .map(|bundle| bundle.trust_domain.as_str())
        .collect();
    for (entry, at) in placed.entries.iter().zip(placed.at) {
        one_entry(entry, *at, findings, now);
        for trust_domain in entry
            .federates_with
            .iter()
            .filter(|name| !bundles.contains(name.as_str()))
        {
            findings.warning(
                *at,
                format!(
                    "{} federates with {trust_domain}, whose bundle nobody gives",
                    entry.spiffe_id
                ),
                format!("write a [[bundle]] with trust_domain = \"{trust_domain}\" and its file"),
            );
        }
        for selector in entry
            .selectors
            .iter()
            .filter(|selector| selector.kind() == "unix")
        {
            if let Some((what, instead)) = machine.look(selector) {
                findings.warning(*at, what.clone(), instead.clone());
            }
        }
    }
    user_or_group(placed, findings);
    same_hint(placed, findings);
}

fn one_entry(entry: &RegistrationEntry, at: usize, findings: &Findings<'_>, now: SystemTime) {
    if entry.is_expired(now)
        && let Some(end) = entry.expires_at
    {
        findings.warning(
            at,
            format!(
                "{} expired at {}",
                entry.spiffe_id,
                calendar::rfc3339(calendar::unix_seconds(end))
            ),
            "remove the entry, or write a later expires_at",
        );
    }
    let of_program = |selector: &Selector| {
        selector.kind() == "unix" && matches!(selector.name(), "path" | "sha256")
    };
    if entry.selectors.iter().all(of_program) {
        findings.warning(
            at,
            format!(
                "{} is given to any user who runs the program, and whoever may run a program can put code of his own \
                 into it",
                entry.spiffe_id
            ),
            "add the user that runs it, such as \"unix:uid:1000\": uid and gid are the wall, the program narrows inside it",
        );
    }
}

/// Two entries that together say "this user OR this group", where one was meant that says AND (S-76).
fn user_or_group(placed: &Placed<'_>, findings: &Findings<'_>) {
    /// Everything else that an entry asks for, beside the user or the group.
    type Rest<'a> = (&'a str, Vec<&'a str>);
    let mut users: HashMap<Rest<'_>, usize> = HashMap::new();
    let mut groups: HashMap<Rest<'_>, usize> = HashMap::new();
    for (number, entry) in placed.entries.iter().enumerate() {
        let sort =
            |selector: &Selector| (selector.kind() == "unix").then(|| selector.name().to_owned());
        let names: Vec<_> = entry.selectors.iter().filter_map(sort).collect();
        let has = |wanted: &[&str]| names.iter().any(|name| wanted.contains(&name.as_str()));
        let (user, group) = (has(&USER), has(&GROUP));
        if user == group {
            continue;
        }
        let of_either = |selector: &&Selector| {
            selector.kind() == "unix"
                && (USER.contains(&selector.name()) || GROUP.contains(&selector.name()))
        };
        let rest = entry
            .selectors
            .iter()
            .filter(|selector| !of_either(selector))
            .map(Selector::as_str)
            .collect();
        let table = if user { &mut users } else { &mut groups };
        table
            .entry((entry.spiffe_id.as_str(), rest))
            .or_insert(number);
    }
    let mut pairs: Vec<_> = users
        .iter()
        .filter_map(|(rest, user)| Some((*user, *groups.get(rest)?)))
        .collect();
    pairs.sort_unstable();
    for (user, group) in pairs {
        let (first, second) = (user.min(group), user.max(group));
        let both: BTreeSet<&str> = [user, group]
            .iter()
            .flat_map(|number| placed.entries[*number].selectors.iter())
            .map(Selector::as_str)
            .collect();
        findings.warning(
            placed.at[second],
            format!(
                "with the entry at line {}, {} is given to the user and also to everybody of the group",
                findings.line(placed.at[first]),
                placed.entries[second].spiffe_id
            ),
            format!("write one entry that asks for both, if both were meant: selectors = {:?}", Vec::from_iter(both)),
        );
    }
}

const USER: [&str; 2] = ["uid", "user"];
const GROUP: [&str; 4] = ["gid", "group", "supplementary_gid", "supplementary_group"];

/// Two entries that one caller matches and that cannot be told apart by their hints: the later one is left out (WAPI-28).
fn same_hint(placed: &Placed<'_>, findings: &Findings<'_>) {
    let mut seen: HashMap<(&str, &plastron_entry::Selectors), usize> = HashMap::new();
    for (number, entry) in placed
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| !entry.hint.is_empty())
    {
        if let Some(first) = seen.insert((&entry.hint, &entry.selectors), number) {
            findings.warning(
                placed.at[number],
                format!(
                    "{} has the hint {:?} of the entry at line {}, and the same callers: they get the first alone",
                    entry.spiffe_id,
                    entry.hint,
                    findings.line(placed.at[first])
                ),
                "write another hint",
            );
        }
    }
}

/// What this machine has, asked once for each selector.
struct Machine {
    /// How many more selectors are looked up.
    looks: usize,
    /// Whose files paths mean. Those of callers are not here.
    path: PathMeaning,
    accounts: Option<Accounts>,
    seen: HashMap<Selector, Option<(String, String)>>,
}

impl Machine {
    /// What is odd about a selector here, and what to do.
    fn look(&mut self, selector: &Selector) -> Option<&(String, String)> {
        if !self.seen.contains_key(selector) && self.looks > 0 {
            self.looks -= 1;
            let verdict = self.judge(selector);
            self.seen.insert(selector.clone(), verdict);
        }
        self.seen.get(selector)?.as_ref()
    }

    fn judge(&mut self, selector: &Selector) -> Option<(String, String)> {
        let (name, value) = selector.value().split_once(':')?;
        let accounts = match name {
            "user" | "group" | "supplementary_group" => {
                self.accounts.get_or_insert_with(Accounts::read)
            }
            "path" if self.path == PathMeaning::Host => {
                return judge_path(selector, Path::new(value));
            }
            _ => return None,
        };
        let (missing, sort, tool) = match name {
            "user" => (accounts.lacks_user(value), "user", "useradd"),
            _ => (accounts.lacks_group(value), "group", "groupadd"),
        };
        missing.then(|| {
            (
                format!("{selector} matches nobody now: this machine has no {sort} {value:?}"),
                format!("write the name of a {sort} as `id` prints it, or make it with {tool}"),
            )
        })
    }
}

fn judge_path(selector: &Selector, path: &Path) -> Option<(String, String)> {
    match fs::canonicalize(path) {
        Ok(real) if real != path => Some((
            format!(
                "{selector} matches nobody: there is a symbolic link on the way, and the kernel names programs without"
            ),
            format!("write \"unix:path:{}\"", real.display()),
        )),
        Ok(real) if !real.is_file() => Some((
            format!("{selector} matches nobody: that is not a file"),
            "write the path of the program itself".to_owned(),
        )),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some((
            format!("{selector} matches nobody now: there is no such file"),
            "write the path of a program that is there, or install it".to_owned(),
        )),
        Err(error) => Some((
            format!("{selector} cannot be looked at from here: {error}"),
            "run the check as the agent's user".to_owned(),
        )),
    }
}
