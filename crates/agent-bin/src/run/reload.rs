//! Puts a changed configuration in force while the agent runs: all of it, or nothing.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use plastron_agent::{
    Agent, Registry,
    audit::Audit,
    health::{self, Component, Health},
};
use plastron_attest_unix::release_free_memory;
use plastron_entry::RegistrationEntry;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
};

use super::{foreign::ForeignBundles, logging::Logging, systemd};
use crate::{
    bundle_file, calendar,
    config::{self, Checked, Count, Difference, Given, Key, Lint, Settings},
    report::plural,
    watch::Watcher,
};

/// Findings that are logged, and told in health, one by one; more are counted.
const TOLD: usize = 20;
/// Files, users and groups that are looked for when a configuration was put in force.
const LOOKS: usize = 5000;
/// Entries above which the memory that reading them took is given back at once.
const MANY_ENTRIES: usize = 1000;

/// A configuration that was put in force, and where it came from.
pub(super) struct InForce {
    pub(super) file: PathBuf,
    pub(super) seen: Seen,
    pub(super) given: Vec<Given>,
    /// Without the entries.
    pub(super) settings: Settings,
    pub(super) registry: Registry,
    pub(super) lint: Lint,
    pub(super) foreign: ForeignBundles,
}

/// What a configuration is put in force in.
pub(super) struct Running {
    pub(super) agent: Arc<Agent>,
    pub(super) health: Arc<Health>,
    pub(super) audit: Audit,
    pub(super) logging: Logging,
}

/// Reads the configuration again when it changes, or on SIGHUP.
pub(super) struct Reloader {
    file: PathBuf,
    given: Arc<[Given]>,
    /// Without the entries.
    settings: Arc<Settings>,
    registry: Registry,
    /// Until it was asked what is odd about what is in force.
    lint: Option<Lint>,
    foreign: Arc<Mutex<ForeignBundles>>,
    running: Running,
    hangup: Signal,
    watcher: Option<Watcher>,
    /// Whether files are watched.
    watching: Component,
    /// The file was changed since it was read first.
    stale: bool,
}

impl Reloader {
    /// Watches from now on.
    ///
    /// # Errors
    ///
    /// SIGHUP cannot be handled.
    pub(super) fn new(first: InForce, running: Running) -> io::Result<Self> {
        let InForce {
            file,
            seen,
            given,
            settings,
            registry,
            lint,
            foreign,
        } = first;
        let mut reloader = Self {
            stale: false,
            file: std::path::absolute(&file).unwrap_or(file),
            given: given.into(),
            settings: Arc::new(settings),
            registry,
            lint: Some(lint),
            foreign: Arc::new(Mutex::new(foreign)),
            watching: running.health.component("files"),
            running,
            hangup: signal(SignalKind::hangup())?,
            watcher: None,
        };
        reloader.watch();
        reloader.stale = Seen::of(&reloader.file) != seen;
        Ok(reloader)
    }

