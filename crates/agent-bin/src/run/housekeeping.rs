//! Gives memory back when many callers have gone. The allocator keeps it otherwise, since it may be wanted again.

use std::time::Duration;

use plastron_attest_unix::{Processes, release_free_memory};

/// How often it is looked whether many have gone.
const EVERY: Duration = Duration::from_secs(4);
/// Descriptors below which it is not worth the trouble.
const MANY: usize = 128;

pub(super) async fn run(processes: Processes) {
    let mut most = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        let held = processes.descriptors();
        if most > MANY && held < most / 2 {
            most = held;
            free().await;
        }
        most = most.max(held);
    }
}

/// Gives back what is free.
pub(super) async fn free() {
    // It walks all that is free, which takes milliseconds after a large configuration.
    let _ = tokio::task::spawn_blocking(release_free_memory).await;
}
