//! X509-SVIDs: the rules one by one, then judges from elsewhere.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../algorithms/mod.rs"]
mod algorithms;
#[path = "../difference/mod.rs"]
mod difference;
mod differential;
mod divergences;
mod fixture;
mod judges;
mod leaf;
mod limbo;
mod limits;
mod minted;
mod mutated;
mod name_constraints;
mod own_svid;
mod path;
mod verified_paths;
