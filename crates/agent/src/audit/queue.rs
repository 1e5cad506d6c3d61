//! Records on their way to the thread that writes them: bounded, and never in the way of whoever serves.
//!
//! The writer takes records in batches. The first one after a pause wakes it; while it writes, and for a moment after,
//! records gather without waking anybody. So a busy agent pays for a hundred wake-ups a second, an idle one for none.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use prometheus_client::metrics::counter::Counter;

use super::record::{CallerFragment, CredentialFragment};

/// How long records gather after a batch.
const GATHER: Duration = Duration::from_millis(10);

/// One record that is not a line yet.
#[derive(Debug)]
pub(super) enum Entry {
    /// A credential was handed to a caller.
    Release {
        time: SystemTime,
        caller: CallerFragment,
        credential: CredentialFragment,
    },
    /// Anything else.
    Note {
        time: SystemTime,
        kind: &'static str,
        body: Box<str>,
    },
}

/// Between those who record and the one who writes.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes those who wait for a flush.
    flushed: Condvar,
    most: usize,
    /// Counts what comes when the writer is gone.
    lost: Counter,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// Records for which there was no room since the writer looked last.
    lost: u64,
    /// The writer sleeps until it is woken.
    asleep: bool,
    /// Another file from here on: so many of `entries` came before.
    reopen: Option<usize>,
    stop: bool,
    flushes_asked: u64,
    flushes_done: u64,
    /// The writer is gone.
    closed: bool,
}

impl State {
    fn is_ordered(&self) -> bool {
        self.reopen.is_some() || self.stop || self.flushes_asked > self.flushes_done
    }
}

/// What the writer is to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Orders {
    pub(super) lost: u64,
    /// Another file, after so many of the records that were taken.
    pub(super) reopen: Option<usize>,
    pub(super) stop: bool,
    /// To be given to [`Queue::has_flushed`] when all that was taken is written.
    pub(super) flush: u64,
}

impl Queue {
    pub(super) fn new(most: usize, lost: Counter) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            flushed: Condvar::new(),
            most,
            lost,
        }
    }

    /// Adds a record, or counts it as lost when there is no room.
    pub(super) fn push(&self, entry: Entry) {
        let mut state = self.lock();
        if state.closed {
            self.lost.inc();
            return;
        }
        if state.entries.len() >= self.most {
            state.lost += 1;
            return;
        }
        state.entries.push(entry);
        if state.asleep || state.entries.len() == self.most / 2 {
            state.asleep = false;
            drop(state);
            self.work.notify_one();
        }
    }

    pub(super) fn reopen(&self) {
        let mut state = self.lock();
        state.reopen = Some(state.entries.len());
        drop(state);
        self.work.notify_one();
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.work.notify_one();
    }

    /// Waits until the writer has tried to write all that was pushed before.
    pub(super) fn flush(&self) {
        let mut state = self.lock();
        state.flushes_asked += 1;
        let ticket = state.flushes_asked;
        self.work.notify_one();
        while state.flushes_done < ticket && !state.closed {
            state = self
                .flushed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// For the writer: waits until there is something to do, at the latest at `deadline`.
    ///
    /// Moves the records into `entries`, unless that still holds some: then only orders count. `gather`: lets records
    /// gather first.
    #[expect(
        clippy::disallowed_methods,
        reason = "the writer's driver owns the monotonic clock"
    )]
    pub(super) fn take(
        &self,
        entries: &mut Vec<Entry>,
        gather: bool,
        deadline: Option<Instant>,
    ) -> Orders {
        let mut state = self.lock();
        let stuck = !entries.is_empty();
        if gather && !stuck {
            let idle =
                |state: &mut State| !state.is_ordered() && state.entries.len() < self.most / 2;
            let waited = self.work.wait_timeout_while(state, GATHER, idle);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        while !state.is_ordered() && (stuck || state.entries.is_empty()) {
            state.asleep = !stuck;
            state = match deadline {
                None => self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.work
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        state.asleep = false;
        if !stuck {
            std::mem::swap(&mut state.entries, entries);
        }
        Orders {
            lost: std::mem::take(&mut state.lost),
            reopen: state
                .reopen
                .take()
                .map(|before| if stuck { usize::MAX } else { before }),
            stop: state.stop,
            flush: state.flushes_asked,
        }
    }

    /// For the writer: how many records wait.
    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// For the writer: all that was pushed before this flush was asked for has been dealt with.
    pub(super) fn has_flushed(&self, ticket: u64) {
        let mut state = self.lock();
        if state.flushes_done < ticket {
            state.flushes_done = ticket;
            self.flushed.notify_all();
        }
    }

    /// For the writer: it is gone, and takes nothing more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let entries = std::mem::take(&mut state.entries);
        self.lost.inc_by(entries.len() as u64 + state.lost);
        self.flushed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
