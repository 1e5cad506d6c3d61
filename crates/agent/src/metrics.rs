//! What is counted, for Prometheus.
//!
//! Counters that move with each record or attestation are atomics here, without labels to hash. What the parts of the agent
//! count themselves is read from them when somebody asks.

mod sources;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use plastron_workload_api::Stats;
use prometheus_client::{
    encoding::text,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

use self::sources::Sources;
use crate::{answers::DeskCounts, health::Health, jwt::JwtCache, upstream::Upstream};

/// The counters of an agent.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    attested: Counter,
    attestation_failed: Counter,
    attestation_seconds: Histogram,
    audit: AuditMetrics,
    sources: Arc<Sources>,
}

/// What the [audit](crate::audit) counts.
#[derive(Clone, Debug, Default)]
pub struct AuditMetrics {
    /// Records written.
    pub(crate) records: Counter,
    /// Records lost.
    pub(crate) lost: Counter,
    /// Records that wait since the file cannot be written.
    pub(crate) waiting: Gauge,
    /// 1 while the file cannot be written.
    pub(crate) failing: Gauge,
}

/// When an attestation began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started(Instant);

impl Metrics {
    /// Counters at zero.
    pub fn new(trust_domain: &str, started_at: SystemTime) -> Self {
        let mut registry = Registry::with_prefix("plastron_agent");
        let labels = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("trust_domain", trust_domain.to_owned()),
        ];
        registry.register("build", "The program and whom it serves", Info::new(labels));
        let started = started_at
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        registry.register(
            "start_time_seconds",
            "When the agent started, Unix time",
            ConstGauge::new(started),
        );

        let attestations = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register(
            "attestations",
            "Callers looked at, by outcome",
            attestations.clone(),
        );
        let outcome = |outcome| attestations.get_or_create(&[("outcome", outcome)]).clone();
        let (attested, attestation_failed) = (outcome("attested"), outcome("failed"));
        let attestation_seconds = Histogram::new(exponential_buckets(25e-6, 2.0, 18));
        registry.register(
            "attestation_seconds",
            "How long it took to look at a caller",
            attestation_seconds.clone(),
        );

        let audit = AuditMetrics::default();
        registry.register(
            "audit_records",
            "Audit records written",
            audit.records.clone(),
        );
        registry.register("audit_lost", "Audit records lost", audit.lost.clone());
        registry.register(
            "audit_waiting",
            "Audit records that wait to be written",
            audit.waiting.clone(),
        );
        registry.register(
            "audit_failing",
            "1 while the audit file cannot be written",
            audit.failing.clone(),
        );

        let sources = Arc::new(Sources::default());
        registry.register_collector(Box::new(sources.clone()));
        Self {
            registry,
            attested,
            attestation_failed,
            attestation_seconds,
            audit,
            sources,
        }
    }

    /// The counters of the audit.
    pub fn audit(&self) -> AuditMetrics {
        self.audit.clone()
    }

    /// Shows the authorities and the bundle of `upstream` from now on.
    pub fn watch_upstream(&self, upstream: Arc<dyn Upstream>) {
        let _ = self.sources.upstream.set(upstream);
    }

    /// Shows readiness, problems and reloads from now on.
    pub fn watch_health(&self, health: Arc<Health>) {
        let _ = self.sources.health.set(health);
    }

    /// Everything in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("a String takes what it is given");
        out
    }

    /// Shows what the desk and the cache of tokens count from now on.
    pub(crate) fn watch(&self, desk: Arc<DeskCounts>, jwt: Arc<JwtCache>) {
        let _ = self.sources.desk.set(desk);
        let _ = self.sources.jwt.set(jwt);
    }

    /// Shows what the server counts from now on.
    pub(crate) fn serve(&self, stats: Arc<Stats>) {
        let _ = self.sources.server.set(stats);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement, and nothing depends on it"
    )]
    pub(crate) fn attestation_started(&self) -> Started {
        Started(Instant::now())
    }

    pub(crate) fn attested(&self, started: Started, successfully: bool) {
        if successfully {
            &self.attested
        } else {
            &self.attestation_failed
        }
        .inc();
        self.attestation_seconds
            .observe(started.0.elapsed().as_secs_f64());
    }

    /// Connections open now.
    pub(crate) fn connections(&self) -> u64 {
        self.sources
            .server
            .get()
            .map_or(0, |server| server.connections())
    }

    /// Calls open now.
    pub(crate) fn streams(&self) -> u64 {
        self.sources
            .server
            .get()
            .map_or(0, |server| server.streams())
    }
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}
