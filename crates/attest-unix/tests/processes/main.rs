//! What real processes can do to an agent, and what they cannot.
//!
//! Each test starts processes that do one thing after the other as they are told, so nothing depends on time. Tests that need
//! root, or what some kernels lack, say so and are left out without; in CI root has to have it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod exec;
mod forged;
mod house;
mod ids;
mod pids;
mod program;
mod puppet;
mod sight;
mod slow_files;
mod succeeding;
mod watch;
mod writers;
