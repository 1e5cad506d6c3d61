//! Gives memory back when many callers have gone.
//!
//! glibc keeps what was freed between what is still in use, for ever: after ten thousand streams the agent would stay as
//! large as it was with them. Nobody wakes up for this while nobody is connected.

use std::{sync::Arc, time::Duration};

use plastron_attest_unix::release_free_memory;
use plastron_workload_api::Stats;

use crate::agent::Core;

/// How often connections are counted while there are any.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Fewer connections than these leave nothing behind that is worth the search.
const WORTH_IT: u64 = 64;

/// Watches the connections of a server.
pub(crate) async fn give_back(core: Arc<Core>, stats: Arc<Stats>) {
    let mut most = 0;
    loop {
        let open = stats.connections();
        most = most.max(open);
        if most >= WORTH_IT && open <= most / 2 {
            core.callers.forget_gone();
            if let Err(error) = tokio::task::spawn_blocking(release_free_memory).await {
                tracing::error!(%error, "memory was not given back");
            }
            most = open;
        }
        if open == 0 {
            core.arrivals.notified().await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
