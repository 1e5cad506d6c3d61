//! The agent, a process of its own, and what the kernel and it say about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use plastron_wire::agent::v1::{
    GetBundleRequest, GetStatusRequest, GetStatusResponse, RotateAuthorityRequest,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::Result;
use crate::check::authorities_of;
use crate::client::{self, Messages};
use crate::judge::Authorities;
use crate::moment::Moment;
use crate::news::Call;

/// How long it may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked for something that is on its way.
const ASK_EVERY: Duration = Duration::from_millis(20);

pub(crate) struct Agent {
    binary: PathBuf,
    pub(crate) folder: PathBuf,
    pid: Pid,
    child: Child,
}

/// In KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) most: u64,
}

impl Agent {
    /// Starts it, and waits until it answers.
    pub(crate) async fn start(binary: &Path, configuration: &Path, folder: &Path) -> Result<Self> {
        let log = fs::File::create(folder.join("log"))?;
        let mut command = Command::new(binary);
        command
            .arg("run")
            .arg("--config")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let pid = child.id().ok_or("the agent ended at once")?;
        let mut agent = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            pid: Pid::from_raw(pid.cast_signed()).ok_or("no pid")?,
            child,
        };
        let limit = Moment::now() + PATIENCE;
        while let Err(error) = agent.answers().await {
            if agent.child.try_wait()?.is_some() || Moment::now() > limit {
                return Err(format!("no answer: {error}\n{}", agent.log()).into());
            }
            sleep(ASK_EVERY).await;
        }
        Ok(agent)
    }

    async fn answers(&self) -> Result<()> {
        let mut client = client::connect(&self.socket()).await?;
        let mut stream = Messages::open(&mut client, Call::X509Svids).await?;
        stream.next().await?;
        Ok(())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("agent.sock")
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Waits until it ends.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }

    /// Asks it to end, and waits.
    pub(crate) async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        timeout(PATIENCE, self.ended()).await?
    }

    /// Runs a command of it: whether it said yes, and all that it printed.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).stdin(Stdio::null());
        let output = command.output().await?;
        let printed = [output.stdout, output.stderr].concat();
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&printed).into_owned(),
        ))
    }

    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid.as_raw_pid()))?.count())
    }

    /// What descriptors lead to, for people.
    pub(crate) fn open_files(&self) -> Result<Vec<String>> {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.pid.as_raw_pid()))?;
        let target = |entry: std::io::Result<fs::DirEntry>| {
            Some(
                fs::read_link(entry.ok()?.path())
                    .ok()?
                    .display()
                    .to_string(),
            )
        };
        let mut targets: Vec<_> = descriptors.filter_map(target).collect();
        targets.sort();
        Ok(targets)
    }

    /// Waits until it has at most so many descriptors, but no longer than that. The fewest that it had.
    pub(crate) async fn descriptors_fall(&self, to: usize, within: Duration) -> Result<usize> {
        let limit = Moment::now() + within;
        let mut fewest = usize::MAX;
        loop {
            fewest = fewest.min(self.descriptors()?);
            if fewest <= to || Moment::now() > limit {
                return Ok(fewest);
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Waits until it takes no more than half as much again as then, but no longer than that.
    pub(crate) async fn memory_falls(&self, then: Memory, within: Duration) -> Result<Memory> {
        let limit = Moment::now() + within;
        loop {
            let memory = self.memory()?;
            if memory.resident <= then.resident * 3 / 2 || Moment::now() > limit {
                return Ok(memory);
            }
            sleep(ASK_EVERY).await;
        }
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_pid()))?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        match (kib("VmRSS:"), kib("VmHWM:")) {
            (Some(resident), Some(most)) => Ok(Memory { resident, most }),
            _ => Err("no memory figures in /proc/PID/status".into()),
        }
    }
}

/// What is asked over a connection of its own, which is closed again.
pub(crate) async fn status(socket: &Path) -> Result<GetStatusResponse> {
    let mut operator = client::operate(socket).await?;
    Ok(operator.get_status(GetStatusRequest {}).await?.into_inner())
}

/// Waits until the last load of the configuration has failed.
pub(crate) async fn load_fails(socket: &Path, within: Duration) -> Result<()> {
    let limit = Moment::now() + within;
    let mut operator = client::operate(socket).await?;
    loop {
        let status = operator.get_status(GetStatusRequest {}).await?.into_inner();
        let reload = status.reload.ok_or("no load is reported")?;
        if !reload.ok && !reload.error.is_empty() {
            return Ok(());
        }
        if Moment::now() > limit {
            return Err("a broken file is not reported".into());
        }
        sleep(ASK_EVERY).await;
    }
}

/// Replaces the signing keys.
pub(crate) async fn rotate(socket: &Path) -> Result<()> {
    let mut operator = client::operate(socket).await?;
    operator
        .rotate_authority(RotateAuthorityRequest { kind: 0 })
        .await?;
    Ok(())
}

/// The agent's own bundle, and how often it has changed.
pub(crate) async fn authorities(socket: &Path) -> Result<(Authorities, u64)> {
    let mut operator = client::operate(socket).await?;
    let trust_domain = String::new();
    let bundle = operator
        .get_bundle(GetBundleRequest { trust_domain })
        .await?
        .into_inner();
    Ok((authorities_of(&bundle.document)?, bundle.sequence))
}
