//! A value that one side replaces and the other looks at.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use plastron_bundle::BundleSet;
#[cfg(feature = "wit")]
use plastron_svid::WitSvid;
use tokio::sync::watch;

use crate::X509Context;

/// Makes a source that holds `first`, and its publisher.
pub fn source<T>(first: T) -> (Publisher<T>, Source<T>) {
    let slot = Arc::new(ArcSwapOption::from_pointee(first));
    let (sender, receiver) = watch::channel(0);
    let publisher = Publisher {
        slot: Arc::clone(&slot),
        version: sender,
    };
    let source = Source {
        slot,
        version: receiver,
    };
    (publisher, source)
}

/// One's own X509-SVIDs, and the bundles to verify peers with.
pub type X509Source = Source<X509Context>;

/// The bundles to verify JWT-SVIDs with. Tokens themselves are asked for, one audience at a time.
pub type JwtSource = Source<BundleSet>;

/// One's own WIT-SVIDs, the default first (WAPI-68). A key is not used after its token has expired (WIT-49).
#[cfg(feature = "wit")]
pub type WitSource = Source<Vec<WitSvid>>;

/// The bundles to verify WIT-SVIDs with.
#[cfg(feature = "wit")]
pub type WitBundleSource = Source<BundleSet>;

/// The side that puts newer values in.
pub struct Publisher<T> {
    slot: Arc<ArcSwapOption<T>>,
    /// Counts replacements.
    version: watch::Sender<u64>,
}

impl<T> Publisher<T> {
    /// Replaces the value as a whole, and wakes who waits.
    pub fn publish(&self, value: impl Into<Arc<T>>) {
        self.set(Some(value.into()));
    }

    /// Withdraws the value: the Workload API said that the caller is not entitled to it (WAPI-33, WAPI-51, AMB-31).
    ///
    /// Not for a lost connection, over which the last value stays good until it expires.
    pub fn clear(&self) {
        self.set(None);
    }

    /// Another reader.
    pub fn source(&self) -> Source<T> {
        Source {
            slot: Arc::clone(&self.slot),
            version: self.version.subscribe(),
        }
    }

    /// Replaces, then wakes: whoever is woken finds it.
    fn set(&self, value: Option<Arc<T>>) {
        self.slot.store(value);
        self.version.send_modify(|version| *version += 1);
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

/// A reader of the newest value. Clones are cheap, have seen what the original has, and wait on their own.
pub struct Source<T> {
    /// Nothing once the value was withdrawn.
    slot: Arc<ArcSwapOption<T>>,
    version: watch::Receiver<u64>,
}

impl<T> Source<T> {
    /// The newest value. Never waits.
    ///
    /// # Errors
    ///
    /// [`SourceError::Withdrawn`] after [`clear`](Publisher::clear). A value whose publisher is gone is still given.
    pub fn current(&self) -> Result<Arc<T>, SourceError> {
        self.slot.load_full().ok_or(SourceError::Withdrawn)
    }

    /// Waits for a value newer than those that this reader has returned from here. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`SourceError::Withdrawn`] if that is what is new, after which one may wait on; [`SourceError::Closed`] when
    /// there will be nothing new.
    pub async fn changed(&mut self) -> Result<Arc<T>, SourceError> {
        self.version
            .changed()
            .await
            .map_err(|_| SourceError::Closed)?;
        self.current()
    }
}

impl<T> Clone for Source<T> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
            version: self.version.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.current()).finish()
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
