//! Turns the facts of a process into `unix` selectors.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use plastron_attest::{
    AttestError, Attested, BoxFuture, Evidence, Facts, Interest, Missing, Peer, PeerHandle as _,
    WorkloadAttestor,
};
use plastron_entry::{Selector, Selectors};
use tokio::time::Instant;

use crate::asked::Asked;
use crate::digest::{Hashed, NoDigest};
use crate::names::Who;
use crate::overflow::Overflow;
use crate::peer::UnixPeer;
use crate::process::{NoFacts, Process, Taken};
use crate::processes::Table;
use crate::seen::{Program, Unseen};
use std::sync::Arc;

/// Attests processes by user, groups and program, in SPIRE's words: `unix:uid`, `user`, `gid`, `group`,
/// `supplementary_gid`, `supplementary_group`, `path`, `sha256`.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnixAttestor {
    options: UnixAttestorOptions,
}

/// What `unix:path` means, and what `unix:sha256` and names may cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UnixAttestorOptions {
    /// Whose view of the file system paths are of.
    pub path: PathView,
    /// The largest program that is hashed, in bytes. Larger ones have no `unix:sha256`.
    pub hash_size_limit: Option<u64>,
    /// How long one caller waits for what may take long: names, as the databases of users and groups may be on the network,
    /// and the digest of a large program. What has not come then is missing, and only that. It goes on, and is there for
    /// the next look.
    pub patience: Duration,
}

impl Default for UnixAttestorOptions {
    fn default() -> Self {
        Self {
            path: PathView::default(),
            hash_size_limit: None,
            patience: Duration::from_secs(1),
        }
    }
}

/// Whose view of the file system `unix:path` is of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum PathView {
    /// The agent's: what runs must be the very file that the agent finds at that path.
    ///
    /// Whoever may not write there cannot have put it there. Programs in containers have no path under which the agent
    /// finds them. A program that is traced, or in another user namespace, has neither path nor digest.
    #[default]
    Host,
    /// The caller's, as with SPIRE: what the kernel says, wherever that leads.
    ///
    /// Programs in containers have their path there. So have those in a mount namespace that anybody made to his liking.
    Caller,
}

impl UnixAttestorOptions {
    /// Another view of paths.
    #[must_use]
    pub const fn path(mut self, view: PathView) -> Self {
        self.path = view;
        self
    }

    /// A limit, in bytes, on what is hashed.
    #[must_use]
    pub const fn hash_size_limit(mut self, bytes: u64) -> Self {
        self.hash_size_limit = Some(bytes);
        self
    }

    /// Another limit on the time that names and the digest may take.
    #[must_use]
    pub const fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }
}

impl UnixAttestor {
    /// An attestor.
    pub const fn new(options: UnixAttestorOptions) -> Self {
        Self { options }
    }

    async fn evidence(&self, peer: &UnixPeer, interest: &Interest) -> Result<Evidence, NoFacts> {
        let table = peer.table();
        let (process, taken) = peer.facts().await?;
        if process.age(table) > table.oldest() {
            process.look_closely(table).await?;
        }
        let mut gathering = Gathering {
            interest,
            table,
            process,
            selectors: Vec::with_capacity(8),
            program: Vec::new(),
            missing: Vec::new(),
            unfinished: false,
            options: self.options,
            names_until: Instant::now() + self.options.patience,
            facts: peer.facts_of_connection(),
        };
        // First, so that names and digest are waited for at the same time.
        let hashed = gathering.hash(taken);
        gathering.ids().await;
        gathering.groups(taken).await;
        gathering.program(taken, hashed).await;
        // Last: all of it was about this process, as it is now.
        peer.check()?;
        let program: Selectors = gathering.program.into_iter().collect();
        let mut selectors: Selectors = gathering.selectors.into_iter().collect();
        selectors.extend(program.iter().cloned());
        Ok(Evidence {
            selectors,
            program,
            facts: gathering.facts,
            missing: gathering.missing,
            unfinished: gathering.unfinished,
        })
    }
}

impl WorkloadAttestor for UnixAttestor {
    fn selector_kind(&self) -> &'static str {
        KIND
    }

    fn attest<'a>(
        &'a self,
        peer: &'a Peer,
        interest: &'a Interest,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        Box::pin(async move {
            match peer.handle_as::<UnixPeer>() {
                None => Ok(Attested::NotApplicable),
                Some(unix) => Ok(Attested::Evidence(self.evidence(unix, interest).await?)),
            }
        })
    }
}

