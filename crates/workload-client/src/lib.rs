//! SPIFFE Workload API client that feeds a source.
