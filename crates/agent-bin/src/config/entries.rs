//! `[[entry]]`: who may be what.

use std::{collections::HashMap, time::SystemTime};

use plastron_entry::{EntryError, RegistrationEntry, Selector, Selectors};
use plastron_id::{SpiffeId, SpiffeIdError, TrustDomain, TrustDomainRef};
use toml::de::DeValue;

use super::{
    document::{Item, Node},
    selectors,
    value::{Wrong, lifetime, moment, nearest},
    values::Findings,
};

/// The keys of an `[[entry]]`.
pub(crate) const KEYS: [&str; 9] = [
    "id",
    "spiffe_id",
    "selectors",
    "x509_svid_ttl",
    "jwt_svid_ttl",
    "dns_names",
    "hint",
    "federates_with",
    "expires_at",
];

/// The entries of a file with where each stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    pub(crate) list: Vec<RegistrationEntry>,
    /// Where the SPIFFE ID of each stands, in bytes.
    pub(crate) at: Vec<usize>,
}

impl Entries {
    /// Takes in the value of an `entry` key.
    pub(crate) fn take(&mut self, entries: Node<'_, '_>, findings: &Findings<'_>) {
        if entries.get().as_array().is_none() {
            let what = format!("entry is {}, where tables belong", entries.sort());
            let instead = match entries.get() {
                DeValue::Table(_) => "write [[entry]], with two brackets",
                _ => "write [[entry]] on a line of its own, and the entry's keys below it",
            };
            return findings.error(entries.span().start, what, instead);
        }
        for entry in entries.elements() {
            if !entry.get().is_table() {
                let what = format!("this entry is {}, where a table belongs", entry.sort());
                findings.error(
                    entry.span().start,
                    what,
                    "write [[entry]] on a line of its own, and its keys below it",
                );
            } else if let Some((at, entry)) = read(entry, findings) {
                self.list.push(entry);
                self.at.push(at);
            }
        }
    }

    /// What can be told only of all entries together.
    pub(crate) fn check_together(&self, trust_domain: TrustDomainRef<'_>, findings: &Findings<'_>) {
        let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(self.list.len());
        for (number, (entry, at)) in self.list.iter().zip(&self.at).enumerate() {
            if !entry.spiffe_id.is_member_of(trust_domain) {
                let own = SpiffeId::new(trust_domain, entry.spiffe_id.path());
                let own = own.map_or_else(|_| trust_domain.to_string(), |id| id.to_string());
                findings.error(
                    *at,
                    format!("{} is not in trust domain {trust_domain}", entry.spiffe_id),
                    format!("write spiffe_id = \"{own}\", or give it out by an agent of its own trust domain"),
                );
            }
            if let Some(earlier) = by_id.insert(entry.id.as_str(), number) {
                let line = findings.line(self.at[earlier]);
                let (what, instead) = if self.list[earlier].selectors == entry.selectors
                    && self.list[earlier].spiffe_id == entry.spiffe_id
                {
                    (
                        format!("this entry is the one at line {line} again"),
                        "remove one of the two",
                    )
                } else {
                    (
                        format!(
                            "the entry at line {line} has the same id {:?}",
                            entry.id.as_str()
                        ),
                        "write another id",
                    )
                };
                findings.error(*at, what, instead);
            }
        }
    }
}

/// One entry as it is read, key by key.
#[derive(Default)]
struct Draft {
    id: Option<plastron_entry::EntryId>,
    spiffe_id: Option<(usize, SpiffeId)>,
    selectors: Option<Vec<Selector>>,
    x509_svid_ttl: Option<std::time::Duration>,
    jwt_svid_ttl: Option<std::time::Duration>,
    dns_names: Vec<Box<str>>,
    hint: Option<Box<str>>,
    federates_with: Vec<TrustDomain>,
    expires_at: Option<SystemTime>,
}

