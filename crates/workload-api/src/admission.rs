//! Who may hold how many connections and streams, and how much of requests, before anything is done for him.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::turns::{Line, Place, Rounds};
use crate::{ConnectionRefused, Held, Limits, Refusal};

/// The books on what each user ID holds.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    books: Mutex<Books>,
    /// Of all requests that are held.
    request_bytes: Arc<AtomicUsize>,
    rounds: Arc<Rounds>,
}

#[derive(Debug, Default)]
struct Books {
    connections: usize,
    by_uid: HashMap<u32, Account>,
}

#[derive(Debug)]
struct Account {
    connections: usize,
    shares: Arc<Shares>,
}

/// What a user ID holds over all its connections.
#[derive(Debug)]
struct Shares {
    line: Arc<Line>,
    streams: AtomicUsize,
    request_bytes: AtomicUsize,
    request_bytes_in_all: Arc<AtomicUsize>,
}

/// The right to one connection, given back on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    admission: Arc<Admission>,
    uid: u32,
    shares: Arc<Shares>,
}

/// The right to one stream, given back on drop.
#[derive(Debug)]
pub(crate) struct StreamSlot(Arc<Shares>);

/// The right to hold so many bytes of a request, given back on drop.
#[derive(Debug)]
pub(crate) struct RequestBytes {
    shares: Arc<Shares>,
    held: usize,
    most_of_uid: usize,
    most_in_all: usize,
}

/// What a user ID may hold of requests whatever others hold: the largest one, or forty tokens to validate.
const FEW_BYTES: usize = 64 * 1024;

impl Admission {
    pub(crate) fn admit(
        self: &Arc<Self>,
        uid: u32,
        held: Held,
        limits: &Limits,
    ) -> Result<Slot, ConnectionRefused> {
        let mut books = self.books();
        let of_uid = books.by_uid.get(&uid).map_or(0, |a| a.connections) + held.by_uid;
        let in_all = books.connections + held.in_all;
        if of_uid >= limits.connections_per_uid {
            return Err(ConnectionRefused::UidLimit);
        }
        let open_to_uid = if of_uid < limits.few {
            limits.connections
        } else {
            limits.connections.saturating_sub(limits.reserve)
        };
        if in_all >= open_to_uid {
            return Err(ConnectionRefused::Limit);
        }
        books.connections += 1;
        let account = books.by_uid.entry(uid).or_insert_with(|| Account {
            connections: 0,
            shares: Arc::new(Shares {
                line: Line::new(&self.rounds),
                streams: AtomicUsize::new(0),
                request_bytes: AtomicUsize::new(0),
                request_bytes_in_all: Arc::clone(&self.request_bytes),
            }),
        });
        account.connections += 1;
        Ok(Slot {
            shares: Arc::clone(&account.shares),
            admission: Arc::clone(self),
            uid,
        })
    }

    /// A place for somebody who is not admitted, in the line of those of his user ID who are.
    pub(crate) fn place(&self, uid: u32) -> Option<Place> {
        let books = self.books();
        let account = books.by_uid.get(&uid)?;
        Some(account.shares.line.place())
    }

    /// Nothing that runs under this lock can panic, so a poisoned lock still guards sound books.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// A place among the connections of the user ID.
    pub(crate) fn place(&self) -> Place {
        self.shares.line.place()
    }

    pub(crate) fn stream(&self, limits: &Limits) -> Option<StreamSlot> {
        let before = self.shares.streams.fetch_add(1, Relaxed);
        let slot = StreamSlot(Arc::clone(&self.shares));
        (before < limits.streams_per_uid).then_some(slot)
    }

