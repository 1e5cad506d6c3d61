//! Import of the entries of a SPIRE server, as `spire-server entry show -output json` prints them.
//!
//! SPIRE's entries say more than ours: on which nodes they apply, what administration they permit, where SVIDs are to be
//! stored. What cannot be carried over is not passed over in silence: each thing lost is a [`Note`], and an entry that
//! would grant something else than in SPIRE is left out.

mod json;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, SystemTime};

use plastron_id::{SpiffeId, SpiffeIdError, TrustDomain};

use self::json::Listed;
use crate::{EntryError, EntryId, RegistrationEntry, Selector, SelectorError, Selectors};

/// What came of an import.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Import {
    /// The entries, the oldest first: of equal hints SPIRE lets the oldest entry keep it, and so does the index.
    pub entries: Vec<RegistrationEntry>,
    /// What could not be carried over, in the order of the entries.
    pub notes: Vec<Note>,
}

/// Something of one entry that could not be carried over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// The ID of the entry in SPIRE.
    pub entry: Box<str>,
    /// Its SPIFFE ID, as it stands there.
    pub spiffe_id: Box<str>,
    /// What is lost.
    pub loss: Loss,
}

/// What is lost of an entry, or why all of it is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// All of it: its selectors are those of nodes, and it gives a name to a set of these.
    #[error("left out: it names a set of nodes, not a workload")]
    NodeAlias,
    /// All of it: its SVIDs go into a store, and its selectors say where, not who.
    #[error("left out: its SVIDs are for a store, not for a workload")]
    StoreSvid,
    /// All of it: an older entry has the same SPIFFE ID and selectors, for other nodes.
    #[error("left out: entry {0} grants the same to the same workload")]
    Repeated(Box<str>),
    /// All of it: the SPIFFE ID is not one.
    #[error("left out: wrong SPIFFE ID")]
    SpiffeId(#[source] SpiffeIdError),
    /// All of it: a selector is not one.
    #[error("left out: wrong selector {text:?}")]
    Selector {
        /// The selector, as it stands there.
        text: Box<str>,
        /// What is wrong with it.
        #[source]
        reason: SelectorError,
    },
    /// All of it: it breaks a rule for entries.
    #[error("left out: not a valid entry")]
    Entry(#[source] EntryError),
    /// Its right to administer the server.
    #[error("the right to administer the server is not carried over")]
    Admin,
    /// Its right to an authority of its own, for a server below. It gets SVIDs as any workload.
    #[error("the right to sign, as a downstream server, is not carried over")]
    Downstream,
    /// The limit to those nodes: here it applies wherever it is configured.
    #[error("the limit to the node or nodes {0} is not carried over")]
    Parent(Box<str>),
    /// Selectors of a kind that is not attested here, so that nothing matches it.
    #[error("selectors of kind {0} are not attested here, so it matches nothing")]
    Kind(Box<str>),
    /// The federation with something that is no trust domain.
    #[error("the federation with {0:?} is not carried over: no trust domain")]
    FederatesWith(Box<str>),
    /// Its ID, which is not one here; it gets another.
    #[error("its ID is not carried over")]
    Id,
    /// The value of a field that is not known here.
    #[error("the field {0} is not carried over: it is not known here")]
    Field(Box<str>),
}

impl Loss {
    /// Whether the whole entry is left out.
    pub const fn is_whole(&self) -> bool {
        matches!(
            self,
            Self::NodeAlias
                | Self::StoreSvid
                | Self::Repeated(_)
                | Self::SpiffeId(_)
                | Self::Selector { .. }
                | Self::Entry(_)
        )
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "entry {} ({}): {}",
            self.entry, self.spiffe_id, self.loss
        )?;
        let mut source = std::error::Error::source(&self.loss);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// Why a text is no listing of entries.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no listing of SPIRE entries, at line {line}, column {column}: {message}")]
pub struct ImportError {
    /// The line, from 1.
    pub line: usize,
    /// The column in it, in bytes from 1.
    pub column: usize,
    /// What was expected there, in words.
    pub message: Box<str>,
}

/// Reads a listing of entries. `kinds` are the kinds of selectors that are attested where the entries shall serve.
///
/// # Errors
///
/// The text is not JSON, or not of this shape. What is wrong with single entries is in the notes.
pub fn import(json: &[u8], kinds: &[&str]) -> Result<Import, ImportError> {
    let mut listed = json::parse(json)?;
    listed.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    let mut importer = Importer {
        kinds,
        one_agent: one_agent(&listed),
        known: HashMap::new(),
        import: Import::default(),
    };
    for entry in &listed {
        importer.take(entry);
    }
    Ok(importer.import)
}

struct Importer<'a> {
    kinds: &'a [&'a str],
    /// All entries are for one agent, so that its own configuration is their place.
    one_agent: bool,
    /// What is granted already, and by which entry.
    known: HashMap<(SpiffeId, Selectors), Box<str>>,
    import: Import,
}

