//! X509-SVIDs.
//!
//! Spec: X509-SVID §2 to §4; RFC 5280 §4.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_bundle::certificate::Certificate;
use plastron_id::{SpiffeId, SpiffeIdRef, TrustDomainRef};
use plastron_keys::{PublicKey, SigningKey};

use crate::dns_name::is_dns_name;
use crate::tbs::{Contents, EMPTY_NAME, MAX_COMMON_NAME, Role, common_name};
use crate::validity::Issue;
use crate::{IssuerError, MintError, X509AuthorityRequest};

/// How long an X509-SVID lives when nothing else is asked for, as in SPIRE.
pub const DEFAULT_X509_SVID_LIFETIME: Duration = Duration::from_secs(3600);

/// How far before the moment of issue a certificate begins, for verifiers whose clocks are late (X509-49).
pub const BACKDATE: Duration = Duration::from_secs(10);

/// A signing certificate with its key.
///
/// It borrows everything, and costs little more than the parse of its certificate: a quarter of a microsecond.
#[derive(Clone, Copy, Debug)]
pub struct X509Issuer<'a> {
    certificate: Certificate<'a>,
    key: &'a dyn SigningKey,
    trust_domain: Option<TrustDomainRef<'a>>,
}

impl<'a> X509Issuer<'a> {
    /// Takes an authority's certificate, in DER, and the key it is about.
    ///
    /// The authority speaks for the trust domain that its certificate names, if it names one.
    ///
    /// # Errors
    ///
    /// A certificate that may not sign, or is about another key.
    pub fn new(certificate_der: &'a [u8], key: &'a dyn SigningKey) -> Result<Self, IssuerError> {
        Self::with_certificate(Certificate::parse(certificate_der)?, key)
    }

    /// The same with a certificate that is parsed already.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_certificate(
        certificate: Certificate<'a>,
        key: &'a dyn SigningKey,
    ) -> Result<Self, IssuerError> {
        let usage = certificate.key_usage();
        if !certificate.is_ca() || !usage.is_some_and(|usage| usage.key_cert_sign()) {
            return Err(IssuerError::NotAnAuthority);
        }
        if certificate.subject_is_empty() {
            return Err(IssuerError::EmptySubject);
        }
        if certificate.spki().der() != key.public_key().spki_der() {
            return Err(IssuerError::WrongKey);
        }
        let id = certificate
            .uri_san()
            .and_then(|uri| SpiffeIdRef::parse_bytes(uri).ok());
        Ok(Self {
            certificate,
            key,
            trust_domain: id.map(SpiffeIdRef::trust_domain),
        })
    }

    /// Lets it sign for `trust_domain`, and no other, whatever its certificate says (X509-14, X509-15).
    pub fn for_trust_domain(self, trust_domain: TrustDomainRef<'a>) -> Self {
        Self {
            trust_domain: Some(trust_domain),
            ..self
        }
    }

    /// The trust domain that it signs for.
    pub fn trust_domain(&self) -> Option<TrustDomainRef<'a>> {
        self.trust_domain
    }

    /// The certificate it signs under.
    pub fn certificate(&self) -> &Certificate<'a> {
        &self.certificate
    }

    /// Starts an X509-SVID: `id` for the holder of `public_key`.
    pub fn x509_svid<'r>(
        &'r self,
        id: &'r SpiffeId,
        public_key: &'r PublicKey,
    ) -> X509SvidRequest<'r> {
        X509SvidRequest {
            issuer: self,
            id,
            public_key,
            dns_names: Vec::new(),
            lifetime: DEFAULT_X509_SVID_LIFETIME,
            limit: self.certificate.not_after(),
        }
    }

    /// Starts a signing certificate for `trust_domain` below this one, for the holder of `public_key`.
    pub fn x509_authority<'r>(
        &'r self,
        trust_domain: TrustDomainRef<'r>,
        public_key: &'r PublicKey,
    ) -> X509AuthorityRequest<'r> {
        X509AuthorityRequest::new(self, trust_domain, public_key)
    }

    pub(crate) fn key(&self) -> &'a dyn SigningKey {
        self.key
    }

    /// The identifier that those below it name: its own, or that which it would have from us.
    pub(crate) fn key_id(&self) -> Cow<'a, [u8]> {
        match self.certificate.subject_key_id() {
            Some(id) => id.into(),
            None => self.key.public_key().key_identifier().to_vec().into(),
        }
    }

    /// Refuses a foreign trust domain: an authority makes no statement about entities of others (SVID-12).
    pub(crate) fn check_trust_domain(&self, asked: TrustDomainRef<'_>) -> Result<(), MintError> {
        match self.trust_domain {
            Some(own) if own == asked => Ok(()),
            _ => Err(MintError::ForeignTrustDomain {
                asked: asked.to_owned(),
            }),
        }
    }
}

