//! Every figure, in the order of the table.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::call::{self, Client};
use crate::clock::{self, Quantiles};
use crate::reload::reload;
use crate::report::{Figure, Reach, Report};
use crate::stream::Streams;
use crate::target::{Other, Target};
use crate::{Result, inside};

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// Rounds in which the targets take turns.
    rounds: usize,
    /// New connections, and new processes, in a round.
    first_calls: usize,
    processes: usize,
    /// How long calls are made on open connections, in a round.
    calling: Duration,
    /// Open streams: a few and many.
    streams: [usize; 2],
    updates: usize,
    changes: usize,
    reloads: usize,
    /// How long an idle target is left to come to rest, and watched.
    rest: Duration,
    watch: Duration,
    starts: usize,
    /// Entries: some and many.
    entries: [usize; 2],
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        rounds: 10,
        first_calls: 200,
        processes: 100,
        calling: Duration::from_millis(1000),
        streams: [1000, 9500],
        updates: 5,
        changes: 200,
        reloads: 10,
        rest: Duration::from_secs(10),
        watch: Duration::from_secs(30),
        starts: 20,
        entries: [10_000, 100_000],
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 2,
        first_calls: 20,
        processes: 5,
        calling: Duration::from_millis(100),
        streams: [50, 500],
        updates: 1,
        changes: 10,
        reloads: 2,
        rest: Duration::from_secs(1),
        watch: Duration::from_secs(2),
        starts: 2,
        entries: [1_000, 10_000],
    };
}

/// Calls in flight, on so many connections.
const IN_FLIGHT: usize = 8;
const CONNECTIONS: usize = 4;

pub(crate) struct Figures {
    binary: PathBuf,
    other: Option<Other>,
    scale: Scale,
    only: Vec<String>,
}

/// Names for `--only`.
const NAMES: [&str; 10] = [
    "first", "one-shot", "fetch", "jwt", "streams", "change", "reload", "idle", "start", "match",
];

impl Figures {
    pub(crate) fn new(
        binary: &Path,
        other: Option<Other>,
        scale: Scale,
        only: &[String],
    ) -> Result<Self> {
        if let Some(unknown) = only.iter().find(|name| !NAMES.contains(&name.as_str())) {
            return Err(format!("no figure {unknown}; there are: {}", NAMES.join(", ")).into());
        }
        Ok(Self {
            binary: std::fs::canonicalize(binary)?,
            other,
            scale,
            only: only.to_vec(),
        })
    }

    fn wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    pub(crate) async fn take(&self) -> Result<Report> {
        let responses = TempDir::with_prefix("plastron-load-")?;
        let agent = Target::agent(&self.binary).await?;
        let token = agent.record(responses.path()).await?;
        let bare = Target::bare(responses.path()).await?;
        let mut columns = vec!["plastron-agent".to_owned(), "bare".to_owned()];
        let mut targets = vec![agent, bare];
        if let Some(other) = &self.other {
            columns.push(other.name.clone());
            targets.push(Target::other(other));
        }
        let mut report = Report::new(columns);
        if self.wanted("first") {
            self.first(&mut report, &targets).await?;
        }
        if self.wanted("one-shot") {
            self.one_shot(&mut report, &targets).await?;
        }
        if self.wanted("fetch") {
            let rates = self.rates(&targets, Call::X509Svid).await?;
            report.row(
                "FetchX509SVID on open connections",
                per_cpu_second(&rates),
                Reach::AtLeastTimesBare(0.85),
            );
        }
        if self.wanted("jwt") {
            self.jwt(&mut report, &targets, &token).await?;
        }
        drop(targets);
        if self.wanted("streams") {
            for count in self.scale.streams {
                self.streams(&mut report, responses.path(), count).await?;
            }
        }
        if self.wanted("change") {
            self.change(&mut report).await?;
        }
        if self.wanted("reload") {
            for entries in self.scale.entries {
                reload(&mut report, &self.binary, entries, self.scale.reloads).await?;
            }
        }
        if self.wanted("idle") {
            self.idle(&mut report, responses.path()).await?;
        }
        if self.wanted("start") {
            self.start(&mut report).await?;
        }
        if self.wanted("match") {
            for count in self.scale.entries {
                inside::matching(&mut report, count)?;
            }
        }
        Ok(report)
    }

    async fn first(&self, report: &mut Report, targets: &[Target]) -> Result<()> {
        let mut samples = vec![Vec::new(); targets.len()];
        for _ in 0..self.scale.rounds {
            for (target, samples) in targets.iter().zip(&mut samples) {
                for _ in 0..self.scale.first_calls {
                    samples.push(call::first_svid(&target.socket).await?);
                }
            }
        }
        quantile_rows(
            report,
            "first X509-SVID, new connection",
            samples,
            Reach::AtMostTimesBare(1.4),
        );
        Ok(())
    }

