//! Making keys and having them signed, some at a time.

use std::{sync::Arc, time::Duration};

use plastron_entry::RegistrationEntry;
use plastron_keys::{KeyBackend, KeyType, PrivateKey};

use super::{Desk, Svid, SvidKey};
#[cfg(feature = "wit")]
use super::{SvidKind, wit};
use crate::{
    audit::CredentialFragment,
    upstream::{Upstream, UpstreamError, X509Request},
};

/// SVIDs that are minted at a time, each a signature on the thread that serves or some milliseconds on another.
pub(super) const MINTED_AT_ONCE: usize = 32;

impl Desk {
    /// Mints what is to be minted and still wanted, a bounded number at a time.
    pub(super) fn mint_more(&mut self) {
        while self.minting.len() < MINTED_AT_ONCE
            && let Some(key) = self.to_mint.pop_front()
        {
            if self.by_svid.contains_key(&key) {
                self.mint(key);
            }
        }
    }

    /// Makes a key and has it signed. Slow key types do not hold up others.
    fn mint(&mut self, key: SvidKey) {
        let entry = key.entry.clone();
        let keys = self.keys.clone();
        let upstream = self.upstream.clone();
        #[cfg(feature = "wit")]
        if key.kind == SvidKind::Wit {
            let lifetime = self.settings.wit_svid_ttl;
            let task = self
                .minting
                .spawn(async move { wit::mint(&entry, &*keys, &*upstream, lifetime).await });
            self.minted.insert(task.id(), key);
            return;
        }
        let key_type = self.settings.x509_svid_key_type;
        let lifetime = entry.x509_svid_ttl.unwrap_or(self.settings.x509_svid_ttl);
        let task = self
            .minting
            .spawn(async move { mint(&entry, keys, &*upstream, key_type, lifetime).await });
        self.minted.insert(task.id(), key);
    }
}

async fn mint(
    entry: &RegistrationEntry,
    keys: Arc<dyn KeyBackend>,
    upstream: &dyn Upstream,
    key_type: KeyType,
    lifetime: Duration,
) -> Result<Svid, UpstreamError> {
    let key = generate(keys, key_type).await?;
    let issued = upstream
        .x509_svid(X509Request {
            spiffe_id: entry.spiffe_id.clone(),
            public_key: key.public_key().clone(),
            dns_names: entry.dns_names.clone(),
            lifetime,
        })
        .await?;
    let credential = CredentialFragment::x509(
        &entry.spiffe_id,
        &entry.id,
        &issued.serial,
        issued.expires_at,
    );
    Ok(Svid {
        document: issued.chain,
        key: key.to_pkcs8(),
        serial: issued.serial,
        issued_at: issued.issued_at,
        expires_at: issued.expires_at,
        credential,
    })
}

/// A task that panicked is a failure like others: those who wait are told, and it is tried again.
pub(super) fn broke_off(what: &str, error: &tokio::task::JoinError) -> UpstreamError {
    tracing::error!(%error, "{what} broke off");
    UpstreamError::Unavailable {
        reason: format!("{what} broke off"),
    }
}

/// Makes a key: at once where that takes microseconds, beside the others where it takes milliseconds.
async fn generate(
    keys: Arc<dyn KeyBackend>,
    key_type: KeyType,
) -> Result<Box<dyn PrivateKey>, UpstreamError> {
    let made = match key_type {
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
            tokio::task::spawn_blocking(move || keys.generate(key_type))
                .await
                .map_err(|error| broke_off("making a key", &error))?
        }
        _ => keys.generate(key_type),
    };
    made.map_err(|error| UpstreamError::Unavailable {
        reason: format!("no {key_type} key could be made: {error}"),
    })
}
