//! Generated protobuf of the SPIFFE Workload API and the Plastron agent API.
