//! What happens when: versions of the configuration, processes that come and go, keys that are replaced.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::Result;
use crate::agent::{self, Agent};
use crate::chance::Chance;
use crate::crowd::{Crowd, Event};
use crate::judge::{Authorities, Judge, Process, REACH, RETRY};
use crate::moment::Moment;
use crate::rule::Rule;
use crate::versions::{File, Version, Way};

/// Streams that a process holds.
const IN_A_PROCESS: u32 = 25;
/// One of so many processes runs the copy of the program.
const GUESTS: usize = 4;
/// How long the processes have to open their streams, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after the last write all streams show it, those that have to ask again too.
const SETTLED: Duration = REACH.saturating_add(RETRY).saturating_add(HEARD);
/// How long it may take until is heard what processes told.
const HEARD: Duration = Duration::from_millis(200);
/// How often the streams' authorities are held against the agent's.
const ASK_EVERY: Duration = Duration::from_millis(1500);
/// How often the streams' SVIDs are held against each other.
const COMPARE_EVERY: Duration = Duration::from_millis(100);

/// What is asked of the soak.
pub(crate) struct Plan {
    pub(crate) time: Duration,
    pub(crate) streams: u32,
    pub(crate) seed: u64,
}

/// A soak under way.
pub(crate) struct Soak<'a> {
    agent: &'a mut Agent,
    file: File,
    programs: Programs,
    plan: Plan,
    chance: Chance,
    pub(crate) judge: Judge,
    crowd: Crowd,
    events: mpsc::UnboundedReceiver<Event>,
    answers: mpsc::UnboundedReceiver<Answer>,
    ask: mpsc::UnboundedSender<Answer>,
    /// Answers that are still to come.
    asked: usize,
    holders: Vec<Holder>,
    due: Due,
    version: u32,
    /// Not all streams show the newest version yet; by then they have to.
    settling: Option<Moment>,
    /// A broken file has to be reported first.
    broken: bool,
    awaited: Option<Awaited>,
    /// How often all streams showed the agent's authorities.
    agreed: u64,
    pub(crate) counts: Counts,
}

/// The images of the program.
pub(crate) struct Programs {
    pub(crate) member: PathBuf,
    pub(crate) guest: PathBuf,
}

/// A process that holds streams, and the one that it replaces when all of its own are open.
struct Holder {
    process: Process,
    streams: u32,
    replaces: Option<Process>,
}

/// When to do what.
struct Due {
    end: Moment,
    version: Moment,
    passing: Moment,
    replace: Moment,
    compare: Moment,
    ask: Moment,
    rotate: Vec<Moment>,
    new_audit_file: Option<Moment>,
}

/// What was asked of the agent, beside everything else.
enum Answer {
    Rotated(Result<()>),
    Authorities(Result<(Authorities, u64)>),
    Reported(Result<()>),
    /// None came.
    Late(tokio::time::error::Elapsed),
}

/// Authorities that all streams have to show by then.
#[derive(Clone, Copy)]
struct Awaited {
    authorities: Authorities,
    by: Moment,
    late: bool,
}

/// What happened how often.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) versions: BTreeMap<String, u64>,
    pub(crate) processes: BTreeMap<&'static str, u64>,
    pub(crate) rotations: u64,
    /// Of the bundle.
    pub(crate) sequence: u64,
    pub(crate) most_descriptors: usize,
    pub(crate) audit_files: Vec<PathBuf>,
}

impl<'a> Soak<'a> {
    /// The agent runs with version 0 of the file.
    pub(crate) fn new(
        agent: &'a mut Agent,
        file: File,
        programs: Programs,
        plan: Plan,
        written: Moment,
    ) -> Self {
        let (crowd, events) = Crowd::new();
        let (ask, answers) = mpsc::unbounded_channel();
        let mut judge = Judge::default();
        judge.wrote(&Version::plain(0), Way::InPlace, written);
        Self {
            due: Due::of(&plan),
            chance: Chance::new(plan.seed),
            agent,
            file,
            programs,
            plan,
            judge,
            crowd,
            events,
            answers,
            ask,
            asked: 0,
            holders: Vec::new(),
            version: 0,
            settling: None,
            broken: false,
            awaited: None,
            agreed: 0,
            counts: Counts::default(),
        }
    }

    /// Runs to the end; afterwards all processes are gone.
    pub(crate) async fn run(&mut self) -> Result<()> {
        self.open_streams().await?;
        self.due = Due::of(&self.plan);
        while Moment::now() < self.due.end || self.settling.is_some() || self.broken {
            self.next(self.next_due()).await?;
            self.act()?;
        }
        self.end_quietly().await
    }

