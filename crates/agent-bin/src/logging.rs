//! Logs: one line an event, on the standard error, for people or for programs.

use std::{io::IsTerminal as _, sync::Arc};

use tracing::Subscriber;
use tracing_subscriber::{
    Layer, Registry,
    filter::{Filtered, Targets},
    fmt,
    layer::SubscriberExt,
    reload::{self, Handle},
    util::SubscriberInitExt,
};

use crate::config::LogFormat;

/// A log that runs, and whose level can change.
#[derive(Clone)]
pub(crate) struct Logging(Arc<dyn Fn(&Targets) + Send + Sync>);

impl Logging {
    /// Starts the log of this process.
    pub(crate) fn start(format: LogFormat, level: &Targets) -> Self {
        let (filter, handle) = reload::Layer::new(level.clone());
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        // A second log of the same process, as in tests, leaves the first as it is.
        let _ = match format {
            LogFormat::Text => Registry::default().with(lines.with_filter(filter)).try_init(),
            LogFormat::Json => Registry::default().with(lines.json().flatten_event(true).with_filter(filter)).try_init(),
        };
        Self(Arc::new(move |level| {
            if let Err(error) = handle.reload(level.clone()) {
                tracing::warn!(%error, "the log's level stays as it was");
            }
        }))
    }

    /// Writes down more, or less, from now on.
    pub(crate) fn set_level(&self, level: &Targets) {
        (self.0)(level);
    }
}
