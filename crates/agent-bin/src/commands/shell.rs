//! `completions` and `man`: what a package installs beside the binary.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use serde_json::json;

use crate::{
    cli::Cli,
    report::{Failure, Report, plural},
};

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Report, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "plastron-agent", &mut script);
    let script =
        String::from_utf8(script).map_err(|error| Failure::cannot_tell(error.to_string()))?;
    Ok(Report::yes(
        script.clone(),
        json!({ "shell": shell.to_string(), "script": script }),
    ))
}

pub(super) fn man(dir: &Path) -> Result<Report, Failure> {
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    fs::create_dir_all(dir).map_err(|error| Failure::file(dir, "made", &error))?;
    write_pages(&command, dir, &mut pages)?;
    let text = format!(
        "wrote {} into {}\n",
        plural(pages.len(), "manual page", "manual pages"),
        dir.display()
    );
    Ok(Report::yes(text, json!({ "pages": pages })))
}

/// The page of a command, and those of the commands below it.
fn write_pages(
    command: &clap::Command,
    dir: &Path,
    pages: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    let page = clap_mangen::Man::new(command.clone());
    let path = dir.join(page.get_filename());
    let mut text = Vec::new();
    page.render(&mut text)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| Failure::file(&path, "written", &error))?;
    pages.push(path);
    let below = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    below
        .into_iter()
        .try_for_each(|command| write_pages(command, dir, pages))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_has_its_script() {
        for shell in clap_complete::Shell::value_variants() {
            let report = completions(*shell).unwrap();
            assert!(
                report.text.contains("plastron-agent") && report.text.contains("healthcheck"),
                "{shell}"
            );
        }
    }

    #[test]
    fn every_command_has_its_page() {
        let temp = tempfile::tempdir().unwrap();
        let report = man(temp.path()).unwrap();
        for page in [
            "plastron-agent",
            "plastron-agent-run",
            "plastron-agent-api-fetch",
            "plastron-agent-audit-verify",
        ] {
            assert!(
                temp.path().join(format!("{page}.1")).is_file(),
                "{page} in {}",
                report.json
            );
        }
    }
}
