//! Gives memory back after much was freed at once. The allocator keeps it otherwise, since it may be wanted again.

use plastron_attest_unix::release_free_memory;

/// Gives back what is free.
pub(super) async fn free() {
    // It walks all that is free, which takes milliseconds after a large configuration.
    let _ = tokio::task::spawn_blocking(release_free_memory).await;
}
