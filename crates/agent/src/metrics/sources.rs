//! What the parts of the agent count, read when somebody asks.

use std::{
    fmt,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
};

use plastron_workload_api::{ConnectionRefused, Method, Stats};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};
use tonic::Code;

use super::unix_seconds;
use crate::{
    answers::DeskCounts,
    audit::code_name,
    health::Health,
    jwt::JwtCache,
    upstream::{Kind, Phase, Upstream},
};

/// The parts, as far as they are there already.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) server: OnceLock<Arc<Stats>>,
    pub(super) desk: OnceLock<Arc<DeskCounts>>,
    pub(super) jwt: OnceLock<Arc<JwtCache>>,
    pub(super) upstream: OnceLock<Arc<dyn Upstream>>,
    pub(super) health: OnceLock<Arc<Health>>,
    pub(super) limitations: OnceLock<Vec<&'static str>>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        if let Some(server) = self.server.get() {
            serving(&mut page, server)?;
        }
        if let (Some(desk), Some(jwt)) = (self.desk.get(), self.jwt.get()) {
            issuing(&mut page, desk, jwt)?;
        }
        if let Some(upstream) = self.upstream.get() {
            authorities(&mut page, &**upstream)?;
        }
        if let Some(health) = self.health.get() {
            standing(&mut page, health)?;
        }
        if let Some(limitations) = self.limitations.get() {
            let each = limitations.iter().map(|name| ([("name", *name)], 1.0));
            page.gauges(
                "limitation",
                "1 for what is out of the attestors' sight",
                each,
            )?;
        }
        Ok(())
    }
}

fn serving(page: &mut Page<'_>, server: &Stats) -> fmt::Result {
    page.gauge(
        "connections",
        "Connections open",
        server.connections() as f64,
    )?;
    page.gauge("streams", "Calls open", server.streams() as f64)?;
    page.counter(
        "connections_accepted",
        "Connections accepted",
        server.accepted(),
    )?;
    page.counter(
        "accept_errors",
        "Failures to accept a connection",
        server.accept_errors(),
    )?;
    page.counter(
        "connections_lost",
        "Connections ended since their caller was no longer who he was",
        server.lost(),
    )?;
    page.counter(
        "messages",
        "Messages of the Workload API sent",
        server.messages(),
    )?;
    let refused =
        ConnectionRefused::ALL.map(|why| ([("reason", why.as_str())], server.refused(why)));
    page.counters(
        "connections_refused",
        "Connections that were not served",
        refused,
    )?;
    let codes = (0..=16).map(Code::from_i32);
    let ended =
        codes.flat_map(|code| Method::ALL.map(|method| (method, code, server.calls(method, code))));
    // Most of the 153 never happen.
    let ended = ended.filter(|(_, _, count)| *count > 0);
    let ended = ended.map(|(method, code, count)| {
        (
            [("method", method.as_str()), ("code", code_name(code))],
            count,
        )
    });
    page.counters("calls", "Calls that have ended, by status", ended)
}

fn issuing(page: &mut Page<'_>, desk: &DeskCounts, jwt: &JwtCache) -> fmt::Result {
    let kind = |kind| [("kind", kind)];
    let issued = [
        (kind("x509"), desk.x509.minted.load(Relaxed)),
        (kind("jwt"), jwt.signed.load(Relaxed)),
        #[cfg(feature = "wit")]
        (kind("wit"), desk.wit.minted.load(Relaxed)),
    ];
    page.counters("svids_issued", "SVIDs that were signed", issued)?;
    page.counter(
        "x509_svid_failures",
        "X.509-SVIDs that could not be had",
        desk.x509.failed.load(Relaxed),
    )?;
    #[cfg(feature = "wit")]
    page.counter(
        "wit_svid_failures",
        "WIT-SVIDs that could not be had",
        desk.wit.failed.load(Relaxed),
    )?;
    let held = [
        (kind("x509"), desk.x509.held.load(Relaxed) as f64),
        (kind("jwt"), jwt.len() as f64),
        #[cfg(feature = "wit")]
        (kind("wit"), desk.wit.held.load(Relaxed) as f64),
    ];
    page.gauges("svids_held", "SVIDs in the cache", held)?;
    page.counter(
        "jwt_svid_cache_hits",
        "JWT-SVIDs that were in the cache",
        jwt.hits.load(Relaxed),
    )
}

fn authorities(page: &mut Page<'_>, upstream: &dyn Upstream) -> fmt::Result {
    let ends = upstream.authorities().into_iter().map(|authority| {
        let kind = match authority.kind {
            Kind::X509 => "x509",
            Kind::Jwt => "jwt",
            #[cfg(feature = "wit")]
            Kind::Wit => "wit",
        };
        let phase = match authority.phase {
            Phase::Prepared => "prepared",
            Phase::Active => "active",
            Phase::Old => "old",
        };
        let labels = [
            ("kind", kind.to_owned()),
            ("phase", phase.to_owned()),
            ("id", authority.id),
        ];
        (labels, unix_seconds(authority.ends_at))
    });
    page.gauges(
        "authority_not_after_seconds",
        "When a signing key ends, Unix time",
        ends,
    )?;
    let sequence = upstream.bundle().borrow().sequence().unwrap_or_default();
    page.gauge(
        "bundle_sequence",
        "Sequence number of the trust domain's bundle",
        sequence as f64,
    )
}

fn standing(page: &mut Page<'_>, health: &Health) -> fmt::Result {
    let standing = health.standing();
    page.gauge(
        "ready",
        "1 while the agent serves",
        f64::from(standing.ready),
    )?;
    page.gauge(
        "problems",
        "How many things are wrong",
        standing.problems.len() as f64,
    )?;
    let reloads = health.reloads();
    let outcome = |outcome| [("outcome", outcome)];
    let counts = [
        (outcome("in_force"), reloads.in_force),
        (outcome("refused"), reloads.refused),
    ];
    page.counters("reloads", "Configurations read", counts)?;
    let in_force = standing.reload.is_none_or(|reload| reload.error.is_none());
    page.gauge(
        "reload_ok",
        "1 while what stands in the configuration file is in force",
        f64::from(in_force),
    )?;
    if let Some(at) = reloads.last_in_force {
        page.gauge(
            "reload_success_time_seconds",
            "When a configuration was put in force last, Unix time",
            unix_seconds(at),
        )?;
    }
    Ok(())
}

/// The page that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn gauges<V: AsRef<str>, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, V); N], f64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            let labels = labels
                .each_ref()
                .map(|(name, value)| (*name, value.as_ref()));
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); N], u64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            metric
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }
}
