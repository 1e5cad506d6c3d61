//! The agent: attest, match, cache, renew, serve.
//!
//! ```text
//! connection ─ Peer ─ attestors ─▶ selectors ─ Registry ─▶ entries ─ Desk ─▶ one encoded answer ─▶ every stream that has it
//!                                                             │
//!                                                             └─ Upstream: signs over keys made here
//! ```
//!
//! An [`Agent`] is built from [`Parts`], each of which another team can replace: who signs ([`upstream`]), who looks at
//! callers, where keys and records go. It is told who may be what by a [`Registry`], which is replaced whole while it runs;
//! open streams follow at once.
//!
//! Tier 3. Flags, files and signals are `plastron-agent-bin`'s.

mod admin;
mod agent;
mod answers;
pub mod audit;
mod callers;
mod clock;
pub mod health;
mod held_file;
mod incoming;
mod jwt;
pub mod key_store;
mod memory;
pub mod metrics;
mod refusal;
mod registry;
mod serve;
mod settings;
mod stream;
mod svids;
pub mod upstream;

pub use agent::{Agent, Parts};
pub use clock::Clock;
pub use registry::Registry;
pub use settings::Settings;
