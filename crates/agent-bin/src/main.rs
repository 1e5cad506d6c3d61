//! The `plastron-agent` command.

mod accounts;
mod calendar;
mod config;
mod report;
mod socket;
mod watch;

fn main() {}
