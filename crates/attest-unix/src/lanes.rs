//! Work that can be held up by the process it looks at.
//!
//! Several files under `/proc/PID` make the reader wait for a process that is executing a program, and a path may lead
//! into a file system that answers when it likes. So such work runs on blocking threads, and each uid has few of them at a
//! time: whoever lets the agent wait lets his own kind wait.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// A number of blocking jobs at a time for each uid.
#[derive(Debug)]
pub(crate) struct Lanes {
    width: usize,
    by_uid: Mutex<HashMap<u32, Arc<Semaphore>>>,
}

impl Lanes {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            width,
            by_uid: Mutex::default(),
        }
    }

    /// Runs `job` on a blocking thread when it is `uid`'s turn. Dropping the future before that abandons it; after that
    /// the job goes on and holds its place until it is done.
    ///
    /// # Errors
    ///
    /// The runtime is shutting down, or the job panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        uid: u32,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        self.run_with(uid, std::future::ready(()), |()| job()).await
    }

    /// As [`run`](Self::run), with what the job needs beside the turn and waits for only then.
    pub(crate) async fn run_with<N: Send + 'static, T: Send + 'static>(
        &self,
        uid: u32,
        needed: impl Future<Output = N>,
        job: impl FnOnce(N) -> T + Send + 'static,
    ) -> io::Result<T> {
        let turn = Turn {
            lanes: self,
            uid,
            lane: Arc::clone(
                self.by_uid
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(uid)
                    .or_insert_with(|| Arc::new(Semaphore::new(self.width))),
            ),
        };
        let place = Arc::clone(&turn.lane)
            .acquire_owned()
            .await
            .expect("a lane is never closed");
        let needed = needed.await;
        spawn_blocking(move || {
            let done = job(needed);
            drop(place);
            done
        })
        .await
        .map_err(io::Error::other)
    }
}

/// Somebody waits on a lane. The last one takes it away.
struct Turn<'a> {
    lanes: &'a Lanes,
    uid: u32,
    lane: Arc<Semaphore>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut by_uid = self
            .lanes
            .by_uid
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The map's and this one. A job that is still running holds one more.
        if Arc::strong_count(&self.lane) == 2 {
            by_uid.remove(&self.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_job_that_hangs_holds_up_its_own_uid_alone() {
        let lanes = Lanes::new(1);
        let (release, held) = mpsc::channel::<()>();
        let mut hanging = pin!(lanes.run(1, move || held.recv().is_ok()));
        let mut behind = pin!(lanes.run(1, || ()));
        poll_fn(|cx| {
            assert!(hanging.as_mut().poll(cx).is_pending());
            assert!(behind.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(lanes.run(2, || 7).await.unwrap(), 7);
        poll_fn(|cx| {
            assert!(behind.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        release.send(()).unwrap();
        assert!(hanging.await.unwrap());
        behind.await.unwrap();
    }

    #[tokio::test]
    async fn nothing_is_kept_for_a_uid_without_work() {
        let lanes = Lanes::new(2);
        lanes.run(1, || ()).await.unwrap();
        lanes.run(2, || ()).await.unwrap();
        assert!(lanes.by_uid.lock().unwrap().is_empty());
    }
}
