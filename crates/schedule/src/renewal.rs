//! One SVID, or whatever else lives for a while, kept fresh.

use std::time::{Duration, SystemTime};

use crate::{Backoff, Seed};

/// When to renew what was issued and expires at these times: at half its life, earlier or later by up to a tenth of that
/// half, as drawn from `seed`.
///
/// The life counts from the moment of issue, not from a `notBefore` that was set back. What is dead on arrival is due at
/// once.
pub fn renew_at(issued: SystemTime, expires: SystemTime, seed: Seed) -> SystemTime {
    let life = expires.duration_since(issued).unwrap_or_default();
    issued + (life / 2).mul_f64(1.0 + seed.fraction() / 10.0)
}

/// When something was issued, and when it is valid no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The moment of issue.
    pub issued: SystemTime,
    /// From this moment on it must not be used.
    pub expires: SystemTime,
}

/// The state machine that keeps one thing fresh: says when to ask for a new one, and when to stop using the old.
///
/// The driver asks [`poll`](Self::poll) what to do, does it, and asks again; how a request came out, or that what is held
/// is of no use any more, it tells [`handle`](Self::handle). One request is out at a time.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// What is held, until it expires.
    held: Option<Validity>,
    next: Next,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    RequestNow,
    RequestAt(SystemTime),
    /// A request is out. What it brings may be outdated already.
    Answer {
        outdated: bool,
    },
}

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Ask for a new one, and tell [`Renewal::handle`] how that came out.
    Request,
    /// Stop using what is held: it has expired. Said once.
    Expired,
    /// Nothing before this time, or an event.
    WaitUntil(SystemTime),
    /// Nothing before an event.
    Wait,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// The request brought a new one. The seed is from its serial number.
    Issued(Validity, Seed),
    /// The request failed, and can be made again.
    Failed,
    /// What is held must be replaced whatever its age: its authority is tainted, say.
    Outdated,
}

impl Renewal {
    /// Keeps fresh what is held, or fetches the first. The seed is from the serial number of what is held, or from
    /// anything of the object's own.
    pub fn new(held: Option<Validity>, seed: Seed) -> Self {
        let next = match held {
            Some(Validity { issued, expires }) => Next::RequestAt(renew_at(issued, expires, seed)),
            None => Next::RequestNow,
        };
        Self {
            held,
            next,
            backoff: Backoff::new(FIRST_RETRY, LONGEST_RETRY, seed),
        }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: SystemTime) -> Step {
        let expires = self.held.map(|held| held.expires);
        if expires.is_some_and(|expires| expires <= now) {
            self.held = None;
            return Step::Expired;
        }
        let due = match self.next {
            Next::RequestNow => None,
            Next::RequestAt(due) if due <= now => None,
            Next::RequestAt(due) => Some(Step::WaitUntil(
                expires.map_or(due, |expires| due.min(expires)),
            )),
            Next::Answer { .. } => Some(expires.map_or(Step::Wait, Step::WaitUntil)),
        };
        due.unwrap_or_else(|| {
            self.next = Next::Answer { outdated: false };
            Step::Request
        })
    }

    /// Takes note of an event at `now`.
    pub fn handle(&mut self, event: Event, now: SystemTime) {
        match event {
            Event::Issued(validity, seed) if validity.expires > now => {
                self.issued(validity, seed, now);
            }
            // What comes dead was not worth the request.
            Event::Issued(..) | Event::Failed => self.failed(now),
            Event::Outdated => {
                self.next = match self.next {
                    Next::Answer { .. } => Next::Answer { outdated: true },
                    Next::RequestAt(_) | Next::RequestNow => Next::RequestNow,
                };
            }
        }
    }

    fn issued(&mut self, validity: Validity, seed: Seed, now: SystemTime) {
        self.next = if self.next == (Next::Answer { outdated: true }) {
            Next::RequestNow
        } else {
            // An authority near its end issues ever shorter lives.
            let due = renew_at(validity.issued, validity.expires, seed);
            Next::RequestAt(due.max(now + SHORTEST_WAIT))
        };
        self.held = Some(validity);
        self.backoff.reset();
    }

    fn failed(&mut self, now: SystemTime) {
        let mut delay = self.backoff.next_delay();
        if let Some(Validity { issued, expires }) = self.held {
            // In the second half of a life there should be several attempts, however short it is.
            let life = expires.duration_since(issued).unwrap_or_default();
            delay = delay.min(life / 10).max(SHORTEST_WAIT);
        }
        self.next = Next::RequestAt(now + delay);
    }
}

