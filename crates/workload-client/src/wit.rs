//! The calls of the WIT-SVID profile, which is incubating. Spec: Workload API §7.

use plastron_bundle::BundleSet;
use plastron_id::SpiffeId;
use plastron_source::{WitBundleSource, WitSource};
use plastron_svid::WitSvid;
use plastron_wire::workload::{
    WitBundlesRequest, WitBundlesResponse, WitsvidRequest, WitsvidResponse,
};
use tonic::{Status, Streaming};

use crate::client::{Calls, now};
use crate::response::{self, ResponseError};
use crate::watch::Profile;
use crate::{ClientError, Driver, WorkloadClient};

impl WorkloadClient {
    /// The WIT-SVIDs of now with their keys, for each identity of the caller, the default first, or for `id` alone.
    ///
    /// A [`SvidPicker`](plastron_source::SvidPicker) finds the one that the operator gave a hint.
    ///
    /// # Errors
    ///
    /// The agent's refusal, [`Unimplemented`](ClientError::is_unimplemented) where it does not have the profile, or an
    /// answer that breaks the rules.
    ///
    /// Spec: Workload API §7.2.1 (WAPI-60 to WAPI-64).
    pub async fn fetch_wit_svids(
        &self,
        id: Option<&SpiffeId>,
    ) -> Result<Vec<WitSvid>, ClientError> {
        self.once(&WitSvids(id.cloned())).await
    }

    /// The bundles of now to verify WIT-SVIDs with.
    ///
    /// # Errors
    ///
    /// As [`fetch_wit_svids`](Self::fetch_wit_svids).
    ///
    /// Spec: Workload API §7.2.2 (WAPI-65 to WAPI-67).
    pub async fn fetch_wit_bundles(&self) -> Result<BundleSet, ClientError> {
        self.once(&WitBundles).await
    }

    /// Waits for the first WIT-SVIDs, of all identities of the caller or of `id` alone, however long it takes, and makes a
    /// source of them, which lives as [`x509_source`](Self::x509_source) does.
    ///
    /// While the agent is away a token may expire in the source: look at [`expires_at`](WitSvid::expires_at) (WIT-49).
    ///
    /// # Errors
    ///
    /// The agent's refusal, of a kind that will not change, as where it does not have the profile.
    ///
    /// Spec: Workload API §4, §7.2.1 (WAPI-64).
    pub async fn wit_source(
        &self,
        id: Option<&SpiffeId>,
    ) -> Result<(WitSource, Driver), ClientError> {
        self.source_of(WitSvids(id.cloned())).await
    }

    /// Waits for the first bundles to verify WIT-SVIDs with, however long it takes, and makes a source of them, which lives
    /// as [`x509_source`](Self::x509_source) does.
    ///
    /// # Errors
    ///
    /// As [`wit_source`](Self::wit_source).
    ///
    /// Spec: Workload API §4, §7.2.2 (WAPI-66).
    pub async fn wit_bundle_source(&self) -> Result<(WitBundleSource, Driver), ClientError> {
        self.source_of(WitBundles).await
    }
}

/// Of all identities, or of one.
struct WitSvids(Option<SpiffeId>);

impl Profile for WitSvids {
    const CALL: &'static str = "FetchWITSVID";
    type Response = WitsvidResponse;
    type Value = Vec<WitSvid>;

    async fn open(
        &self,
        mut calls: Calls,
    ) -> Result<tonic::Response<Streaming<WitsvidResponse>>, Status> {
        let spiffe_id = self.0.as_ref().map(SpiffeId::to_string);
        let request = WitsvidRequest {
            spiffe_id: spiffe_id.unwrap_or_default(),
        };
        calls.fetch_witsvid(request).await
    }

    fn value(
        &self,
        response: &WitsvidResponse,
        _: &WorkloadClient,
    ) -> Result<Vec<WitSvid>, ResponseError> {
        response::wit_svids(response, self.0.as_ref(), now())
    }
}

struct WitBundles;

impl Profile for WitBundles {
    const CALL: &'static str = "FetchWITBundles";
    type Response = WitBundlesResponse;
    type Value = BundleSet;

    async fn open(
        &self,
        mut calls: Calls,
    ) -> Result<tonic::Response<Streaming<WitBundlesResponse>>, Status> {
        calls.fetch_wit_bundles(WitBundlesRequest {}).await
    }

    fn value(
        &self,
        response: &WitBundlesResponse,
        _: &WorkloadClient,
    ) -> Result<BundleSet, ResponseError> {
        response::wit_bundles(response)
    }
}
