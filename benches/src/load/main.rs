//! The load program: measures the agent and, with the same driver in the same run, a bare tonic server that sends the same
//! bytes to anybody over the same kind of socket.
//!
//! ```text
//! load --agent target/release/plastron-agent            every figure; some minutes on a quiet machine
//! load --agent … --quick                                a few rounds, to see that all of it runs
//! load --agent … --only first,fetch                     some of them
//! load --agent … --other SPIRE=/run/spire/agent.sock,PID   a third column: something that serves already
//! ```
//!
//! Machines differ, so what counts is the ratio of two columns of one run. Driver and target share the cores; where
//! that matters, the figure is per second of CPU time of the target. The table goes to the standard output, what is
//! going on to the standard error. A size beyond its limit fails the run; times are for people to judge.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

mod bare;
mod call;
mod clock;
mod figures;
mod inside;
mod reload;
mod report;
mod stream;
mod target;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use figures::{Figures, Scale};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Measures the agent beside a bare server.
#[derive(Parser)]
#[command(subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// The agent's release binary.
    #[arg(long, required = true)]
    agent: Option<PathBuf>,
    /// Few rounds: shows that everything runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// The figures to take, by name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Another Workload API server that runs already, for a column of its own: `NAME=SOCKET,PID`.
    #[arg(long)]
    other: Option<target::Other>,
}

/// What the program starts of itself.
#[derive(Subcommand)]
enum Role {
    /// A server that sends the bytes of files to anybody, and the first again at each line on the standard input.
    #[command(hide = true)]
    Bare(bare::Bare),
    /// A process that fetches one SVID and prints how many nanoseconds that took.
    #[command(hide = true)]
    OneShot { socket: PathBuf },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("the kernel has what a runtime needs");
    let outcome = runtime.block_on(async {
        match arguments.role {
            Some(Role::Bare(bare)) => bare.serve().await,
            Some(Role::OneShot { socket }) => {
                println!("{}", call::first_svid(&socket).await?.as_nanos());
                Ok(())
            }
            None => measure(arguments).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: Arguments) -> Result<()> {
    target::raise_descriptor_limit()?;
    let agent = arguments.agent.unwrap_or_default();
    let scale = if arguments.quick {
        Scale::QUICK
    } else {
        Scale::FULL
    };
    let figures = Figures::new(&agent, arguments.other, scale, &arguments.only)?;
    let report = figures.take().await?;
    print!("{report}");
    match report.too_large().as_slice() {
        [] => Ok(()),
        rows => Err(format!("larger than it may be: {}", rows.join("; ")).into()),
    }
}