/// Between the first failure and the next attempt.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Between later attempts, at most. As go-spiffe's client.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Between any two requests.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn seed(serial: u32) -> Seed {
        Seed::from_bytes(&serial.to_be_bytes())
    }

    fn life(from: SystemTime, life: Duration) -> Validity {
        Validity {
            issued: from,
            expires: from + life,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn renewal_is_due_at_half_the_life_give_or_take_a_tenth_of_the_half() {
        for life in [
            seconds(1),
            seconds(45),
            seconds(3600),
            seconds(86_400),
            seconds(10 * 365 * 86_400),
        ] {
            let moments: Vec<f64> = (0..1000)
                .map(|serial| {
                    let due = renew_at(START, START + life, seed(serial));
                    assert_eq!(due, renew_at(START, START + life, seed(serial)));
                    due.duration_since(START).unwrap().div_duration_f64(life)
                })
                .collect();
            let (min, max) = moments.iter().fold((1.0_f64, 0.0_f64), |(min, max), &at| {
                (min.min(at), max.max(at))
            });
            assert!(
                (0.45..0.455).contains(&min) && (0.545..=0.55).contains(&max),
                "{min} {max}"
            );
        }
    }

    #[test]
    fn what_is_dead_on_arrival_is_due_at_once() {
        assert_eq!(
            renew_at(START + seconds(9), START + seconds(9), seed(1)),
            START + seconds(9)
        );
        assert_eq!(
            renew_at(START + seconds(9), START, seed(1)),
            START + seconds(9)
        );
    }

    #[test]
    fn a_life_goes_from_request_to_renewal() {
        let mut renewal = Renewal::new(None, seed(0));
        assert_eq!(renewal.poll(START), Step::Request);
        assert_eq!(renewal.poll(START), Step::Wait);

        let mut now = START + seconds(1);
        for serial in 1..4 {
            renewal.handle(Event::Issued(life(now, seconds(3600)), seed(serial)), now);
            let due = renew_at(now, now + seconds(3600), seed(serial));
            assert_eq!(renewal.poll(now), Step::WaitUntil(due));
            assert_eq!(
                renewal.poll(due - Duration::from_nanos(1)),
                Step::WaitUntil(due)
            );
            assert_eq!(renewal.poll(due), Step::Request);
            // While the answer is awaited only the end of what is held matters.
            assert_eq!(renewal.poll(due), Step::WaitUntil(now + seconds(3600)));
            now = due;
        }
    }

    #[test]
    fn a_failure_is_tried_again_with_growing_waits_and_the_held_one_ends_in_time() {
        let held = life(START, seconds(100));
        let mut renewal = Renewal::new(Some(held), seed(7));
        let mut now = renew_at(held.issued, held.expires, seed(7));
        let mut requests = Vec::new();
        let mut expired = None;
        while requests.len() < 20 {
            match renewal.poll(now) {
                Step::Request => {
                    requests.push(now);
                    renewal.handle(Event::Failed, now);
                }
                Step::Expired => assert_eq!(expired.replace(now), None),
                Step::WaitUntil(until) => {
                    assert!(until > now);
                    assert!(expired.is_some() || until <= held.expires);
                    now = until;
                }
                Step::Wait => panic!("nothing to wait for"),
            }
        }
        assert_eq!(expired, Some(held.expires));
        let waits: Vec<Duration> = requests
            .windows(2)
            .map(|pair| pair[1].duration_since(pair[0]).unwrap())
            .collect();
        assert!(
            waits[0] <= seconds(2) && waits[1] > waits[0] && waits[2] > waits[1],
            "{waits:?}"
        );
        assert!(waits.iter().all(|wait| *wait <= LONGEST_RETRY), "{waits:?}");
        assert!(
            requests.iter().filter(|at| **at < held.expires).count() >= 5,
            "{waits:?}"
        );

        // Success begins anew.
        renewal.poll(now + LONGEST_RETRY);
        let now = now + seconds(40);
        renewal.handle(Event::Issued(life(now, seconds(100)), seed(8)), now);
        let due = renew_at(now, now + seconds(100), seed(8));
        assert_eq!(renewal.poll(due), Step::Request);
        renewal.handle(Event::Failed, due);
        assert!(matches!(renewal.poll(due), Step::WaitUntil(again) if again <= due + seconds(2)));
    }

    #[test]
    fn a_life_of_a_second_still_sees_several_attempts() {
        let held = life(START, seconds(1));
        let mut renewal = Renewal::new(Some(held), seed(3));
        let mut now = START;
        let mut attempts = 0;
        loop {
            match renewal.poll(now) {
                Step::Request => {
                    attempts += 1;
                    renewal.handle(Event::Failed, now);
                }
                Step::WaitUntil(until) => now = until,
                Step::Expired => break,
                Step::Wait => panic!("nothing to wait for"),
            }
        }
        assert_eq!(now, held.expires);
        assert!((3..=6).contains(&attempts), "{attempts}");
    }

    #[test]
    fn what_is_outdated_is_replaced_at_once_also_when_it_is_just_under_way() {
        let mut renewal = Renewal::new(Some(life(START, seconds(3600))), seed(1));
        renewal.handle(Event::Outdated, START);
        assert_eq!(renewal.poll(START), Step::Request);
        renewal.handle(Event::Outdated, START);
        assert_eq!(renewal.poll(START), Step::WaitUntil(START + seconds(3600)));
        renewal.handle(Event::Issued(life(START, seconds(3600)), seed(2)), START);
        assert_eq!(renewal.poll(START), Step::Request);
        renewal.handle(Event::Issued(life(START, seconds(3600)), seed(3)), START);
        assert!(matches!(renewal.poll(START), Step::WaitUntil(_)));
    }

    #[test]
    fn what_arrives_dead_counts_as_a_failure() {
        let mut renewal = Renewal::new(None, seed(1));
        let now = START + seconds(100);
        assert_eq!(renewal.poll(now), Step::Request);
        renewal.handle(Event::Issued(life(START, seconds(100)), seed(2)), now);
        assert!(matches!(renewal.poll(now), Step::WaitUntil(again) if again > now));
    }

    #[test]
    fn ever_shorter_lives_do_not_make_a_loop() {
        let mut renewal = Renewal::new(None, seed(1));
        assert_eq!(renewal.poll(START), Step::Request);
        renewal.handle(
            Event::Issued(life(START, Duration::from_millis(1)), seed(2)),
            START,
        );
        assert_eq!(
            renewal.poll(START),
            Step::WaitUntil(START + Duration::from_millis(1))
        );
        assert_eq!(
            renewal.poll(START + Duration::from_millis(1)),
            Step::Expired
        );
        assert_eq!(
            renewal.poll(START + Duration::from_millis(1)),
            Step::WaitUntil(START + SHORTEST_WAIT)
        );
    }

    #[test]
    fn a_clock_that_jumps_is_followed() {
        let held = life(START + seconds(1000), seconds(100));
        let mut renewal = Renewal::new(Some(held), seed(1));
        // Back: what is held still counts.
        assert!(matches!(renewal.poll(START), Step::WaitUntil(due) if due < held.expires));
        // Ahead, over everything.
        assert_eq!(renewal.poll(START + seconds(1 << 30)), Step::Expired);
        assert_eq!(renewal.poll(START + seconds(1 << 30)), Step::Request);
    }

    #[derive(Clone, Debug)]
    enum Happens {
        Time(u32),
        Issued(u32, u32),
        Failed,
        Outdated,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            3 => (0..200_000_u32).prop_map(Happens::Time),
            2 => (0..200_000_u32, any::<u32>()).prop_map(|(life, serial)| Happens::Issued(life, serial)),
            2 => Just(Happens::Failed),
            1 => Just(Happens::Outdated),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_expiry_is_told_in_time_and_requests_are_not_doubled(
            events in prop::collection::vec(happens(), 0..64),
        ) {
            let mut renewal = Renewal::new(None, seed(0));
            let mut now = START;
            let mut held: Option<SystemTime> = None;
            let mut asked = false;
            for event in events {
                let answer = asked;
                match event {
                    Happens::Time(millis) => now += Duration::from_millis(millis.into()),
                    Happens::Issued(millis, serial) if answer => {
                        let validity = life(now, Duration::from_millis(millis.into()));
                        renewal.handle(Event::Issued(validity, seed(serial)), now);
                        asked = false;
                        if millis > 0 {
                            held = Some(validity.expires);
                        }
                    }
                    Happens::Failed if answer => {
                        renewal.handle(Event::Failed, now);
                        asked = false;
                    }
                    Happens::Issued(..) | Happens::Failed => {}
                    Happens::Outdated => renewal.handle(Event::Outdated, now),
                }
                // At most an expiry and a request before there is nothing more to do.
                let mut steps = 0;
                loop {
                    steps += 1;
                    prop_assert!(steps <= 3);
                    match renewal.poll(now) {
                        Step::Request => {
                            prop_assert!(!asked);
                            asked = true;
                        }
                        Step::Expired => prop_assert!(held.take().is_some_and(|expires| expires <= now)),
                        Step::WaitUntil(until) => {
                            prop_assert!(until > now);
                            prop_assert!(held.is_none_or(|expires| until <= expires));
                            break;
                        }
                        Step::Wait => {
                            prop_assert!(asked && held.is_none());
                            break;
                        }
                    }
                }
            }
        }
    }
}
