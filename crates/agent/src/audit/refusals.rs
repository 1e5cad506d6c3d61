//! Refusals of one process: a caller that asks in a loop gets one record and one line of the log a second with a count, not
//! one a try.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;

use super::record::{CallerFragment, Members};
use crate::Clock;

/// At most one record of like refusals in this time.
pub(super) const WINDOW: Duration = Duration::from_secs(1);
/// Sorts of refusals told apart at a time. Further ones within the window become one record.
const MOST: usize = 4096;

/// Refusals that are alike: of one process, on one call, with one status.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Like {
    pid: i32,
    uid: u32,
    call: &'static str,
    code: &'static str,
}

/// A refusal as it happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused<'a> {
    pub(super) caller: &'a CallerFragment,
    /// What was asked.
    pub(super) call: &'static str,
    /// The gRPC status.
    pub(super) code: &'static str,
    /// The words that go with it.
    pub(super) reason: &'a str,
}

struct Counted {
    since: SystemTime,
    /// Refusals since the last record.
    unrecorded: u64,
    caller: CallerFragment,
    reason: Arc<str>,
}

/// A record to be written. It is put in words when nobody waits for the count.
#[derive(Debug)]
pub(super) struct Note {
    count: u64,
    of: Option<(Like, CallerFragment, Arc<str>)>,
}

/// What is refused, counted for all who refuse, and told in the log whether or not it is recorded.
pub(super) struct Refusing {
    counted: Mutex<Refusals>,
    pub(super) clock: Clock,
    /// Notified of what is counted first after a rest.
    begun: Notify,
}

impl Refusing {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            counted: Mutex::default(),
            clock,
            begun: Notify::new(),
        }
    }

    /// Takes a refusal. Returns a record when there is one to write now.
    pub(super) fn note(&self, refused: &Refused<'_>, now: SystemTime) -> Option<Note> {
        let (rested, note) = {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            (counted.is_empty(), counted.note(refused, now))
        };
        if rested {
            self.begun.notify_one();
        }
        note.inspect(Note::log)
    }

    /// The records that are due, and whether more will become so.
    pub(super) fn due(&self) -> (Vec<Note>, bool) {
        self.settle(|counted, now| (counted.due(now), !counted.is_empty()))
    }

    /// Records of all that is not recorded yet.
    pub(super) fn drain(&self) -> Vec<Note> {
        self.settle(|counted, now| (counted.drain(now), false)).0
    }

    fn settle(
        &self,
        settle: impl FnOnce(&mut Refusals, SystemTime) -> (Vec<Note>, bool),
    ) -> (Vec<Note>, bool) {
        let now = self.clock.now();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = settle(&mut counted, now);
        drop(counted);
        settled.0.iter().for_each(Note::log);
        settled
    }

    /// Tells what is due for as long as it is polled, where no thread does that for its records.
    pub(super) async fn tell(&self) {
        loop {
            self.begun.notified().await;
            loop {
                tokio::time::sleep(WINDOW).await;
                if !self.due().1 {
                    break;
                }
            }
        }
    }
}

impl Drop for Refusing {
    /// Tells what is left.
    fn drop(&mut self) {
        self.drain();
    }
}

/// Counts like refusals, and says when to record them.
#[derive(Default)]
struct Refusals {
    counted: HashMap<Like, Counted>,
    /// Refusals for which there was no room.
    others: u64,
}

impl Refusals {
    /// Takes a refusal. Returns a record when there is one to write now.
    fn note(&mut self, refused: &Refused<'_>, now: SystemTime) -> Option<Note> {
        let Refused {
            caller,
            call,
            code,
            reason,
        } = *refused;
        let like = Like {
            pid: caller.pid(),
            uid: caller.uid(),
            call,
            code,
        };
        if let Some(counted) = self.counted.get_mut(&like) {
            counted.unrecorded += 1;
            if !over(counted.since, now) {
                return None;
            }
            counted.since = now;
            counted.caller = caller.clone();
            counted.reason = reason.into();
            return Some(counted.take(like));
        }
        if self.counted.len() >= MOST {
            self.others += 1;
            return None;
        }
        let mut counted = Counted {
            since: now,
            unrecorded: 1,
            caller: caller.clone(),
            reason: reason.into(),
        };
        let note = counted.take(like);
        self.counted.insert(like, counted);
        Some(note)
    }

    /// The records that are due at `now`. Forgets what has come to rest.
    fn due(&mut self, now: SystemTime) -> Vec<Note> {
        self.settle(|since| over(since, now), now)
    }

    /// Records of all that is not recorded yet.
    fn drain(&mut self, now: SystemTime) -> Vec<Note> {
        self.settle(|_| true, now)
    }

    /// Whether nothing is counted now, so that nothing will become due.
    fn is_empty(&self) -> bool {
        self.counted.is_empty() && self.others == 0
    }

    fn settle(&mut self, is_over: impl Fn(SystemTime) -> bool, now: SystemTime) -> Vec<Note> {
        let mut notes = Vec::new();
        self.counted.retain(|like, counted| {
            if !is_over(counted.since) {
                return true;
            }
            if counted.unrecorded == 0 {
                return false;
            }
            counted.since = now;
            notes.push(counted.take(*like));
            true
        });
        if self.others > 0 {
            notes.push(Note {
                count: std::mem::take(&mut self.others),
                of: None,
            });
        }
        if self.counted.is_empty() {
            self.counted.shrink_to(64);
        }
        notes
    }
}

impl Counted {
    fn take(&mut self, like: Like) -> Note {
        Note {
            count: std::mem::take(&mut self.unrecorded),
            of: Some((like, self.caller.clone(), self.reason.clone())),
        }
    }
}

