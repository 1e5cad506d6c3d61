//! Questions whose answers may take longer than anybody waits for them.

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// A question that somebody has begun to answer. Clones wait for the same answer, which stays when it is there.
#[derive(Clone, Debug)]
pub(crate) struct Asked<T> {
    at: Instant,
    answer: watch::Receiver<Option<T>>,
}

/// Where the answer goes.
#[derive(Debug)]
pub(crate) struct Answer<T>(watch::Sender<Option<T>>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoAnswer {
    /// It has not come in time.
    Late,
    /// Nobody is at it any more.
    BrokenOff,
}

impl<T> Asked<T> {
    /// A question that is asked now.
    pub(crate) fn now() -> (Answer<T>, Self) {
        let (tell, answer) = watch::channel(None);
        let at = Instant::now();
        (Answer(tell), Self { at, answer })
    }

    /// Whether there is no use in waiting for an answer that is good.
    pub(crate) fn is_over(&self, is_good: impl FnOnce(&T) -> bool) -> bool {
        match &*self.answer.borrow() {
            Some(answer) => !is_good(answer),
            None => self.answer.has_changed().is_err(),
        }
    }
}

impl<T: Clone> Asked<T> {
    /// The answer, if it has come by so long after the question: nobody waits for what others have waited for as long.
    ///
    /// # Errors
    ///
    /// It has not.
    pub(crate) async fn within(&mut self, limit: Duration) -> Result<T, NoAnswer> {
        let answer = self.answer.wait_for(Option::is_some);
        match timeout_at(self.at + limit, answer).await {
            Err(_) => Err(NoAnswer::Late),
            Ok(answer) => answer
                .ok()
                .and_then(|answer| answer.clone())
                .ok_or(NoAnswer::BrokenOff),
        }
    }
}

impl<T> Answer<T> {
    /// Gives it to all who wait.
    pub(crate) fn give(self, answer: T) {
        self.0.send_replace(Some(answer));
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "has not been answered yet",
            Self::BrokenOff => "broke off",
        })
    }
}