fn read(node: Node<'_, '_>, findings: &Findings<'_>) -> Option<(usize, RegistrationEntry)> {
    let mut draft = Draft::default();
    let mut missing = vec!["spiffe_id", "selectors"];
    let mut whole = true;
    for item in node.items() {
        missing.retain(|key| *key != item.key);
        if let Err((at, wrong)) = draft.take(&item, findings) {
            findings.error(at, wrong.what, wrong.instead);
            whole = false;
        }
    }
    for key in missing {
        findings.error(
            node.span().start,
            format!("this entry has no {key}"),
            format!("write {}", example(key)),
        );
    }
    let ((at, spiffe_id), selectors) = draft.spiffe_id.zip(draft.selectors).filter(|_| whole)?;
    let selectors: Selectors = selectors.into_iter().collect();
    let mut builder = RegistrationEntry::builder(spiffe_id, selectors)
        .dns_names(draft.dns_names)
        .federates_with(draft.federates_with);
    if let Some(id) = draft.id {
        builder = builder.id(id);
    }
    if let Some(ttl) = draft.x509_svid_ttl {
        builder = builder.x509_svid_ttl(ttl);
    }
    if let Some(ttl) = draft.jwt_svid_ttl {
        builder = builder.jwt_svid_ttl(ttl);
    }
    if let Some(hint) = draft.hint {
        builder = builder.hint(hint);
    }
    if let Some(end) = draft.expires_at {
        builder = builder.expires_at(end);
    }
    match builder.build() {
        Ok(entry) => Some((at, entry)),
        Err(error) => {
            let at = node
                .items()
                .find(|item| item.key == error.field())
                .map_or(at, |item| item.value.span().start);
            findings.error(at, format!("{}: {error}", error.field()), mend(&error));
            None
        }
    }
}

/// Where a value is wrong, and how.
type Misplaced = (usize, Wrong);

impl Draft {
    fn take(&mut self, item: &Item<'_, '_>, findings: &Findings<'_>) -> Result<(), Misplaced> {
        match item.key {
            "id" => {
                self.id = Some(parse(item, |text| {
                    text.parse().map_err(|error| {
                        refuse(&error, "write letters, digits, \".\", \"-\" and \"_\"")
                    })
                })?);
            }
            "spiffe_id" => {
                self.spiffe_id = Some((item.value.span().start, parse(item, spiffe_id)?));
            }
            "selectors" => self.selectors = Some(selectors(item, findings)?),
            "x509_svid_ttl" => self.x509_svid_ttl = Some(parse(item, lifetime)?),
            "jwt_svid_ttl" => self.jwt_svid_ttl = Some(parse(item, lifetime)?),
            "dns_names" => self.dns_names = list(item, |name| Ok(name.into()))?,
            "hint" => self.hint = Some(parse(item, |hint| Ok(hint.into()))?),
            "federates_with" => self.federates_with = list(item, trust_domain)?,
            "expires_at" => self.expires_at = Some(expiry(item)?),
            key => {
                let instead = match spire_word(key).or_else(|| nearest(key, KEYS)) {
                    Some(known) => format!("write {known}"),
                    None => format!("leave it out, or write one of {}", KEYS.join(", ")),
                };
                return Err((
                    item.key_at,
                    Wrong::new(format!("[[entry]] knows no key {key:?}"), instead),
                ));
            }
        }
        Ok(())
    }
}

/// What SPIRE's entries call it.
fn spire_word(key: &str) -> Option<&'static str> {
    match key {
        "entry_expiry" | "expiry" => Some("expires_at"),
        "ttl" => Some("x509_svid_ttl"),
        "dns" => Some("dns_names"),
        "parent_id" => Some("nothing: an agent serves the entries of its own file"),
        _ => None,
    }
}

fn refuse(error: &dyn std::error::Error, instead: &str) -> Wrong {
    Wrong::new(error.to_string(), instead)
}

/// A value that is written as a string.
fn parse<T>(item: &Item<'_, '_>, parse: impl Fn(&str) -> Result<T, Wrong>) -> Result<T, Misplaced> {
    let at = item.value.span().start;
    match item.value.get() {
        DeValue::String(text) => parse(text).map_err(|wrong| (at, named(item.key, wrong))),
        DeValue::Integer(number) if item.key.ends_with("ttl") => Err((
            at,
            Wrong::new(
                format!("{} is an integer, where a string belongs", item.key),
                format!("write {} = \"{number}s\"", item.key),
            ),
        )),
        _ => Err((
            at,
            Wrong::new(
                format!(
                    "{} is {}, where a string belongs",
                    item.key,
                    item.value.sort()
                ),
                format!("write {}", example(item.key)),
            ),
        )),
    }
}

