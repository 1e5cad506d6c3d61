//! What is measured: a process behind a socket, and what the kernel says about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

use crate::call::{self, Client};
use crate::{Result, bare, clock};

/// A server and the process it runs in.
pub(crate) struct Target {
    pub(crate) socket: PathBuf,
    pid: u32,
    /// Absent for a server that somebody else has started.
    child: Option<Child>,
    stdin: Option<ChildStdin>,
    folder: Option<TempDir>,
    /// Entries in its configuration that are not the load program's.
    others: usize,
}

/// A server that runs already: `NAME=SOCKET,PID`.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub(crate) name: String,
    socket: PathBuf,
    pid: u32,
}

impl FromStr for Other {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = || {
            let (name, rest) = text.split_once('=')?;
            let (socket, pid) = rest.rsplit_once(',')?;
            Some(Self {
                name: name.to_owned(),
                socket: socket.into(),
                pid: pid.parse().ok()?,
            })
        };
        parts().ok_or_else(|| "NAME=SOCKET,PID".to_owned())
    }
}

/// The agent's configuration: audit on, state on disk, one entry for whoever runs this.
const CONFIGURATION: &str = r#"
trust_domain = "example.org"
data_dir = "state"

[workload_api]
socket = "agent.sock"

[audit]
file = "audit.jsonl"
"#;

/// What the load program is, in this order: so many of them make an entry each.
const OWN: [&str; 2] = ["load", "added"];

impl Target {
    /// Starts the agent in a folder of its own and waits for its first SVID.
    pub(crate) async fn agent(binary: &Path) -> Result<Self> {
        Self::agent_with(binary, 0).await
    }

    /// As [`Target::agent`], with so many entries that are others'.
    pub(crate) async fn agent_with(binary: &Path, others: usize) -> Result<Self> {
        let folder = TempDir::with_prefix("plastron-load-")?;
        fs::write(
            folder.path().join("plastron.toml"),
            configuration(1, others),
        )?;
        let mut target = Self::agent_in(binary, folder).await?;
        target.others = others;
        Ok(target)
    }

    async fn agent_in(binary: &Path, folder: TempDir) -> Result<Self> {
        let configuration = folder.path().join("plastron.toml");
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(&configuration);
        Self::start(command, folder.path().join("agent.sock"), folder).await
    }

    /// Starts the bare server with the responses in `responses`.
    pub(crate) async fn bare(responses: &Path) -> Result<Self> {
        let folder = TempDir::with_prefix("plastron-load-")?;
        let socket = folder.path().join("bare.sock");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").arg(&socket).arg(responses);
        Self::start(command, socket, folder).await
    }

    pub(crate) fn other(other: &Other) -> Self {
        Self {
            socket: other.socket.clone(),
            pid: other.pid,
            child: None,
            stdin: None,
            folder: None,
            others: 0,
        }
    }

