//! Bundles of several trust domains, each for its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use plastron_id::{TrustDomain, TrustDomainRef};

#[cfg(feature = "wit")]
use crate::WitAuthority;
use crate::{Bundle, JwtAuthority, X509AuthoritiesId, X509Authority};

/// Finds the X.509 authorities of a trust domain.
///
/// `None` means that nothing is known of it, and an empty list that it has no X.509 authorities (any more); nothing of it
/// verifies either way (X509-66, X509-67). There is no way to ask for those of all: an authority speaks for its own trust
/// domain alone (SVID-06).
pub trait X509BundleSource {
    /// The X.509 authorities of `trust_domain`.
    fn x509_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[X509Authority]>;

    /// What tells that list from any other, for who remembers what was verified with it.
    ///
    /// It must be of the bundle that the list is of, whole and unchanged. `None`, as here, means that nothing can be
    /// remembered.
    fn x509_authorities_id(&self, trust_domain: TrustDomainRef<'_>) -> Option<&X509AuthoritiesId> {
        let _ = trust_domain;
        None
    }
}

/// Finds the JWT authorities of a trust domain, as [`X509BundleSource`] does those for X.509 (JWT-38).
pub trait JwtBundleSource {
    /// The JWT authorities of `trust_domain`.
    fn jwt_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[JwtAuthority]>;
}

/// Finds the WIT authorities of a trust domain, as [`X509BundleSource`] does those for X.509 (WIT-41).
#[cfg(feature = "wit")]
pub trait WitBundleSource {
    /// The WIT authorities of `trust_domain`.
    fn wit_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[WitAuthority]>;
}

impl X509BundleSource for Bundle {
    fn x509_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[X509Authority]> {
        (self.trust_domain() == trust_domain).then(|| self.x509_authorities())
    }

    fn x509_authorities_id(&self, trust_domain: TrustDomainRef<'_>) -> Option<&X509AuthoritiesId> {
        (self.trust_domain() == trust_domain).then(|| self.x509_authorities_id())
    }
}

impl JwtBundleSource for Bundle {
    fn jwt_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[JwtAuthority]> {
        (self.trust_domain() == trust_domain).then(|| self.jwt_authorities())
    }
}

#[cfg(feature = "wit")]
impl WitBundleSource for Bundle {
    fn wit_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[WitAuthority]> {
        (self.trust_domain() == trust_domain).then(|| self.wit_authorities())
    }
}

/// Bundles, one for each trust domain that is known. Clones share them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BundleSet {
    bundles: BTreeMap<TrustDomain, Arc<Bundle>>,
}

impl BundleSet {
    /// A set without bundles.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a bundle in the place of the one that its trust domain had, if any, which is returned.
    pub fn insert(&mut self, bundle: impl Into<Arc<Bundle>>) -> Option<Arc<Bundle>> {
        let bundle = bundle.into();
        self.bundles
            .insert(bundle.trust_domain().to_owned(), bundle)
    }

    /// Forgets a trust domain.
    pub fn remove(&mut self, trust_domain: TrustDomainRef<'_>) -> Option<Arc<Bundle>> {
        self.bundles.remove(trust_domain.as_str())
    }

    /// The bundle of a trust domain.
    pub fn get(&self, trust_domain: TrustDomainRef<'_>) -> Option<&Arc<Bundle>> {
        self.bundles.get(trust_domain.as_str())
    }

    /// All bundles, in the order of their trust domains' names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Bundle>> {
        self.bundles.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bundles.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }
}

impl<B: Into<Arc<Bundle>>> FromIterator<B> for BundleSet {
    fn from_iter<I: IntoIterator<Item = B>>(bundles: I) -> Self {
        let mut set = Self::new();
        set.extend(bundles);
        set
    }
}

impl<B: Into<Arc<Bundle>>> Extend<B> for BundleSet {
    fn extend<I: IntoIterator<Item = B>>(&mut self, bundles: I) {
        for bundle in bundles {
            self.insert(bundle);
        }
    }
}

impl X509BundleSource for BundleSet {
    fn x509_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[X509Authority]> {
        Some(self.get(trust_domain)?.x509_authorities())
    }

    fn x509_authorities_id(&self, trust_domain: TrustDomainRef<'_>) -> Option<&X509AuthoritiesId> {
        Some(self.get(trust_domain)?.x509_authorities_id())
    }
}

impl JwtBundleSource for BundleSet {
    fn jwt_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[JwtAuthority]> {
        Some(self.get(trust_domain)?.jwt_authorities())
    }
}

#[cfg(feature = "wit")]
impl WitBundleSource for BundleSet {
    fn wit_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[WitAuthority]> {
        Some(self.get(trust_domain)?.wit_authorities())
    }
}
