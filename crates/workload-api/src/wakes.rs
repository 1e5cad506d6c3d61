//! Wakes that a connection gives itself.
//!
//! A call that sends wakes the connection, and the connection that has sent wakes the call. Each wake would have the task
//! come round again, through all others that are ready and with nothing of it left in the processor's caches: three times
//! for one update of a stream. So what is woken while the connection is being driven is seen to at once.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU8,
    Ordering::{AcqRel, Acquire, Release},
};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

/// Stands between a connection with its calls and their task.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    state: AtomicU8,
    task: AtomicWaker,
}

/// Nobody drives: whoever wakes wakes the task.
const RESTING: u8 = 0;
const DRIVEN: u8 = 1;
/// Woken since.
const WOKEN: u8 = 2;

impl Wakes {
    /// From now on what is woken is noted.
    pub(crate) fn begin(&self, task: &Waker) {
        self.task.register(task);
        self.state.store(DRIVEN, Release);
    }

    /// Whether something was woken since the last time.
    pub(crate) fn again(&self) -> bool {
        self.state
            .compare_exchange(WOKEN, DRIVEN, AcqRel, Acquire)
            .is_ok()
    }

    /// From now on the task is woken; at once, if something was that has not been seen to.
    pub(crate) fn end(&self) {
        if self.state.swap(RESTING, AcqRel) == WOKEN {
            self.task.wake();
        }
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = self.state.compare_exchange(DRIVEN, WOKEN, AcqRel, Acquire);
        if noted == Err(RESTING) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn the_task_is_woken_for_what_was_not_seen_to_alone() {
        let (wakes, task) = (Arc::new(Wakes::default()), Arc::new(Count::default()));
        let (inner, outer) = (Waker::from(wakes.clone()), Waker::from(task.clone()));
        let woken = || task.0.load(SeqCst);
        wakes.begin(&outer);
        assert!(!wakes.again());
        inner.wake_by_ref();
        inner.wake_by_ref();
        assert!(wakes.again() && !wakes.again());
        wakes.end();
        assert_eq!(woken(), 0, "it was seen to");

        inner.wake_by_ref();
        assert_eq!(woken(), 1, "nobody drives");
        wakes.begin(&outer);
        inner.wake_by_ref();
        assert_eq!(woken(), 1);
        wakes.end();
        assert_eq!(woken(), 2, "it was not seen to");
    }
}
