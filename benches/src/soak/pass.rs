//! Processes that come and go: one that asks once, and one that becomes another program while it holds a stream.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::Result;
use crate::chance::Chance;
use crate::check::Checker;
use crate::client::{self, Messages};
use crate::hold::{Holder, follow, tokens};
use crate::moment::Moment;
use crate::news::{Call, Image, News};
use crate::rule::Rule;
use crate::versions::TRUST_DOMAIN;

/// How long a connection may outlive the program that made it. The agent looks once a second; the rest is for a busy machine.
const CUT: Duration = Duration::from_secs(2);

/// The one stream of such a process.
const STREAM: u32 = 0;

/// Asks once for everything.
#[derive(Args)]
pub(crate) struct Once {
    socket: PathBuf,
}

/// Holds a stream, and becomes another program.
#[derive(Args)]
pub(crate) struct Exec {
    socket: PathBuf,
    #[arg(long)]
    then: PathBuf,
    #[arg(long)]
    seed: u64,
}

/// What the other program does: it looks at the connection it found on its standard input.
#[derive(Args)]
pub(crate) struct Inherited {
    socket: PathBuf,
    /// When it was started.
    #[arg(long)]
    at: Moment,
    /// The program before was entitled to what the copy is.
    #[arg(long)]
    by_guest: bool,
}

impl Once {
    pub(crate) async fn run(self) -> Result<()> {
        ask_once(&self.socket).await.map(drop)
    }
}

/// Asks for an SVID and tokens, and judges them by bundle streams of its own. Whether there was an answer.
async fn ask_once(socket: &Path) -> Result<bool> {
    let checker = Arc::new(Checker::default());
    let image = Image::own()?;
    let client = client::connect(socket).await?;
    let mut streams = JoinSet::new();
    for (stream, call) in [(1, Call::X509Bundles), (2, Call::JwtBundles)] {
        let holder = Holder {
            client: client.clone(),
            call,
            stream,
            image,
            checker: checker.clone(),
        };
        streams.spawn(holder.hold(Chance::new(stream.into())));
    }
    let (mut client, stream, call) = (client, STREAM, Call::X509Svids);
    checker.teller.tell(&News::Opening {
        stream,
        call,
        image,
    });
    let found = follow(&mut client, call, stream, &checker, 1).await;
    let answered = answered(found, &checker, |at| News::Denied { stream, at });
    checker.teller.tell(&News::Gone { stream });
    if answered {
        let found = tokens(&mut client, vec!["once".to_owned()], &checker).await;
        self::answered(found, &checker, |at| News::Refused { image, at });
    }
    checker.teller.flush();
    Ok(answered)
}

/// Whether there was an answer. If not, that is told.
fn answered<T>(
    found: std::result::Result<T, Status>,
    checker: &Checker,
    denied: impl Fn(Moment) -> News,
) -> bool {
    match found {
        Ok(_) => return true,
        Err(status) if status.code() == Code::PermissionDenied => {
            checker.teller.tell(&denied(Moment::now()));
        }
        Err(status) => {
            let what = format!("a process that comes and goes: {status}");
            checker.teller.broken(Rule::Unbroken, what);
        }
    }
    false
}

impl Exec {
    pub(crate) async fn run(self) -> Result<()> {
        let checker = Arc::new(Checker::default());
        let (mut client, connection) = client::connect_and_keep(&self.socket).await?;
        let (stream, call, image) = (STREAM, Call::X509Svids, Image::own()?);
        checker.teller.tell(&News::Opening {
            stream,
            call,
            image,
        });
        let mut open = Messages::open(&mut client, call).await;
        let message = match &mut open {
            Ok(open) => open.next().await,
            Err(status) => Err(status.clone()),
        };
        if let Ok(message) = &message
            && let Some(seen) = checker.see(message)
        {
            let (at, fresh, shown) = (Moment::now(), true, seen.shown);
            checker.teller.tell(&News::Shows {
                stream,
                at,
                fresh,
                shown,
            });
        }
        if !answered(message, &checker, |at| News::Denied { stream, at }) {
            return Ok(());
        }
        sleep(Chance::new(self.seed).millis(0, 400)).await;
        checker.teller.tell(&News::Gone { stream });
        checker.teller.flush();
        // The stream is still open, and so is its connection in the other program.
        rustix::stdio::dup2_stdin(&connection)?;
        let mut command = Command::new(self.then);
        command.arg("inherited").arg(self.socket);
        if image == Image::Guest {
            command.arg("--by-guest");
        }
        command.arg("--at").arg(Moment::now().to_string());
        Err(command.exec().into())
    }
}

impl Inherited {
    pub(crate) async fn run(self) -> Result<()> {
        let checker = Checker::default();
        match timeout(CUT, read_to_end()).await {
            Ok(read) => {
                let after = Moment::now().since(self.at);
                checker.teller.held(Rule::ExecCut);
                checker.teller.tell(&News::Cut { after });
                let guests = format!("spiffe://{TRUST_DOMAIN}/guest/");
                let brought = read?;
                if !self.by_guest
                    && brought
                        .windows(guests.len())
                        .any(|part| part == guests.as_bytes())
                {
                    let what = "the connection brought what the other program is entitled to";
                    checker.teller.broken(Rule::ExecCut, what.to_owned());
                }
            }
            Err(_) => {
                let what = format!("the connection is open {CUT:?} after exec");
                checker.teller.broken(Rule::ExecCut, what);
            }
        }
        checker.teller.flush();
        if ask_once(&self.socket).await? {
            checker.teller.held(Rule::ExecFresh);
            checker.teller.flush();
        }
        Ok(())
    }
}

/// All that the inherited connection still brings.
async fn read_to_end() -> Result<Vec<u8>> {
    let connection = std::io::stdin().as_fd().try_clone_to_owned()?;
    let mut connection = UnixStream::from_std(BlockingStream::from(connection))?;
    let mut read = Vec::new();
    match connection.read_to_end(&mut read).await {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error.into()),
        _ => Ok(read),
    }
}
