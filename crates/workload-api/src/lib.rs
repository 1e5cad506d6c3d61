//! A SPIFFE Workload API server over any stream that knows its peer.
//!
//! The crate has the protocol and its limits; an agent brings the rest:
//!
//! - [`Accept`]: where connections come from;
//! - [`Attest`]: who is behind a connection, taken before its first byte is read and looked at again on each call;
//! - [`Answer`]: what that caller gets, as [`Message`]s encoded once and shared between all streams with the same
//!   answer;
//! - any tower service that tonic generates, beside the Workload API. gRPC health and reflection are built in.
//!
//! It sits on `h2` itself, with five methods to frame: no copy of an answer, no task and no timer per stream, and a
//! slow reader costs one message, always the newest.
//!
//! Every limit ([`Limits`]) is checked before the work it limits. Whatever callers do, the service of others goes on.
//!
//! `examples/own_agent.rs` in the repository is another team's agent in fifty lines. Tier 2: no attestor, no identities,
//! no configuration.

pub use contract::{Accept, Answer, Attest, Held, Refused, Updates};
pub use health::Health;
pub use latest::Latest;
pub use limits::Limits;
pub use message::Message;
pub use refusal::Refusal;
pub use server::Server;
pub use services::OtherService;
pub use stats::{ConnectionRefused, Method, Stats};
/// A gRPC status code, as [`Refusal`] has it.
pub use tonic::Code;

/// What every client answers to the first words of this server: the frame that acknowledges its settings.
///
/// Whatever a program prints to a connection that it was started with is no such frame; so a connection that knows its
/// writers can tell by it that a client speaks. Spec: RFC 9113 §6.5.3.
pub const FIRST_ANSWER: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];

mod admission;
mod authority;
mod call;
mod connection;
mod contract;
mod health;
mod latest;
mod limits;
mod message;
mod refusal;
mod reply;
mod request;
mod server;
mod services;
mod socket;
mod stats;
mod turns;
mod wakes;
