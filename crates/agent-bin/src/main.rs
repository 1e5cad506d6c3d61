//! The `plastron-agent` command: an agent that gives every process on a machine the identity that is its own, and the
//! commands to operate and try it.

mod accounts;
mod bundle_file;
mod busy;
mod calendar;
mod cli;
mod client;
mod commands;
mod config;
mod credential;
mod distinguished_name;
mod form;
mod report;
mod run;
mod socket;
mod watch;

use std::process::ExitCode;

use report::{Format, Outcome};

fn main() -> ExitCode {
    let (outcome, printed) = match cli::Cli::of(std::env::args_os().collect()) {
        Ok(cli::Cli { output, command }) => match commands::run(command, output) {
            Ok(report) => (report.outcome, report.print(output)),
            Err(failure) => (failure.outcome, failure.print(output)),
        },
        Err(failure) => (failure.outcome, failure.print(Format::Json)),
    };
    match printed {
        // Who reads has seen enough, as with `| head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => outcome.into(),
        Err(_) => Outcome::CannotTell.into(),
        Ok(()) => outcome.into(),
    }
}
