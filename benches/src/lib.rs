//! What the benches share.

pub mod interleaved;
