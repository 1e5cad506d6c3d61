//! Signing certificates: roots that sign themselves, and authorities below them.
//!
//! A signing certificate is an SVID too: it carries the ID of its trust domain (SVID-02, X509-13).

use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_id::{TrustDomain, TrustDomainRef};
use plastron_keys::{PublicKey, SigningKey};

use crate::tbs::{Contents, Role, authority_name};
use crate::validity::Issue;
use crate::{BACKDATE, MintError, MintedX509Svid, X509Issuer};

/// Makes the self-signed certificate of an authority of `trust_domain`.
///
/// `serial` comes from a generator that nobody can guess; it also stands in the name, so that those of successive
/// authorities differ. Both bounds of its validity are included.
///
/// # Errors
///
/// A zero serial, an end before the beginning or after the year 9999, or a key that does not sign.
///
/// Spec: X509-SVID §3.2, §4 (X509-11 to X509-13, X509-19, X509-30, X509-44, X509-46).
pub fn self_signed_authority(
    trust_domain: &TrustDomain,
    key: &dyn SigningKey,
    serial: &[u8; 16],
    not_before: UnixTime,
    not_after: UnixTime,
) -> Result<Vec<u8>, MintError> {
    let name = authority_name(trust_domain.as_str(), serial);
    Contents {
        serial,
        issuer: &name,
        not_before,
        not_after,
        subject: &name,
        public_key: key.public_key(),
        authority_key_id: None,
        uri: trust_domain.id().as_str(),
        dns_names: &[],
        role: Role::Authority { path_len: None },
    }
    .sign(key)
}

/// A signing certificate, below another, that is about to be signed.
#[derive(Clone, Debug)]
#[must_use = "nothing is minted until it is signed"]
pub struct X509AuthorityRequest<'r> {
    issuer: &'r X509Issuer<'r>,
    trust_domain: TrustDomainRef<'r>,
    public_key: &'r PublicKey,
    path_len: Option<u8>,
    lifetime: Duration,
    limit: UnixTime,
}

impl<'r> X509AuthorityRequest<'r> {
    pub(crate) fn new(
        issuer: &'r X509Issuer<'r>,
        trust_domain: TrustDomainRef<'r>,
        public_key: &'r PublicKey,
    ) -> Self {
        Self {
            issuer,
            trust_domain,
            public_key,
            path_len: None,
            lifetime: Duration::MAX,
            limit: issuer.certificate().not_after(),
        }
    }

    /// How many further authorities may stand below it. As many as its issuer allows by default.
    pub fn path_len(mut self, path_len: u8) -> Self {
        self.path_len = Some(path_len);
        self
    }

    /// How long it lives, counted from the moment of issue. As long as its issuer by default.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// A second after which it must have ended. The end of its issuer is one already (X509-49).
    pub fn not_after_limit(mut self, limit: UnixTime) -> Self {
        self.limit = self.limit.min(limit);
        self
    }

    /// Signs it. `serial` comes from a generator that nobody can guess (X509-42).
    ///
    /// # Errors
    ///
    /// A trust domain that the issuer may not speak for, a path length that it does not allow, a zero serial, nothing
    /// left to live, or a key that does not sign.
    pub fn sign(&self, serial: &[u8; 16], now: SystemTime) -> Result<MintedX509Svid, MintError> {
        self.issuer.check_trust_domain(self.trust_domain)?;
        let path_len = match (self.path_len, self.issuer.certificate().path_len()) {
            (asked, None) => asked,
            (_, Some(0)) => return Err(MintError::PathLength),
            (Some(asked), Some(limit)) if u32::from(asked) >= limit => {
                return Err(MintError::PathLength);
            }
            (Some(asked), Some(_)) => Some(asked),
            (None, Some(limit)) => Some(u8::try_from(limit - 1).unwrap_or(u8::MAX)),
        };
        let issue = Issue::at(now)?;
        let not_before = issue.second(BACKDATE);
        let not_after = issue.end(self.lifetime, self.limit)?;
        let der = Contents {
            serial,
            issuer: self.issuer.certificate().subject(),
            not_before,
            not_after,
            subject: &authority_name(self.trust_domain.as_str(), serial),
            public_key: self.public_key,
            authority_key_id: Some(&self.issuer.key_id()),
            uri: self.trust_domain.id().as_str(),
            dns_names: &[],
            role: Role::Authority { path_len },
        }
        .sign(self.issuer.key())?;
        Ok(MintedX509Svid {
            der,
            not_before,
            not_after,
        })
    }
}
