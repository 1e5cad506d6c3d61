//! The answers of the WIT-SVID profile. Spec: Workload API §7.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use plastron_entry::RegistrationEntry;
use plastron_id::TrustDomain;
use plastron_keys::{KeyBackend, KeyType, Pkcs8Key};
use plastron_wire::workload as proto;
use plastron_workload_api::Message;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Content, Desk, Release};
use crate::{
    audit::CredentialFragment,
    svids::{Svid, SvidKind},
    upstream::{Upstream, UpstreamError, WitRequest},
};

/// Type of the keys of WIT-SVIDs: everybody's proofs can be of ES256 (WIT-48).
const KEY_TYPE: KeyType = KeyType::EcP256;

impl Desk {
    pub(super) fn wit_svids(&self, entries: &[Arc<RegistrationEntry>]) -> Content {
        let held = match self.held(SvidKind::Wit, entries) {
            Ok(held) => held,
            Err(content) => return content,
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let svid = |&(entry, svid): &(&RegistrationEntry, &Svid)| proto::Witsvid {
            spiffe_id: entry.spiffe_id.as_str().to_owned(),
            wit_svid: text(&svid.document),
            wit_svid_key: text(&svid.key),
            hint: entry.hint.to_string(),
        };
        let mut response = proto::WitsvidResponse {
            svids: held.svids.iter().map(svid).collect(),
        };
        let message = Message::encode(&response);
        for svid in &mut response.svids {
            svid.wit_svid_key.zeroize();
        }
        held.release(message)
    }

    pub(super) fn wit_bundles(&self, federated: &[TrustDomain]) -> Release {
        let own = self.bundle.borrow();
        let federated = federated
            .iter()
            .filter_map(|name| self.foreign.get(name.as_ref()));
        let bundles: BTreeMap<String, String> = federated
            .chain([&*own])
            .map(|bundle| {
                let jwks = String::from_utf8(bundle.wit_jwks()).expect("JSON is UTF-8");
                (bundle.trust_domain().id().to_string(), jwks)
            })
            .collect();
        Release::of_bundles(Message::encode(&proto::WitBundlesResponse { bundles }))
    }
}

/// Makes a key and has a token about it signed.
pub(super) async fn mint(
    entry: &RegistrationEntry,
    keys: &dyn KeyBackend,
    upstream: &dyn Upstream,
    lifetime: Duration,
) -> Result<Svid, UpstreamError> {
    let no_key = |error| UpstreamError::Unavailable {
        reason: format!("no {KEY_TYPE} key could be made: {error}"),
    };
    let key = keys.generate(KEY_TYPE).map_err(no_key)?;
    let issued = upstream
        .wit_svid(WitRequest {
            spiffe_id: entry.spiffe_id.clone(),
            public_key: key.public_key().clone(),
            lifetime,
        })
        .await?;
    let key = Pkcs8Key::parse(&key.to_pkcs8()).map_err(no_key)?;
    Ok(Svid {
        document: issued.token.into_bytes(),
        key: private_jwk(&key),
        serial: issued.jti.clone().into_bytes(),
        issued_at: issued.issued_at,
        expires_at: issued.expires_at,
        credential: CredentialFragment::wit(
            &entry.spiffe_id,
            &entry.id,
            &issued.jti,
            issued.expires_at,
        ),
    })
}

/// A private key in JSON (WAPI-62): names and values that need no escapes, in one allocation.
fn private_jwk(key: &Pkcs8Key) -> Zeroizing<Vec<u8>> {
    let jwk = key.jwk();
    let members = jwk.members();
    let len: usize = members
        .iter()
        .map(|(name, value)| name.len() + value.len() + 6)
        .sum();
    let mut json = Zeroizing::new(Vec::with_capacity(len + 1));
    for (i, (name, value)) in members.iter().enumerate() {
        let before = if i == 0 { "{\"" } else { ",\"" };
        for text in [before, name, "\":\"", value, "\""] {
            json.extend_from_slice(text.as_bytes());
        }
    }
    json.push(b'}');
    json
}

#[cfg(test)]
mod tests {
    use plastron_keys_aws_lc::AwsLc;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_key_is_written_as_json_without_a_copy_left_behind() {
        for key_type in KeyType::ALL {
            let key = AwsLc.generate(key_type).unwrap();
            let key = Pkcs8Key::parse(&key.to_pkcs8()).unwrap();
            let json = private_jwk(&key);
            let value: Value = serde_json::from_slice(&json).unwrap();
            // WAPI-62 +
            for (name, member) in key.jwk().members() {
                assert_eq!(value[name], member, "{key_type}");
            }
            assert!(json.capacity() <= json.len() + 1, "it never grew");
        }
    }
}
