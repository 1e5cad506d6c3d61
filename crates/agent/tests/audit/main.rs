//! The audit file as those who read it see it: written by many, rotated, torn, on a full disk, and tampered with.

mod judges;
mod log;
mod tampering;
mod writing;
