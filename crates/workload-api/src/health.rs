//! gRPC health on the endpoint.

use futures_util::FutureExt as _;
use plastron_wire::workload;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::Limits;
use crate::services::Services;

/// Whether the server serves, told by `grpc.health.v1.Health` for the empty name and for `SpiffeWorkloadAPI`.
///
/// Serving from the start.
#[derive(Clone, Debug)]
pub struct Health(HealthReporter);

impl Health {
    pub(crate) fn install(services: &mut Services, limits: &Limits) -> Self {
        let (reporter, service) = tonic_health::server::health_reporter();
        let service = service.max_decoding_message_size(limits.request_bytes);
        services.add(service, true);
        services.describe(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let health = Self(reporter);
        // Nobody else holds the reporter yet, so this does not wait.
        let _done = health.set_serving(true).now_or_never();
        health
    }

    /// Says it.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in ["", workload::SERVICE_NAME] {
            self.0.set_service_status(name, status).await;
        }
    }
}
