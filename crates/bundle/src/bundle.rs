//! The bundle of one trust domain.

use std::collections::BTreeSet;
use std::time::Duration;

use plastron_id::{TrustDomain, TrustDomainRef};

#[cfg(feature = "wit")]
use crate::WitAuthority;
use crate::document::{self, BundleDocument, BundleError, Parsed};
use crate::{
    JwtAuthority, MAX_KEYS, Skipped, TokenAuthority, TokenUse, X509AuthoritiesId, X509Authority,
    pem,
};

/// The authorities of a trust domain, by the kind of SVID they sign.
///
/// A bundle replaces the one before it as a whole: what is not in it is revoked (BUNDLE-06). One without X.509 authorities
/// makes every X509-SVID of the trust domain invalid, and likewise for JWT (BUNDLE-22, X509-67). Spec: Trust Domain and
/// Bundle §3.
#[derive(Clone, Debug)]
pub struct Bundle {
    trust_domain: TrustDomain,
    x509_authorities: Vec<X509Authority>,
    x509_authorities_id: X509AuthoritiesId,
    jwt_authorities: Vec<JwtAuthority>,
    #[cfg(feature = "wit")]
    wit_authorities: Vec<WitAuthority>,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

/// How long until a bundle without a hint is fetched again (BUNDLE-34).
pub const DEFAULT_REFRESH: Duration = Duration::from_secs(5 * 60);

/// The range that hints are brought into: a minute, as SPIRE's least, to a day (BUNDLE-17).
pub const REFRESH_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 60 * 60);

