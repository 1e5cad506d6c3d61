//! Certificates, bundle documents and sets of bundles: the rules one by one, then judges from elsewhere.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod certificate;
mod certificates;
mod differential;
mod document;
mod fixture;
mod judges;
mod jwks;
mod map;
mod set;
mod skipped;
#[cfg(feature = "wit")]
mod wit;
mod written;
