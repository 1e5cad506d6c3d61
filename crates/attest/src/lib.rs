//! Attestor traits, peers and outcomes.
