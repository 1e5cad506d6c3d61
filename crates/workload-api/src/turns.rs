//! Turns: how much is done for one user ID before the others get theirs.
//!
//! All connections share the threads of a runtime, which takes what is ready in the order in which it became so. A user ID
//! with a thousand connections that are ready would be served a thousand times for each time that another is. So each has a
//! [`SHARE`] of work a round. When it has had it, its other connections wait in line, and are called one by one, in the order
//! in which they came, when the next round opens: after everything that is ready has run and the runtime has looked at its
//! sockets. Connections of one user ID overtake each other only while none of them waits.
//!
//! Whoever stays below his share pays for two reads and a write of memory. Rounds are opened only while somebody waits, so a
//! server at rest does nothing. On a runtime of many threads, a user ID that has had its share is served by one at a time.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::task::yield_now;

/// Work for one user ID in a round: sixteen calls, each of which may verify a token, or four times as many updates of
/// streams. A millisecond at most, and few rounds where thousands of streams change at once.
pub(crate) const SHARE: usize = 16 * CALL;
/// What a call counts, and a new connection, and a reading of a socket beyond the first. An update counts one, and so does a
/// turn that comes to nothing.
pub(crate) const CALL: usize = 4;

/// Opens the rounds of all lines.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    runtime: OnceLock<Handle>,
    /// Lines whose next call waits for the next round. While there are any, a task is about to open it.
    next: Mutex<Vec<Weak<Line>>>,
}

/// The connections of one user ID.
#[derive(Debug)]
pub(crate) struct Line {
    rounds: Arc<Rounds>,
    /// Work done since the last round. What goes beyond the share is owed in the next.
    spent: AtomicUsize,
    /// Somebody waits or has been called, so nobody may overtake.
    busy: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// By their numbers, which are in the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    next_number: u64,
    /// Whose turn it is.
    called: Option<u64>,
    /// The next call waits for the next round.
    stalled: bool,
}

/// A connection's place in the line of its user ID. Dropping it leaves the line.
#[derive(Debug)]
pub(crate) struct Place {
    line: Arc<Line>,
    /// While waiting, and in the turn that followed.
    number: Option<u64>,
}

impl Rounds {
    /// Needs a runtime the first time, which is in the poll of somebody who comes to wait.
    fn call_in_the_next(self: &Arc<Self>, line: &Arc<Line>) {
        let first = {
            let mut next = lock(&self.next);
            next.push(Arc::downgrade(line));
            next.len() == 1
        };
        if first {
            let rounds = Arc::clone(self);
            self.runtime.get_or_init(Handle::current).spawn(async move {
                yield_now().await;
                let lines = std::mem::take(&mut *lock(&rounds.next));
                lines.iter().filter_map(Weak::upgrade).for_each(Line::open);
            });
        }
    }
}

impl Line {
    pub(crate) fn new(rounds: &Arc<Rounds>) -> Arc<Self> {
        Arc::new(Self {
            rounds: Arc::clone(rounds),
            spent: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            queue: Mutex::default(),
        })
    }

    pub(crate) fn place(self: &Arc<Self>) -> Place {
        Place {
            line: Arc::clone(self),
            number: None,
        }
    }

    fn has_room(&self) -> bool {
        self.spent.load(Relaxed) < SHARE
    }

    /// A new round.
    fn open(self: Arc<Self>) {
        let pay = |spent: usize| Some(spent.saturating_sub(SHARE));
        let _always = self.spent.fetch_update(Relaxed, Relaxed, pay);
        let called = {
            let mut queue = lock(&self.queue);
            queue.stalled = false;
            self.call(&mut queue)
        };
        wake(called);
    }

    /// Calls the first who waits, now or in the next round.
    fn call(self: &Arc<Self>, queue: &mut MutexGuard<'_, Queue>) -> Option<Waker> {
        if queue.called.is_some() || queue.stalled {
            return None;
        }
        if queue.waiting.is_empty() {
            self.busy.store(false, Release);
            return None;
        }
        if !self.has_room() {
            queue.stalled = true;
            self.rounds.call_in_the_next(self);
            return None;
        }
        let (number, waker) = queue.waiting.pop_first()?;
        queue.called = Some(number);
        Some(waker)
    }

    fn leave(self: &Arc<Self>, number: u64) {
        let called = {
            let mut queue = lock(&self.queue);
            if queue.called == Some(number) {
                queue.called = None;
            } else {
                queue.waiting.remove(&number);
            }
            self.call(&mut queue)
        };
        wake(called);
    }
}

