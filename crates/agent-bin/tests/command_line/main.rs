//! The binary, as its users meet it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod commands;
mod health;
mod running;
mod svid;
