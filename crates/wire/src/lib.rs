//! Generated protobuf of the SPIFFE Workload API and of the agent's own service.
//!
//! | module | service | text |
//! | --- | --- | --- |
//! | [`workload`] | `SpiffeWorkloadAPI`, without a package (Workload API §3, WAPI-05) | `proto/workload.proto` |
//! | [`agent::v1`] | `plastron.agent.v1.Agent` | `proto/plastron/agent/v1/agent.proto` |
//!
//! The generated code is committed; a test regenerates it and compares. `bytes` fields are [`prost::bytes::Bytes`], so
//! cloning a response shares what it holds; maps are ordered, so equal messages encode to equal bytes. Messages that
//! hold private keys or tokens hide them from [`Debug`](core::fmt::Debug).
//!
//! Tier 2: no transport, no conversions, no rules.

pub mod agent;
pub mod workload;