impl Place {
    /// Waits for a turn. It lasts until [`done`](Self::done) is called, which must be in the same poll.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let line = &self.line;
        if self.number.is_none() && line.has_room() && !line.busy.load(Acquire) {
            return Poll::Ready(());
        }
        self.poll_queue(cx)
    }

    /// Ends a turn in which so much was done.
    pub(crate) fn done(&mut self, work: usize) {
        self.line.spent.fetch_add(work, Relaxed);
        self.leave();
    }

    /// Waits for a turn for what counts as a call, and follows.
    pub(crate) async fn turn(&mut self) {
        poll_fn(|cx| self.poll_turn(cx)).await;
        self.done(CALL);
    }

    fn poll_queue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = lock(&self.line.queue);
        let number = *self.number.get_or_insert_with(|| {
            let number = queue.next_number;
            queue.next_number += 1;
            number
        });
        if queue.called == Some(number) {
            return Poll::Ready(());
        }
        match queue.waiting.get_mut(&number) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                queue.waiting.insert(number, cx.waker().clone());
                self.line.busy.store(true, Release);
            }
        }
        let called = self.line.call(&mut queue);
        if queue.called == Some(number) {
            return Poll::Ready(());
        }
        drop(queue);
        wake(called);
        Poll::Pending
    }

    /// Leaves the line, and ends a turn that cost nothing.
    pub(crate) fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            self.line.leave(number);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Nothing that runs under these locks leaves what they guard half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Arc<Line> {
        Line::new(&Arc::default())
    }

    async fn has_turn(place: &mut Place) -> bool {
        poll_fn(|cx| Poll::Ready(place.poll_turn(cx).is_ready())).await
    }

    /// A line that has had its share, and as many who wait.
    async fn waiting<const N: usize>(line: &Arc<Line>) -> [Place; N] {
        let mut places = std::array::from_fn(|_| line.place());
        let mut greedy = line.place();
        assert!(has_turn(&mut greedy).await);
        greedy.done(SHARE);
        for place in &mut places {
            assert!(!has_turn(place).await);
        }
        places
    }

    fn assert_nothing_left(line: &Line) {
        let queue = lock(&line.queue);
        assert!(queue.waiting.is_empty() && queue.called.is_none());
        assert!(!line.busy.load(Acquire), "nobody waits");
    }

    #[tokio::test]
    async fn who_has_had_his_share_waits_for_the_next_round_and_others_do_not() {
        let line = line();
        let other = Line::new(&line.rounds);
        let mut place = line.place();
        for _ in 0..SHARE {
            assert!(has_turn(&mut place).await);
            place.done(1);
        }
        assert!(!has_turn(&mut place).await);
        assert!(has_turn(&mut other.place()).await);
        place.turn().await;
        assert_nothing_left(&line);
        assert_eq!(line.spent.load(Relaxed), CALL);
    }

    #[tokio::test]
    async fn those_who_wait_are_called_in_the_order_in_which_they_came() {
        let line = line();
        let order = Arc::new(Mutex::new(Vec::new()));
        let places: [_; SHARE * 3] = waiting(&line).await;
        let tasks = places.into_iter().enumerate().rev().map(|(at, mut place)| {
            let order = Arc::clone(&order);
            tokio::spawn(async move {
                place.turn().await;
                lock(&order).push(at);
            })
        });
        let tasks: Vec<_> = tasks.collect();
        for task in tasks {
            task.await.unwrap();
        }
        let in_order: Vec<_> = (0..SHARE * 3).collect();
        assert_eq!(*lock(&order), in_order);
        assert_nothing_left(&line);
    }

    #[tokio::test]
    async fn what_goes_beyond_the_share_is_owed() {
        let line = line();
        let mut place = line.place();
        assert!(has_turn(&mut place).await);
        place.done(SHARE * 3);
        assert!(!has_turn(&mut place).await);
        for round in 1..=3 {
            Arc::clone(&line).open();
            assert_eq!(has_turn(&mut place).await, round == 3);
        }
        place.done(1);
        assert_eq!(line.spent.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn who_leaves_the_line_leaves_nothing_behind_and_takes_no_turn_from_others() {
        for gone in [0, 1, 2] {
            let line = line();
            let [first, second, mut third] = waiting(&line).await;
            let mut leaving = [Some(first), Some(second)];
            // Before its turn, or in it.
            if gone < 2 {
                leaving[gone] = None;
            } else {
                while !has_turn(leaving[0].as_mut().unwrap()).await {
                    yield_now().await;
                }
            }
            leaving = [None, None];
            drop(leaving);
            third.turn().await;
            assert_nothing_left(&line);
        }
        let line = line();
        let all: [_; 3] = waiting(&line).await;
        drop(all);
        yield_now().await;
        yield_now().await;
        assert_nothing_left(&line);
        assert!(lock(&line.rounds.next).is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_is_forgotten_on_many_threads() {
        let line = line();
        let tasks: Vec<_> = (0..100)
            .map(|at| {
                let mut place = line.place();
                tokio::spawn(async move {
                    for _ in 0..100 + at {
                        place.turn().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_nothing_left(&line);
    }
}
