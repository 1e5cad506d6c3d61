//! WIT-SVIDs: the rules one by one, then judges from elsewhere.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod fixture;
mod http;
mod keys;
mod minted;
mod own_svid;
mod proof;
mod shown;
mod token;
