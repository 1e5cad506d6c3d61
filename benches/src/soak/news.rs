//! What the processes of the load tell the one that judges: a line of JSON each, on their standard output.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::rule::Rule;

#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum News {
    /// A stream is asked for.
    Opening {
        stream: u32,
        call: Call,
        image: Image,
    },
    /// A stream shows something else than before.
    Shows {
        stream: u32,
        at: Moment,
        /// It did not exist a moment ago.
        fresh: bool,
        shown: Shown,
    },
    /// A stream was denied, or ended by that.
    Denied { stream: u32, at: Moment },
    /// A stream is given up.
    Gone { stream: u32 },
    /// A call was denied.
    Refused { image: Image, at: Moment },
    /// Credentials that came, by serial or `jti`, so many times since the last such line.
    Received { times: BTreeMap<String, u64> },
    /// How long after exec the connection ended.
    Cut { after: Duration },
    /// Rules that held so many times since the last such line.
    Held { times: BTreeMap<Rule, u64> },
    /// A rule that did not hold.
    Broken { rule: Rule, what: String },
}

/// The streams there are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Call {
    X509Svids,
    X509Bundles,
    JwtBundles,
}

/// The program that runs. Entries tell them apart by path.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Image {
    /// This one, where it was built.
    Member,
    /// A copy of it.
    Guest,
}

/// What a message shows of the agent's state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Shown {
    /// The version of the configuration; only SVIDs show it.
    pub(crate) version: Option<u32>,
    /// The SPIFFE IDs, in order.
    pub(crate) ids: u64,
    /// Each of them with its serial.
    pub(crate) serials: Vec<(u64, u64)>,
    /// The authorities.
    pub(crate) authorities: u64,
}

/// The same for the same values in all processes of this program.
pub(crate) fn digest<T: Hash>(values: impl IntoIterator<Item = T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for value in values {
        value.hash(&mut hasher);
    }
    hasher.finish()
}

/// Where a process of the load tells. What held and what came is counted, and told at intervals.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    held: BTreeMap<Rule, u64>,
    received: BTreeMap<String, u64>,
}

impl Teller {
    pub(crate) fn tell(&self, news: &News) {
        let mut line = serde_json::to_vec(news).expect("news are made of what JSON has");
        line.push(b'\n');
        // Nobody listens any more: the end is near.
        let _ = std::io::stdout().lock().write_all(&line);
    }

    pub(crate) fn held(&self, rule: Rule) {
        *self.counts().held.entry(rule).or_default() += 1;
    }

    /// A credential came.
    pub(crate) fn received(&self, credential: &str) {
        let received = &mut self.counts().received;
        match received.get_mut(credential) {
            Some(times) => *times += 1,
            None => drop(received.insert(credential.to_owned(), 1)),
        }
    }

    pub(crate) fn broken(&self, rule: Rule, what: String) {
        self.tell(&News::Broken { rule, what });
    }

    /// Notes what was found, good or bad.
    pub(crate) fn found(&self, rule: Rule, found: Result<(), String>) {
        match found {
            Ok(()) => self.held(rule),
            Err(what) => self.broken(rule, what),
        }
    }

    /// Tells what was counted.
    pub(crate) fn flush(&self) {
        let Counts { held, received } = std::mem::take(&mut *self.counts());
        if !received.is_empty() {
            self.tell(&News::Received { times: received });
        }
        if !held.is_empty() {
            self.tell(&News::Held { times: held });
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