impl Bundle {
    /// A bundle without authorities.
    pub fn new(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            x509_authorities: Vec::new(),
            x509_authorities_id: X509AuthoritiesId::new(),
            jwt_authorities: Vec::new(),
            #[cfg(feature = "wit")]
            wit_authorities: Vec::new(),
            sequence: None,
            refresh_hint: None,
        }
    }

    /// Reads a bundle document. It does not say whose it is, so that is an argument (BUNDLE-04).
    ///
    /// # Errors
    ///
    /// A document that breaks a rule as a whole. Keys that cannot be used are left out and reported.
    pub fn parse(trust_domain: TrustDomain, document: &[u8]) -> Result<Parsed, BundleError> {
        BundleDocument::parse(document)?.to_bundle(trust_domain)
    }

    /// Reads a JWK Set of the Workload API, which has JWT keys alone.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse). Keys for other things are left out and reported (WAPI-49).
    pub fn parse_jwks(trust_domain: TrustDomain, jwks: &[u8]) -> Result<Parsed, BundleError> {
        BundleDocument::parse(jwks)?.to_token_bundle(trust_domain, Self::add_jwt_authority)
    }

    /// Reads a JWK Set of the Workload API, which has WIT keys alone.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse). Keys for other things are left out and reported (WAPI-66, WAPI-67).
    #[cfg(feature = "wit")]
    pub fn parse_wit_jwks(trust_domain: TrustDomain, jwks: &[u8]) -> Result<Parsed, BundleError> {
        BundleDocument::parse(jwks)?.to_token_bundle(trust_domain, Self::add_wit_authority)
    }

    /// Reads certificates in DER that follow one another with nothing between, none included.
    ///
    /// # Errors
    ///
    /// Bytes that do not divide into certificates (RS-09), or more than [`MAX_KEYS`] of them (BUNDLE-25). Certificates that
    /// are no authorities are left out and reported (AMB-13).
    pub fn from_der(trust_domain: TrustDomain, der: &[u8]) -> Result<Parsed, BundleError> {
        let mut certificates = Vec::new();
        let mut rest = der;
        while !rest.is_empty() {
            if certificates.len() == MAX_KEYS {
                return Err(BundleError::TooManyKeys);
            }
            let len = crate::certificate::len_of_first(rest).map_err(|_| BundleError::Der)?;
            let (first, others) = rest.split_at(len);
            certificates.push(first);
            rest = others;
        }
        Ok(Parsed::of_certificates(trust_domain, &certificates))
    }

    /// Reads the certificates of a PEM text, one at least. What stands outside their lines is not looked at.
    ///
    /// # Errors
    ///
    /// A text without certificates, with a broken one, or with more than [`MAX_KEYS`] (BUNDLE-25). Certificates that are no
    /// authorities are left out and reported.
    pub fn from_pem(trust_domain: TrustDomain, text: &str) -> Result<Parsed, BundleError> {
        let certificates = pem::certificates(text)?;
        Ok(Parsed::of_certificates(trust_domain, &certificates))
    }

    /// Adds an X.509 authority; one that is there already is not added again (BUNDLE-24).
    pub fn add_x509_authority(&mut self, authority: X509Authority) {
        if !self.x509_authorities.contains(&authority) {
            self.x509_authorities.push(authority);
            self.x509_authorities_id = X509AuthoritiesId::new();
        }
    }

    /// As [`add_x509_authority`](Self::add_x509_authority) for each, in a time that hardly grows with what is there.
    pub(crate) fn add_x509_authorities(&mut self, authorities: Vec<X509Authority>) {
        let mut known: BTreeSet<_> = self
            .x509_authorities
            .iter()
            .map(|one| one.shared_der())
            .collect();
        for authority in authorities {
            if known.insert(authority.shared_der()) {
                self.x509_authorities.push(authority);
                self.x509_authorities_id = X509AuthoritiesId::new();
            }
        }
    }

    /// Adds a JWT authority; one that is there already is not added again.
    ///
    /// # Errors
    ///
    /// Another key has the same `kid` (BUNDLE-24, AMB-19), be it one for WIT-SVIDs (WIT-44).
    pub fn add_jwt_authority(&mut self, authority: JwtAuthority) -> Result<(), BundleError> {
        #[cfg(feature = "wit")]
        check_key_id(&authority, &self.wit_authorities)?;
        add(&mut self.jwt_authorities, authority)
    }

    /// Adds a WIT authority; one that is there already is not added again.
    ///
    /// # Errors
    ///
    /// Another key has the same `kid`, be it for WIT-SVIDs or for JWT-SVIDs (WIT-44).
    #[cfg(feature = "wit")]
    pub fn add_wit_authority(&mut self, authority: WitAuthority) -> Result<(), BundleError> {
        check_key_id(&authority, &self.jwt_authorities)?;
        add(&mut self.wit_authorities, authority)
    }

    /// Sets the number of this version of the bundle; it must rise with every change (BUNDLE-13).
    pub fn set_sequence(&mut self, sequence: Option<u64>) {
        self.sequence = sequence;
    }

    /// Sets how often readers should look for a new version.
    pub fn set_refresh_hint(&mut self, refresh_hint: Option<Duration>) {
        self.refresh_hint = refresh_hint;
    }

    /// Whose bundle it is.
    pub fn trust_domain(&self) -> TrustDomainRef<'_> {
        self.trust_domain.as_ref()
    }

    /// The authorities that X509-SVIDs are verified with, and nothing else is.
    pub fn x509_authorities(&self) -> &[X509Authority] {
        &self.x509_authorities
    }

    /// What tells its X.509 authorities from any others.
    pub fn x509_authorities_id(&self) -> &X509AuthoritiesId {
        &self.x509_authorities_id
    }

    /// The authorities that JWT-SVIDs are verified with, and nothing else is.
    pub fn jwt_authorities(&self) -> &[JwtAuthority] {
        &self.jwt_authorities
    }

    /// The JWT authority with this `kid`.
    pub fn jwt_authority(&self, key_id: &str) -> Option<&JwtAuthority> {
        find(&self.jwt_authorities, key_id)
    }

    /// The authorities that WIT-SVIDs are verified with, and nothing else is (WIT-45).
    #[cfg(feature = "wit")]
    pub fn wit_authorities(&self) -> &[WitAuthority] {
        &self.wit_authorities
    }

    /// The WIT authority with this `kid`.
    #[cfg(feature = "wit")]
    pub fn wit_authority(&self, key_id: &str) -> Option<&WitAuthority> {
        find(&self.wit_authorities, key_id)
    }

    /// Whether it has no authorities, so that no SVID of the trust domain is valid (BUNDLE-22).
    pub fn is_empty(&self) -> bool {
        #[cfg(feature = "wit")]
        if !self.wit_authorities.is_empty() {
            return false;
        }
        self.x509_authorities.is_empty() && self.jwt_authorities.is_empty()
    }

    /// The number of this version.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// How often its publisher wants readers to look, as it says.
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    /// How long to wait before looking for a new version: the hint within [`REFRESH_RANGE`], or [`DEFAULT_REFRESH`].
    pub fn refresh_interval(&self) -> Duration {
        self.refresh_hint.map_or(DEFAULT_REFRESH, |hint| {
            hint.clamp(*REFRESH_RANGE.start(), *REFRESH_RANGE.end())
        })
    }

    /// What a newly fetched bundle is, compared with this one, which is stored (AMB-27).
    pub fn compare(&self, fetched: &Self) -> Freshness {
        let same_content =
            self.same_authorities(fetched) && self.refresh_hint == fetched.refresh_hint;
        match (self.sequence, fetched.sequence) {
            (Some(stored), Some(fetched)) if fetched < stored => Freshness::Older,
            (stored, fetched) if same_content && stored == fetched => Freshness::Same,
            (Some(stored), Some(fetched)) if stored == fetched => Freshness::NumberKept,
            _ => Freshness::Newer,
        }
    }

    fn same_authorities(&self, other: &Self) -> bool {
        #[cfg(feature = "wit")]
        if self.wit_authorities != other.wit_authorities {
            return false;
        }
        self.x509_authorities == other.x509_authorities
            && self.jwt_authorities == other.jwt_authorities
    }

    /// Writes the bundle document.
    pub fn to_document(&self) -> Vec<u8> {
        document::write_document(self)
    }

    /// Writes the JWT keys as the plain JWK Set of the Workload API.
    pub fn jwks(&self) -> Vec<u8> {
        document::write_jwks(&self.jwt_authorities, None)
    }

    /// Writes the WIT keys as the JWK Set of the Workload API, which says what they are for, as go-spiffe does (WAPI-67).
    #[cfg(feature = "wit")]
    pub fn wit_jwks(&self) -> Vec<u8> {
        document::write_jwks(&self.wit_authorities, Some(document::WIT_SVID))
    }

    /// The X.509 authorities in DER, one after the other.
    pub fn x509_der(&self) -> Vec<u8> {
        let certificates: Vec<&[u8]> = self
            .x509_authorities
            .iter()
            .map(X509Authority::der)
            .collect();
        certificates.concat()
    }

    /// The X.509 authorities in PEM.
    pub fn x509_pem(&self) -> String {
        self.x509_authorities
            .iter()
            .map(|authority| pem::certificate(authority.der()))
            .collect()
    }
}

