//! `check`: says what is wrong or odd in a configuration.

use serde_json::{Map, Value, json};

use crate::{
    calendar::now,
    cli,
    config::{self, ConfigError, KEYS, Settings, Severity},
    report::{Failure, Report, plural},
};

pub(super) fn check(flags: &cli::Check) -> Result<Report, Failure> {
    let file = flags.config.display();
    match config::load(&flags.config, &flags.settings.0) {
        Err(error @ ConfigError::Unreadable { .. }) => Err(Failure::cannot_tell(error.to_string())),
        Err(ConfigError::Broken(problems)) => {
            let errors = plural(problems.count(Severity::Error), "error", "errors");
            let json = json!({
                "valid": false,
                "errors": problems.to_json(Severity::Error),
                "warnings": problems.to_json(Severity::Warning),
            });
            Ok(Report::no(format!("{problems}{file}: {errors}\n"), json))
        }
        Ok(checked) => {
            let warnings = checked.warnings(now());
            let settings = &checked.settings;
            let text = format!(
                "{warnings}{file}: fine: {}, {}, {}\n",
                plural(settings.entries.len(), "entry", "entries"),
                plural(settings.bundles.len(), "foreign bundle", "foreign bundles"),
                plural(warnings.count(Severity::Warning), "warning", "warnings"),
            );
            let json = json!({
                "valid": true,
                "errors": [],
                "warnings": warnings.to_json(Severity::Warning),
                "entries": settings.entries.len(),
                "bundles": settings.bundles.len(),
                "settings": shown(settings),
            });
            Ok(Report::yes(text, json))
        }
    }
}

/// Every key with the value in force, as it would be written.
fn shown(settings: &Settings) -> Value {
    KEYS.iter()
        .map(|key| (key.name.to_owned(), json!((key.shown)(settings))))
        .collect::<Map<_, _>>()
        .into()
}