    /// Reloads for as long as it is polled.
    pub(super) async fn run(mut self) {
        if self.stale {
            self.reload().await;
        } else {
            let warnings = self.warnings().await;
            self.tell(None, warnings);
        }
        loop {
            let changed = async {
                match &mut self.watcher {
                    Some(watcher) => watcher.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = changed => match changed {
                    Ok(files) => {
                        tracing::debug!(?files, "changed");
                        if files.contains(&self.file) { self.reload().await } else { self.read_bundles().await }
                        self.tell_watching();
                    }
                    Err(error) => {
                        self.watcher = None;
                        self.unwatched("files", &error);
                    }
                },
                _ = self.hangup.recv() => {
                    self.running.audit.reopen();
                    self.reload().await;
                }
            }
        }
    }

    /// Watches the files that are read now, from now on.
    fn watch(&mut self) {
        let files = self.files();
        match &mut self.watcher {
            Some(watcher) => watcher.set(files),
            None => match Watcher::new(files) {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => return self.unwatched("files", &error),
            },
        }
        self.tell_watching();
    }

    /// Says whether all that is to be watched is.
    fn tell_watching(&self) {
        match self.watcher.as_ref().and_then(Watcher::unwatched) {
            Some((folder, error)) => self.unwatched(&folder.display().to_string(), error),
            None => self.watching.ok(),
        }
    }

    fn unwatched(&self, what: &str, error: &io::Error) {
        let words = format!("{what} cannot be watched: {error}; send SIGHUP after a change");
        tracing::warn!("{words}");
        self.watching.degraded(words);
    }

    /// What is watched.
    fn files(&self) -> Vec<PathBuf> {
        let bundles = self
            .settings
            .bundles
            .iter()
            .map(|bundle| bundle.file.clone());
        bundles.chain([self.file.clone()]).collect()
    }

    /// Reads the file and puts it in force, if it can be.
    async fn reload(&mut self) {
        systemd::reloading();
        let (file, given) = (self.file.clone(), self.given.clone());
        let (settings, registry) = (self.settings.clone(), self.registry.clone());
        let foreign = self.foreign.clone();
        let prepared =
            spawn_blocking(move || Next::prepare(&file, &given, &settings, registry, &foreign));
        let outcome = match prepared.await {
            Ok(Ok(next)) => Ok(self.put_in_force(next).await),
            Ok(Err(sentences)) => Err(sentences),
            Err(error) => Err(vec![format!(
                "reading the configuration broke off: {error}"
            )]),
        };
        let entries = self.registry.entries().len();
        let (status, unused) = match outcome {
            Ok(unused) => {
                let warnings = self.warnings().await;
                self.tell(None, warnings);
                (plural(entries, "entry", "entries"), Some(unused))
            }
            Err(sentences) => {
                let all = told(&sentences, |sentence| {
                    tracing::error!("the configuration is not in force: {sentence}");
                });
                self.tell(Some(all.join("; ")), Vec::new());
                let status = format!("the configuration is not in force: {}", all.join("; "));
                (status, None)
            }
        };
        systemd::reloaded(&status);
        // To let go of many entries takes a while, too.
        let many = entries > MANY_ENTRIES;
        spawn_blocking(move || {
            drop(unused);
            if many {
                release_free_memory();
            }
        });
    }

    /// Returns what is in force no longer, or never was.
    async fn put_in_force(&mut self, next: Next) -> Registry {
        let unused = if next.differs {
            let unused = std::mem::replace(&mut self.registry, next.registry);
            let affected = self.running.agent.replace(self.registry.clone()).await;
            tracing::info!(
                entries = %next.entries,
                bundles = %Count::of_bundles(&self.settings.bundles, &next.settings.bundles),
                callers = affected,
                "the configuration is in force"
            );
            unused
        } else {
            tracing::info!(
                "the configuration was read again; no entry and no bundle is other than before"
            );
            next.registry
        };
        for key in next.live {
            tracing::info!(
                key = key.name,
                value = (key.shown)(&next.settings),
                "changed"
            );
        }
        self.running
            .logging
            .set_level(next.settings.log.level.clone());
        (self.settings, self.lint) = (Arc::new(next.settings), Some(next.lint));
        self.watch();
        unused
    }

    /// Reads the files of foreign bundles again.
    async fn read_bundles(&mut self) {
        let (foreign, wanted) = (self.foreign.clone(), self.settings.clone());
        let Ok(bundles) = spawn_blocking(move || lock(&foreign).read(&wanted.bundles)).await else {
            tracing::error!("reading foreign bundles broke off");
            return;
        };
        if bundles == **self.registry.foreign() {
            return;
        }
        let read: Vec<_> = bundles.iter().map(|bundle| &**bundle).collect();
        for odd in bundle_file::odd(&read) {
            tracing::warn!("{}", odd.what);
        }
        self.registry = self.registry.with_foreign(bundles);
        let affected = self.running.agent.replace(self.registry.clone()).await;
        tracing::info!(callers = affected, "foreign bundles have changed");
    }

    /// What is odd about what is in force.
    async fn warnings(&mut self) -> Vec<String> {
        let Some(lint) = self.lint.take() else {
            return Vec::new();
        };
        let (settings, registry) = (self.settings.clone(), self.registry.clone());
        let found = spawn_blocking(move || {
            let entries: Vec<&RegistrationEntry> =
                registry.entries().iter().map(|entry| &**entry).collect();
            lint.warnings(&settings, &entries, LOOKS, calendar::now())
                .sentences()
                .collect::<Vec<_>>()
        });
        told(&found.await.unwrap_or_default(), |sentence| {
            tracing::warn!("{sentence}");
        })
    }

    /// Says in health how it went.
    fn tell(&self, error: Option<String>, warnings: Vec<String>) {
        self.running.health.reloaded(health::Reload {
            at: calendar::now(),
            error,
            warnings,
        });
    }
}

/// A configuration that can be put in force. Whatever takes as long as it has entries was done before.
struct Next {
    settings: Settings,
    lint: Lint,
    registry: Registry,
    /// Entries or foreign bundles are others than before.
    differs: bool,
    /// How many entries are.
    entries: Count,
    /// What else is, and can be while the agent runs.
    live: Vec<&'static Key>,
}

impl Next {
    /// Reads the configuration and the files of its bundles, and compares them with what is in force.
    ///
    /// # Errors
    ///
    /// Why it cannot be put in force, in sentences.
    fn prepare(
        file: &Path,
        given: &[Given],
        before: &Settings,
        in_force: Registry,
        foreign: &Mutex<ForeignBundles>,
    ) -> Result<Self, Vec<String>> {
        let Checked { mut settings, lint } =
            config::load(file, given).map_err(|error| error.sentences())?;
        let difference = Difference::between(before, &settings);
        if let Some(refusal) = difference.refusal() {
            return Err(vec![refusal]);
        }
        let bundles = lock(foreign).read(&settings.bundles);
        let registry = Registry::new(std::mem::take(&mut settings.entries), bundles);
        let entries = Count::of_entries(in_force.entries(), registry.entries());
        let differs = in_force.foreign() != registry.foreign()
            || !in_force.entries().iter().eq(registry.entries());
        Ok(Self {
            settings,
            lint,
            registry,
            differs,
            entries,
            live: difference.live,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says the first of some sentences, and returns those that were said.
fn told(sentences: &[String], mut say: impl FnMut(&str)) -> Vec<String> {
    let mut said: Vec<String> = sentences.iter().take(TOLD).cloned().collect();
    if let Some(more) = sentences.len().checked_sub(TOLD).filter(|more| *more > 0) {
        said.push(format!("… and {more} more"));
    }
    said.iter().for_each(|sentence| say(sentence));
    said
}

/// Which file stood at a path: enough to tell whether another one does now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Seen(Option<[i64; 6]>);

impl Seen {
    pub(super) fn of(path: &Path) -> Self {
        Self(path.metadata().ok().map(|facts| {
            let [device, inode, size] =
                [facts.dev(), facts.ino(), facts.size()].map(u64::cast_signed);
            [
                device,
                inode,
                size,
                facts.mtime(),
                facts.mtime_nsec(),
                facts.ctime_nsec(),
            ]
        }))
    }
}
