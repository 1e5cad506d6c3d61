//! What the answers for X.509 and JWT say.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use plastron_bundle::BundleSet;
use plastron_entry::RegistrationEntry;
use plastron_id::TrustDomain;
use plastron_wire::workload as proto;
use plastron_workload_api::Message;

use super::{Content, Desk, Release, Svid, SvidKey, SvidKind};
use crate::{audit::CredentialFragment, refusal, svids::Standing};

impl Desk {
    /// The SVIDs that can be had. One that cannot does not keep the others from their workload.
    ///
    /// # Errors
    ///
    /// What stands instead, where none can, or one is waited for.
    pub(super) fn held<'s>(
        &'s self,
        kind: SvidKind,
        entries: &'s [Arc<RegistrationEntry>],
    ) -> Result<HeldSvids<'s>, Content> {
        let now = self.clock.now();
        let mut held = HeldSvids::default();
        let mut failure = None;
        for entry in entries {
            match self.book.standing(&SvidKey::new(kind, entry), now) {
                Standing::Held(svid) => {
                    let earliest = held.expires_at.unwrap_or(svid.expires_at);
                    held.expires_at = Some(earliest.min(svid.expires_at));
                    held.credentials.push(svid.credential.clone());
                    held.svids.push((entry, svid));
                }
                Standing::Awaited => return Err(Content::Awaited),
                Standing::Failed(error) => failure = Some(error),
            }
        }
        if held.svids.is_empty() {
            let refusal = failure.map_or_else(refusal::no_identity, refusal::from_upstream);
            return Err(Content::Failed(refusal));
        }
        Ok(held)
    }

    pub(super) fn x509_svids(&self, entries: &[Arc<RegistrationEntry>]) -> Content {
        let held = match self.held(SvidKind::X509, entries) {
            Ok(held) => held,
            Err(content) => return content,
        };
        let bundle = bytes::Bytes::from(self.bundle.borrow().x509_der());
        let svid = |&(entry, svid): &(&RegistrationEntry, &Svid)| proto::X509svid {
            spiffe_id: entry.spiffe_id.as_str().to_owned(),
            x509_svid: svid.document.clone().into(),
            // Wiped like the one that is held.
            x509_svid_key: bytes::Bytes::from_owner(svid.key.clone()),
            bundle: bundle.clone(),
            hint: entry.hint.to_string(),
        };
        let svids = held.svids.iter().map(svid).collect();
        let federated_bundles = federated_x509(
            entries.iter().flat_map(|entry| &entry.federates_with),
            &self.foreign,
        );
        held.release(Message::encode(&proto::X509svidResponse {
            svids,
            crl: Vec::new(),
            federated_bundles,
        }))
    }

    pub(super) fn x509_bundles(&self, federated: &[TrustDomain]) -> Release {
        let own = self.bundle.borrow();
        let mut bundles = federated_x509(federated, &self.foreign);
        bundles.insert(own.trust_domain().id().to_string(), own.x509_der().into());
        Release::of_bundles(Message::encode(&proto::X509BundlesResponse {
            crl: Vec::new(),
            bundles,
        }))
    }

    pub(super) fn jwt_bundles(&self, federated: &[TrustDomain]) -> Release {
        let own = self.bundle.borrow();
        let mut bundles: BTreeMap<String, bytes::Bytes> = federated
            .iter()
            .filter_map(|name| self.foreign.get(name.as_ref()))
            .map(|bundle| (bundle.trust_domain().id().to_string(), bundle.jwks().into()))
            .collect();
        bundles.insert(own.trust_domain().id().to_string(), own.jwks().into());
        Release::of_bundles(Message::encode(&proto::JwtBundlesResponse { bundles }))
    }
}

/// The SVIDs of an answer, each with its entry.
#[derive(Default)]
pub(super) struct HeldSvids<'s> {
    pub(super) svids: Vec<(&'s RegistrationEntry, &'s Svid)>,
    credentials: Vec<CredentialFragment>,
    expires_at: Option<SystemTime>,
}

impl HeldSvids<'_> {
    pub(super) fn release(self, message: Message) -> Content {
        Content::Ready(Arc::new(Release {
            message,
            credentials: self.credentials,
            expires_at: self.expires_at,
        }))
    }
}

/// The X.509 bundles of these foreign domains, by the domain's SPIFFE ID (WAPI-26). A domain without a bundle is left out.
fn federated_x509<'a>(
    names: impl IntoIterator<Item = &'a TrustDomain>,
    foreign: &BundleSet,
) -> BTreeMap<String, bytes::Bytes> {
    names
        .into_iter()
        .filter_map(|name| foreign.get(name.as_ref()))
        .map(|bundle| {
            (
                bundle.trust_domain().id().to_string(),
                bundle.x509_der().into(),
            )
        })
        .collect()
}