    async fn open_streams(&mut self) -> Result<()> {
        let mut left = self.plan.streams;
        while left > 0 {
            let streams = left.min(IN_A_PROCESS);
            let holder = self.start_holder(streams, None)?;
            self.holders.push(holder);
            left -= streams;
        }
        self.wait_for("streams are not open", |soak| {
            soak.are_open() && soak.judge.behind().next().is_none()
        })
        .await
    }

    /// The last version, the last bundle, and then nobody.
    async fn end_quietly(&mut self) -> Result<()> {
        self.write(Version::plain, Way::RenamedOver)?;
        self.wait_for("the last version does not settle", |soak| soak.is_settled())
            .await?;
        let before = self.agreed;
        self.ask_for_authorities();
        self.wait_for("the last bundle does not settle", |soak| {
            soak.agreed > before
        })
        .await?;
        self.wait_for("the agent's own service does not answer", |soak| {
            soak.asked == 0
        })
        .await?;
        self.crowd.let_all_go();
        self.holders.clear();
        self.wait_for("processes do not end", |soak| soak.crowd.len() == 0)
            .await
    }

    async fn wait_for(&mut self, what: &str, done: impl Fn(&mut Self) -> bool) -> Result<()> {
        let limit = Moment::now() + PATIENCE;
        loop {
            self.settle();
            self.compare_authorities();
            if done(self) {
                return Ok(());
            }
            if Moment::now() > limit {
                let behind: Vec<_> = self.judge.behind().take(5).collect();
                return Err(format!("{what} after {PATIENCE:?}: {behind:#?}").into());
            }
            let soon = Moment::now() + Duration::from_millis(100);
            self.next(soon).await?;
        }
    }