impl Importer<'_> {
    /// Carries one entry over, or notes why not.
    fn take(&mut self, listed: &Listed) {
        let mut losses = Vec::new();
        match self.entry(listed, &mut losses) {
            Ok(entry) => self.import.entries.push(entry),
            Err(whole) => losses = vec![whole],
        }
        let spiffe_id = listed.spiffe_id.clone().unwrap_or_default().to_string();
        self.import
            .notes
            .extend(losses.into_iter().map(|loss| Note {
                entry: listed.id.as_str().into(),
                spiffe_id: spiffe_id.as_str().into(),
                loss,
            }));
    }

    /// The entry, with what is lost of it, or why it is left out.
    fn entry(
        &mut self,
        listed: &Listed,
        losses: &mut Vec<Loss>,
    ) -> Result<RegistrationEntry, Loss> {
        if listed
            .parent_id
            .as_ref()
            .is_some_and(|parent| parent.path == SERVER)
        {
            return Err(Loss::NodeAlias);
        }
        if listed.store_svid {
            return Err(Loss::StoreSvid);
        }
        let spiffe_id = spiffe_id(listed)?;
        let selectors = selectors(listed)?;
        let grant = (spiffe_id.clone(), selectors.clone());
        if let Some(older) = self.known.get(&grant) {
            return Err(Loss::Repeated(older.clone()));
        }
        self.losses(listed, &selectors, losses);

        let mut builder = RegistrationEntry::builder(spiffe_id, selectors)
            .dns_names(listed.dns_names.iter().map(String::as_str))
            .hint(listed.hint.as_str());
        match listed.id.parse::<EntryId>() {
            Ok(id) => builder = builder.id(id),
            Err(_) => losses.push(Loss::Id),
        }
        if let Some(ttl) = positive(listed.x509_svid_ttl) {
            builder = builder.x509_svid_ttl(ttl);
        }
        if let Some(ttl) = positive(listed.jwt_svid_ttl) {
            builder = builder.jwt_svid_ttl(ttl);
        }
        let end = positive(listed.expires_at);
        if let Some(end) = end.and_then(|end| SystemTime::UNIX_EPOCH.checked_add(end)) {
            builder = builder.expires_at(end);
        }
        let mut federates_with = Vec::with_capacity(listed.federates_with.len());
        for name in &listed.federates_with {
            match TrustDomain::from_name_or_id(name) {
                Ok(trust_domain) => federates_with.push(trust_domain),
                Err(_) => losses.push(Loss::FederatesWith(name.as_str().into())),
            }
        }
        let entry = builder
            .federates_with(federates_with)
            .build()
            .map_err(Loss::Entry)?;
        self.known.insert(grant, listed.id.as_str().into());
        Ok(entry)
    }

    /// What of the entry has no place here.
    fn losses(&self, listed: &Listed, selectors: &Selectors, losses: &mut Vec<Loss>) {
        if listed.admin {
            losses.push(Loss::Admin);
        }
        if listed.downstream {
            losses.push(Loss::Downstream);
        }
        if let Some(parent) = listed.parent_id.as_ref().filter(|_| !self.one_agent) {
            losses.push(Loss::Parent(parent.to_string().into()));
        }
        let kinds: BTreeSet<&str> = selectors.iter().map(Selector::kind).collect();
        let unattested = kinds.into_iter().filter(|kind| !self.kinds.contains(kind));
        losses.extend(unattested.map(|kind| Loss::Kind(kind.into())));
        losses.extend(listed.unknown().map(|name| Loss::Field(name.into())));
    }
}

/// Whether all entries for workloads have one and the same agent as parent.
fn one_agent(listed: &[Listed]) -> bool {
    let parents: BTreeSet<String> = listed
        .iter()
        .filter(|entry| !entry.store_svid)
        .filter_map(|entry| entry.parent_id.as_ref())
        .filter(|parent| parent.path != SERVER)
        .map(|parent| {
            if parent.path.starts_with(AGENTS) {
                parent.to_string()
            } else {
                String::new()
            }
        })
        .collect();
    parents.len() <= 1 && !parents.contains("")
}

fn spiffe_id(listed: &Listed) -> Result<SpiffeId, Loss> {
    let json::Id { trust_domain, path } = listed.spiffe_id.clone().unwrap_or_default();
    let trust_domain: TrustDomain = trust_domain
        .parse()
        .map_err(|error| Loss::SpiffeId(SpiffeIdError::TrustDomain(error)))?;
    SpiffeId::new(trust_domain.as_ref(), &path).map_err(Loss::SpiffeId)
}

fn selectors(listed: &Listed) -> Result<Selectors, Loss> {
    let selector = |json::Selector { kind, value }: &json::Selector| {
        Selector::new(kind, value).map_err(|reason| Loss::Selector {
            text: format!("{kind}:{value}").into(),
            reason,
        })
    };
    listed.selectors.iter().map(selector).collect()
}

/// Seconds; 0 stands for "not set".
fn positive(seconds: i64) -> Option<Duration> {
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

/// The path of the server's own ID, the parent of entries that name sets of nodes.
const SERVER: &str = "/spire/server";
/// Where the paths of the IDs of agents begin.
const AGENTS: &str = "/spire/agent/";

#[cfg(test)]
mod tests;
