//! SPIFFE Workload API server over any stream that knows its peer.
