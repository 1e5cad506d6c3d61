//! What is counted, for Prometheus.
//!
//! Counters that move with each record or attestation are atomics here, without labels to hash. What the parts of the agent
//! count themselves is read from them when somebody asks.

mod sources;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use plastron_attest::Missing;
use plastron_workload_api::Stats;
use prometheus_client::{
    encoding::text,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
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
        let attestation_seconds =
            Histogram::new((0..18).map(|doublings| 25e-6 * f64::from(1 << doublings)));
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

    /// Shows what the attestors cannot see here from now on.
    pub(crate) fn limitations(&self, blind_spots: &[Missing]) {
        let names = blind_spots.iter().map(|missing| missing.what).collect();
        let _ = self.sources.limitations.set(names);
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

#[cfg(test)]
mod tests {
    use plastron_authority::Policy;
    use plastron_keys_aws_lc::AwsLc;

    use super::*;
    use crate::{
        Clock,
        health::Reload,
        key_store::MemoryKeyStore,
        upstream::{Embedded, EmbeddedSettings},
    };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn value(page: &str, series: &str) -> Option<f64> {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    #[test]
    fn a_page_says_how_the_agent_is() {
        let metrics = Metrics::new("example.org", at(1_800_000_000));
        let settings = EmbeddedSettings::new("example.org".parse().unwrap(), Policy::default());
        let clock = Clock::from_fn(|| at(1_800_000_000));
        let store = Box::new(MemoryKeyStore::new());
        let upstream = Embedded::open(settings, store, Arc::new(AwsLc), clock).unwrap();
        let health = Arc::new(Health::new());
        metrics.watch_upstream(Arc::new(upstream.clone()));
        metrics.watch_health(health.clone());
        metrics.serve(Arc::new(Stats::default()));
        metrics.limitations(&[Missing {
            what: "no_ptrace",
            why: "no CAP_SYS_PTRACE".into(),
        }]);
        metrics.attested(metrics.attestation_started(), true);
        metrics.attested(metrics.attestation_started(), false);
        metrics.attested(metrics.attestation_started(), true);
        health.reloaded(Reload {
            at: at(1_800_000_100),
            error: None,
            warnings: vec![],
        });
        health.reloaded(Reload {
            at: at(1_800_000_200),
            error: Some("no".into()),
            warnings: vec![],
        });
        health.component("listener").failed("gone");

        let page = metrics.encode();
        let id = upstream.authorities()[0].id.clone();
        let build = format!(
            "plastron_agent_build_info{{version=\"{}\",trust_domain=\"example.org\"}}",
            env!("CARGO_PKG_VERSION")
        );
        for (series, want) in [
            (build.as_str(), 1.0),
            ("plastron_agent_start_time_seconds", 1.8e9),
            (
                "plastron_agent_attestations_total{outcome=\"attested\"}",
                2.0,
            ),
            ("plastron_agent_attestations_total{outcome=\"failed\"}", 1.0),
            ("plastron_agent_attestation_seconds_count", 3.0),
            ("plastron_agent_audit_records_total", 0.0),
            ("plastron_agent_audit_failing", 0.0),
            ("plastron_agent_connections", 0.0),
            (
                "plastron_agent_connections_refused_total{reason=\"uid_limit\"}",
                0.0,
            ),
            (
                &format!(
                    "plastron_agent_authority_not_after_seconds{{kind=\"x509\",phase=\"active\",id=\"{id}\"}}"
                ),
                1_800_086_400.0,
            ),
            ("plastron_agent_bundle_sequence", 1.0),
            ("plastron_agent_limitation{name=\"no_ptrace\"}", 1.0),
            ("plastron_agent_ready", 0.0),
            ("plastron_agent_problems", 2.0),
            ("plastron_agent_reload_ok", 0.0),
            ("plastron_agent_reloads_total{outcome=\"in_force\"}", 1.0),
            ("plastron_agent_reloads_total{outcome=\"refused\"}", 1.0),
            (
                "plastron_agent_reload_success_time_seconds",
                1_800_000_100.0,
            ),
        ] {
            assert_eq!(value(&page, series), Some(want), "{series}\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }
}