/// A value that is written as an array of strings.
fn list<T>(
    item: &Item<'_, '_>,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Result<Vec<T>, Misplaced> {
    let at = item.value.span().start;
    let DeValue::Array(_) = item.value.get() else {
        let instead = match item.value.get() {
            DeValue::String(text) => format!("write {} = [{text:?}]", item.key),
            _ => format!("write {}", example(item.key)),
        };
        let what = format!(
            "{} is {}, where an array of strings belongs",
            item.key,
            item.value.sort()
        );
        return Err((at, Wrong::new(what, instead)));
    };
    item.value
        .elements()
        .map(|element| match element.get() {
            DeValue::String(text) => {
                parse(text).map_err(|wrong| (element.span().start, named(item.key, wrong)))
            }
            _ => Err((
                element.span().start,
                Wrong::new(
                    format!(
                        "{} holds {}, where a string belongs",
                        item.key,
                        element.sort()
                    ),
                    format!("write {}", example(item.key)),
                ),
            )),
        })
        .collect()
}

fn named(key: &str, wrong: Wrong) -> Wrong {
    Wrong {
        what: format!("{key}: {}", wrong.what),
        ..wrong
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "id" => "id = \"cart\"",
        "spiffe_id" => "spiffe_id = \"spiffe://example.org/shop/cart\"",
        "selectors" => "selectors = [\"unix:uid:1000\"]",
        "x509_svid_ttl" => "x509_svid_ttl = \"1h\"",
        "jwt_svid_ttl" => "jwt_svid_ttl = \"5m\"",
        "dns_names" => "dns_names = [\"cart.internal\"]",
        "hint" => "hint = \"cart\"",
        "federates_with" => "federates_with = [\"partner.org\"]",
        _ => "expires_at = 2030-01-31T12:00:00Z",
    }
}

fn spiffe_id(text: &str) -> Result<SpiffeId, Wrong> {
    text.parse().map_err(|error: SpiffeIdError| {
        let instead = match error {
            SpiffeIdError::Scheme => {
                let rest = text.split_once("://").map_or(text, |(_, rest)| rest).trim_start_matches('/');
                format!("write \"spiffe://{rest}\"")
            }
            SpiffeIdError::TrailingSlash => format!("write {:?}", text.trim_end_matches('/')),
            SpiffeIdError::TrustDomain(_) => {
                "write the trust domain in lower case, of letters, digits, \".\", \"-\" and \"_\"".to_owned()
            }
            SpiffeIdError::TooLong { .. } => "write a shorter path".to_owned(),
            _ => "write segments of letters, digits, \".\", \"-\" and \"_\", with one \"/\" between them".to_owned(),
        };
        Wrong::new(format!("{text:?} is not a SPIFFE ID: {error}"), instead)
    })
}

/// A trust domain's name, also out of a SPIFFE ID.
pub(crate) fn trust_domain(text: &str) -> Result<TrustDomain, Wrong> {
    TrustDomain::from_name_or_id(text).map_err(|error| {
        let lower = text.to_ascii_lowercase();
        let host = lower.split("://").last().unwrap_or_default();
        let host = host.split(['/', ':', '?']).next().unwrap_or_default();
        let instead = match host.parse::<TrustDomain>() {
            Ok(name) => format!("write \"{name}\""),
            Err(_) => {
                "write letters in lower case, digits, \".\", \"-\" and \"_\": \"example.org\""
                    .to_owned()
            }
        };
        Wrong::new(
            format!("{text:?} is not the name of a trust domain: {error}"),
            instead,
        )
    })
}

fn selectors(item: &Item<'_, '_>, findings: &Findings<'_>) -> Result<Vec<Selector>, Misplaced> {
    let parsed = list(item, selectors::parse)?;
    if parsed.is_empty() {
        return Err((
            item.value.span().start,
            Wrong::new(
                "selectors is empty, and an entry that asks for nothing would match everybody",
                format!("write {}", example("selectors")),
            ),
        ));
    }
    for (selector, element) in parsed.iter().zip(item.value.elements()) {
        if let Some(wrong) = selectors::never_matches(selector) {
            findings.warning(element.span().start, wrong.what, wrong.instead);
        }
    }
    Ok(parsed)
}

/// A TOML date, or the same as a string, or seconds since 1970.
fn expiry(item: &Item<'_, '_>) -> Result<SystemTime, Misplaced> {
    let text = match item.value.get() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        _ => item.value.sort().to_owned(),
    };
    moment(&text).map_err(|wrong| (item.value.span().start, named(item.key, wrong)))
}

/// What to write instead of what an entry may not have.
fn mend(error: &EntryError) -> String {
    match error {
        EntryError::NoPath => "write a path after the trust domain, such as /shop/cart".to_owned(),
        EntryError::HintTooLong { .. } => "write a shorter hint".to_owned(),
        EntryError::DnsName { .. } => "write a host name, such as \"cart.internal\"".to_owned(),
        error => format!("write {}", example(error.field())),
    }
}