/// What is said of refusals for which there was no room.
const OTHERS: &str = "more sorts of refusals at a time than are told apart";

impl Note {
    /// The line of the log. The words hold nothing of a credential: who refuses says which rule was broken.
    fn log(&self) {
        let count = self.count;
        match &self.of {
            Some((like, _, reason)) => {
                let Like {
                    pid,
                    uid,
                    call,
                    code,
                } = *like;
                let pid = (pid != 0).then_some(pid);
                tracing::warn!(uid, pid, call, code, reason = &**reason, count, "refused");
            }
            None => tracing::warn!(reason = OTHERS, count, "refused"),
        }
    }

    /// The record's body.
    pub(super) fn body(&self) -> String {
        let mut members = Members::default();
        if let Some((like, _, reason)) = &self.of {
            members.string("call", like.call);
            members.string("code", like.code);
            members.string("reason", reason);
        } else {
            members.string("reason", OTHERS);
        }
        members.number("count", self.count.into());
        let members = members.finish();
        match &self.of {
            Some((_, caller, _)) => format!("{members},{}", caller.as_str()),
            None => members.as_ref().to_owned(),
        }
    }
}

/// Whether a window that began at `since` has ended. It has, too, when the clock went back behind its beginning.
fn over(since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since)
        .is_ok_and(|elapsed| elapsed >= WINDOW)
        || now < since
}

#[cfg(test)]
mod tests {
    use plastron_attest::Facts;
    use plastron_entry::Selectors;

    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(millis: u64) -> SystemTime {
        START + Duration::from_secs(1000) + Duration::from_millis(millis)
    }

    fn caller(pid: i32) -> CallerFragment {
        CallerFragment::new(&Facts::new(pid, 1000, 1000), &Selectors::new())
    }

    fn refused<'a>(caller: &'a CallerFragment, call: &'static str) -> Refused<'a> {
        Refused {
            caller,
            call,
            code: "PermissionDenied",
            reason: "no entry",
        }
    }

    fn count(note: &Note) -> u64 {
        let value: serde_json::Value =
            serde_json::from_str(&format!("{{{}}}", note.body())).unwrap();
        value["count"].as_u64().unwrap()
    }

    #[test]
    fn a_process_that_asks_in_a_loop_gets_one_record_a_second_and_none_of_its_refusals_is_lost() {
        let caller = caller(7);
        let mut refusals = Refusals::default();
        let mut records = Vec::new();
        for millis in 0..10_500 {
            records.extend(refusals.note(&refused(&caller, "FetchX509SVID"), at(millis)));
        }
        assert_eq!(records.len(), 11, "at 0, 1, … 10 s");
        assert!(refusals.due(at(10_999)).is_empty());
        records.extend(refusals.due(at(11_000)));
        assert_eq!(records.iter().map(count).sum::<u64>(), 10_500);
        assert!(refusals.due(at(12_000)).is_empty());
        assert!(refusals.is_empty());
    }

    #[test]
    fn refusals_that_differ_have_records_of_their_own() {
        let mut refusals = Refusals::default();
        let (one, other) = (caller(7), caller(8));
        let first = refused(&one, "FetchX509SVID");
        assert!(refusals.note(&first, at(0)).is_some());
        assert!(refusals.note(&first, at(0)).is_none());
        for differs in [
            refused(&other, "FetchX509SVID"),
            refused(&one, "FetchJWTSVID"),
            Refused {
                code: "Unavailable",
                ..first
            },
        ] {
            assert!(refusals.note(&differs, at(0)).is_some(), "{differs:?}");
        }
        // The words may name what the caller asked for, so he could make them all different.
        assert!(
            refusals
                .note(
                    &Refused {
                        reason: "another word",
                        ..first
                    },
                    at(0)
                )
                .is_none()
        );
    }

    #[test]
    fn a_clock_that_goes_back_holds_no_record_back() {
        let caller = caller(7);
        let mut refusals = Refusals::default();
        assert!(refusals.note(&refused(&caller, "c"), at(5000)).is_some());
        assert!(refusals.note(&refused(&caller, "c"), at(5100)).is_none());
        assert_eq!(
            refusals
                .note(&refused(&caller, "c"), at(100))
                .map(|note| count(&note)),
            Some(2)
        );
    }

    #[test]
    fn a_flood_of_processes_is_bounded_in_memory_and_counted() {
        let mut refusals = Refusals::default();
        let mut recorded = 0;
        for pid in 0..10_000 {
            recorded += refusals
                .note(&refused(&caller(pid), "c"), at(0))
                .map_or(0, |note| count(&note));
        }
        assert_eq!(refusals.counted.len(), MOST);
        recorded += refusals.due(at(1000)).iter().map(count).sum::<u64>();
        assert_eq!(recorded, 10_000);
        assert!(refusals.is_empty());
    }

    #[test]
    fn what_is_counted_is_recorded_at_the_end() {
        let caller = caller(7);
        let mut refusals = Refusals::default();
        for millis in 0..10 {
            refusals.note(&refused(&caller, "c"), at(millis));
        }
        assert_eq!(refusals.drain(at(10)).iter().map(count).sum::<u64>(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_record_what_is_counted_is_told_all_the_same() {
        let start = tokio::time::Instant::now();
        let refusing = Refusing::new(Clock::from_fn(move || START + start.elapsed()));
        let caller = caller(7);
        for _ in 0..3 {
            for _ in 0..10 {
                refusing.note(&refused(&caller, "c"), refusing.clock.now());
            }
            assert!(!refusing.counted.lock().unwrap().is_empty());
            let told = tokio::time::timeout(4 * WINDOW, refusing.tell()).await;
            assert!(told.is_err(), "it waits for more");
            assert!(refusing.counted.lock().unwrap().is_empty());
        }
    }
}
