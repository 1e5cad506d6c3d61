//! Why a peer was refused.

use std::sync::Arc;

use plastron_id::SpiffeId;
use plastron_source::SourceError;
use plastron_svid::VerifyError;
use rustls::{CertificateError, OtherError};

/// Why a peer was refused in a handshake.
///
/// `rustls` carries it inside its own error, where [`PeerError::of`] finds it. The peer is told that its certificate is not
/// acceptable, and no more.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Its chain is not a valid X509-SVID.
    #[error("not an X509-SVID: {0}")]
    Verify(#[from] VerifyError),
    /// It has a valid X509-SVID, and the authorizer does not let it in (SVID-14).
    #[error("{id} is not authorized, which are: {allowed}")]
    Unauthorized {
        /// Who it is.
        id: SpiffeId,
        /// Who would have been let in.
        allowed: Box<str>,
    },
    /// The source has no bundles to verify it with.
    #[error("no bundles: {0}")]
    Source(#[from] SourceError),
}

impl PeerError {
    /// Finds it in what `rustls` says of a failed handshake.
    pub fn of(error: &rustls::Error) -> Option<&Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref()
            }
            _ => None,
        }
    }
}

impl From<PeerError> for rustls::Error {
    fn from(error: PeerError) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
    }
}
