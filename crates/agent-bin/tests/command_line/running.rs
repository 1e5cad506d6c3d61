//! A running agent, as a service manager would run it, and commands beside it.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use tempfile::TempDir;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The command.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plastron-agent"));
    command
        .args(arguments)
        .env_remove("SPIFFE_ENDPOINT_SOCKET")
        .env_remove("XDG_RUNTIME_DIR");
    command
}

pub(crate) fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("not killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) fn say(arguments: &[&str]) -> Said {
    command(arguments).output().unwrap().into()
}

/// What is answered to a request over HTTP.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A folder with a configuration.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
}

impl Scene {
    pub(crate) fn new(entries: &str) -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(scene.path("agent.toml"), Self::config(entries)).unwrap();
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A configuration with these entries.
    pub(crate) fn config(entries: &str) -> String {
        format!(
            "trust_domain = \"example.org\"\ndata_dir = \"state\"\n[workload_api]\nsocket = \"agent.sock\"\n[audit]\nfile = \
             \"audit.jsonl\"\n{entries}"
        )
    }

    /// An entry for whoever runs the tests.
    pub(crate) fn entry(name: &str) -> String {
        format!(
            "[[entry]]\nspiffe_id = \"spiffe://example.org/{name}\"\nselectors = [\"unix:uid:{}\"]\n",
            uid()
        )
    }

    pub(crate) fn start(self) -> Agent {
        let config = self.text("agent.toml");
        Agent::start(self, &["run", "--config", &config])
    }
}

/// A running agent. Killed when it is dropped.
pub(crate) struct Agent {
    process: Child,
    told: UnixDatagram,
    pub(crate) scene: Scene,
}

impl Agent {
    pub(crate) fn start(scene: Scene, arguments: &[&str]) -> Self {
        Self::spawn(scene, command(arguments))
    }

    /// Starts it and waits until it says that it serves.
    pub(crate) fn spawn(scene: Scene, mut command: Command) -> Self {
        let told = UnixDatagram::bind(scene.path("notify")).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        // Whoever it runs as.
        let anybody = fs::Permissions::from_mode(0o777);
        fs::set_permissions(scene.path("notify"), anybody).unwrap();
        command.env("NOTIFY_SOCKET", scene.path("notify"));
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(scene.path("log"))
            .unwrap();
        let process = command.stderr(log).stdout(Stdio::null()).spawn().unwrap();
        let agent = Self {
            process,
            told,
            scene,
        };
        agent.wait_for("READY=1");
        agent
    }

    /// Waits until the agent tells the service manager this, and returns all that it told with it.
    pub(crate) fn wait_for(&self, wanted: &str) -> String {
        let mut buffer = [0; 8192];
        loop {
            let len = match self.told.recv(&mut buffer) {
                Ok(len) => len,
                // A signal for another test.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => panic!("{wanted}: {error}\n{}", self.log()),
            };
            let told = String::from_utf8_lossy(&buffer[..len]);
            if told.contains(wanted) {
                return told.into_owned();
            }
        }
    }

    /// Waits until a reload is over, and returns its status.
    pub(crate) fn wait_for_reload(&self) -> String {
        self.wait_for("RELOADING=1");
        self.wait_for("STATUS=")
    }

    /// Waits until the log says this. A thread of its own writes it, after whatever else shows what happened.
    pub(crate) fn wait_for_log(&self, wanted: &str) -> String {
        use rustix::{
            event::{PollFd, PollFlags, Timespec, poll},
            fs::inotify,
        };
        let changes = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(
            &changes,
            self.scene.path("log"),
            inotify::WatchFlags::MODIFY,
        )
        .unwrap();
        let patience = Timespec::try_from(PATIENCE).unwrap();
        loop {
            let log = self.log();
            if log.contains(wanted) {
                return log;
            }
            let mut ready = [PollFd::new(&changes, PollFlags::IN)];
            let some = poll(&mut ready, Some(&patience)).unwrap();
            assert!(some > 0, "{wanted} is not in the log:\n{log}");
            rustix::io::read(&changes, &mut [0; 4096]).unwrap();
        }
    }

