//! A trust domain of one's own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_bundle::{Bundle, JwtAuthority, X509Authority};
use plastron_id::{SpiffeId, TrustDomain};
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey};
use plastron_mint::{JwtIssuer, X509Issuer, self_signed_authority};
use plastron_svid::X509Svid;

use crate::BACKEND;

/// The authority of a trust domain: one X.509 key, one JWT key, valid from 2000 to 2099.
#[derive(Debug)]
pub struct Authority {
    trust_domain: TrustDomain,
    certificate: Vec<u8>,
    key: Box<dyn PrivateKey>,
    jwt_key: Box<dyn PrivateKey>,
    #[cfg(feature = "wit")]
    pub(crate) wit_key: Box<dyn PrivateKey>,
    serial: AtomicU64,
}

impl Authority {
    /// The `kid` of its JWT key.
    pub const KEY_ID: &'static str = "jwt-key-1";

    /// An authority with P-256 keys.
    ///
    /// # Panics
    ///
    /// When `trust_domain` is no name.
    pub fn new(trust_domain: &str) -> Self {
        Self::with_key_type(trust_domain, KeyType::EcP256)
    }

    /// An authority with keys of this type; for Ed25519 the JWT key is P-256.
    ///
    /// # Panics
    ///
    /// When `trust_domain` is no name.
    pub fn with_key_type(trust_domain: &str, key_type: KeyType) -> Self {
        let trust_domain: TrustDomain = trust_domain.parse().expect("a trust domain name");
        let jwt_key_type = match key_type {
            KeyType::Ed25519 => KeyType::EcP256,
            other => other,
        };
        let key = generate(key_type);
        let certificate = self_signed_authority(
            &trust_domain,
            &*key,
            &serial_number(1),
            NOT_BEFORE,
            NOT_AFTER,
        )
        .expect("a valid request");
        Self {
            trust_domain,
            certificate,
            key,
            jwt_key: generate(jwt_key_type),
            #[cfg(feature = "wit")]
            wit_key: generate(KeyType::EcP256),
            serial: AtomicU64::new(2),
        }
    }

    /// Its trust domain.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Its certificate in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The key that it signs certificates with.
    pub fn key(&self) -> &dyn PrivateKey {
        &*self.key
    }

    /// The key that it signs tokens with.
    pub fn jwt_key(&self) -> &dyn PrivateKey {
        &*self.jwt_key
    }

    /// The bundle that it publishes.
    pub fn bundle(&self) -> Bundle {
        let mut bundle = Bundle::new(self.trust_domain.clone());
        bundle.add_x509_authority(X509Authority::parse(&self.certificate).expect("just made"));
        let jwt_authority = JwtAuthority::new(Self::KEY_ID, self.jwt_key.public_key().clone())
            .expect("a key for tokens");
        bundle
            .add_jwt_authority(jwt_authority)
            .expect("the only one");
        bundle.set_sequence(Some(1));
        bundle.set_refresh_hint(Some(Duration::from_secs(300)));
        bundle
    }

    /// The ID with this path in its trust domain.
    ///
    /// # Panics
    ///
    /// When `path` is no path.
    pub fn id(&self, path: &str) -> SpiffeId {
        SpiffeId::new(self.trust_domain.as_ref(), path).expect("a path")
    }

    /// An X509-SVID that lives an hour from `now`, with a new P-256 key.
    pub fn x509_svid(&self, path: &str, now: SystemTime) -> X509Svid {
        self.x509_svid_for(path, now, Duration::from_secs(3600))
    }

    /// An X509-SVID that lives this long from `now`, with a new P-256 key.
    pub fn x509_svid_for(&self, path: &str, now: SystemTime, lifetime: Duration) -> X509Svid {
        let key = generate(KeyType::EcP256);
        let id = self.id(path);
        let svid = X509Issuer::new(&self.certificate, &*self.key)
            .expect("its own key")
            .x509_svid(&id, key.public_key())
            .lifetime(lifetime)
            .sign(&self.next_serial(), now)
            .expect("a valid request");
        X509Svid::new(&svid.der, &*key, &BACKEND).expect("its own key")
    }

    /// A JWT-SVID that lives five minutes from `now`.
    pub fn jwt_svid(&self, path: &str, audiences: &[&str], now: SystemTime) -> String {
        let id = self.id(path);
        JwtIssuer::new(
            self.trust_domain.as_ref(),
            Self::KEY_ID,
            &*self.jwt_key,
            None,
        )
        .expect("a key for tokens")
        .jwt_svid(&id, audiences)
        .sign("jti", now)
        .expect("a valid request")
        .token
    }

    /// A serial number that it has not used.
    pub fn next_serial(&self) -> [u8; 16] {
        serial_number(self.serial.fetch_add(1, Ordering::Relaxed))
    }
}

pub(crate) fn generate(key_type: KeyType) -> Box<dyn PrivateKey> {
    BACKEND.generate(key_type).expect("AWS-LC makes all types")
}

fn serial_number(number: u64) -> [u8; 16] {
    let mut serial = [0x5a; 16];
    serial[8..].copy_from_slice(&number.to_be_bytes());
    serial
}

const NOT_BEFORE: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(946_684_800));
const NOT_AFTER: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(4_102_444_799));
