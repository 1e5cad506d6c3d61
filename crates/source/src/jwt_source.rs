//! The JWT side: the bundles to verify tokens with. Tokens themselves are asked for, one audience at a time.

use std::fmt;
use std::sync::Arc;

use plastron_bundle::BundleSet;

use crate::SourceError;
use crate::snapshot::{self, Publisher, Reader};

/// Makes a source that holds `first`, and its publisher.
pub fn jwt_source(first: BundleSet) -> (JwtPublisher, JwtSource) {
    let (publisher, reader) = snapshot::pair(first);
    (JwtPublisher { publisher }, JwtSource { reader })
}

/// The side that puts newer bundles in.
pub struct JwtPublisher {
    publisher: Publisher<BundleSet>,
}

impl JwtPublisher {
    /// Replaces all bundles, and wakes who waits.
    pub fn publish(&self, bundles: impl Into<Arc<BundleSet>>) {
        self.publisher.set(Some(bundles.into()));
    }

    /// Withdraws the bundles: the Workload API said that the caller is not entitled to them (WAPI-51, AMB-31).
    pub fn clear(&self) {
        self.publisher.set(None);
    }

    /// Another reader.
    pub fn source(&self) -> JwtSource {
        JwtSource {
            reader: self.publisher.reader(),
        }
    }
}

impl fmt::Debug for JwtPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtPublisher").finish_non_exhaustive()
    }
}

/// A reader of the newest bundles. Clones are cheap and wait on their own.
#[derive(Clone)]
pub struct JwtSource {
    reader: Reader<BundleSet>,
}

impl JwtSource {
    /// The newest bundles. Never waits.
    ///
    /// # Errors
    ///
    /// [`SourceError::Withdrawn`] after [`clear`](JwtPublisher::clear). Bundles whose publisher is gone are still given.
    pub fn current(&self) -> Result<Arc<BundleSet>, SourceError> {
        self.reader.current()
    }

    /// Waits for bundles newer than those that this reader has returned from here. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`SourceError::Withdrawn`] if that is what is new, after which one may wait on; [`SourceError::Closed`] when
    /// there will be nothing new.
    pub async fn changed(&mut self) -> Result<Arc<BundleSet>, SourceError> {
        self.reader.changed().await
    }
}

impl fmt::Debug for JwtSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JwtSource").field(&self.current()).finish()
    }
}
