//! The processes of the load, as the one that started them sees them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use crate::Result;
use crate::judge::Process;
use crate::news::News;

/// What comes from the processes.
#[derive(Debug)]
pub(crate) enum Event {
    News(Process, News),
    Ended(Process, Result<ExitStatus>),
}

/// All that run.
pub(crate) struct Crowd {
    running: HashMap<Process, Running>,
    events: mpsc::UnboundedSender<Event>,
}

#[derive(Debug, Default)]
struct Running {
    /// A process that holds streams ends when this does.
    stdin: Option<ChildStdin>,
    /// It was killed, and cannot end well.
    killed: bool,
}

impl Crowd {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, received) = mpsc::unbounded_channel();
        let running = HashMap::new();
        (Self { running, events }, received)
    }

    /// Starts a program of the soak's in a role.
    pub(crate) fn start(
        &mut self,
        program: &Path,
        role: impl IntoIterator<Item = OsString>,
        held: bool,
    ) -> Result<Process> {
        let mut command = Command::new(program);
        command.args(role).stdout(Stdio::piped()).kill_on_drop(true);
        command.stdin(if held { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn()?;
        let process = child.id().ok_or("a process without pid")?;
        let stdin = child.stdin.take();
        let killed = false;
        self.running.insert(process, Running { stdin, killed });
        let events = self.events.clone();
        tokio::spawn(async move {
            let outcome = listen(process, child, &events).await;
            let _ = events.send(Event::Ended(process, outcome));
        });
        Ok(process)
    }

    /// Asks a process to end that holds streams.
    pub(crate) fn let_go(&mut self, process: Process) {
        if let Some(running) = self.running.get_mut(&process) {
            running.stdin = None;
        }
    }

    /// The same of all.
    pub(crate) fn let_all_go(&mut self) {
        for running in self.running.values_mut() {
            running.stdin = None;
        }
    }

    /// Ends a process the hard way.
    pub(crate) fn kill(&mut self, process: Process) -> Result<()> {
        if let Some(running) = self.running.get_mut(&process) {
            running.killed = true;
            let pid = Pid::from_raw(process.cast_signed()).ok_or("no pid")?;
            kill_process(pid, Signal::KILL)?;
        }
        Ok(())
    }

    /// A process has ended. Whether it ended well.
    pub(crate) fn ended(
        &mut self,
        process: Process,
        outcome: Result<ExitStatus>,
    ) -> std::result::Result<(), String> {
        let killed = self
            .running
            .remove(&process)
            .is_some_and(|running| running.killed);
        match outcome {
            Ok(status) if status.success() || killed => Ok(()),
            Ok(status) => Err(format!("process {process} ended with {status}")),
            Err(error) => Err(format!("process {process}: {error}")),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }
}

async fn listen(
    process: Process,
    mut child: Child,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<ExitStatus> {
    let stdout = child.stdout.take().ok_or("a process without output")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(news) => drop(events.send(Event::News(process, news))),
            // The last line of one that was killed.
            Err(error) if error.is_eof() => break,
            Err(error) => return Err(format!("{error}: {line}").into()),
        }
    }
    Ok(child.wait().await?)
}
