//! Presenting one's own SVID, the newest one each time.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use plastron_source::{SvidPicker, X509Context, X509Source};
use plastron_svid::X509Svid;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Presents an X509-SVID of a source in handshakes, as client or as server.
///
/// Each handshake gets the newest (X509-74). The private key is loaded into the provider once for each context that the source
/// gives out. Without an SVID that the picker wants, a server ends the handshake and a client shows no certificate.
pub struct SvidResolver {
    source: X509Source,
    picker: SvidPicker,
    provider: Arc<CryptoProvider>,
    loaded: ArcSwapOption<Loaded>,
}

/// What was made of a context. The context is kept, so that none other can be taken for it.
struct Loaded {
    context: Arc<X509Context>,
    key: Option<Arc<CertifiedKey>>,
}

impl SvidResolver {
    /// A resolver over `source`, whose keys sign with `provider`.
    pub fn new(source: X509Source, picker: SvidPicker, provider: Arc<CryptoProvider>) -> Self {
        Self {
            source,
            picker,
            provider,
            loaded: ArcSwapOption::empty(),
        }
    }

    fn certified_key(&self) -> Option<Arc<CertifiedKey>> {
        let Ok(context) = self.source.current() else {
            // A key that was withdrawn is not kept either.
            self.loaded.store(None);
            return None;
        };
        if let Some(loaded) = &*self.loaded.load()
            && Arc::ptr_eq(&loaded.context, &context)
        {
            return loaded.key.clone();
        }
        let svid = context.pick(&self.picker).ok();
        let key = svid.and_then(|svid| self.load(svid)).map(Arc::new);
        self.loaded.store(Some(Arc::new(Loaded {
            context,
            key: key.clone(),
        })));
        key
    }

    /// Loads the key. `None` when the provider cannot sign with keys of its type.
    fn load(&self, svid: &X509Svid) -> Option<CertifiedKey> {
        let chain = svid
            .certificates()
            .map(|certificate| CertificateDer::from(certificate.der().to_vec()))
            .collect();
        let key = PrivatePkcs8KeyDer::from(svid.key_pkcs8()).clone_key();
        CertifiedKey::from_der(chain, key.into(), &self.provider).ok()
    }
}

impl ResolvesServerCert for SvidResolver {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certified_key()
    }
}

impl ResolvesClientCert for SvidResolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certified_key()
    }

    fn has_certs(&self) -> bool {
        self.certified_key().is_some()
    }
}

impl fmt::Debug for SvidResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SvidResolver")
            .field("picker", &self.picker)
            .finish_non_exhaustive()
    }
}
