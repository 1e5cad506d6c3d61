//! What is looked at when all is over, and what is said about the whole.

use std::fmt;
use std::time::Duration;

use crate::Result;
use crate::agent::{self, Agent, Memory};
use crate::audit::Releases;
use crate::clock::{self, Quantiles};
use crate::drive::Counts;
use crate::judge::Judge;
use crate::rule::Rule;

/// How long the agent may hold what it had for callers who are gone.
const FALL: Duration = Duration::from_secs(5);
/// How long it is watched to see what it has of its own.
const SOON: Duration = Duration::from_millis(500);

/// What the agent has of the kernel's.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    descriptors: usize,
    files: Vec<String>,
    memory: Memory,
}

impl Held {
    /// What it has while nobody is connected, as far as it comes to that soon.
    pub(crate) async fn by(agent: &Agent) -> Result<Self> {
        Ok(Self {
            descriptors: agent.descriptors_fall(0, SOON).await?,
            files: agent.open_files()?,
            memory: agent.memory()?,
        })
    }
}

pub(crate) struct Report {
    judge: Judge,
    counts: Counts,
    before: Held,
    after: Option<Held>,
    releases: Releases,
}

impl Report {
    pub(crate) fn new(judge: Judge, counts: Counts, before: Held) -> Self {
        let (after, releases) = (None, Releases::default());
        Self {
            judge,
            counts,
            before,
            after,
            releases,
        }
    }

    /// Looks at the agent when nobody is connected any more, stops it, and reads its audit.
    pub(crate) async fn end(&mut self, mut agent: Agent, outcome: Result<()>) -> Result<()> {
        if let Err(error) = outcome {
            self.judge
                .findings
                .broken(Rule::Unbroken, error.to_string());
        }
        let fallen = self.descriptors(&agent).await;
        self.found(Rule::Descriptors, fallen);
        let healthy = healthy(&agent).await;
        self.found(Rule::Healthy, healthy);
        let memory = agent.memory_falls(self.before.memory, FALL).await;
        if let (Ok(held), Ok(memory)) = (Held::by(&agent).await, memory) {
            self.after = Some(Held { memory, ..held });
        }
        let began = clock::now();
        let stopped = match agent.stop().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("it ended with {status}").into()),
            Err(error) => Err(format!("after {:?}: {error}", began.elapsed()).into()),
        };
        self.found(Rule::Stopped, stopped);
        let audited = self.audit(&agent).await;
        if let Err(error) = audited {
            self.judge
                .findings
                .broken(Rule::AuditChain, error.to_string());
        }
        Ok(())
    }

    fn found(&mut self, rule: Rule, found: Result<()>) {
        let found = found.map_err(|error| error.to_string());
        self.judge.findings.found(rule, found);
    }

    async fn descriptors(&self, agent: &Agent) -> Result<()> {
        let open = agent
            .descriptors_fall(self.before.descriptors, FALL)
            .await?;
        if open > self.before.descriptors {
            let mut files = agent.open_files()?;
            for known in &self.before.files {
                if let Some(at) = files.iter().position(|file| file == known) {
                    files.remove(at);
                }
            }
            return Err(format!(
                "{open} instead of {} after {FALL:?}, among them: {}",
                self.before.descriptors,
                files.join(", ")
            )
            .into());
        }
        let status = agent::status(&agent.socket()).await?;
        // The question itself is one.
        if status.streams > 1 || status.connections > 1 {
            return Err(format!(
                "{} streams and {} connections are left",
                status.streams, status.connections
            )
            .into());
        }
        Ok(())
    }

    async fn audit(&mut self, agent: &Agent) -> Result<()> {
        let mut files = self.counts.audit_files.clone();
        files.push(agent.folder.join("audit.jsonl"));
        let texts: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let arguments = ["audit", "verify"]
            .into_iter()
            .chain(texts.iter().map(String::as_str));
        let (good, said) = agent.command(&arguments.collect::<Vec<_>>()).await?;
        self.found(
            Rule::AuditChain,
            if good { Ok(()) } else { Err(said.into()) },
        );
        for file in &files {
            self.releases.read(file)?;
        }
        let findings = &mut self.judge.findings;
        for (what, released, received) in [
            (
                "X509-SVIDs",
                self.releases.x509,
                findings.times(Rule::X509Valid),
            ),
            (
                "JWT-SVIDs",
                self.releases.jwt,
                findings.times(Rule::JwtValid),
            ),
        ] {
            let complete = (released >= received && released > 0).then_some(());
            let what = || format!("{released} {what} in the audit, {received} received");
            findings.found(Rule::AuditComplete, complete.ok_or_else(what));
        }
        for ((process, credential), received) in &self.judge.received {
            let released = self.releases.times(*process, credential);
            let complete = (released >= *received).then_some(());
            let what = || {
                format!(
                    "{released} records of {credential} to {process}, who got it {received} times"
                )
            };
            findings.found(Rule::AuditComplete, complete.ok_or_else(what));
        }
        Ok(())
    }

    pub(crate) fn is_good(&self) -> bool {
        self.judge.findings.all_pass()
    }
}

/// Whether the agent says that it is well, to those who ask and by its command.
async fn healthy(agent: &Agent) -> Result<()> {
    let status = agent::status(&agent.socket()).await?;
    let reload = status
        .reload
        .ok_or("no load of the configuration is reported")?;
    if !status.ready || !status.problems.is_empty() || !reload.ok {
        return Err(format!(
            "ready: {}, problems: {:?}, load: {}",
            status.ready, status.problems, reload.error
        )
        .into());
    }
    let socket = agent.socket().display().to_string();
    let (good, said) = agent.command(&["healthcheck", "--socket", &socket]).await?;
    if good { Ok(()) } else { Err(said.into()) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            judge,
            counts,
            before,
            after,
            releases,
        } = self;
        let list = |counts: Vec<(String, u64)>| {
            let counts = counts
                .into_iter()
                .map(|(what, count)| format!("{count} {what}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        let versions = counts
            .versions
            .iter()
            .map(|(way, count)| (way.clone(), *count));
        writeln!(f, "configuration: {}", list(versions.collect()))?;
        let processes = counts
            .processes
            .iter()
            .map(|(what, count)| ((*what).to_owned(), *count));
        writeln!(f, "processes: {}", list(processes.collect()))?;
        for (way, samples) in &judge.updates {
            quantiles(
                f,
                &format!("entry in the file, {way} → message on a stream"),
                samples,
            )?;
        }
        quantiles(f, "last entry gone → stream ended", &judge.ends)?;
        quantiles(f, "exec → connection closed", &judge.cuts)?;
        writeln!(
            f,
            "bundle: {} versions, {} rotations by order",
            counts.sequence, counts.rotations
        )?;
        writeln!(
            f,
            "audit: {} X509-SVIDs and {} JWT-SVIDs released",
            releases.x509, releases.jwt
        )?;
        if let Some(after) = after {
            writeln!(
                f,
                "agent: descriptors {} before, {} at most, {} after; RSS {} KiB before, {} at most, {} after",
                before.descriptors,
                counts.most_descriptors,
                after.descriptors,
                before.memory.resident,
                after.memory.most,
                after.memory.resident
            )?;
        }
        write!(f, "{}", judge.findings)
    }
}

fn quantiles(f: &mut fmt::Formatter<'_>, what: &str, samples: &[Duration]) -> fmt::Result {
    let Quantiles { p50, p99, max } = Quantiles::of(samples.to_vec());
    let count = samples.len();
    writeln!(
        f,
        "{what}: p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?} of {count}"
    )
}
