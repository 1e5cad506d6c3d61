//! What to do when a stream has ended. Spec: Workload Endpoint §6, App. A; Workload API §4.3, §4.4.

use std::time::Duration;

use plastron_schedule::{Backoff, Seed};
use tonic::Code;

/// The memory of a watch: how often it has failed of late.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    backoff: Backoff,
    first: Duration,
    /// Something has come since the last failure.
    delivered: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Trying again is pointless.
    Stop,
    /// Try again.
    After {
        delay: Duration,
        /// What was received is no longer the caller's.
        withdraw: bool,
    },
}

impl Retry {
    pub(crate) fn new(first: Duration, longest: Duration, seed: Seed) -> Self {
        Self {
            backoff: Backoff::new(first, longest, seed),
            first,
            delivered: false,
        }
    }

    /// A good message has come.
    pub(crate) fn delivered(&mut self) {
        self.delivered = true;
        self.backoff.reset();
    }

    /// The stream has ended after it `lived`, with `code`, or by itself (`Ok`).
    pub(crate) fn ended(&mut self, code: Code, lived: Duration) -> Verdict {
        match code {
            // WEP-16, WEP-20, WAPI-59: the request itself is wrong here, and would be next time.
            Code::InvalidArgument | Code::Unimplemented => Verdict::Stop,
            // WEP-18, WAPI-32: the entry may come yet. AMB-31: what was held is withdrawn.
            Code::PermissionDenied => {
                self.delivered = false;
                Verdict::After {
                    delay: self.backoff.next_delay(),
                    withdraw: true,
                }
            }
            // WEP-17, WEP-21; WAPI-08: at once, if the stream had been good for something and for more than a moment.
            _ => Verdict::After {
                delay: if std::mem::take(&mut self.delivered) && lived >= self.first {
                    Duration::ZERO
                } else {
                    self.backoff.next_delay()
                },
                withdraw: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);

    fn retry() -> Retry {
        Retry::new(SECOND, 30 * SECOND, Seed::from_bytes(b"test"))
    }

    fn delay(verdict: Verdict) -> Duration {
        match verdict {
            Verdict::After { delay, .. } => delay,
            Verdict::Stop => panic!("stopped"),
        }
    }

    #[test]
    fn codes_say_whether_to_try_again() {
        for (rule, code, stops) in [
            ("WEP-16 −", Code::InvalidArgument, true),
            ("WEP-20 −, WAPI-59 −", Code::Unimplemented, true),
            ("WEP-17 +", Code::Unavailable, false),
            ("WEP-18 +, WAPI-32 +", Code::PermissionDenied, false),
            ("WEP-21 +", Code::Internal, false),
            ("WEP-21 +", Code::Unknown, false),
            ("WEP-21 +", Code::ResourceExhausted, false),
            ("WEP-21 +", Code::DeadlineExceeded, false),
            ("WEP-21 +", Code::Unauthenticated, false),
            (
                "WEP-21 +: the server's, ours drops the watch",
                Code::Cancelled,
                false,
            ),
            ("WEP-21 +: ended without a status", Code::Ok, false),
        ] {
            let stopped = retry().ended(code, HOUR) == Verdict::Stop;
            assert_eq!(stopped, stops, "{rule}: {code:?}");
        }
    }

    #[test]
    fn only_a_denied_permission_withdraws_what_was_given() {
        for code in (0..17).map(Code::from_i32) {
            if let Verdict::After { withdraw, .. } = retry().ended(code, HOUR) {
                let denied = code == Code::PermissionDenied;
                assert_eq!(withdraw, denied, "WAPI-33, AMB-31: {code:?}");
            }
        }
    }

    #[test]
    fn a_stream_that_was_good_is_opened_again_at_once_and_others_later_and_later() {
        let mut retry = retry();
        retry.delivered();
        assert_eq!(
            delay(retry.ended(Code::Ok, HOUR)),
            Duration::ZERO,
            "WAPI-08 +"
        );
        let mut last = Duration::ZERO;
        for _ in 0..4 {
            let next = delay(retry.ended(Code::Unavailable, HOUR));
            assert!(next > last, "WEP-17 +: grows");
            last = next;
        }
        retry.delivered();
        assert_eq!(delay(retry.ended(Code::Unavailable, HOUR)), Duration::ZERO);
        assert!(
            delay(retry.ended(Code::Unavailable, HOUR)) < 2 * SECOND,
            "WEP-17 +: reset"
        );
    }

    #[test]
    fn a_denied_permission_is_never_retried_at_once() {
        let mut retry = retry();
        retry.delivered();
        assert!(
            delay(retry.ended(Code::PermissionDenied, HOUR)) > SECOND / 2,
            "WAPI-32 −"
        );
        assert!(delay(retry.ended(Code::Unavailable, HOUR)) > SECOND / 2);
    }

    #[test]
    fn a_stream_that_gives_one_answer_and_ends_is_not_opened_in_a_loop() {
        let mut retry = retry();
        for _ in 0..3 {
            retry.delivered();
            let delay = delay(retry.ended(Code::Ok, SECOND / 10));
            assert!(delay > SECOND / 2, "WAPI-32 −, WAPI-51 −: {delay:?}");
        }
    }
}