/// Bundles are equal when they say the same.
impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        self.trust_domain == other.trust_domain
            && self.same_authorities(other)
            && self.sequence == other.sequence
            && self.refresh_hint == other.refresh_hint
    }
}

impl Eq for Bundle {}

fn find<'a, U: TokenUse>(
    authorities: &'a [TokenAuthority<U>],
    key_id: &str,
) -> Option<&'a TokenAuthority<U>> {
    authorities
        .iter()
        .find(|authority| authority.key_id() == key_id)
}

/// Adds an authority for tokens, unless it is there (BUNDLE-24).
fn add<U: TokenUse>(
    authorities: &mut Vec<TokenAuthority<U>>,
    authority: TokenAuthority<U>,
) -> Result<(), BundleError> {
    match find(authorities, authority.key_id()) {
        None => authorities.push(authority),
        Some(same) if same.public_key() == authority.public_key() => {}
        Some(_) => {
            return Err(BundleError::ConflictingKeyId {
                key_id: authority.key_id().into(),
            });
        }
    }
    Ok(())
}

/// Checks that a `kid` is not one of the other kind of token, with whatever key (WIT-44).
#[cfg(feature = "wit")]
fn check_key_id<U: TokenUse, O: TokenUse>(
    authority: &TokenAuthority<U>,
    others: &[TokenAuthority<O>],
) -> Result<(), BundleError> {
    match find(others, authority.key_id()) {
        None => Ok(()),
        Some(_) => Err(BundleError::SharedKeyId {
            key_id: authority.key_id().into(),
        }),
    }
}

impl Parsed {
    fn of_certificates<D: AsRef<[u8]>>(trust_domain: TrustDomain, certificates: &[D]) -> Self {
        let mut parsed = Self::new(trust_domain);
        let mut authorities = Vec::with_capacity(certificates.len());
        for (index, der) in certificates.iter().enumerate() {
            match X509Authority::parse(der.as_ref()) {
                Ok(authority) => authorities.push(authority),
                Err(error) => parsed.skipped.push(Skipped {
                    index,
                    reason: error.into(),
                }),
            }
        }
        parsed.bundle.add_x509_authorities(authorities);
        parsed
    }
}

/// What a fetched bundle is to a stored one. Spec: Trust Domain and Bundle §4.1.1 (BUNDLE-13, AMB-27).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// Take it: its number is higher, or one of the two has none and they differ.
    Newer,
    /// It is the same.
    Same,
    /// Its content changed and its number did not: take it, and tell somebody.
    NumberKept,
    /// Its number is lower: keep the stored one, and tell somebody.
    Older,
}
