//! What an agent is told before it starts.

use std::time::Duration;

use plastron_id::TrustDomain;
use plastron_keys::KeyType;

/// What an agent is and how much it takes on. Entries and foreign bundles are not here: they change while it runs
/// ([`Registry`](crate::Registry)).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The trust domain whose identities it serves.
    pub trust_domain: TrustDomain,
    /// Lifetime of an X.509-SVID whose entry names none. Default: 1 hour.
    pub x509_svid_ttl: Duration,
    /// Lifetime of a JWT-SVID whose entry names none. Default: 5 minutes.
    pub jwt_svid_ttl: Duration,
    /// Whether WIT-SVIDs are served. The profile is incubating, and so is off by default (STAB-03).
    #[cfg(feature = "wit")]
    pub wit_svid: bool,
    /// Lifetime of a WIT-SVID. Default: 1 hour.
    #[cfg(feature = "wit")]
    pub wit_svid_ttl: Duration,
    /// Type of the keys it makes for X.509-SVIDs. Default: P-256.
    pub x509_svid_key_type: KeyType,
    /// Whether a caller without an entry may fetch the bundle of the trust domain and validate tokens. Default: no.
    pub unauthenticated_bundles: bool,
    /// How long an attestor may take over one caller. Default: 5 seconds.
    pub attestation_timeout: Duration,
    /// X.509-SVIDs, and WIT-SVIDs with them, kept while nobody watches them. Default: 1,000.
    pub x509_cache_entries: usize,
    /// JWT-SVIDs kept. Default: 4,096.
    pub jwt_cache_entries: usize,
    /// Bytes of JWT-SVIDs kept. Default: 8 MiB.
    pub jwt_cache_bytes: usize,
    /// New JWT-SVIDs signed for one uid, per second and in a burst. Default: 100 and 200.
    pub jwt_signatures_per_uid: (u32, u32),
}

impl Settings {
    /// The defaults for a trust domain.
    pub fn new(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            x509_svid_ttl: Duration::from_secs(3600),
            jwt_svid_ttl: Duration::from_secs(300),
            #[cfg(feature = "wit")]
            wit_svid: false,
            #[cfg(feature = "wit")]
            wit_svid_ttl: Duration::from_secs(3600),
            x509_svid_key_type: KeyType::EcP256,
            unauthenticated_bundles: false,
            attestation_timeout: Duration::from_secs(5),
            x509_cache_entries: 1000,
            jwt_cache_entries: 4096,
            jwt_cache_bytes: 8 << 20,
            jwt_signatures_per_uid: (100, 200),
        }
    }
}