    /// Waits for something to happen, or until something is due.
    async fn next(&mut self, due: Moment) -> Result<()> {
        tokio::select! {
            Some(event) = self.events.recv() => {
                self.take(event);
                while let Ok(event) = self.events.try_recv() {
                    self.take(event);
                }
            }
            Some(answer) = self.answers.recv() => self.hear(answer),
            () = sleep(due.ahead()) => {}
            ended = self.agent.ended() => {
                let log = self.agent.log();
                return Err(format!("the agent ended: {}\n{log}", ended?).into());
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::News(process, news) => self.judge.hear(process, news),
            Event::Ended(process, outcome) => {
                self.judge.forget(process);
                let found = self.crowd.ended(process, outcome);
                self.judge.findings.found(Rule::Unbroken, found);
            }
        }
    }

    fn hear(&mut self, answer: Answer) {
        self.asked -= 1;
        match answer {
            Answer::Rotated(Ok(())) => self.counts.rotations += 1,
            Answer::Reported(outcome) => {
                self.broken = false;
                let found = outcome.map_err(|error| error.to_string());
                self.judge.findings.found(Rule::BrokenFile, found);
            }
            Answer::Authorities(Ok((authorities, sequence))) => {
                self.counts.sequence = sequence;
                let late = self
                    .awaited
                    .is_some_and(|awaited| awaited.late && awaited.authorities == authorities);
                if late {
                    let elsewhere: Vec<_> = self.judge.elsewhere(authorities).take(3).collect();
                    let what = format!("sequence {sequence}: {}", elsewhere.join("; "));
                    self.judge.findings.broken(Rule::BundlesReach, what);
                    self.awaited = None;
                } else {
                    let (by, late) = (Moment::now() + SETTLED, false);
                    self.awaited = Some(Awaited {
                        authorities,
                        by,
                        late,
                    });
                }
            }
            Answer::Late(late) => {
                (self.broken, self.awaited) = (false, None);
                let what = format!("the agent's own service: {late}");
                self.judge.findings.broken(Rule::Unbroken, what);
            }
            Answer::Rotated(Err(error)) | Answer::Authorities(Err(error)) => {
                let what = format!("the agent's own service: {error}");
                self.judge.findings.broken(Rule::Unbroken, what);
            }
        }
    }

    /// When something is due, unless something happens before.
    fn next_due(&self) -> Moment {
        let authorities = match self.awaited {
            Some(awaited) => (!awaited.late).then_some(awaited.by),
            None => Some(self.due.ask),
        };
        let version = match self.settling {
            None => (!self.broken).then_some(self.due.version),
            settling => settling,
        };
        if Moment::now() >= self.due.end {
            return self.settling.unwrap_or(self.due.end + PATIENCE);
        }
        let others = [self.due.passing, self.due.replace, self.due.compare];
        let rotate = self.due.rotate.last().copied();
        let all = others.into_iter().chain(rotate).chain(authorities);
        let all = all.chain(version).chain(self.due.new_audit_file);
        all.fold(self.due.end, Moment::min)
    }

    /// Does what is due.
    fn act(&mut self) -> Result<()> {
        let now = Moment::now();
        self.settle();
        self.compare_authorities();
        self.compare_svids();
        self.replace_holders()?;
        if now >= self.due.end {
            return Ok(());
        }
        if now >= self.due.version && self.settling.is_none() && !self.broken {
            self.next_version()?;
        }
        if now >= self.due.passing {
            self.due.passing = now + self.chance.millis(100, 400);
            self.start_passing()?;
        }
        if now >= self.due.replace {
            self.due.replace = now + self.chance.millis(1000, 3000);
            self.start_replacement()?;
        }
        if now >= self.due.ask && self.awaited.is_none() {
            self.due.ask = now + ASK_EVERY;
            self.ask_for_authorities();
        }
        if self.due.rotate.pop_if(|at| now >= *at).is_some() {
            let socket = self.agent.socket();
            self.spawn(async move { Answer::Rotated(agent::rotate(&socket).await) });
        }
        if self.due.new_audit_file.take_if(|at| now >= *at).is_some() {
            let file = self.agent.folder.join("audit.jsonl");
            let old = self.agent.folder.join("audit.1.jsonl");
            fs::rename(file, &old)?;
            self.counts.audit_files.push(old);
            self.agent.signal(Signal::HUP)?;
        }
        Ok(())
    }

    /// Looks whether all streams show the newest version.
    fn settle(&mut self) {
        let Some(by) = self.settling else { return };
        let now = Moment::now();
        if self.judge.behind().next().is_none() {
            let streams = self.judge.streams();
            self.judge.findings.held(Rule::Newest, streams as u64);
            let held = (streams >= self.plan.streams as usize).then_some(());
            let what = || format!("{streams} of {} streams", self.plan.streams);
            let found = held.ok_or_else(what);
            self.judge.findings.found(Rule::Held, found);
            let open = self.agent.descriptors().unwrap_or_default();
            self.counts.most_descriptors = self.counts.most_descriptors.max(open);
        } else if now < by {
            return;
        }
        for what in self.judge.behind().collect::<Vec<_>>() {
            self.judge.findings.broken(Rule::Newest, what);
        }
        self.settling = None;
        self.due.version = now + self.chance.millis(50, 700);
    }

    fn is_settled(&self) -> bool {
        self.settling.is_none()
    }

    /// Looks whether all streams show the authorities that the agent had.
    fn compare_authorities(&mut self) {
        let Some(awaited) = &mut self.awaited else {
            return;
        };
        if self.judge.elsewhere(awaited.authorities).next().is_none() {
            let streams = self.judge.streams() as u64;
            self.judge.findings.held(Rule::BundlesReach, streams);
            self.agreed += 1;
            self.awaited = None;
        } else if Moment::now() > awaited.by && !awaited.late {
            // They may be others by now.
            awaited.late = true;
            self.ask_for_authorities();
        }
    }

    /// Looks, now and then, whether all streams show what any of them brought.
    fn compare_svids(&mut self) {
        let now = Moment::now();
        if now < self.due.compare {
            return;
        }
        self.due.compare = now + COMPARE_EVERY;
        let outdated: Vec<String> = self.judge.outdated(now, HEARD).collect();
        let alike = self.judge.streams() - outdated.len();
        self.judge.findings.held(Rule::Alike, alike as u64);
        for what in outdated {
            self.judge.findings.broken(Rule::Alike, what);
        }
    }

    fn ask_for_authorities(&mut self) {
        let socket = self.agent.socket();
        self.spawn(async move { Answer::Authorities(agent::authorities(&socket).await) });
    }

    fn spawn(&mut self, asking: impl Future<Output = Answer> + Send + 'static) {
        self.asked += 1;
        let ask = self.ask.clone();
        tokio::spawn(async move {
            let answer = timeout(PATIENCE, asking).await;
            let _ = ask.send(answer.unwrap_or_else(Answer::Late));
        });
    }

    /// One version, or some at once, or first something that is none.
    fn next_version(&mut self) -> Result<()> {
        if self.chance.once_in(8) && self.settling.is_none() {
            let way = Way::any(&mut self.chance);
            self.file.break_it(&Version::plain(self.version), way)?;
            self.broken = true;
            self.count("broken");
            let socket = self.agent.socket();
            self.spawn(async move { Answer::Reported(agent::load_fails(&socket, REACH).await) });
            return Ok(());
        }
        let at_once = if self.chance.once_in(5) { 3 } else { 1 };
        for _ in 0..at_once {
            let way = Way::any(&mut self.chance);
            let mut chance = self.chance.clone();
            self.write(|number| Version::any(number, &mut chance), way)?;
            self.chance = chance;
        }
        Ok(())
    }

    fn write(&mut self, version: impl FnOnce(u32) -> Version, way: Way) -> Result<()> {
        self.version += 1;
        let version = version(self.version);
        let at = self.file.write(&version, way)?;
        self.judge.wrote(&version, way, at);
        self.settling = Some(Moment::now() + SETTLED);
        self.count(way);
        Ok(())
    }

    fn count(&mut self, way: impl Display) {
        *self.counts.versions.entry(way.to_string()).or_default() += 1;
    }

    fn start_holder(&mut self, streams: u32, replaces: Option<Process>) -> Result<Holder> {
        let seed = self.chance.next();
        let is_guest = match replaces {
            Some(_) => self.chance.once_in(GUESTS as u64),
            None => self.holders.len() % GUESTS == 1,
        };
        let program = self.program(is_guest).to_owned();
        let [streams_, seed] = [u64::from(streams), seed].map(|number| number.to_string().into());
        let role = [
            "hold".into(),
            self.agent.socket().into_os_string(),
            "--streams".into(),
            streams_,
            "--seed".into(),
            seed,
        ];
        *self.counts.processes.entry("held").or_default() += 1;
        let process = self.crowd.start(&program, role, true)?;
        Ok(Holder {
            process,
            streams,
            replaces,
        })
    }

    /// Starts a process that will take the place of another.
    fn start_replacement(&mut self) -> Result<()> {
        let at = usize::try_from(self.chance.below(self.holders.len() as u64))?;
        let Holder {
            process,
            streams,
            replaces: None,
        } = self.holders[at]
        else {
            return Ok(());
        };
        self.holders[at] = self.start_holder(streams, Some(process))?;
        Ok(())
    }

    /// Ends processes whose places are taken, one way or the other.
    fn replace_holders(&mut self) -> Result<()> {
        for at in 0..self.holders.len() {
            let Holder {
                process,
                streams,
                replaces: Some(old),
            } = self.holders[at]
            else {
                continue;
            };
            if self.judge.streams_of(process) < streams as usize {
                continue;
            }
            self.holders[at].replaces = None;
            self.judge.forget(old);
            if self.chance.once_in(2) {
                self.crowd.kill(old)?;
                *self.counts.processes.entry("killed").or_default() += 1;
            } else {
                self.crowd.let_go(old);
            }
        }
        Ok(())
    }

    fn are_open(&self) -> bool {
        let open =
            |holder: &Holder| self.judge.streams_of(holder.process) == holder.streams as usize;
        self.holders.iter().all(open)
    }

    /// Starts a process that comes and goes.
    fn start_passing(&mut self) -> Result<()> {
        let is_guest = self.chance.once_in(GUESTS as u64);
        let program = self.program(is_guest).to_owned();
        let socket = self.agent.socket().into_os_string();
        let role: Vec<OsString> = if self.chance.once_in(2) {
            *self.counts.processes.entry("asked once").or_default() += 1;
            vec!["once".into(), socket]
        } else {
            let other = self.chance.once_in(2);
            let then = self.program(is_guest != other).as_os_str().to_owned();
            let seed = self.chance.next().to_string().into();
            *self.counts.processes.entry("exec'd").or_default() += 1;
            vec![
                "exec".into(),
                socket,
                "--then".into(),
                then,
                "--seed".into(),
                seed,
            ]
        };
        self.crowd.start(&program, role, false)?;
        Ok(())
    }

    fn program(&self, is_guest: bool) -> &Path {
        if is_guest {
            &self.programs.guest
        } else {
            &self.programs.member
        }
    }
}

impl Due {
    fn of(plan: &Plan) -> Self {
        let now = Moment::now();
        Self {
            end: now + plan.time,
            version: now,
            passing: now,
            replace: now + plan.time / 20,
            compare: now,
            ask: now,
            // The last first. Between them the keys have the time to be replaced by the clock.
            rotate: vec![now + plan.time * 8 / 10, now + plan.time / 10],
            new_audit_file: Some(now + plan.time / 2),
        }
    }
}
