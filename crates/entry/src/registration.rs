//! One rule: who has these selectors is this SPIFFE ID.

use std::time::{Duration, SystemTime};

use plastron_id::{SpiffeId, TrustDomain};

use crate::dns_name::{self, DnsNameError};
use crate::{EntryId, Selectors};

/// The longest hint, in bytes. Spec: Workload API §8 (WAPI-30).
pub const MAX_HINT_LEN: usize = 1024;

/// The shortest life of an SVID that an entry may ask for. Certificates count in seconds.
pub const MIN_SVID_TTL: Duration = Duration::from_secs(1);

/// A rule that grants a SPIFFE ID to whoever has all of its selectors, and says what the SVIDs look like.
///
/// Comes from [`RegistrationEntry::builder`], which checks it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RegistrationEntry {
    /// What records call this entry by.
    pub id: EntryId,
    /// The identity it grants. Has a path.
    pub spiffe_id: SpiffeId,
    /// What a workload must have, all of it. Never empty.
    pub selectors: Selectors,
    /// Life of X.509-SVIDs, if not the default. At least [`MIN_SVID_TTL`].
    pub x509_svid_ttl: Option<Duration>,
    /// Life of JWT-SVIDs, if not the default. At least [`MIN_SVID_TTL`].
    pub jwt_svid_ttl: Option<Duration>,
    /// DNS names for X.509-SVIDs, each once, in the operator's order.
    pub dns_names: Vec<Box<str>>,
    /// What tells this identity from others of the same workload. May be empty; at most [`MAX_HINT_LEN`] bytes.
    pub hint: Box<str>,
    /// The foreign trust domains whose bundles go with this identity, each once, in the operator's order.
    pub federates_with: Vec<TrustDomain>,
    /// From then on the entry grants nothing.
    pub expires_at: Option<SystemTime>,
}

impl RegistrationEntry {
    /// Starts an entry from what every entry has.
    pub fn builder(spiffe_id: SpiffeId, selectors: Selectors) -> EntryBuilder {
        EntryBuilder {
            spiffe_id,
            selectors,
            id: None,
            x509_svid_ttl: None,
            jwt_svid_ttl: None,
            dns_names: Vec::new(),
            hint: Box::default(),
            federates_with: Vec::new(),
            expires_at: None,
        }
    }

    /// Whether it grants nothing any more at `now`.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// An entry that is not checked yet.
#[derive(Clone, Debug)]
#[must_use]
pub struct EntryBuilder {
    spiffe_id: SpiffeId,
    selectors: Selectors,
    id: Option<EntryId>,
    x509_svid_ttl: Option<Duration>,
    jwt_svid_ttl: Option<Duration>,
    dns_names: Vec<Box<str>>,
    hint: Box<str>,
    federates_with: Vec<TrustDomain>,
    expires_at: Option<SystemTime>,
}

impl EntryBuilder {
    /// What records call the entry by. Default: [`EntryId::derived`].
    pub fn id(mut self, id: EntryId) -> Self {
        self.id = Some(id);
        self
    }

    /// Life of X.509-SVIDs. Default: the issuer's.
    pub fn x509_svid_ttl(mut self, ttl: Duration) -> Self {
        self.x509_svid_ttl = Some(ttl);
        self
    }

    /// Life of JWT-SVIDs. Default: the issuer's.
    pub fn jwt_svid_ttl(mut self, ttl: Duration) -> Self {
        self.jwt_svid_ttl = Some(ttl);
        self
    }

    /// DNS names for X.509-SVIDs. Repeated ones count once. Default: none.
    pub fn dns_names<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.dns_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// What tells this identity from others of the same workload. Default: empty.
    pub fn hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The foreign trust domains whose bundles go with this identity. Repeated ones count once, and the entry's own,
    /// whose bundle always goes with it, is left out. Default: none.
    pub fn federates_with(mut self, trust_domains: impl IntoIterator<Item = TrustDomain>) -> Self {
        self.federates_with = trust_domains.into_iter().collect();
        self
    }

