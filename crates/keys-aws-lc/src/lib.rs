//! The key and verification traits over aws-lc-rs.