    async fn one_shot(&self, report: &mut Report, targets: &[Target]) -> Result<()> {
        let mut samples = vec![Vec::new(); targets.len()];
        for _ in 0..self.scale.rounds {
            for (target, samples) in targets.iter().zip(&mut samples) {
                for _ in 0..self.scale.processes {
                    let mut command = Command::new(std::env::current_exe()?);
                    command
                        .arg("one-shot")
                        .arg(&target.socket)
                        .stdin(Stdio::null())
                        .stderr(Stdio::inherit());
                    let printed = command.output().await?.stdout;
                    let nanoseconds = String::from_utf8(printed)?.trim().parse();
                    samples.push(Duration::from_nanos(
                        nanoseconds.map_err(|_| "a one-shot process failed")?,
                    ));
                }
            }
        }
        quantile_rows(
            report,
            "first X509-SVID, new process",
            samples,
            Reach::AtMostTimesBare(1.4),
        );
        Ok(())
    }

    async fn jwt(&self, report: &mut Report, targets: &[Target], token: &str) -> Result<()> {
        let rates = self.rates(targets, Call::JwtSvid).await?;
        report.row(
            "FetchJWTSVID from the cache",
            per_cpu_second(&rates),
            Reach::AtLeastTimesBare(0.85),
        );
        let mut rates = self.rates(targets, Call::Validate(token.into())).await?;
        let verification = inside::verification()?;
        rates[1] = 1.0 / (1.0 / rates[1] + verification.as_secs_f64());
        let what = format!(
            "ValidateJWTSVID (bare: with one raw verification, {})",
            Figure::Time(verification)
        );
        report.row(what, per_cpu_second(&rates), Reach::AtLeastTimesBare(0.9));
        Ok(())
    }

    /// Calls per CPU second of each target.
    async fn rates(&self, targets: &[Target], call: Call) -> Result<Vec<f64>> {
        let mut calls = vec![0_u64; targets.len()];
        let mut spent = vec![Duration::ZERO; targets.len()];
        let mut clients = Vec::new();
        for target in targets {
            let mut connections = Vec::new();
            for _ in 0..CONNECTIONS {
                connections.push(Client::connect(&target.socket).await?);
            }
            clients.push(connections);
        }
        for _ in 0..self.scale.rounds {
            for (at, target) in targets.iter().enumerate() {
                let before = target.cpu_time()?;
                let end = clock::now() + self.scale.calling;
                let mut tasks = JoinSet::new();
                for number in 0..IN_FLIGHT {
                    let (mut client, call) =
                        (clients[at][number % CONNECTIONS].clone(), call.clone());
                    tasks.spawn(async move {
                        let mut made = 0_u64;
                        while clock::now() < end {
                            call.make(&mut client).await?;
                            made += 1;
                        }
                        Result::Ok(made)
                    });
                }
                while let Some(made) = tasks.join_next().await {
                    calls[at] += made??;
                }
                spent[at] += target.cpu_time()? - before;
            }
        }
        let rates = calls.iter().zip(spent);
        Ok(rates
            .map(|(calls, spent)| *calls as f64 / spent.as_secs_f64().max(0.01))
            .collect())
    }

    async fn streams(&self, report: &mut Report, responses: &Path, count: usize) -> Result<()> {
        let mut targets = vec![
            Target::agent(&self.binary).await?,
            Target::bare(responses).await?,
        ];
        targets.extend(self.other.iter().map(Target::other));
        let [mut memory, mut descriptors, mut after, mut spread] = [const { Vec::new() }; 4];
        for (at, target) in targets.iter_mut().enumerate() {
            let (before, held) = (target.memory()?, target.descriptors()?);
            let mut streams = Streams::open(&target.socket, count).await?;
            streams.settle(self.scale.rest).await;
            let open = target.memory()?;
            memory.push(Some(Figure::KiB(
                open.resident.saturating_sub(before.resident) as f64 / count as f64,
            )));
            descriptors.push(Some(Figure::Count(
                (target.descriptors()? - held) as f64 / count as f64,
            )));
            if at < 2 {
                let mut spreads = Vec::new();
                for number in 0..self.scale.updates {
                    target.change(2 - number % 2).await?;
                    let (first, last) = streams.next_messages().await?;
                    spreads.push(last - first);
                    streams.settle(Duration::from_millis(300)).await;
                }
                spread.push(Some(Figure::Time(Quantiles::of(spreads).p50)));
            }
            drop(streams);
            tokio::time::sleep(Duration::from_secs(5)).await;
            let closed = target.memory()?;
            after.push(Some(Figure::Count(
                closed.resident as f64 / before.resident as f64,
            )));
        }
        let limits = count >= 9_000;
        let reach = |limit: Reach| if limits { limit } else { Reach::Nothing };
        report.row(
            format!("memory per stream, {count} open"),
            memory,
            reach(Reach::AtMost(Figure::KiB(25.0))),
        );
        report.row(
            format!("descriptors per stream, {count} open"),
            descriptors,
            Reach::Nothing,
        );
        let limit = Reach::AtMost(Figure::Time(Duration::from_millis(150)));
        report.row(
            format!("update: first to last of {count} streams"),
            spread,
            reach(limit),
        );
        let limit = Reach::AtMost(Figure::Count(1.5));
        report.row(
            format!("memory 5 s after {count} closed, of that before"),
            after,
            reach(limit),
        );
        Ok(())
    }

