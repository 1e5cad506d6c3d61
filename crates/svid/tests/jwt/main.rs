//! JWT-SVIDs: the rules one by one, then judges from elsewhere.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../algorithms/mod.rs"]
mod algorithms;
mod claims;
#[path = "../difference/mod.rs"]
mod difference;
mod differential;
mod divergences;
mod fixture;
mod header;
mod judges;
mod keys;
mod minted;
mod mutated;
mod own_svid;