    async fn start(mut command: Command, socket: PathBuf, folder: TempDir) -> Result<Self> {
        let log = fs::File::create(folder.path().join("log"))?;
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| format!("{:?}: {error}", command.as_std().get_program()))?;
        let pid = child.id().ok_or("the process ended at once")?;
        let stdin = child.stdin.take();
        let mut target = Self {
            socket,
            pid,
            child: Some(child),
            stdin,
            folder: Some(folder),
            others: 0,
        };
        target.first_svid(Duration::from_secs(10)).await?;
        Ok(target)
    }

    /// Asks until there is an answer. The moment it came.
    pub(crate) async fn first_svid(&mut self, patience: Duration) -> Result<Instant> {
        let began = clock::now();
        loop {
            let error = match call::first_svid(&self.socket).await {
                Ok(_) => return Ok(clock::now()),
                Err(error) => error,
            };
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if ended.is_some() || clock::now() - began > patience {
                let log = self
                    .folder
                    .as_ref()
                    .and_then(|folder| fs::read_to_string(folder.path().join("log")).ok());
                let log = log.unwrap_or_default();
                return Err(format!("no SVID at {}: {error}\n{log}", self.socket.display()).into());
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    /// Stops the agent and starts it again on what it has on disk: the time from exec to the first SVID.
    pub(crate) async fn restart(mut self, binary: &Path) -> Result<(Self, Duration)> {
        self.stop().await?;
        let folder = self
            .folder
            .take()
            .ok_or("only an agent of ours is restarted")?;
        let others = self.others;
        let began = clock::now();
        let target = Self::agent_in(binary, folder).await?;
        let took = clock::now() - began;
        Ok((Self { others, ..target }, took))
    }

    async fn stop(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child {
            let pid = Pid::from_raw(self.pid.cast_signed()).ok_or("no pid")?;
            rustix::process::kill_process(pid, Signal::TERM)?;
            child.wait().await?;
        }
        Ok(())
    }

    /// Makes the target send the streams what they have, or something new: by a line to the bare server, by another number
    /// of entries for them, at most two, to the agent. The moment it was done.
    pub(crate) async fn change(&mut self, own: usize) -> Result<Instant> {
        let folder = self
            .folder
            .as_ref()
            .ok_or("only what was started here can be changed")?
            .path();
        let file = folder.join("plastron.toml");
        if file.exists() {
            let new = folder.join("plastron.toml.new");
            fs::write(&new, configuration(own, self.others))?;
            let at = clock::now();
            fs::rename(new, file)?;
            return Ok(at);
        }
        let stdin = self
            .stdin
            .as_mut()
            .ok_or("the bare server has a standard input")?;
        let at = clock::now();
        stdin.write_all(b"\n").await?;
        Ok(at)
    }

    /// Stores what the agent answers, for the bare server to send, and returns a token.
    pub(crate) async fn record(&self, folder: &Path) -> Result<String> {
        use prost::Message as _;
        let mut client = Client::connect(&self.socket).await?;
        fs::write(
            folder.join(bare::X509_SVID),
            client.x509_svid().await?.encode_to_vec(),
        )?;
        let jwt = client.jwt_svid().await?;
        fs::write(folder.join(bare::JWT_SVID), jwt.encode_to_vec())?;
        let token = jwt.svids.first().ok_or("no token")?.svid.clone();
        fs::write(
            folder.join(bare::VALIDATED),
            client.validate(&token).await?.encode_to_vec(),
        )?;
        Ok(token)
    }

    /// User and system time so far. Granularity: 10 ms.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        let fields = stat.rsplit_once(')').ok_or("no stat")?.1;
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        memory_of(self.pid)
    }

    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }

    /// Context switches of all threads so far: each is a wake-up.
    pub(crate) fn wakeups(&self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let status = fs::read_to_string(task?.path().join("status"))?;
            let switches = status
                .lines()
                .filter_map(|line| line.split_once("ctxt_switches:"));
            sum += switches
                .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
                .sum::<u64>();
        }
        Ok(sum)
    }

    fn proc(&self, name: &str) -> Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{name}", self.pid))?)
    }
}

/// In KiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) anonymous: u64,
}

/// Of this process.
pub(crate) fn own_memory() -> Result<Memory> {
    memory_of(std::process::id())
}

fn memory_of(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    match (kib("VmRSS"), kib("RssAnon")) {
        (Some(resident), Some(anonymous)) => Ok(Memory {
            resident,
            anonymous,
        }),
        _ => Err("no memory figures in /proc/PID/status".into()),
    }
}

fn configuration(own: usize, others: usize) -> String {
    let uid = rustix::process::geteuid().as_raw();
    let own = OWN[..own].iter().map(|name| {
        format!("[[entry]]\nspiffe_id = \"spiffe://example.org/{name}\"\nselectors = [\"unix:uid:{uid}\"]\n")
    });
    let others = (0..others).map(|number| {
        let uid = 10_000 + number / 3;
        format!(
            "[[entry]]\nspiffe_id = \"spiffe://example.org/ns/shop/service/{number}\"\nselectors = [\"unix:uid:{uid}\", \
             \"unix:gid:500\", \"unix:path:/usr/lib/shop/service-{number}\"]\n"
        )
    });
    [CONFIGURATION.to_owned()]
        .into_iter()
        .chain(own)
        .chain(others)
        .collect()
}

/// Thousands of streams take as many descriptors.
pub(crate) fn raise_descriptor_limit() -> Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    Ok(())
}