    async fn change(&self, report: &mut Report) -> Result<()> {
        let mut agent = Target::agent(&self.binary).await?;
        let mut stream = Streams::open(&agent.socket, 1).await?;
        let mut samples = Vec::new();
        for number in 0..self.scale.changes {
            let written = agent.change(2 - number % 2).await?;
            let (arrived, _) = stream.next_messages().await?;
            samples.push(arrived - written);
        }
        let quantiles = Quantiles::of(samples);
        let limit = Reach::AtMost(Figure::Time(Duration::from_millis(100)));
        report.row(
            "entry in the file → message on a stream, p50",
            vec![Some(Figure::Time(quantiles.p50))],
            Reach::Nothing,
        );
        report.row("… p99", vec![Some(Figure::Time(quantiles.p99))], limit);
        report.row(
            "… max",
            vec![Some(Figure::Time(quantiles.max))],
            Reach::Nothing,
        );
        drop(stream);
        let mut samples = Vec::new();
        for _ in 0..self.scale.changes {
            agent.change(1).await?;
            agent.first_svid(Duration::from_secs(10)).await?;
            let stream = Streams::open(&agent.socket, 1).await?;
            let written = agent.change(0).await?;
            samples.push(stream.ended().await? - written);
        }
        let quantiles = Quantiles::of(samples);
        report.row(
            "last entry gone from the file → stream ended, p50",
            vec![Some(Figure::Time(quantiles.p50))],
            Reach::Nothing,
        );
        report.row("… p99", vec![Some(Figure::Time(quantiles.p99))], limit);
        Ok(())
    }

    async fn idle(&self, report: &mut Report, responses: &Path) -> Result<()> {
        let targets = [
            Target::agent(&self.binary).await?,
            Target::bare(responses).await?,
        ];
        tokio::time::sleep(self.scale.rest).await;
        let [mut resident, mut anonymous, mut wakeups] = [const { Vec::new() }; 3];
        let before: Vec<_> = targets.iter().map(Target::wakeups).collect::<Result<_>>()?;
        tokio::time::sleep(self.scale.watch).await;
        for (target, before) in targets.iter().zip(before) {
            let memory = target.memory()?;
            resident.push(Some(Figure::KiB(memory.resident as f64)));
            anonymous.push(Some(Figure::KiB(memory.anonymous as f64)));
            wakeups.push(Some(Figure::Count(
                (target.wakeups()? - before) as f64 / self.scale.watch.as_secs_f64(),
            )));
        }
        report.row(
            "idle: RSS",
            resident,
            Reach::AtMost(Figure::KiB(8.0 * 1024.0)),
        );
        report.row(
            "idle: anonymous",
            anonymous,
            Reach::AtMost(Figure::KiB(2.0 * 1024.0)),
        );
        report.row(
            "idle: wake-ups a second",
            wakeups,
            Reach::AtMost(Figure::Count(1.0)),
        );
        Ok(())
    }

    async fn start(&self, report: &mut Report) -> Result<()> {
        let mut agent = Target::agent(&self.binary).await?;
        let mut samples = Vec::new();
        for _ in 0..self.scale.starts {
            let took;
            (agent, took) = agent.restart(&self.binary).await?;
            samples.push(took);
        }
        let limit = Reach::AtMost(Figure::Time(Duration::from_millis(20)));
        report.row(
            "start → first SVID over the socket, p50",
            vec![Some(Figure::Time(Quantiles::of(samples).p50))],
            limit,
        );
        let size = std::fs::metadata(&self.binary)?.len() as f64 / 1e6;
        report.row(
            "release binary",
            vec![Some(Figure::Megabytes(size))],
            Reach::AtMost(Figure::Megabytes(8.0)),
        );
        Ok(())
    }
}

#[derive(Clone)]
enum Call {
    X509Svid,
    JwtSvid,
    Validate(Box<str>),
}

impl Call {
    async fn make(&self, client: &mut Client) -> Result<()> {
        match self {
            Self::X509Svid => client.x509_svid().await.map(drop),
            Self::JwtSvid => client.jwt_svid().await.map(drop),
            Self::Validate(token) => client.validate(token).await.map(drop),
        }
    }
}

fn per_cpu_second(rates: &[f64]) -> Vec<Option<Figure>> {
    rates
        .iter()
        .map(|rate| Some(Figure::PerCpuSecond(*rate)))
        .collect()
}

fn quantile_rows(report: &mut Report, what: &str, samples: Vec<Vec<Duration>>, reach: Reach) {
    let quantiles: Vec<_> = samples.into_iter().map(Quantiles::of).collect();
    let row = |of: fn(&Quantiles) -> Duration| {
        quantiles
            .iter()
            .map(|q| Some(Figure::Time(of(q))))
            .collect()
    };
    report.row(
        format!("{what}: p50"),
        row(|quantiles| quantiles.p50),
        reach,
    );
    report.row(
        format!("{what}: p99"),
        row(|quantiles| quantiles.p99),
        Reach::Nothing,
    );
}