const KIND: &str = "unix";

/// Selectors of one process, as they come together.
struct Gathering<'a> {
    interest: &'a Interest,
    table: &'a Arc<Table>,
    process: &'a Arc<Process>,
    selectors: Vec<Selector>,
    program: Vec<Selector>,
    missing: Vec<Missing>,
    unfinished: bool,
    options: UnixAttestorOptions,
    names_until: Instant,
    facts: Facts,
}

impl Gathering<'_> {
    fn wants(&self, name: &str) -> bool {
        self.interest.wants(KIND, name)
    }

    async fn ids(&mut self) {
        let Facts { uid, gid, .. } = self.facts;
        for (id, overflow, name, of_name, who, what, what_name) in [
            (
                uid,
                Overflow::of_this_system().uid,
                "uid",
                "user",
                Who::User(uid),
                "unix:uid",
                "unix:user",
            ),
            (
                gid,
                Overflow::of_this_system().gid,
                "gid",
                "group",
                Who::Group(gid),
                "unix:gid",
                "unix:group",
            ),
        ] {
            if id == overflow {
                self.miss(
                    what,
                    "it is the id that stands for ids the agent cannot see",
                );
                continue;
            }
            self.selectors.extend(selector(name, id));
            if self.wants(of_name)
                && let Some(text) = self.name(who, what_name).await
            {
                self.selectors.extend(selector(of_name, text));
            }
        }
    }

    async fn groups(&mut self, taken: &Taken) {
        let groups = match &taken.seen.groups {
            Ok(groups) => groups,
            Err(unseen) => {
                self.unseen("unix:supplementary_gid", unseen);
                self.unseen("unix:supplementary_group", unseen);
                return;
            }
        };
        if groups.len() > MOST_GROUPS {
            // Anybody can take tens of thousands on in a user namespace of his, and each costs time and memory.
            let why = format!("it has {} groups, more than {MOST_GROUPS}", groups.len());
            self.miss("unix:supplementary_gid", why.clone());
            self.miss("unix:supplementary_group", why);
            self.facts.groups.extend_from_slice(&groups[..MOST_GROUPS]);
            return;
        }
        self.facts.groups.clone_from(groups);
        let overflow = Overflow::of_this_system().gid;
        let (ids, names) = (
            self.wants("supplementary_gid"),
            self.wants("supplementary_group"),
        );
        for gid in groups.iter().copied().filter(|gid| *gid != overflow) {
            if ids {
                self.selectors.extend(selector("supplementary_gid", gid));
            }
            if names
                && let Some(name) = self.name(Who::Group(gid), "unix:supplementary_group").await
            {
                self.selectors.extend(selector("supplementary_group", name));
            }
        }
    }

    /// Has the program hashed, if somebody wants that and it says something.
    fn hash(&self, taken: &Taken) -> Option<Asked<Hashed>> {
        let program = taken.seen.program.as_ref().ok()?;
        let is_earned = taken.image.is_ok() && self.may_hash(program).is_ok();
        (is_earned && self.wants("sha256")).then(|| {
            let limit = self.options.hash_size_limit;
            self.process.hash(self.table, limit, program.file)
        })
    }

    fn may_hash<'p>(&self, program: &'p Program) -> Result<(), &'p Unseen> {
        match self.options.path {
            PathView::Host => program.unaided.as_ref().copied(),
            PathView::Caller => Ok(()),
        }
    }

    async fn program(&mut self, taken: &Taken, hashed: Option<Asked<Hashed>>) {
        // Without hold of the image, another program could take its place unseen.
        let program = match (&taken.seen.program, &taken.image) {
            (Ok(program), Ok(_image)) => program,
            (Err(unseen), _) | (_, Err(unseen)) => {
                self.unseen("unix:path", unseen);
                self.unseen("unix:sha256", unseen);
                return;
            }
        };
        self.path(program);
        self.sha256(program, hashed).await;
    }

    fn path(&mut self, program: &Program) {
        let path = match self.options.path {
            PathView::Host => program.host_path(),
            PathView::Caller => program.caller_path(),
        };
        let path = path.and_then(|path| path.to_str().ok_or(Unseen::NoText));
        match path {
            Ok(path) => {
                self.facts.path = Some(Path::new(path).into());
                if self.wants("path") {
                    self.program.extend(selector("path", path));
                }
            }
            Err(unseen) => self.unseen("unix:path", &unseen),
        }
    }

    async fn sha256(&mut self, program: &Program, hashed: Option<Asked<Hashed>>) {
        if let Err(unseen) = self.may_hash(program) {
            self.unseen("unix:sha256", unseen);
        }
        let Some(mut hashed) = hashed else {
            return;
        };
        match hashed.within(self.options.patience).await {
            Ok(Ok(digest)) => self.program.extend(selector("sha256", digest)),
            Ok(Err(none)) => self.no_digest(&none),
            Err(none) => self.no_digest(&NoDigest::Unanswered(none)),
        }
    }

    fn no_digest(&mut self, none: &NoDigest) {
        self.unfinished |= none.may_come();
        self.miss("unix:sha256", none.words(self.process.pid));
    }

    async fn name(&mut self, who: Who, what: &'static str) -> Option<Arc<str>> {
        let names = &self.table.names;
        match names.of(self.facts.uid, who, self.names_until).await {
            Ok(Some(name)) => Some(name),
            Ok(None) => {
                self.miss(what, format!("{who} has no name"));
                None
            }
            Err(none) => {
                self.unfinished = true;
                self.miss(what, format!("the name of {who} {none}"));
                None
            }
        }
    }

    fn unseen(&mut self, what: &'static str, unseen: &Unseen) {
        self.miss(what, unseen.words(self.facts.pid));
    }

    fn miss(&mut self, what: &'static str, why: impl Into<Cow<'static, str>>) {
        let why = why.into();
        self.missing.push(Missing { what, why });
    }
}