/// An X509-SVID that is about to be signed.
#[derive(Clone, Debug)]
#[must_use = "nothing is minted until it is signed"]
pub struct X509SvidRequest<'r> {
    issuer: &'r X509Issuer<'r>,
    id: &'r SpiffeId,
    public_key: &'r PublicKey,
    dns_names: Vec<&'r str>,
    lifetime: Duration,
    limit: UnixTime,
}

impl<'r> X509SvidRequest<'r> {
    /// DNS names beside the SPIFFE ID (X509-05). The first becomes the Common Name, as in SPIRE, unless it has more than
    /// the 64 characters of one.
    pub fn dns_names<S: AsRef<str>>(mut self, names: &'r [S]) -> Self {
        self.dns_names = names.iter().map(AsRef::as_ref).collect();
        self
    }

    /// How long it lives, counted from the moment of issue. An hour by default.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// A second after which it must have ended, such as the end of its registration. The end of the authority is one
    /// already (X509-49).
    pub fn not_after_limit(mut self, limit: UnixTime) -> Self {
        self.limit = self.limit.min(limit);
        self
    }

    /// Signs it. `serial` comes from a generator that nobody can guess (X509-42). The ID has a path (X509-09).
    ///
    /// # Errors
    ///
    /// An ID that the authority may not speak for, malformed names, a zero serial, nothing left to live, or a key that
    /// does not sign.
    pub fn sign(&self, serial: &[u8; 16], now: SystemTime) -> Result<MintedX509Svid, MintError> {
        if self.id.path().is_empty() {
            return Err(MintError::NoPath);
        }
        self.issuer.check_trust_domain(self.id.trust_domain())?;
        if let Some(index) = self.dns_names.iter().position(|name| !is_dns_name(name)) {
            return Err(MintError::DnsName { index });
        }
        let subject = self
            .dns_names
            .first()
            .filter(|name| name.len() <= MAX_COMMON_NAME)
            .map(|name| common_name(name));

        let issue = Issue::at(now)?;
        let not_before = issue.second(BACKDATE);
        let not_after = issue.end(self.lifetime, self.limit)?;
        let der = Contents {
            serial,
            issuer: self.issuer.certificate.subject(),
            not_before,
            not_after,
            subject: subject.as_deref().unwrap_or(EMPTY_NAME),
            public_key: self.public_key,
            authority_key_id: Some(&self.issuer.key_id()),
            uri: self.id.as_str(),
            dns_names: &self.dns_names,
            role: Role::Leaf,
        }
        .sign(self.issuer.key)?;
        Ok(MintedX509Svid {
            der,
            not_before,
            not_after,
        })
    }
}

/// A certificate that was signed just now.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MintedX509Svid {
    /// The certificate.
    pub der: Vec<u8>,
    /// The first second at which it is valid.
    pub not_before: UnixTime,
    /// The last second at which it is valid.
    pub not_after: UnixTime,
}
