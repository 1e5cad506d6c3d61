//! Configurations for both sides.

use std::sync::Arc;

use plastron_source::{SvidPicker, X509Source};
use plastron_svid::VerifiedPaths;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};

use crate::{Authorizer, PeerVerifier, SvidResolver};

/// Makes configurations for mutual TLS over a live source: TLS 1.3 and 1.2, both sides with an SVID, no resumption.
///
/// A configuration is made once and serves all connections: what the source and the authorizer say may change under it.
#[derive(Clone, Debug)]
pub struct MutualTls {
    source: X509Source,
    provider: Arc<CryptoProvider>,
    picker: SvidPicker,
    versions: &'static [&'static SupportedProtocolVersion],
    paths: Option<Arc<VerifiedPaths<'static>>>,
}

impl MutualTls {
    /// Takes SVIDs and bundles from `source`, and cryptography from `provider`. Presents the default SVID.
    pub fn new(source: X509Source, provider: Arc<CryptoProvider>) -> Self {
        Self {
            source,
            provider,
            picker: SvidPicker::First,
            versions: rustls::ALL_VERSIONS,
            paths: None,
        }
    }

    /// Says which of several SVIDs to present.
    #[must_use]
    pub fn picker(mut self, picker: SvidPicker) -> Self {
        self.picker = picker;
        self
    }

    /// Restricts the versions of TLS, for instance to 1.3 alone. Below 1.2 there is none (X509-72).
    #[must_use]
    pub fn versions(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    /// Has all configurations remember together the chains of so many peers, whose signatures are not checked again while nothing
    /// of the chain and of its trust domain's bundle changes. What is accepted is the same; see [`VerifiedPaths`].
    #[must_use]
    pub fn remembering(mut self, peers: usize) -> Self {
        let algorithms = self.provider.signature_verification_algorithms.all;
        self.paths = Some(Arc::new(VerifiedPaths::new(algorithms, peers)));
        self
    }

    /// A configuration for clients of the servers that `servers` lets in.
    ///
    /// `rustls` still wants the name of a server, which it sends to it; it has no part in who the server is.
    ///
    /// # Errors
    ///
    /// The provider has nothing for these versions of TLS.
    pub fn client_config(&self, servers: Authorizer) -> Result<ClientConfig, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(self.versions)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(servers))
            .with_client_cert_resolver(self.resolver());
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// A configuration for servers of the clients that `clients` lets in; one without a certificate is refused.
    ///
    /// # Errors
    ///
    /// The provider has nothing for these versions of TLS.
    pub fn server_config(&self, clients: Authorizer) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(self.versions)?
            .with_client_cert_verifier(self.verifier(clients))
            .with_cert_resolver(self.resolver());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn verifier(&self, authorizer: Authorizer) -> Arc<PeerVerifier> {
        let (source, provider) = (self.source.clone(), Arc::clone(&self.provider));
        let verifier = PeerVerifier::new(source, provider, authorizer);
        Arc::new(match &self.paths {
            Some(paths) => verifier.remembering(Arc::clone(paths)),
            None => verifier,
        })
    }

    fn resolver(&self) -> Arc<SvidResolver> {
        let (source, provider) = (self.source.clone(), Arc::clone(&self.provider));
        Arc::new(SvidResolver::new(source, self.picker.clone(), provider))
    }
}