    /// Where it serves `health` or `metrics` over HTTP.
    pub(crate) fn address_of(&self, what: &str) -> SocketAddr {
        // The line after theirs.
        let log = self.wait_for_log(": serving ");
        let line = log
            .lines()
            .find(|line| line.contains("over HTTP") && line.contains(&format!("{what}=true")))
            .unwrap_or_else(|| panic!("no {what} in the log:\n{log}"));
        let (_, address) = line.split_once("address=").expect("an address");
        let (address, _) = address.split_once(' ').expect("what is served there");
        address.parse().expect("an address")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.scene.path("log")).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Stops it as a service manager does.
    pub(crate) fn stop(mut self) -> (ExitStatus, Scene) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.process.wait().unwrap();
        let scene = std::mem::replace(
            &mut self.scene,
            Scene {
                folder: tempfile::tempdir().unwrap(),
            },
        );
        (status, scene)
    }

    /// A command that asks this agent.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Said {
        self.asking(arguments).output().unwrap().into()
    }

    pub(crate) fn asking(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.args(["--timeout", "50s"]).env(
            "SPIFFE_ENDPOINT_SOCKET",
            format!("unix://{}", self.scene.text("agent.sock")),
        );
        command
    }

    /// Watches SVIDs, one JSON object at a time.
    pub(crate) fn watch(&self) -> Watching {
        let mut process = self
            .asking(&["api", "watch", "--output", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(process.stdout.take().unwrap());
        Watching { process, lines }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// `api watch`.
pub(crate) struct Watching {
    process: Child,
    lines: Receiver<String>,
}

impl Watching {
    /// The SPIFFE IDs of the next message.
    pub(crate) fn next_ids(&self) -> Vec<String> {
        let line = self.lines.recv_timeout(PATIENCE).expect("a message comes");
        let message: serde_json::Value = serde_json::from_str(&line).expect("one object a line");
        let svids = message["svids"].as_array().expect("svids").iter();
        svids
            .map(|svid| svid["spiffe_id"].as_str().expect("text").to_owned())
            .collect()
    }

    /// What it says at its end.
    pub(crate) fn end(self) -> Said {
        let said: Said = self.process.wait_with_output().unwrap().into();
        Said {
            out: self.lines.iter().map(|line| line + "\n").collect(),
            ..said
        }
    }
}

fn lines_of(out: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// How a file may be changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    InPlace,
    RenamedOver,
    LinkSwitched,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::InPlace, Self::RenamedOver, Self::LinkSwitched];

    /// Changes `file` to `content`.
    pub(crate) fn write(self, file: &Path, content: &str) {
        let beside = file.with_extension("new");
        match self {
            Self::InPlace => fs::write(file, content).unwrap(),
            Self::RenamedOver => {
                fs::write(&beside, content).unwrap();
                fs::rename(&beside, file).unwrap();
            }
            Self::LinkSwitched => {
                // As Kubernetes does: the file is a link through `..data`, which is switched.
                let folder = file.parent().unwrap();
                let version = folder.join(format!("..{}", rand_name(folder)));
                fs::create_dir(&version).unwrap();
                fs::write(version.join(file.file_name().unwrap()), content).unwrap();
                std::os::unix::fs::symlink(version.file_name().unwrap(), folder.join("..data_tmp"))
                    .unwrap();
                fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
                if !file.symlink_metadata().unwrap().is_symlink() {
                    std::os::unix::fs::symlink(
                        Path::new("..data").join(file.file_name().unwrap()),
                        &beside,
                    )
                    .unwrap();
                    fs::rename(&beside, file).unwrap();
                }
            }
        }
    }
}

/// A name that the folder has not yet.
fn rand_name(folder: &Path) -> String {
    format!("version-{}", fs::read_dir(folder).unwrap().count())
}
