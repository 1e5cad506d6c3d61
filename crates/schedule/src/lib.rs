//! When to renew, back off and retry: pure functions of time and a seed.
//!
//! Nothing here reads a clock or draws a random number. A [`Seed`] comes from something of the object's own, its serial
//! number say, so that each object has its moment, the same however often it is asked for, and a fleet that was started
//! together spreads out.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use plastron_schedule::{Event, Renewal, Seed, Step, Validity};
//!
//! let seed = Seed::from_bytes(b"serial number");
//! let start = SystemTime::UNIX_EPOCH;
//! let mut renewal = Renewal::new(Some(Validity { issued: start, expires: start + Duration::from_secs(3600) }), seed);
//!
//! // Half the life, more or less, passes in peace.
//! let Step::WaitUntil(due) = renewal.poll(start) else { panic!() };
//! assert_eq!(renewal.poll(due), Step::Request);
//!
//! // A failure is tried again, soon at first.
//! renewal.handle(Event::Failed, due);
//! let Step::WaitUntil(again) = renewal.poll(due) else { panic!() };
//! assert!(again > due && again < due + Duration::from_secs(2));
//! ```
//!
//! Tier 0: std alone.

mod backoff;
mod renewal;
mod seed;

pub use backoff::Backoff;
pub use renewal::{Event, Renewal, Step, Validity, renew_at};
pub use seed::Seed;
