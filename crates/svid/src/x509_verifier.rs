//! Verifying an X509-SVID: the leaf's rules, then a path to an authority of its own trust domain.
//!
//! Spec: X509-SVID §5; RFC 5280 §6 (X509-51).

mod error;
mod leaf;
mod name_constraints;
mod path;
mod verified_paths;

use std::fmt;

use pki_types::{SignatureVerificationAlgorithm, UnixTime};
use plastron_bundle::X509BundleSource;
use plastron_bundle::certificate::{Certificate, CertificateError};
use plastron_id::SpiffeIdRef;

pub use error::{LeafError, PathError, VerifyError};
pub(crate) use leaf::{KeyUsageRule, check_leaf};
pub use name_constraints::NameConstraintError;
pub use path::{
    MAX_AUTHORITY_COMPARISONS, MAX_INTERMEDIATES, MAX_NAME_COMPARISONS, MAX_PATH_STEPS,
    MAX_SIGNATURES,
};
pub use verified_paths::VerifiedPaths;

use path::{Search, Window};

/// The most certificates that a chain may have, leaf included (X509-61).
///
/// A path has at most [`MAX_INTERMEDIATES`]; what goes beyond is room for cross-signed twins and a root sent along.
pub const MAX_CHAIN_LEN: usize = 16;

/// What the peer is in the conversation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PeerRole {
    /// It is the client: extended key usage, where there is any, must allow that.
    Client,
    /// It is the server: likewise.
    Server,
    /// It may be either, so extended key usage must allow both (X509-37).
    #[default]
    Any,
}

/// Says what is accepted as an X509-SVID.
#[derive(Clone, Copy)]
pub struct X509Verifier<'a> {
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    paths: Option<&'a VerifiedPaths<'a>>,
    role: PeerRole,
    key_usage: KeyUsageRule,
}

impl<'a> X509Verifier<'a> {
    /// A verifier that knows these signature algorithms, for a peer in either role.
    pub fn new(algorithms: &'a [&'a dyn SignatureVerificationAlgorithm]) -> Self {
        Self {
            algorithms,
            paths: None,
            role: PeerRole::Any,
            key_usage: KeyUsageRule::Required,
        }
    }

    /// A verifier that does not check again what `paths` has, and adds to it; with the same algorithms.
    ///
    /// ```
    /// # use plastron_keys_aws_lc::ALGORITHMS;
    /// use plastron_svid::{PeerRole, VerifiedPaths, X509Verifier};
    ///
    /// let paths = VerifiedPaths::new(ALGORITHMS, 4096);
    /// let verifier = X509Verifier::remembering(&paths).role(PeerRole::Client);
    /// ```
    pub fn remembering(paths: &'a VerifiedPaths<'a>) -> Self {
        Self {
            paths: Some(paths),
            ..Self::new(paths.algorithms())
        }
    }

    /// Says what the peer is.
    #[must_use]
    pub fn role(mut self, role: PeerRole) -> Self {
        self.role = role;
        self
    }

    /// Accepts a leaf without any key usage extension, as go-spiffe does from peers.
    ///
    /// Issuers must set it; this is for those that do not (AMB-10). One that is there still has to be right.
    #[must_use]
    pub fn allow_missing_key_usage(mut self) -> Self {
        self.key_usage = KeyUsageRule::MayBeMissing;
        self
    }

    /// Checks that `chain`, DER certificates with the leaf first and the others in any order, is an X509-SVID at `now`.
    ///
    /// The authorities are those of the trust domain that the leaf names, and no others (X509-66); a root in the chain is
    /// not trusted for being there (X509-68).
    ///
    /// # Errors
    ///
    /// The first rule broken. `chain` is the peer's: no input panics, or costs more than the limits of this module allow.
    ///
    /// Spec: X509-SVID §5 (X509-51, X509-66 to X509-68).
    pub fn verify<'c>(
        &self,
        chain: &[&'c [u8]],
        bundles: &dyn X509BundleSource,
        now: UnixTime,
    ) -> Result<VerifiedX509Svid<'c>, VerifyError> {
        let (leaf_der, others) = chain.split_first().ok_or(VerifyError::EmptyChain)?;
        if chain.len() > MAX_CHAIN_LEN {
            return Err(VerifyError::ChainTooLong { len: chain.len() });
        }
        let leaf = parse(0, leaf_der)?;
        let id = check_leaf(&leaf, self.role, self.key_usage, self.algorithms)?;
        if now < leaf.not_before() {
            let not_before = leaf.not_before();
            return Err(VerifyError::NotYetValid { not_before, now });
        }
        if now > leaf.not_after() {
            let not_after = leaf.not_after();
            return Err(VerifyError::Expired { not_after, now });
        }

        let trust_domain = id.trust_domain();
        let authorities = match bundles.x509_authorities(trust_domain) {
            None => return Err(VerifyError::UnknownTrustDomain(trust_domain.to_owned())),
            Some([]) => return Err(VerifyError::NoAuthorities(trust_domain.to_owned())),
            Some(authorities) => authorities,
        };

        let place = self.paths.and_then(|paths| {
            let authorities = bundles.x509_authorities_id(trust_domain)?;
            paths.place(&leaf, others, self.role, authorities)
        });
        if let Some(window) = place.as_ref().and_then(|place| place.recall(now)) {
            return Ok(VerifiedX509Svid { leaf, id, window });
        }

        // In place, so that nothing is allocated; the leaf fills what is left over and is never looked at as an issuer.
        let mut intermediates = [leaf; MAX_CHAIN_LEN];
        let mut count = 0;
        for (at, der) in others.iter().enumerate() {
            intermediates[count] = parse(at + 1, der)?;
            // One that comes again leads nowhere else, but would have its signature checked again.
            count += usize::from(!others[..at].contains(der));
        }
        let found = Search {
            algorithms: self.algorithms,
            paths: self.paths,
            role: self.role,
            now,
            authorities,
            intermediates: &intermediates[..count],
        }
        .run(&leaf)?;
        // With others beside, or in every order, there would be no end of what one peer could have remembered.
        if let Some(place) = place
            && found.is_in_order
            && found.intermediates == others.len()
        {
            place.remember(found.window);
        }
        let window = found.window;
        Ok(VerifiedX509Svid { leaf, id, window })
    }
}

impl fmt::Debug for X509Verifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Verifier")
            .field("role", &self.role)
            .field("key_usage", &self.key_usage)
            .finish_non_exhaustive()
    }
}

#[inline]
fn parse(index: usize, der: &[u8]) -> Result<Certificate<'_>, VerifyError> {
    Certificate::parse(der)
        .map_err(|error: CertificateError| VerifyError::Certificate { index, error })
}

/// An X509-SVID that was verified: its ID is that of whoever holds the leaf's private key.
///
/// That the peer holds it is shown by the handshake, not here.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedX509Svid<'c> {
    leaf: Certificate<'c>,
    id: SpiffeIdRef<'c>,
    window: Window,
}

impl<'c> VerifiedX509Svid<'c> {
    /// The SPIFFE ID, which has a path.
    pub fn id(&self) -> SpiffeIdRef<'c> {
        self.id
    }

    /// The leaf.
    pub fn leaf(&self) -> &Certificate<'c> {
        &self.leaf
    }

    /// The first second at which the whole path was valid, authority included.
    pub fn valid_from(&self) -> UnixTime {
        self.window.from
    }

    /// The last second at which the whole path will be valid, authority included.
    pub fn valid_until(&self) -> UnixTime {
        self.window.until
    }
}
