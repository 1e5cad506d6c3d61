//! The commands, one module each. A command turns what it was given into a [`Report`]; printing it is up to `main`.

pub(crate) mod api;
mod audit;
mod authority;
mod bundle;
mod check;
mod entry;
mod explain;
mod healthcheck;
mod messages;
mod shell;
pub(crate) mod svid;
mod write;

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use crate::{
    busy::Busy,
    cli::{self, Command},
    report::{Failure, Format, Report},
    run,
};

/// Most bytes of a file that a command reads into memory. A bundle of a hundred authorities has a hundred KiB.
const MAX_FILE: u64 = 64 << 20;

/// Runs a command to its end.
pub(crate) fn run(command: Command, format: Format) -> Result<Report, Failure> {
    match command {
        Command::Run(flags) => run::run(flags, format),
        Command::Check(flags) => check::check(&flags),
        Command::Healthcheck { verbose, agent } => {
            on_this_thread(healthcheck::healthcheck(&agent, verbose))
        }
        Command::Api(command) => on_this_thread(api::run(command, format)),
        Command::Bundle(cli::Bundle::Show {
            format,
            trust_domain,
            agent,
        }) => on_this_thread(bundle::show(format, trust_domain, &agent)),
        Command::Authority(cli::Authority::Rotate {
            kind,
            socket,
            timeout,
        }) => on_this_thread(authority::rotate(kind, &cli::Agent { socket, timeout })),
        Command::Svid(cli::Svid::Show { files }) => svid::show(&files),
        Command::Svid(cli::Svid::Verify(flags)) => svid::verify(&flags),
        Command::Explain(flags) => on_this_thread(explain::explain(&flags)),
        Command::Entry(cli::Entry::Import { file }) => entry::import(&file),
        Command::Audit(cli::Audit::Verify { files, key, head }) => {
            audit::verify(&files, key.as_deref(), head.as_deref())
        }
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { dir } => shell::man(&dir),
    }
}

/// Runs what talks to an agent. One thread is enough to wait with.
fn on_this_thread<T>(what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| Failure::cannot_tell(format!("cannot wait for anything: {error}")))?
        .block_on(what)
}

/// Stands for the standard input where a file is named.
const STANDARD_INPUT: &str = "-";

/// The content of a file, or of the standard input for `-`.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_whatever(path)?.ok_or_else(|| {
        let error = io::ErrorKind::FileTooLarge.into();
        Failure::file(path, "read", &error)
    })
}

/// The same; `None` for more than [`MAX_FILE`].
fn read_whatever(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let mut bytes = Vec::new();
    let mut busy = None;
    let source: io::Result<Box<dyn io::Read>> = if path == Path::new(STANDARD_INPUT) {
        busy = Some(Busy::with("reading the standard input"));
        Ok(Box::new(io::stdin()))
    } else {
        fs::File::open(path).map(|file| Box::new(file) as _)
    };
    let read = source
        .and_then(|source| source.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::file(path, "read", &error))?;
    drop(busy);
    Ok((read as u64 <= MAX_FILE).then_some(bytes))
}