    /// From when on the entry grants nothing. Default: never.
    pub fn expires_at(mut self, end: SystemTime) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// Checks the entry.
    ///
    /// # Errors
    ///
    /// The first rule broken.
    pub fn build(self) -> Result<RegistrationEntry, EntryError> {
        // Spec: X509-SVID §3.1 (X509-09).
        if self.spiffe_id.path().is_empty() {
            return Err(EntryError::NoPath);
        }
        // The empty set is a subset of every caller's, and would grant the identity to anybody.
        if self.selectors.is_empty() {
            return Err(EntryError::NoSelectors);
        }
        if let Some(ttl) = self.x509_svid_ttl.filter(|ttl| *ttl < MIN_SVID_TTL) {
            return Err(EntryError::X509SvidTtl(ttl));
        }
        if let Some(ttl) = self.jwt_svid_ttl.filter(|ttl| *ttl < MIN_SVID_TTL) {
            return Err(EntryError::JwtSvidTtl(ttl));
        }
        if self.hint.len() > MAX_HINT_LEN {
            return Err(EntryError::HintTooLong {
                len: self.hint.len(),
            });
        }
        let mut dns_names = Vec::<Box<str>>::with_capacity(self.dns_names.len());
        for name in self.dns_names {
            if let Err(reason) = dns_name::check(&name) {
                return Err(EntryError::DnsName { name, reason });
            }
            if !dns_names
                .iter()
                .any(|known| known.eq_ignore_ascii_case(&name))
            {
                dns_names.push(name);
            }
        }
        let mut federates_with = Vec::with_capacity(self.federates_with.len());
        for trust_domain in self.federates_with {
            if !self.spiffe_id.is_member_of(trust_domain.as_ref())
                && !federates_with.contains(&trust_domain)
            {
                federates_with.push(trust_domain);
            }
        }
        Ok(RegistrationEntry {
            id: self
                .id
                .unwrap_or_else(|| EntryId::derived(&self.spiffe_id, &self.selectors)),
            spiffe_id: self.spiffe_id,
            selectors: self.selectors,
            x509_svid_ttl: self.x509_svid_ttl,
            jwt_svid_ttl: self.jwt_svid_ttl,
            dns_names,
            hint: self.hint,
            federates_with,
            expires_at: self.expires_at,
        })
    }
}

/// Which rule an entry breaks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The SPIFFE ID is that of the trust domain, which no workload may have. Spec: X509-SVID §3.1 (X509-09).
    #[error("SPIFFE ID of a workload has no path")]
    NoPath,
    /// No selectors: the entry would match every caller.
    #[error("entry without selectors would match everybody")]
    NoSelectors,
    /// The life of X.509-SVIDs is shorter than [`MIN_SVID_TTL`].
    #[error("X.509-SVIDs of {0:?} are too short-lived")]
    X509SvidTtl(Duration),
    /// The life of JWT-SVIDs is shorter than [`MIN_SVID_TTL`].
    #[error("JWT-SVIDs of {0:?} are too short-lived")]
    JwtSvidTtl(Duration),
    /// The hint has more than [`MAX_HINT_LEN`] bytes. Spec: Workload API §8 (WAPI-30).
    #[error("hint of {len} bytes is longer than {MAX_HINT_LEN}")]
    HintTooLong {
        /// How many it has.
        len: usize,
    },
    /// A DNS name is not one.
    #[error("{name:?} is no DNS name")]
    DnsName {
        /// The name.
        name: Box<str>,
        /// What is wrong with it.
        #[source]
        reason: DnsNameError,
    },
}

impl EntryError {
    /// The field of the entry that is wrong, as configurations spell it.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::NoPath => "spiffe_id",
            Self::NoSelectors => "selectors",
            Self::X509SvidTtl(_) => "x509_svid_ttl",
            Self::JwtSvidTtl(_) => "jwt_svid_ttl",
            Self::HintTooLong { .. } => "hint",
            Self::DnsName { .. } => "dns_names",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(spiffe_id: &str, selectors: &[&str]) -> EntryBuilder {
        let selectors = selectors.iter().map(|text| text.parse().unwrap()).collect();
        RegistrationEntry::builder(spiffe_id.parse().unwrap(), selectors)
    }

    fn cart() -> EntryBuilder {
        builder("spiffe://td/cart", &["unix:uid:1000"])
    }

    #[test]
    fn an_entry_keeps_what_it_was_given() {
        let entry = cart()
            .id("cart-1".parse().unwrap())
            .x509_svid_ttl(MIN_SVID_TTL)
            .jwt_svid_ttl(Duration::from_secs(60))
            .dns_names(["cart.internal", "*.cart.internal", "CART.internal"])
            .hint("h".repeat(MAX_HINT_LEN)) // WAPI-30 +
            .federates_with(["b", "a", "b", "td"].map(|name| name.parse().unwrap()))
            .expires_at(SystemTime::UNIX_EPOCH + Duration::from_secs(9))
            .build()
            .unwrap();
        assert_eq!(entry.id.as_str(), "cart-1");
        assert_eq!(entry.spiffe_id.as_str(), "spiffe://td/cart"); // X509-09 +
        assert_eq!(
            entry.dns_names,
            ["cart.internal".into(), Box::from("*.cart.internal")]
        );
        assert_eq!(entry.hint.len(), 1024);
        assert_eq!(
            entry.federates_with,
            ["b", "a"].map(|name| name.parse::<TrustDomain>().unwrap())
        );
        for (seconds, expired) in [(8, false), (9, true), (10, true)] {
            assert_eq!(
                entry.is_expired(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
                expired
            );
        }
        let plain = cart().build().unwrap();
        assert_eq!(
            plain.id,
            EntryId::derived(&plain.spiffe_id, &plain.selectors)
        );
        assert!(!plain.is_expired(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)));
    }

    #[test]
    fn an_entry_that_breaks_a_rule_is_refused_and_names_the_field() {
        let short = Duration::from_millis(999);
        for (rule, builder, want, field) in [
            (
                "X509-09 −",
                builder("spiffe://td", &["unix:uid:1000"]),
                EntryError::NoPath,
                "spiffe_id",
            ),
            (
                "S-62 −",
                builder("spiffe://td/cart", &[]),
                EntryError::NoSelectors,
                "selectors",
            ),
            (
                "",
                cart().x509_svid_ttl(short),
                EntryError::X509SvidTtl(short),
                "x509_svid_ttl",
            ),
            (
                "",
                cart().jwt_svid_ttl(Duration::ZERO),
                EntryError::JwtSvidTtl(Duration::ZERO),
                "jwt_svid_ttl",
            ),
            (
                "WAPI-30 −",
                cart().hint("h".repeat(1025)),
                EntryError::HintTooLong { len: 1025 },
                "hint",
            ),
            (
                "",
                cart().dns_names(["cart.internal", "10.0.0.1"]),
                EntryError::DnsName {
                    name: "10.0.0.1".into(),
                    reason: DnsNameError::Address,
                },
                "dns_names",
            ),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!((error.field(), &error), (field, &want), "{rule}");
        }
    }
}
