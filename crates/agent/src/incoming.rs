//! Connections as the server takes them, and whether any can be had.

use std::{io, time::Duration};

use plastron_attest_unix::{UnixConnection, UnixListener};
use plastron_workload_api::{Accept, FIRST_ANSWER};
use rustix::io::Errno;
use tokio::time::{Instant, timeout};

use crate::health::Component;

/// So long nobody was let in, though one was there each time: more than a burst that used up the descriptors.
const PERSISTENT: Duration = Duration::from_secs(5);

/// A listener whose health is known.
pub(crate) struct Incoming {
    listener: UnixListener,
    outcomes: Outcomes,
}

/// How accepting went lately.
struct Outcomes {
    health: Component,
    failing_since: Option<Instant>,
}

impl Incoming {
    pub(crate) fn new(listener: UnixListener, health: Component) -> Self {
        Self {
            listener,
            outcomes: Outcomes::new(health),
        }
    }
}

impl Accept for Incoming {
    type Connection = UnixConnection;

    async fn accept(&mut self) -> io::Result<UnixConnection> {
        let accepted = self.outcomes.of(|| self.listener.accept()).await;
        Ok(accepted?.answered_by(&FIRST_ANSWER))
    }
}

impl Outcomes {
    fn new(health: Component) -> Self {
        health.ok();
        Self {
            health,
            failing_since: None,
        }
    }

    async fn of<T, F>(&mut self, accept: impl Fn() -> F) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        let accepted = match self.failing_since {
            None => accept().await,
            Some(_) => match timeout(PERSISTENT, accept()).await {
                Ok(accepted) => accepted,
                Err(_nobody_waits) => {
                    self.note(None);
                    accept().await
                }
            },
        };
        self.note(accepted.as_ref().err());
        accepted
    }

    fn note(&mut self, error: Option<&io::Error>) {
        match error {
            None if self.failing_since.take().is_some() => self.health.ok(),
            Some(error) if is_ours(error) => {
                let since = *self.failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PERSISTENT {
                    self.health
                        .failed(format!("connections cannot be accepted: {error}"));
                }
            }
            _ => {}
        }
    }
}

/// Whether there was nothing to accept with. All else is said of one connection, which a caller can bring about.
fn is_ours(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    #[tokio::test(start_paused = true)]
    async fn accepting_has_failed_after_a_while_and_recovers_with_the_first_connection_or_when_nobody_waits()
     {
        let health = Health::new();
        let mut outcomes = Outcomes::new(health.component("listener"));
        let ready = || health.standing().ready;
        let fail = |errno: Errno| async move { Err::<(), _>(errno.into()) };
        for (seconds, want) in [(0, true), (4, true), (1, false), (1, false)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let _refused = outcomes.of(|| fail(Errno::MFILE)).await;
            assert_eq!(ready(), want);
        }
        assert!(
            health.standing().problems[0].starts_with("listener: connections cannot be accepted: "),
            "{:?}",
            health.standing()
        );
        // What a caller brings about says nothing, neither way.
        let _gone = outcomes.of(|| fail(Errno::SRCH)).await;
        assert!(!ready());
        outcomes.of(|| async { Ok(()) }).await.unwrap();
        assert!(ready());

        // It fails again, and then whoever waited goes away.
        for _ in 0..2 {
            let _refused = outcomes.of(|| fail(Errno::MFILE)).await;
            tokio::time::advance(PERSISTENT).await;
        }
        assert!(!ready());
        let nobody = outcomes.of(std::future::pending::<io::Result<()>>);
        assert!(timeout(2 * PERSISTENT, nobody).await.is_err());
        assert!(ready());
        for _ in 0..2 {
            let _gone = outcomes.of(|| fail(Errno::SRCH)).await;
            tokio::time::advance(PERSISTENT).await;
        }
        assert!(ready());
    }
}
