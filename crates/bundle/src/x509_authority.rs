//! X.509 authorities: the certificates that a trust domain signs its X509-SVIDs under.

use std::fmt;
use std::sync::Arc;

use plastron_keys::{PublicKey, PublicKeyError};

use crate::certificate::{Certificate, CertificateError, Layout};

/// A certificate that may sign others, with a key that can be used.
///
/// It need not be self-signed, nor have a SPIFFE ID (X509-78, AMB-05). Clones share their bytes; equality is that of the
/// bytes. Spec: X509-SVID §3.2, §6 (X509-11, AMB-13).
#[derive(Clone)]
pub struct X509Authority {
    der: Arc<[u8]>,
    layout: Layout,
    public_key: PublicKey,
}

impl X509Authority {
    /// Parses one certificate in DER.
    ///
    /// # Errors
    ///
    /// A certificate that cannot be read, that may not sign others, or whose key nobody can use.
    pub fn parse(der: &[u8]) -> Result<Self, X509AuthorityError> {
        let certificate = Certificate::parse(der)?;
        if !certificate.is_ca() {
            return Err(X509AuthorityError::NotCa);
        }
        if certificate
            .key_usage()
            .is_some_and(|usage| !usage.key_cert_sign())
        {
            return Err(X509AuthorityError::KeyUsage);
        }
        let public_key = PublicKey::from_spki_der(certificate.spki().der())?;
        Ok(Self {
            der: der.into(),
            layout: certificate.layout(),
            public_key,
        })
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The same, shared.
    pub(crate) fn shared_der(&self) -> Arc<[u8]> {
        Arc::clone(&self.der)
    }

    /// The certificate, ready to read.
    pub fn certificate(&self) -> Certificate<'_> {
        Certificate::from_layout(&self.der, self.layout)
    }

    /// The name that what it signs has as issuer, as DER: that of [`certificate`](Self::certificate), found faster.
    pub fn subject(&self) -> &[u8] {
        self.layout.subject(&self.der)
    }

    /// The key that it signs with.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

impl PartialEq for X509Authority {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for X509Authority {}

impl fmt::Debug for X509Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("X509Authority")
            .field(&self.certificate())
            .finish()
    }
}

/// Tells one list of X.509 authorities from every other.
///
/// A bundle has one, which clones of it share, and gets a new one with each change of its X.509 authorities. As long as one
/// exists, no other is equal to it. So where two are equal, the lists are; where they are not, nothing is known, since the
/// same authorities read twice make two lists.
#[derive(Clone)]
pub struct X509AuthoritiesId(Arc<()>);

impl X509AuthoritiesId {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }
}

impl PartialEq for X509AuthoritiesId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for X509AuthoritiesId {}

impl fmt::Debug for X509AuthoritiesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("X509AuthoritiesId")
    }
}

/// Why a certificate is no X.509 authority.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum X509AuthorityError {
    /// It cannot be read.
    #[error("unreadable certificate")]
    Certificate(#[from] CertificateError),
    /// Its basic constraints do not say that it is a CA (AMB-13).
    #[error("certificate is not a CA")]
    NotCa,
    /// Its key usage lacks `keyCertSign` (X509-11).
    #[error("certificate may not sign certificates")]
    KeyUsage,
    /// Its key cannot be used (X509-48).
    #[error("unusable key")]
    PublicKey(#[from] PublicKeyError),
}

impl X509AuthorityError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Certificate(error) => error.rule(),
            Self::NotCa => "AMB-13",
            Self::KeyUsage => "X509-11",
            Self::PublicKey(_) => "X509-48",
        }
    }
}