    /// The right to none yet.
    pub(crate) fn request_bytes(&self, limits: &Limits) -> RequestBytes {
        RequestBytes {
            shares: Arc::clone(&self.shares),
            held: 0,
            most_of_uid: limits.request_bytes_per_uid,
            most_in_all: limits.request_bytes_in_all,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut books = self.admission.books();
        books.connections -= 1;
        if let Some(account) = books.by_uid.get_mut(&self.uid) {
            account.connections -= 1;
            if account.connections == 0 {
                books.by_uid.remove(&self.uid);
            }
        }
        if books.by_uid.capacity() > 64 && books.by_uid.len() < books.by_uid.capacity() / 4 {
            books.by_uid.shrink_to_fit();
        }
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

impl RequestBytes {
    /// Takes so many more, if they can be had.
    pub(crate) fn hold(&mut self, more: usize) -> Result<(), Refusal> {
        self.held += more;
        let shares = &self.shares;
        let of_uid = shares.request_bytes.fetch_add(more, Relaxed) + more;
        let in_all = shares.request_bytes_in_all.fetch_add(more, Relaxed) + more;
        if of_uid > self.most_of_uid {
            return Err(Refusal::unavailable("too many requests of this user"));
        }
        if in_all > self.most_in_all && of_uid > FEW_BYTES {
            return Err(Refusal::unavailable("too many requests"));
        }
        Ok(())
    }
}

impl Drop for RequestBytes {
    fn drop(&mut self) {
        let shares = &self.shares;
        shares.request_bytes.fetch_sub(self.held, Relaxed);
        shares.request_bytes_in_all.fetch_sub(self.held, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            connections: 10,
            connections_per_uid: 6,
            reserve: 3,
            few: 2,
            streams_per_uid: 2,
            ..Limits::default()
        }
    }

    #[test]
    fn one_uid_gets_its_share_and_no_more() {
        let admission = Arc::new(Admission::default());
        let admit = || admission.admit(1000, Held::default(), &limits());
        let mut slots: Vec<_> = (0..6).map(|_| admit().unwrap()).collect();
        assert_eq!(admit().unwrap_err(), ConnectionRefused::UidLimit);
        slots.pop();
        assert!(admit().is_ok(), "what was given back can be had again");
    }

    #[test]
    fn the_reserve_is_for_those_who_hold_few() {
        let admission = Arc::new(Admission::default());
        let admit = |uid| admission.admit(uid, Held::default(), &limits());
        let mut slots: Vec<_> = (0..6).map(|_| admit(1000).unwrap()).collect();
        slots.push(admit(1001).unwrap());
        assert_eq!(slots.len(), 7, "all but the reserve");
        slots.push(admit(1001).unwrap());
        assert_eq!(
            admit(1001).unwrap_err(),
            ConnectionRefused::Limit,
            "1001 holds two now, and two are not few"
        );
        slots.push(admit(1002).unwrap());
        slots.push(admit(1003).unwrap());
        assert_eq!(
            admit(1004).unwrap_err(),
            ConnectionRefused::Limit,
            "the reserve ends too"
        );
    }

    #[test]
    fn what_attestation_holds_counts_too() {
        let admission = Arc::new(Admission::default());
        let held = |by_uid, in_all| Held { by_uid, in_all };
        assert_eq!(
            admission.admit(1, held(6, 6), &limits()).unwrap_err(),
            ConnectionRefused::UidLimit
        );
        assert_eq!(
            admission.admit(1, held(0, 10), &limits()).unwrap_err(),
            ConnectionRefused::Limit
        );
        assert!(admission.admit(1, held(1, 9), &limits()).is_ok());
    }

    #[test]
    fn streams_are_counted_over_all_connections_of_a_uid() {
        let admission = Arc::new(Admission::default());
        let limits = limits();
        let a = admission.admit(1, Held::default(), &limits).unwrap();
        let b = admission.admit(1, Held::default(), &limits).unwrap();
        let other = admission.admit(2, Held::default(), &limits).unwrap();
        let first = a.stream(&limits);
        let second = b.stream(&limits);
        assert!(first.is_some() && second.is_some());
        assert!(a.stream(&limits).is_none());
        assert!(other.stream(&limits).is_some());
        drop(first);
        assert!(b.stream(&limits).is_some());
    }

    #[test]
    fn many_users_hold_no_more_of_requests_than_all_may_and_keep_small_ones_from_nobody() {
        let admission = Arc::new(Admission::default());
        let limits = Limits {
            request_bytes_per_uid: 160_000,
            request_bytes_in_all: 400_000,
            ..Limits::default()
        };
        let slot = |uid| admission.admit(uid, Held::default(), &limits).unwrap();
        let slots: Vec<_> = (0..4).map(slot).collect();
        let mut held: Vec<_> = slots
            .iter()
            .map(|slot| slot.request_bytes(&limits))
            .collect();
        for (uid, more, want) in [
            (0, 160_000, true),
            (1, 160_000, true),
            (0, 1, false),
            (2, 80_001, false),
            (3, FEW_BYTES, true),
            (3, 1, false),
        ] {
            assert_eq!(held[uid].hold(more).is_ok(), want, "{uid} {more}");
        }
        held.clear();
        assert!(slots[2].request_bytes(&limits).hold(160_000).is_ok());
        assert_eq!(admission.request_bytes.load(Relaxed), 0);
    }

    #[test]
    fn nothing_is_kept_of_users_who_left() {
        let admission = Arc::new(Admission::default());
        let slots: Vec<_> = (0..9)
            .map(|uid| admission.admit(uid, Held::default(), &limits()).unwrap())
            .collect();
        drop(slots);
        let books = admission.books();
        assert_eq!((books.connections, books.by_uid.len()), (0, 0));
    }
}
