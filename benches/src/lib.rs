//! Benches of the Plastron workspace.
