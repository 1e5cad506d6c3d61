//! The table of conformance: which rule of the SPIFFE standards is kept where, and which test shows it.
//!
//! ```text
//! cargo run -p plastron-testing --bin conformance -- write     docs/spec/conformance.md from the tree
//! cargo run -p plastron-testing --bin conformance -- check     1 when that page is stale or a rule lacks a test
//! cargo run -p plastron-testing --bin conformance -- extract FILE
//!                                   docs/spec/requirements.tsv from a checklist: number, level, who is bound
//! ```
//!
//! Code and tests cite the numbers (`X509-02`); nothing else is kept by hand but `docs/spec/exceptions.toml`.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

mod case;
mod citation;
mod exceptions;
mod fragment;
mod page;
mod requirement;
mod rules;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use citation::Citations;
use exceptions::Exceptions;
use requirement::Requirements;

const REQUIREMENTS: &str = "docs/spec/requirements.tsv";
const EXCEPTIONS: &str = "docs/spec/exceptions.toml";
const PAGE: &str = "docs/spec/conformance.md";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let outcome = match arguments[..] {
        ["write"] => write(&root),
        ["check"] => check(&root),
        ["extract", file] => extract(&root, Path::new(file)),
        _ => Err("usage: conformance write | check | extract FILE".into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::from(2)
        }
    }
}

type Outcome = Result<bool, Box<dyn Error>>;

fn write(root: &Path) -> Outcome {
    fs::write(root.join(PAGE), page(root)?.0)?;
    println!("{PAGE} is written");
    Ok(true)
}

fn check(root: &Path) -> Outcome {
    let (page, faults) = page(root)?;
    for fault in &faults {
        println!("{fault}");
    }
    let current = fs::read_to_string(root.join(PAGE)).unwrap_or_default() == page;
    if !current {
        println!("{PAGE} is stale: cargo run -p plastron-testing --bin conformance -- write");
    }
    Ok(current && faults.is_empty())
}

fn extract(root: &Path, file: &Path) -> Outcome {
    let requirements = Requirements::from_checklist(&read(file)?);
    fs::write(root.join(REQUIREMENTS), requirements.to_tsv())?;
    println!("{REQUIREMENTS} has {} rules", requirements.len());
    Ok(true)
}

/// The page, and what is wrong with the tree.
fn page(root: &Path) -> Result<(String, Vec<String>), Box<dyn Error>> {
    let requirements = Requirements::from_tsv(&read(&root.join(REQUIREMENTS))?)?;
    let exceptions = Exceptions::parse(&read(&root.join(EXCEPTIONS))?)?;
    let citations = Citations::of(root)?;
    let faults = exceptions.faults(&requirements, &citations);
    Ok((page::render(&requirements, &exceptions, &citations), faults))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn root() -> PathBuf {
    let testing = Path::new(env!("CARGO_MANIFEST_DIR"));
    testing
        .ancestors()
        .nth(2)
        .expect("crates/testing lies two below")
        .to_owned()
}
