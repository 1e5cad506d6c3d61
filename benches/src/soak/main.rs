//! The soak: an agent with SVIDs of a few seconds, hundreds of streams in many processes, and all that happens to an agent
//! at once, for a minute.
//!
//! ```text
//! soak --agent target/release/plastron-agent            a minute with three hundred streams
//! soak --agent … --seconds 600 --streams 3000 --seed 7   longer, more, and the same again
//! ```
//!
//! Processes hold streams of all three kinds over many connections, check each message when it arrives, and fetch tokens.
//! Others ask once and are gone, are killed, or become another program while they hold a stream. Meanwhile the configuration
//! is rewritten in every way that files are rewritten, with entries that come and go, keys are replaced by order and by the
//! clock, and the audit file is moved away. Each version of the configuration names itself in an entry, so that what a
//! stream shows tells how far it is. What has to hold is in `rule`; the report ends with how many of those rules did.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

mod agent;
mod audit;
mod chance;
mod check;
mod client;
#[path = "../load/clock.rs"]
mod clock;
mod crowd;
mod drive;
mod hold;
mod judge;
mod moment;
mod news;
mod pass;
mod report;
mod rule;
mod versions;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tempfile::TempDir;

use agent::Agent;
use drive::{Plan, Programs, Soak};
use news::Image;
use report::Report;
use versions::{File, Version, Way};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Soaks the agent.
#[derive(Parser)]
#[command(subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// The agent's release binary.
    #[arg(long, required = true)]
    agent: Option<PathBuf>,
    /// How long.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// How many streams are held.
    #[arg(long, default_value_t = 300)]
    streams: u32,
    /// What chance begins with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the folder with configuration, log and audit files.
    #[arg(long)]
    keep: bool,
}

/// What the program starts of itself.
#[derive(Subcommand)]
enum Role {
    #[command(hide = true)]
    Hold(hold::Hold),
    #[command(hide = true)]
    Once(pass::Once),
    #[command(hide = true)]
    Exec(pass::Exec),
    #[command(hide = true)]
    Inherited(pass::Inherited),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("the kernel has what a runtime needs");
    let outcome = runtime.block_on(async {
        match arguments.role {
            Some(Role::Hold(hold)) => hold.run().await.map(|()| true),
            Some(Role::Once(once)) => once.run().await.map(|()| true),
            Some(Role::Exec(exec)) => exec.run().await.map(|()| true),
            Some(Role::Inherited(inherited)) => inherited.run().await.map(|()| true),
            None => soak(arguments).await,
        }
    });
    // A thread may still wait for the standard input.
    runtime.shutdown_background();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn soak(arguments: Arguments) -> Result<bool> {
    let temporary = TempDir::with_prefix("plastron-soak-")?;
    // Entries name programs by the path that the kernel knows them by.
    let folder = fs::canonicalize(temporary.path())?;
    if arguments.keep {
        eprintln!("soak: keeps {}", temporary.keep().display());
    }
    let plan = Plan {
        time: Duration::from_secs(arguments.seconds.into()),
        streams: arguments.streams,
        seed: arguments.seed,
    };
    let binary = fs::canonicalize(arguments.agent.unwrap_or_default())?;
    let report = run(&binary, &folder, plan).await?;
    print!("{report}");
    Ok(report.is_good())
}

async fn run(binary: &Path, folder: &Path, plan: Plan) -> Result<Report> {
    let programs = Programs {
        member: std::env::current_exe()?,
        guest: folder.join(Image::GUEST),
    };
    fs::copy(&programs.member, &programs.guest)?;
    let mut file = File::new(folder.to_owned(), programs.guest.clone());
    let written = file.write(&Version::plain(0), Way::InPlace)?;
    let mut agent = Agent::start(binary, &file.path(), folder).await?;
    let before = report::Held::by(&agent).await?;
    let mut soak = Soak::new(&mut agent, file, programs, plan, written);
    let outcome = soak.run().await;
    let (judge, counts) = (
        std::mem::take(&mut soak.judge),
        std::mem::take(&mut soak.counts),
    );
    drop(soak);
    let mut report = Report::new(judge, counts, before);
    report.end(agent, outcome).await?;
    Ok(report)
}
