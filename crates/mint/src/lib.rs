//! Minting: X509-SVIDs, JWT-SVIDs and signing certificates, over a signer; with the feature `wit` WIT-SVIDs too, and the proofs
//! that they are presented with.
//!
//! What is in a document is policy and profile, never the requester's word: from a CSR only the key is taken. Serials,
//! token IDs and the time are arguments; so the same call gives the same bytes, as far as the signature algorithm does.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use pki_types::UnixTime;
//! use plastron_id::{SpiffeId, TrustDomain};
//! use plastron_keys::{KeyBackend, KeyType};
//! use plastron_keys_aws_lc::AwsLc;
//! use plastron_mint::{JwtIssuer, X509Issuer, self_signed_authority};
//!
//! let day = |n: u64| UnixTime::since_unix_epoch(Duration::from_secs(n * 86_400));
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400);
//! let trust_domain: TrustDomain = "example.org".parse()?;
//! let id: SpiffeId = "spiffe://example.org/shop/cart".parse()?;
//!
//! let ca_key = AwsLc.generate(KeyType::EcP256)?;
//! let authority = self_signed_authority(&trust_domain, &*ca_key, &[1; 16], day(20_000), day(20_001))?;
//!
//! let key = AwsLc.generate(KeyType::EcP256)?;
//! let svid = X509Issuer::new(&authority, &*ca_key)?
//!     .x509_svid(&id, key.public_key())
//!     .lifetime(Duration::from_secs(3600))
//!     .sign(&[2; 16], now)?;
//! assert_eq!(svid.not_after.as_secs(), 20_000 * 86_400 + 3600);
//!
//! let jwt_key = AwsLc.generate(KeyType::EcP256)?;
//! let token = JwtIssuer::new(trust_domain.as_ref(), "key-1", &*jwt_key, None)?
//!     .jwt_svid(&id, &["payments"])
//!     .sign("a-token-id", now)?;
//! assert_eq!(token.token.split('.').count(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Tier 1. DER is written by hand, since the builder of `x509-cert` costs a third of a P-256 signature. Left out: CRLs,
//! name constraints, claims beyond those of the profile.

mod authority;
mod csr;
mod der_writer;
mod dns_name;
mod error;
#[cfg(feature = "wit")]
mod http_signature;
mod jws;
mod jwt_svid;
mod tbs;
mod validity;
#[cfg(feature = "wit")]
mod wit_svid;
#[cfg(feature = "wit")]
mod workload_proof;
mod x509_svid;

pub use authority::{X509AuthorityRequest, self_signed_authority};
pub use csr::{CsrError, verify_csr};
pub use error::{IssuerError, MintError};
#[cfg(feature = "wit")]
pub use http_signature::HttpSignatureRequest;
pub use jwt_svid::{DEFAULT_JWT_SVID_LIFETIME, JwtIssuer, JwtSvidRequest, MintedJwtSvid};
#[cfg(feature = "wit")]
pub use wit_svid::{DEFAULT_WIT_SVID_LIFETIME, MintedWitSvid, WitIssuer, WitSvidRequest};
#[cfg(feature = "wit")]
pub use workload_proof::{DEFAULT_PROOF_LIFETIME, MintedProof, WorkloadProofRequest};
pub use x509_svid::{
    BACKDATE, DEFAULT_X509_SVID_LIFETIME, MintedX509Svid, X509Issuer, X509SvidRequest,
};
