//! A value that one side replaces and the other looks at.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

/// The side that replaces.
pub(crate) struct Publisher<T> {
    slot: Arc<ArcSwapOption<T>>,
    /// Counts replacements.
    version: watch::Sender<u64>,
}

/// The side that looks. Clones have seen what the original has.
pub(crate) struct Reader<T> {
    /// Nothing once the value was withdrawn.
    slot: Arc<ArcSwapOption<T>>,
    version: watch::Receiver<u64>,
}

pub(crate) fn pair<T>(first: T) -> (Publisher<T>, Reader<T>) {
    let slot = Arc::new(ArcSwapOption::from_pointee(first));
    let (sender, receiver) = watch::channel(0);
    let publisher = Publisher {
        slot: Arc::clone(&slot),
        version: sender,
    };
    let reader = Reader {
        slot,
        version: receiver,
    };
    (publisher, reader)
}

impl<T> Publisher<T> {
    /// Replaces the value, then wakes who waits: whoever is woken finds it.
    pub(crate) fn set(&self, value: Option<Arc<T>>) {
        self.slot.store(value);
        self.version.send_modify(|version| *version += 1);
    }

    pub(crate) fn reader(&self) -> Reader<T> {
        Reader {
            slot: Arc::clone(&self.slot),
            version: self.version.subscribe(),
        }
    }
}

impl<T> Reader<T> {
    pub(crate) fn current(&self) -> Result<Arc<T>, SourceError> {
        self.slot.load_full().ok_or(SourceError::Withdrawn)
    }

    /// Waits for a change that this reader has not returned from here, be it a new value or its withdrawal.
    pub(crate) async fn changed(&mut self) -> Result<Arc<T>, SourceError> {
        self.version
            .changed()
            .await
            .map_err(|_| SourceError::Closed)?;
        self.current()
    }
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
            version: self.version.clone(),
        }
    }
}

/// Why there is no value to be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SourceError {
    /// The publisher has withdrawn the value and put no other in its place. It may do so later.
    Withdrawn,
    /// The publisher is gone: there will be no newer value.
    Closed,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Withdrawn => "withdrawn by its publisher",
            Self::Closed => "the publisher is gone",
        })
    }
}

impl std::error::Error for SourceError {}
