//! What the tests of minting have in common: keys that are made once, a time, an authority.

#![allow(dead_code, reason = "each test file takes what it needs")]

pub(crate) mod profile;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use pki_types::UnixTime;
use plastron_id::{SpiffeId, TrustDomain};
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey};
use plastron_keys_aws_lc::AwsLc;
use plastron_mint::{X509Issuer, self_signed_authority};

/// 2027-01-15T08:00:00Z, the moment at which the tests mint.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) const ID: &str = "spiffe://example.org/shop/cart";

pub(crate) fn unix(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(crate) fn id() -> SpiffeId {
    ID.parse().unwrap()
}

pub(crate) fn trust_domain() -> TrustDomain {
    "example.org".parse().unwrap()
}

/// A serial with its top bit set, so that a sign byte is needed.
pub(crate) const SERIAL: [u8; 16] = [0xf1; 16];

/// One of two keys of each type for the whole test binary: making RSA keys takes its time.
pub(crate) fn key(key_type: KeyType, which: u8) -> &'static dyn PrivateKey {
    type Keys = HashMap<(KeyType, u8), &'static dyn PrivateKey>;
    static KEYS: OnceLock<Mutex<Keys>> = OnceLock::new();
    let mut keys = KEYS.get_or_init(Mutex::default).lock().unwrap();
    *keys
        .entry((key_type, which))
        .or_insert_with(|| Box::leak(AwsLc.generate(key_type).unwrap()))
}

pub(crate) fn ca_key() -> &'static dyn PrivateKey {
    key(KeyType::EcP256, 0)
}

pub(crate) fn leaf_key() -> &'static dyn PrivateKey {
    key(KeyType::EcP256, 1)
}

/// A root that lives a day from [`NOW`].
pub(crate) struct Root {
    pub(crate) der: Vec<u8>,
    pub(crate) key: &'static dyn PrivateKey,
}

impl Root {
    pub(crate) fn new() -> Self {
        Self::with_key(ca_key())
    }

    pub(crate) fn with_key(key: &'static dyn PrivateKey) -> Self {
        let der = self_signed_authority(
            &trust_domain(),
            key,
            &[0x0a; 16],
            unix(NOW - 60),
            unix(NOW + 86_400),
        )
        .unwrap();
        Self { der, key }
    }

    pub(crate) fn issuer(&self) -> X509Issuer<'_> {
        X509Issuer::new(&self.der, self.key).unwrap()
    }
}
