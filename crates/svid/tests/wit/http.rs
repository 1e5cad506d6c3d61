//! Requests that are signed with the key of a right token in them.

mod covered;
mod message;
mod minted;
mod parameters;
mod received;
