//! The audit file as those who read it see it: written by many, rotated, torn, on a full disk, and tampered with.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod judges;
mod log;
mod tampering;
mod writing;
