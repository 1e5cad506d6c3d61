//! Log lines on the standard error, for people or for machines.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{
    Registry,
    filter::{Filtered, Targets},
    fmt,
    layer::{Layer, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

use crate::config::{Log, LogFormat};

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// The log, whose level can change while it is written.
#[derive(Clone)]
pub(super) struct Logging(reload::Handle<Filtered<Lines, Targets, Registry>, Registry>);

/// Begins to log.
pub(super) fn start(log: &Log) -> Logging {
    // journald stamps each line itself.
    let stamped = std::env::var_os("JOURNAL_STREAM").is_none();
    let lines = fmt::layer().with_writer(io::stderr);
    let lines: Lines = match (log.format, stamped) {
        (LogFormat::Json, _) => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
        (LogFormat::Text, true) => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        (LogFormat::Text, false) => lines.with_ansi(false).without_time().boxed(),
    };
    let (layer, handle) = reload::Layer::new(lines.with_filter(log.level.clone()));
    // Somebody else logs already where several agents run in one process, as in tests.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Logging(handle)
}

impl Logging {
    /// Logs more or less from now on.
    pub(super) fn set_level(&self, level: Targets) {
        let _ = self.0.modify(|layer| *layer.filter_mut() = level);
    }
}
