//! X509-SVIDs and JWT-SVIDs: verifying those of others, and holding one's own. WIT-SVIDs too, with the feature `wit`.
//!
//! Verification is a function of its arguments: what was presented, whom we trust, when, and with which algorithms. The
//! result type is the proof; nothing else makes one.
//!
//! ```
//! # use std::time::Duration;
//! # use plastron_bundle::{Bundle, JwtAuthority, X509Authority};
//! # use plastron_keys::{KeyBackend as _, KeyType};
//! # use plastron_keys_aws_lc::AwsLc;
//! # use plastron_mint::{JwtIssuer, X509Issuer, self_signed_authority};
//! # let now = pki_types::UnixTime::since_unix_epoch(Duration::from_secs(20_000 * 86_400));
//! # let then = std::time::UNIX_EPOCH + Duration::from_secs(now.as_secs());
//! # let end = pki_types::UnixTime::since_unix_epoch(Duration::from_secs(20_001 * 86_400));
//! # let example = "example.org".parse()?;
//! # let cart = "spiffe://example.org/shop/cart".parse()?;
//! # let key = AwsLc.generate(KeyType::EcP256)?;
//! # let root = self_signed_authority(&example, &*key, &[1; 16], now, end)?;
//! # let leaf = X509Issuer::new(&root, &*key)?.x509_svid(&cart, key.public_key()).sign(&[2; 16], then)?.der;
//! # let issuer = JwtIssuer::new(example.as_ref(), "k", &*key, None)?;
//! # let token = issuer.jwt_svid(&cart, &["payments"]).sign("1", then)?.token;
//! # let mut bundle = Bundle::new(example);
//! # bundle.add_x509_authority(X509Authority::parse(&root)?);
//! # bundle.add_jwt_authority(JwtAuthority::new("k", key.public_key().clone())?)?;
//! use plastron_svid::{JwtVerifier, PeerRole, X509Verifier};
//!
//! let algorithms = AwsLc.algorithms();
//! let client = X509Verifier::new(algorithms)
//!     .role(PeerRole::Client)
//!     .verify(&[&leaf], &bundle, now)?;
//! assert_eq!(client.id().path(), "/shop/cart");
//!
//! let caller = JwtVerifier::new(algorithms).verify(&token, &["payments"], &bundle, now)?;
//! assert_eq!(caller.id(), client.id());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Who is speaking is half of the question: whether he may is for the caller to decide, on the ID (SVID-14).
//!
//! Peers come back with the chain that they had: [`VerifiedPaths`] remembers, so that it takes no signature again.
//!
//! Tier 1: no clock, no I/O, no global. No input panics, and none costs more than the limits that stand here as constants.
//! Left out: CRLs, which SPIFFE makes optional and nobody sends (X509-60).

mod jwt_svid;
mod jwt_verifier;
mod token;
#[cfg(feature = "wit")]
mod wit_svid;
#[cfg(feature = "wit")]
mod wit_verifier;
mod x509_svid;
mod x509_verifier;

pub use jwt_svid::JwtSvid;
pub use jwt_verifier::{
    DEFAULT_LEEWAY, JwtError, JwtVerifier, MAX_KEYS_TRIED, MAX_LEEWAY, MAX_TOKEN_LEN,
    VerifiedJwtSvid,
};
#[cfg(feature = "wit")]
pub use wit_svid::{WitSvid, WitSvidError};
#[cfg(feature = "wit")]
pub use wit_verifier::{
    DEFAULT_MAX_PROOF_LIFETIME, HttpProof, MAX_PROOF_LEN, MAX_WIT_LEN, ProofError, ProofId,
    ReplayError, SeenProofs, UnprovenWitSvid, VerifiedWitSvid, WIT_HEADER, WIT_REVISION,
    WPT_HEADER, WitError, WitVerifier, WorkloadProof, header_value,
};
pub use x509_svid::{X509Svid, X509SvidError};
pub use x509_verifier::{
    LeafError, MAX_AUTHORITY_COMPARISONS, MAX_CHAIN_LEN, MAX_INTERMEDIATES, MAX_NAME_COMPARISONS,
    MAX_PATH_STEPS, MAX_SIGNATURES, NameConstraintError, PathError, PeerRole, VerifiedPaths,
    VerifiedX509Svid, VerifyError, X509Verifier,
};
