//! An X509-SVID of one's own: a chain, and the private key of its leaf.

use std::fmt;
use std::sync::Arc;

use pki_types::UnixTime;
use plastron_bundle::certificate::{Certificate, CertificateError, certificates};
use plastron_id::SpiffeId;
use plastron_keys::{KeyBackend, KeyError, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::x509_verifier::{KeyUsageRule, check_leaf};
use crate::{LeafError, PeerRole};

/// An X509-SVID with its private key.
///
/// Its parts are known to belong together. Clones share them, so that there is one copy of the key, which is wiped with the
/// last clone; `Debug` does not show it. Spec: Workload API §5.1 (X509-71, RS-15).
#[derive(Clone)]
pub struct X509Svid {
    parts: Arc<Parts>,
}

struct Parts {
    id: SpiffeId,
    /// Certificates one after the other, leaf first.
    chain: Box<[u8]>,
    leaf_len: usize,
    not_before: UnixTime,
    not_after: UnixTime,
    serial: Box<[u8]>,
    key: Zeroizing<Vec<u8>>,
    hint: Box<str>,
}

impl X509Svid {
    /// Takes what the Workload API gives: certificates in DER one after the other, leaf first, and an unencrypted PKCS#8
    /// key.
    ///
    /// The chain is checked for being one of an X509-SVID, and not verified: whoever gave it is trusted.
    ///
    /// # Errors
    ///
    /// The first rule broken.
    ///
    /// Spec: Workload API §5.1 (X509-71, WAPI-24, WAPI-25).
    pub fn parse(
        chain: &[u8],
        pkcs8: &[u8],
        backend: &dyn KeyBackend,
    ) -> Result<Self, X509SvidError> {
        let key = backend.from_pkcs8(pkcs8)?;
        Self::new(chain, &*key, backend)
    }

    /// Puts a chain and a key together that was loaded before.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn new(
        chain: &[u8],
        key: &dyn PrivateKey,
        backend: &dyn KeyBackend,
    ) -> Result<Self, X509SvidError> {
        let mut all = certificates(chain);
        let leaf = all.next().ok_or(X509SvidError::EmptyChain)??;
        let id = check_leaf(
            &leaf,
            PeerRole::Any,
            KeyUsageRule::Required,
            backend.algorithms(),
        )?;
        for intermediate in all {
            check_signing(&intermediate?)?;
        }
        if PublicKey::from_spki_der(leaf.spki().der()).as_ref() != Ok(key.public_key()) {
            return Err(X509SvidError::OtherKey);
        }
        Ok(Self {
            parts: Arc::new(Parts {
                id: id.to_owned(),
                chain: chain.into(),
                leaf_len: leaf.der().len(),
                not_before: leaf.not_before(),
                not_after: leaf.not_after(),
                serial: leaf.serial().into(),
                key: key.to_pkcs8(),
                hint: Box::default(),
            }),
        })
    }

    /// Sets what the operator calls this identity.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.parts) {
            parts.hint = hint.into();
            return self;
        }
        let parts = &*self.parts;
        Self {
            parts: Arc::new(Parts {
                id: parts.id.clone(),
                chain: parts.chain.clone(),
                serial: parts.serial.clone(),
                key: parts.key.clone(),
                hint: hint.into(),
                ..*parts
            }),
        }
    }

    /// The SPIFFE ID, which has a path.
    pub fn id(&self) -> &SpiffeId {
        &self.parts.id
    }

    /// What the operator calls this identity; empty where nothing was said (WAPI-69).
    pub fn hint(&self) -> &str {
        &self.parts.hint
    }

    /// The certificates in DER, one after the other, leaf first.
    pub fn chain_der(&self) -> &[u8] {
        &self.parts.chain
    }

    /// The certificates, leaf first.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate<'_>> {
        certificates(&self.parts.chain)
            .map(|certificate| certificate.expect("parsed when it was made"))
    }

    /// The leaf in DER.
    pub fn leaf_der(&self) -> &[u8] {
        &self.parts.chain[..self.parts.leaf_len]
    }

    /// The private key as PKCS#8.
    pub fn key_pkcs8(&self) -> &[u8] {
        &self.parts.key
    }

    /// The serial number of the leaf, big-endian.
    pub fn serial(&self) -> &[u8] {
        &self.parts.serial
    }

    /// The first second at which the leaf is valid.
    pub fn not_before(&self) -> UnixTime {
        self.parts.not_before
    }

    /// The last second at which the leaf is valid.
    pub fn not_after(&self) -> UnixTime {
        self.parts.not_after
    }
}

impl fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Svid")
            .field("id", self.id())
            .field("not_after", &self.not_after().as_secs())
            .field("hint", &self.hint())
            .finish_non_exhaustive()
    }
}

/// Checks that a certificate after the leaf may sign. Spec: X509-SVID §3.2 (X509-11).
fn check_signing(certificate: &Certificate<'_>) -> Result<(), X509SvidError> {
    let signs = certificate
        .key_usage()
        .is_some_and(|usage| usage.key_cert_sign());
    if certificate.is_ca() && signs {
        Ok(())
    } else {
        Err(X509SvidError::NotSigning)
    }
}

/// Why bytes are not an X509-SVID of one's own.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum X509SvidError {
    /// There is no certificate (X509-71).
    #[error("no certificate")]
    EmptyChain,
    /// A certificate cannot be read, or bytes are left over (RS-09).
    #[error("unreadable certificate chain")]
    Certificate(#[from] CertificateError),
    /// The first certificate is not the leaf of an X509-SVID, by the rule that [`LeafError`] names.
    #[error("not an X509-SVID")]
    Leaf(#[from] LeafError),
    /// A certificate after the first may not sign certificates (X509-71).
    #[error("a certificate after the leaf may not sign")]
    NotSigning,
    /// The private key cannot be used (X509-71).
    #[error("unusable private key")]
    Key(#[from] KeyError),
    /// The private key is not that of the leaf (X509-71).
    #[error("the private key is not that of the leaf")]
    OtherKey,
}

impl X509SvidError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Certificate(error) => error.rule(),
            Self::Leaf(error) => error.rule(),
            Self::EmptyChain | Self::NotSigning | Self::Key(_) | Self::OtherKey => "X509-71",
        }
    }
}
