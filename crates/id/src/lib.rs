//! SPIFFE IDs and trust domain names: parse, build, compare.
