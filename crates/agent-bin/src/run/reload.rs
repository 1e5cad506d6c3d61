//! Puts a changed configuration in force while the agent runs: all of it, or nothing.

use std::{
    collections::BTreeSet,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use plastron_agent::{
    Agent, Registry,
    audit::Audit,
    health::{self, Health},
};
use plastron_bundle::BundleSet;
use plastron_entry::RegistrationEntry;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
};

use super::{foreign::ForeignBundles, housekeeping, logging::Logging, systemd};
use crate::{
    bundle_file, calendar,
    config::{self, Checked, Count, Difference, Given, Lint, Settings},
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
    pub(super) entries: Vec<Arc<RegistrationEntry>>,
    pub(super) lint: Lint,
    pub(super) foreign: ForeignBundles,
    pub(super) bundles: BundleSet,
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
    settings: Settings,
    entries: Vec<Arc<RegistrationEntry>>,
    /// Until it was asked what is odd about what is in force.
    lint: Option<Lint>,
    foreign: Arc<Mutex<ForeignBundles>>,
    bundles: BundleSet,
    running: Running,
    hangup: Signal,
    watcher: Option<Watcher>,
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
            entries,
            lint,
            foreign,
            bundles,
        } = first;
        let mut reloader = Self {
            stale: false,
            file: std::path::absolute(&file).unwrap_or(file),
            given: given.into(),
            settings,
            entries,
            lint: Some(lint),
            foreign: Arc::new(Mutex::new(foreign)),
            bundles,
            running,
            hangup: signal(SignalKind::hangup())?,
            watcher: None,
        };
        match Watcher::new(reloader.files()) {
            Ok(watcher) => reloader.watcher = Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "files cannot be watched; send SIGHUP after a change");
            }
        }
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
                    None => std::future::pending::<BTreeSet<PathBuf>>().await,
                }
            };
            tokio::select! {
                files = changed => {
                    tracing::debug!(?files, "changed");
                    if files.contains(&self.file) { self.reload().await } else { self.read_bundles().await }
                }
                _ = self.hangup.recv() => {
                    self.running.audit.reopen();
                    self.reload().await;
                }
            }
        }
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
        let loaded = spawn_blocking(move || config::load(&file, &given)).await;
        let outcome = match loaded {
            Ok(Ok(checked)) => self.put_in_force(checked).await,
            Ok(Err(error)) => Err(error.sentences()),
            Err(error) => Err(vec![format!(
                "reading the configuration broke off: {error}"
            )]),
        };
        let status = match outcome {
            Ok(()) => {
                let warnings = self.warnings().await;
                self.tell(None, warnings);
                plural(self.entries.len(), "entry", "entries")
            }
            Err(sentences) => {
                let all = told(&sentences, |sentence| {
                    tracing::error!("the configuration is not in force: {sentence}");
                });
                self.tell(Some(all.join("; ")), Vec::new());
                format!("the configuration is not in force: {}", all.join("; "))
            }
        };
        systemd::reloaded(&status);
        if self.entries.len() > MANY_ENTRIES {
            housekeeping::free().await;
        }
    }

    async fn put_in_force(&mut self, checked: Checked) -> Result<(), Vec<String>> {
        let Checked { mut settings, lint } = checked;
        let difference = Difference::between(&self.settings, &settings);
        if let Some(refusal) = difference.refusal() {
            return Err(vec![refusal]);
        }
        let entries = std::mem::take(&mut settings.entries);
        let (registry, bundles) = self.registry(entries, &settings).await?;
        let entries: Vec<_> = registry.entries().iter().cloned().collect();
        let count = Count::of_entries(&self.entries, &entries);
        if self.entries != entries || self.bundles != bundles {
            let affected = self.running.agent.replace(registry).await;
            tracing::info!(
                entries = %count,
                bundles = %Count::of_bundles(&self.settings.bundles, &settings.bundles),
                callers = affected,
                "the configuration is in force"
            );
        } else {
            tracing::info!(
                "the configuration was read again; no entry and no bundle is other than before"
            );
        }
        for key in difference.live {
            tracing::info!(key = key.name, value = (key.shown)(&settings), "changed");
        }
        self.running.logging.set_level(settings.log.level.clone());
        (self.settings, self.entries, self.bundles, self.lint) =
            (settings, entries, bundles, Some(lint));
        let files = self.files();
        if let Some(watcher) = &mut self.watcher {
            watcher.set(files);
        }
        Ok(())
    }

    /// Entries and foreign bundles as the agent takes them. The files of the bundles are read.
    async fn registry(
        &self,
        entries: Vec<RegistrationEntry>,
        settings: &Settings,
    ) -> Result<(Registry, BundleSet), Vec<String>> {
        let (foreign, wanted) = (self.foreign.clone(), settings.bundles.clone());
        let built = spawn_blocking(move || {
            let bundles = foreign
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .read(&wanted);
            (Registry::new(entries, bundles.clone()), bundles)
        });
        built
            .await
            .map_err(|error| vec![format!("building the index of entries broke off: {error}")])
    }

    /// Reads the files of foreign bundles again.
    async fn read_bundles(&mut self) {
        let entries = self
            .entries
            .iter()
            .map(|entry| RegistrationEntry::clone(entry))
            .collect();
        match self.registry(entries, &self.settings).await {
            Ok((_, bundles)) if bundles == self.bundles => {}
            Ok((registry, bundles)) => {
                let read: Vec<_> = bundles.iter().map(|bundle| &**bundle).collect();
                for odd in bundle_file::odd(&read) {
                    tracing::warn!("{}", odd.what);
                }
                self.entries = registry.entries().iter().cloned().collect();
                self.bundles = bundles;
                let affected = self.running.agent.replace(registry).await;
                tracing::info!(callers = affected, "foreign bundles have changed");
            }
            Err(sentences) => {
                told(&sentences, |sentence| {
                    tracing::error!("foreign bundles are not read: {sentence}");
                });
            }
        }
    }

    /// What is odd about what is in force.
    async fn warnings(&mut self) -> Vec<String> {
        let Some(lint) = self.lint.take() else {
            return Vec::new();
        };
        let (settings, entries) = (self.settings.clone(), self.entries.clone());
        let found = spawn_blocking(move || {
            let entries: Vec<&RegistrationEntry> = entries.iter().map(|entry| &**entry).collect();
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
