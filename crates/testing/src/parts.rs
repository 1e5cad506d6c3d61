//! What a test needs and a machine may lack.
//!
//! A test that cannot run says so. Where the variable `CI` is set it fails, if the machine could have had the part. The file that
//! `PLASTRON_LEFT_OUT` names gets a line for each that did not run, since the harness keeps the words of tests that pass to
//! itself.

use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::process::Command;

/// Says that this test, or a part of it, is left out, and why: for what no machine has to have.
pub fn left_out(why: impl Display) {
    let thread = std::thread::current();
    let line = format!("{}: {why}: left out\n", thread.name().unwrap_or("a test"));
    eprint!("{line}");
    if let Some(path) = std::env::var_os("PLASTRON_LEFT_OUT") {
        let file = File::options().append(true).create(true).open(path);
        // At once, as others write to it too.
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the file of PLASTRON_LEFT_OUT can be written");
    }
}

/// Whether there is a part that a test needs, as `found` says. Without it the test is left out.
///
/// # Panics
///
/// There is none, and `CI` is set.
pub fn has(part: impl Display, found: bool) -> bool {
    if !found {
        assert!(!is_strict(), "{part}: missing, and CI is set");
        left_out(part);
    }
    found
}

/// Whether there is a program that a test asks for its opinion. As [`has`].
///
/// # Panics
///
/// There is none, and `CI` is set.
pub fn has_program(name: &str) -> bool {
    let tried = Command::new(name).arg("--version").output();
    has(
        format_args!("no {name} on the PATH"),
        !tried.is_err_and(|error| error.kind() == ErrorKind::NotFound),
    )
}

/// Whether nothing may be left out.
fn is_strict() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_there_and_what_is_not_is_missed() {
        assert!(has_program("true"));
        assert!(has("a part", true));
        let missed = std::panic::catch_unwind(|| has_program("no-such-program-anywhere"));
        if is_strict() {
            assert!(missed.is_err());
        } else {
            assert!(!missed.unwrap());
        }
    }
}
