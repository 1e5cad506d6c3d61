//! The binary, as its users meet it.

mod agent;
mod commands;
mod running;
