//! What an operator asks a running agent.

/// The first version.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all, rustdoc::all)]

    include!("generated/plastron.agent.v1.rs");

    /// The compiled `proto/plastron/agent/v1/agent.proto` with what it imports, a `FileDescriptorSet`, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/plastron.agent.v1.bin");

    /// The full name of the service: the first segment of the path of every call.
    pub const SERVICE_NAME: &str = "plastron.agent.v1.Agent";
}
