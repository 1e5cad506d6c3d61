//! The X.509 side: SVIDs and the bundles to verify peers with.

use std::fmt;
use std::sync::Arc;

use plastron_bundle::{BundleSet, X509AuthoritiesId, X509Authority, X509BundleSource};
use plastron_id::TrustDomainRef;
use plastron_svid::X509Svid;

use crate::SourceError;
use crate::picker::{NoSuchSvid, SvidPicker};
use crate::snapshot::{self, Publisher, Reader};

/// What the Workload API says at one time: one's own X509-SVIDs, the default first, and bundles.
#[derive(Clone, Debug)]
pub struct X509Context {
    svids: Vec<X509Svid>,
    bundles: BundleSet,
}

impl X509Context {
    /// Puts SVIDs and bundles together that were received together. Of SVIDs with the same hint the first stays (WAPI-29).
    pub fn new(mut svids: Vec<X509Svid>, bundles: BundleSet) -> Self {
        let mut at = 0;
        while let Some(svid) = svids.get(at) {
            let hint = svid.hint();
            let is_repeated =
                !hint.is_empty() && svids[..at].iter().any(|other| other.hint() == hint);
            if is_repeated {
                svids.remove(at);
            } else {
                at += 1;
            }
        }
        Self { svids, bundles }
    }

    /// The SVIDs, the default first (WAPI-68).
    pub fn svids(&self) -> &[X509Svid] {
        &self.svids
    }

    /// The bundles.
    pub fn bundles(&self) -> &BundleSet {
        &self.bundles
    }

    /// The default SVID, unless there is none at all.
    pub fn default_svid(&self) -> Option<&X509Svid> {
        self.svids.first()
    }

    /// The SVID that `picker` wants.
    ///
    /// # Errors
    ///
    /// There is none such; the default does not step in (WAPI-70).
    pub fn pick(&self, picker: &SvidPicker) -> Result<&X509Svid, NoSuchSvid> {
        picker.pick(&self.svids).ok_or(NoSuchSvid)
    }
}

impl X509BundleSource for X509Context {
    fn x509_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[X509Authority]> {
        self.bundles.x509_authorities(trust_domain)
    }

    fn x509_authorities_id(&self, trust_domain: TrustDomainRef<'_>) -> Option<&X509AuthoritiesId> {
        self.bundles.x509_authorities_id(trust_domain)
    }
}

/// Makes a source that holds `first`, and its publisher.
pub fn x509_source(first: X509Context) -> (X509Publisher, X509Source) {
    let (publisher, reader) = snapshot::pair(first);
    (X509Publisher { publisher }, X509Source { reader })
}

/// The side that puts newer contexts in.
pub struct X509Publisher {
    publisher: Publisher<X509Context>,
}

impl X509Publisher {
    /// Replaces the context as a whole, and wakes who waits.
    pub fn publish(&self, context: impl Into<Arc<X509Context>>) {
        self.publisher.set(Some(context.into()));
    }

    /// Withdraws the context: the Workload API said that the caller is not entitled to anything (WAPI-33, AMB-31).
    ///
    /// Not for a lost connection, over which the last context stays good until it expires.
    pub fn clear(&self) {
        self.publisher.set(None);
    }

    /// Another reader.
    pub fn source(&self) -> X509Source {
        X509Source {
            reader: self.publisher.reader(),
        }
    }
}

impl fmt::Debug for X509Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Publisher").finish_non_exhaustive()
    }
}

/// A reader of the newest context. Clones are cheap and wait on their own.
#[derive(Clone)]
pub struct X509Source {
    reader: Reader<X509Context>,
}

impl X509Source {
    /// The newest context. Never waits.
    ///
    /// # Errors
    ///
    /// [`SourceError::Withdrawn`] after [`clear`](X509Publisher::clear). A context whose publisher is gone is still given.
    pub fn current(&self) -> Result<Arc<X509Context>, SourceError> {
        self.reader.current()
    }

    /// Waits for a context newer than those that this reader has returned from here. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`SourceError::Withdrawn`] if that is what is new, after which one may wait on; [`SourceError::Closed`] when
    /// there will be nothing new.
    pub async fn changed(&mut self) -> Result<Arc<X509Context>, SourceError> {
        self.reader.changed().await
    }
}

impl fmt::Debug for X509Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("X509Source").field(&self.current()).finish()
    }
}
