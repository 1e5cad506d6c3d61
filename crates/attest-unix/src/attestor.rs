//! Turns the facts of a process into `unix` selectors.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use plastron_attest::{
    AttestError, Attested, BoxFuture, Evidence, Facts, Interest, Missing, Peer, PeerHandle as _,
    WorkloadAttestor,
};
use plastron_entry::{Selector, Selectors};

use crate::names::Who;
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

/// What `unix:path` means, and what `unix:sha256` may cost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct UnixAttestorOptions {
    /// Whose view of the file system paths are of.
    pub path: PathView,
    /// The largest program that is hashed, in bytes. Larger ones have no `unix:sha256`.
    pub hash_size_limit: Option<u64>,
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
            facts: peer.facts_of_connection(),
        };
        gathering.ids().await;
        gathering.groups(taken).await;
        gathering.program(taken, self.options).await?;
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

    async fn program(
        &mut self,
        taken: &Taken,
        options: UnixAttestorOptions,
    ) -> Result<(), NoFacts> {
        let program = match &taken.seen.program {
            Ok(program) => program,
            Err(unseen) => {
                self.unseen("unix:path", unseen);
                self.unseen("unix:sha256", unseen);
                return Ok(());
            }
        };
        if let Err(unseen) = &taken.image {
            // Another program could take its place unseen.
            self.unseen("unix:path", unseen);
            self.unseen("unix:sha256", unseen);
            return Ok(());
        }
        self.path(program, options.path);
        self.sha256(program, options).await
    }

    fn path(&mut self, program: &Program, view: PathView) {
        let path = match view {
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

    async fn sha256(
        &mut self,
        program: &Program,
        options: UnixAttestorOptions,
    ) -> Result<(), NoFacts> {
        if options.path == PathView::Host
            && let Err(unseen) = &program.unaided
        {
            self.unseen("unix:sha256", unseen);
            return Ok(());
        }
        if !self.wants("sha256") {
            return Ok(());
        }
        let (process, table) = (self.process, self.table);
        match process
            .digest(table, options.hash_size_limit, program.file)
            .await?
        {
            Ok(digest) => self.program.extend(selector("sha256", digest)),
            Err(none) => self.miss("unix:sha256", none.words(process.pid)),
        }
        Ok(())
    }

    async fn name(&mut self, who: Who, what: &'static str) -> Option<Arc<str>> {
        match self.table.names.of(who).await {
            Ok(Some(name)) => Some(name),
            Ok(None) => {
                self.miss(what, format!("{who} has no name"));
                None
            }
            Err(error) => {
                self.miss(
                    what,
                    format!("the name of {who} cannot be looked up: {error}"),
                );
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

/// `unix:NAME:VALUE`, unless the value is empty.
fn selector(name: &str, value: impl fmt::Display) -> Option<Selector> {
    Selector::new(KIND, &format!("{name}:{value}")).ok()
}

/// The ids that stand for those without a number in the agent's user namespace. Anybody could have them.
struct Overflow {
    uid: u32,
    gid: u32,
}

impl Overflow {
    fn of_this_system() -> &'static Self {
        static OVERFLOW: OnceLock<Overflow> = OnceLock::new();
        OVERFLOW.get_or_init(|| {
            let read = |name: &str| {
                std::fs::read_to_string(format!("/proc/sys/kernel/{name}"))
                    .ok()
                    .and_then(|text| text.trim().parse().ok())
                    .unwrap_or(65534)
            };
            Self {
                uid: read("overflowuid"),
                gid: read("overflowgid"),
            }
        })
    }
}
