//! Verifying whoever is on the other side of a handshake.

use std::sync::Arc;

use plastron_source::X509Source;
use plastron_svid::{PeerRole, VerifiedPaths, X509Verifier};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::{Authorizer, PeerError};

/// Verifies the chain of a peer with the newest bundles of a source, and asks whether its ID is let in.
///
/// It is for both sides: a client has it in the place of the check of a host name, a server wants a certificate of each client.
/// That the peer holds the private key is checked by the provider (RS-05). In a configuration of one's own, turn resumption
/// off; see the [crate's documentation](crate#resumption).
///
/// Spec: X509-SVID §5 (X509-72).
#[derive(Clone, Debug)]
pub struct PeerVerifier {
    source: X509Source,
    provider: Arc<CryptoProvider>,
    authorizer: Authorizer,
    paths: Option<Arc<VerifiedPaths<'static>>>,
}

impl PeerVerifier {
    /// A verifier over `source`, with the algorithms of `provider`.
    pub fn new(source: X509Source, provider: Arc<CryptoProvider>, authorizer: Authorizer) -> Self {
        Self {
            source,
            provider,
            authorizer,
            paths: None,
        }
    }

    /// Does not check again the signatures of chains that `paths` has, and adds to it; with the algorithms of `paths`.
    ///
    /// Everything else is checked in each handshake: the leaf, the time, the newest bundles, and the authorizer.
    #[must_use]
    pub fn remembering(mut self, paths: Arc<VerifiedPaths<'static>>) -> Self {
        self.paths = Some(paths);
        self
    }

    fn chains(&self) -> X509Verifier<'_> {
        match &self.paths {
            Some(paths) => X509Verifier::remembering(paths),
            None => X509Verifier::new(self.provider.signature_verification_algorithms.all),
        }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        role: PeerRole,
        now: UnixTime,
    ) -> Result<(), PeerError> {
        let context = self.source.current()?;
        let chain: Vec<&[u8]> = std::iter::once(leaf)
            .chain(intermediates)
            .map(AsRef::as_ref)
            .collect();
        let svid = self.chains().role(role).verify(&chain, &*context, now)?;
        if self.authorizer.allows(svid.id()) {
            return Ok(());
        }
        Err(PeerError::Unauthorized {
            id: svid.id().to_owned(),
            allowed: self.authorizer.to_string().into(),
        })
    }
}

/// What both traits ask for in the same words: that the peer holds the key of its leaf, which the provider checks.
macro_rules! proof_of_possession {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls12_signature(message, cert, dss, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, cert, dss, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let algorithms = &self.provider.signature_verification_algorithms;
            algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for PeerVerifier {
    /// The name that the client has dialled is not looked at: who is wanted stands in the authorizer.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, PeerRole::Server, now)?;
        Ok(ServerCertVerified::assertion())
    }

    proof_of_possession!();
}

impl ClientCertVerifier for PeerVerifier {
    /// None: names of authorities say nothing about trust domains, and they change.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, PeerRole::Client, now)?;
        Ok(ClientCertVerified::assertion())
    }

    proof_of_possession!();
}
