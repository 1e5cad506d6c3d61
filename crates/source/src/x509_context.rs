//! The X.509 side: SVIDs and the bundles to verify peers with.

use plastron_bundle::{BundleSet, X509AuthoritiesId, X509Authority, X509BundleSource};
use plastron_id::TrustDomainRef;
use plastron_svid::X509Svid;

use crate::{NoSuchSvid, SvidPicker, first_of_each_hint};

/// What the Workload API says at one time: one's own X509-SVIDs, the default first, and bundles.
#[derive(Clone, Debug)]
pub struct X509Context {
    svids: Vec<X509Svid>,
    bundles: BundleSet,
}

impl X509Context {
    /// Puts SVIDs and bundles together that were received together. Of SVIDs with the same hint the first stays (WAPI-29).
    pub fn new(svids: Vec<X509Svid>, bundles: BundleSet) -> Self {
        Self {
            svids: first_of_each_hint(svids),
            bundles,
        }
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
        picker.pick(&self.svids)
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
