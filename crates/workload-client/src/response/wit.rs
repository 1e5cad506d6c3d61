//! Answers of the WIT-SVID profile. Spec: Workload API §7.

use pki_types::UnixTime;
use plastron_bundle::{Bundle, BundleSet};
use plastron_id::SpiffeId;
use plastron_source::first_of_each_hint;
use plastron_svid::WitSvid;
use plastron_wire::workload;

use super::{ResponseError, announced, check_filled, token_bundles};

/// Spec: Workload API §7.2.1 (WAPI-61 to WAPI-64).
pub(crate) fn wit_svids(
    response: &workload::WitsvidResponse,
    asked: Option<&SpiffeId>,
    now: UnixTime,
) -> Result<Vec<WitSvid>, ResponseError> {
    if response.svids.is_empty() {
        return Err(ResponseError::Empty("svids"));
    }
    let mut svids = Vec::with_capacity(response.svids.len());
    for svid in &response.svids {
        check_filled(&[
            ("spiffe_id", svid.spiffe_id.as_bytes()),
            ("wit_svid", svid.wit_svid.as_bytes()),
            ("wit_svid_key", svid.wit_svid_key.as_bytes()),
        ])?;
        let id = announced(&svid.spiffe_id, asked)?;
        let parsed =
            WitSvid::parse_insecure(&id, &svid.wit_svid, &svid.wit_svid_key, &svid.hint, now);
        svids.push(parsed.map_err(|source| ResponseError::WitSvid { id, source })?);
    }
    Ok(first_of_each_hint(svids))
}

/// Spec: Workload API §7.2.2 (WAPI-65 to WAPI-67).
pub(crate) fn wit_bundles(
    response: &workload::WitBundlesResponse,
) -> Result<BundleSet, ResponseError> {
    token_bundles(&response.bundles, Bundle::parse_wit_jwks)
}
