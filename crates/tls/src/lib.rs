//! TLS between workloads: whoever is on the other side shows an X509-SVID, and its SPIFFE ID is authorized.
//!
//! [`MutualTls`] makes configurations for `rustls` out of a live source. Each handshake takes the newest SVID and the newest
//! bundles, verifies the peer's chain by the rules of X509-SVID in the place of host names, and asks an [`Authorizer`] about
//! its ID (X509-72, X509-74).
//!
//! ```
//! # use plastron_testing::{Authority, Clock};
//! # use plastron_source::{X509Context, source};
//! # let (authority, clock) = (Authority::new("example.org"), Clock::new());
//! # let svids = vec![authority.x509_svid("/shop/cart", clock.now())];
//! # let (_publisher, source) = source(X509Context::new(svids, [authority.bundle()].into_iter().collect()));
//! use std::sync::Arc;
//!
//! use plastron_tls::{Authorizer, MutualTls};
//!
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let tls = MutualTls::new(source, provider);
//! let server = tls.server_config(Authorizer::member_of("example.org".parse()?))?;
//! let client = tls.client_config(Authorizer::patterns(["spiffe://example.org/shop/*".parse()?]))?;
//! # let _ = (server, client);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Resumption
//!
//! A resumed session shows no certificate, so nobody would look at a peer whose trust domain was removed, whose SVID has
//! expired, or who is not authorized any more. The configurations made here neither offer nor take resumption: each connection
//! is a full handshake, and each is checked (X509-73). Who puts [`PeerVerifier`] into a configuration of his own has to turn
//! resumption off there, as [`MutualTls`] does.
//!
//! Tier 2: no runtime, no clock but that of the configuration, no process-wide provider. Work for one peer is bounded by the
//! limits of `plastron-svid`. Left out: WIT-SVIDs, and TLS with tokens.

mod authorizer;
mod error;
mod mutual_tls;
mod peer_id;
mod peer_verifier;
mod svid_resolver;

pub use authorizer::Authorizer;
pub use error::PeerError;
pub use mutual_tls::MutualTls;
pub use peer_id::peer_id;
pub use peer_verifier::PeerVerifier;
pub use svid_resolver::SvidResolver;