/// The most supplementary groups from which selectors are made. NFS takes sixteen, and large directories give hundreds.
const MOST_GROUPS: usize = 1024;

/// `unix:NAME:VALUE`, unless the value is empty.
fn selector(name: &str, value: impl fmt::Display) -> Option<Selector> {
    Selector::new(KIND, &format!("{name}:{value}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::tests::Told;
    use crate::{ProcessOptions, Processes};

    #[tokio::test(start_paused = true)]
    async fn names_that_nobody_answers_are_missing_and_only_they() {
        let mut told = Told::new();
        let processes = Processes::with_names(ProcessOptions::default(), told.names.clone());
        let pid = i32::try_from(std::process::id()).unwrap();
        let peer = processes.peer_of_pid(pid).unwrap();
        let attestor = UnixAttestor::default();
        let attest = async |interest: &Interest| match attestor.attest(&peer, interest).await {
            Ok(Attested::Evidence(evidence)) => evidence,
            other => panic!("{other:?}"),
        };
        let nameless = [
            format!("unix:uid:{}", peer.uid),
            "unix:sha256:0".into(),
            "unix:path:/a".into(),
        ];
        let nameless: Vec<Selector> = nameless.iter().map(|text| text.parse().unwrap()).collect();
        // The digest of this program may take its time.
        while attest(&Interest::of(&nameless)).await.unfinished {
            tokio::task::yield_now().await;
        }
        assert!(told.asked.try_recv().is_err(), "no entry has a name");

        let started = Instant::now();
        let all = Interest::all();
        let (evidence, _asked) = tokio::join!(attest(&all), async {
            let asked = told.asked.recv().await;
            tokio::time::advance(attestor.options.patience).await;
            asked
        });
        assert_eq!(started.elapsed(), attestor.options.patience);
        let sorts = |evidence: &Evidence| -> Vec<_> {
            let mut sorts: Vec<_> = evidence
                .selectors
                .iter()
                .map(|one| one.name().to_owned())
                .collect();
            sorts.dedup();
            sorts
        };
        let seen = sorts(&evidence);
        for name in ["uid", "gid", "path", "sha256"] {
            assert!(seen.iter().any(|seen| seen == name), "{name}: {seen:?}");
        }
        assert!(evidence.unfinished);
        let missing = evidence
            .missing
            .iter()
            .find(|missing| missing.what == "unix:user");
        assert_eq!(
            missing.unwrap().why,
            format!("the name of uid {} has not been answered yet", peer.uid)
        );

        told.answer(usize::from(u16::MAX));
        while attest(&Interest::all()).await.unfinished {
            tokio::task::yield_now().await;
        }
        let evidence = attest(&Interest::all()).await;
        let user: Selector = format!("unix:user:user{}", peer.uid).parse().unwrap();
        assert!(evidence.selectors.contains(user.as_str()), "{evidence:?}");
    }
}
