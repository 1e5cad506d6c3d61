//! The agent's own service, beside the Workload API on the same socket: what an operator asks a running agent.
//!
//! Open to root and to the agent's user. Anybody may have his own processes explained. The overflow uid is neither anybody's
//! nor the agent's, also where the agent itself runs under it: callers from any user namespace have it.

mod explain;

use std::{sync::Arc, time::SystemTime};

use plastron_attest::Interest;
use plastron_attest_unix::is_uid_of_many;
use plastron_id::TrustDomainRef;
use plastron_wire::agent::v1 as proto;
use plastron_workload_api::Refusal;
use tonic::{Request, Response, Status};

use self::explain::Explanations;
use crate::{
    agent::Core,
    callers::Caller,
    upstream::{AuthorityState, Done, Kind, Phase},
};

/// The service, over a running agent.
#[derive(Clone)]
pub(crate) struct Admin {
    core: Arc<Core>,
    /// The agent's own user, who may do what root may.
    uid: u32,
    explanations: Arc<Explanations>,
}

impl Admin {
    pub(crate) fn new(core: Arc<Core>, uid: u32) -> Self {
        Self {
            core,
            uid,
            explanations: Arc::default(),
        }
    }

    /// Who asks. The server puts the attested caller beside each request.
    fn caller_of<T>(request: &Request<T>) -> Result<&Caller, Status> {
        let caller = request.extensions().get::<Arc<Arc<Caller>>>();
        caller
            .map(|caller| &***caller)
            .ok_or_else(|| Status::internal("request without a caller"))
    }

    fn is_operator(&self, uid: u32) -> bool {
        uid == 0 || is_same_user(uid, self.uid)
    }

    fn bundle_sequence(&self) -> u64 {
        self.core
            .upstream
            .bundle()
            .borrow()
            .sequence()
            .unwrap_or_default()
    }

    fn require_operator<'r, T>(
        &self,
        request: &'r Request<T>,
        call: &'static str,
    ) -> Result<&'r Caller, Status> {
        let caller = Self::caller_of(request)?;
        let uid = caller.peer().uid;
        if self.is_operator(uid) {
            return Ok(caller);
        }
        let words = format!(
            "uid {uid} may not ask this: only root and the agent's user (uid {}) may",
            self.uid
        );
        Err(self.refuse(caller, call, words))
    }

    /// A refusal is a record too.
    fn refuse(&self, caller: &Caller, call: &'static str, words: String) -> Status {
        let refusal = Refusal::permission_denied(words);
        self.core
            .audit
            .refused(&caller.known().fragment, call, &refusal);
        Status::permission_denied(refusal.message)
    }
}

#[tonic::async_trait]
impl proto::agent_server::Agent for Admin {
    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        let caller = Self::caller_of(&request)?;
        let asker = caller.peer().uid;
        let pid = request.get_ref().pid;
        let peer = self.core.processes.peer_of_pid(pid).map_err(|error| {
            Status::not_found(format!("process {pid} cannot be looked at: {error}"))
        })?;
        if !self.is_operator(asker) && !is_same_user(asker, peer.uid) {
            let words = format!(
                "process {pid} is not one of uid {asker}: only root and the agent's user may ask"
            );
            return Err(self.refuse(caller, "Explain", words));
        }
        let explaining = self.explanations.begin(asker).ok_or_else(|| {
            let words = format!("an explanation for uid {asker} is under way: ask again");
            Status::unavailable(words)
        })?;
        let evidence = self
            .core
            .callers
            .attest(&peer, &Interest::all())
            .await
            .map_err(|error| {
                Status::unavailable(format!("process {pid} cannot be attested: {error}"))
            })?;
        let told = explaining.tell(self.core.clone(), evidence).await;
        told.map(Response::new)
    }

    async fn get_bundle(
        &self,
        request: Request<proto::GetBundleRequest>,
    ) -> Result<Response<proto::GetBundleResponse>, Status> {
        self.require_operator(&request, "GetBundle")?;
        let name = &request.get_ref().trust_domain;
        let own = self.core.upstream.bundle().borrow().clone();
        let bundle = if name.is_empty() || name == own.trust_domain().as_str() {
            own
        } else {
            let registry = self.core.callers.registry();
            let name = TrustDomainRef::parse(name).map_err(|error| {
                Status::invalid_argument(format!("{name:?} is no trust domain: {error}"))
            })?;
            registry
                .foreign()
                .get(name)
                .cloned()
                .ok_or_else(|| Status::not_found(format!("no bundle of {name} is known")))?
        };
        Ok(Response::new(proto::GetBundleResponse {
            trust_domain: bundle.trust_domain().to_string(),
            document: bundle.to_document().into(),
            sequence: bundle.sequence().unwrap_or_default(),
        }))
    }

    async fn rotate_authority(
        &self,
        request: Request<proto::RotateAuthorityRequest>,
    ) -> Result<Response<proto::RotateAuthorityResponse>, Status> {
        let caller = self.require_operator(&request, "RotateAuthority")?;
        let kinds: &'static [Kind] = match request.get_ref().kind() {
            proto::AuthorityKind::Unspecified => Kind::ALL,
            proto::AuthorityKind::X509 => &[Kind::X509],
            proto::AuthorityKind::Jwt => &[Kind::Jwt],
            #[cfg(feature = "wit")]
            proto::AuthorityKind::Wit if self.core.settings.wit_svid => &[Kind::Wit],
            proto::AuthorityKind::Wit => {
                return Err(Status::failed_precondition(
                    "the WIT-SVID profile is not enabled, so there is no key of it",
                ));
            }
        };
        // Before it is done, as whoever asked may not wait for the end.
        self.core
            .audit
            .operated(&caller.known().fragment, "RotateAuthority");
        let done = self
            .core
            .upstream
            .rotate(kinds)
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let authorities = self.core.upstream.authorities();
        Ok(Response::new(proto::RotateAuthorityResponse {
            authorities: authorities
                .iter()
                .filter(|authority| kinds.contains(&authority.kind))
                .map(show_authority)
                .collect(),
            bundle_sequence: self.bundle_sequence(),
            done: done.iter().map(say).collect(),
        }))
    }

    async fn get_status(
        &self,
        request: Request<proto::GetStatusRequest>,
    ) -> Result<Response<proto::GetStatusResponse>, Status> {
        self.require_operator(&request, "GetStatus")?;
        let core = &self.core;
        let standing = core.health.standing();
        let now = core.clock.now();
        Ok(Response::new(proto::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            trust_domain: core.settings.trust_domain.to_string(),
            started_at: Some(timestamp(core.started_at)),
            uptime_seconds: now
                .duration_since(core.started_at)
                .unwrap_or_default()
                .as_secs(),
            ready: standing.ready,
            entries: core.callers.registry().entries().len() as u64,
            connections: core.metrics.connections(),
            streams: core.metrics.streams(),
            reload: standing.reload.map(|reload| proto::Reload {
                ok: reload.error.is_none(),
                at: Some(timestamp(reload.at)),
                error: reload.error.unwrap_or_default(),
                warnings: reload.warnings,
            }),
            missing: core
                .blind_spots
                .iter()
                .map(|missing| proto::Missing {
                    what: missing.what.into(),
                    why: missing.why.to_string(),
                })
                .collect(),
            authorities: core
                .upstream
                .authorities()
                .iter()
                .map(show_authority)
                .collect(),
            bundle_sequence: self.bundle_sequence(),
            problems: standing.problems,
        }))
    }
}

/// Whether two uids are one user. Who has a uid that many may have is nobody's equal, his own included.
fn is_same_user(one: u32, other: u32) -> bool {
    one == other && !is_uid_of_many(one)
}

fn show_authority(authority: &AuthorityState) -> proto::Authority {
    proto::Authority {
        kind: match authority.kind {
            Kind::X509 => proto::AuthorityKind::X509,
            Kind::Jwt => proto::AuthorityKind::Jwt,
            #[cfg(feature = "wit")]
            Kind::Wit => proto::AuthorityKind::Wit,
        }
        .into(),
        id: authority.id.clone(),
        phase: match authority.phase {
            Phase::Prepared => proto::AuthorityPhase::Prepared,
            Phase::Active => proto::AuthorityPhase::Active,
            Phase::Old => proto::AuthorityPhase::Old,
        }
        .into(),
        not_before: Some(timestamp(authority.created_at)),
        not_after: Some(timestamp(authority.ends_at)),
    }
}

fn say(done: &Done) -> String {
    let name = |kind: &Kind| match kind {
        Kind::X509 => "X.509",
        Kind::Jwt => "JWT",
        #[cfg(feature = "wit")]
        Kind::Wit => "WIT",
    };
    match done {
        Done::Prepared { kind, id } => {
            format!("prepared and published {} authority {id}", name(kind))
        }
        Done::Activated { kind, id } => format!("activated {} authority {id}", name(kind)),
        Done::Retired { kind, id } => format!("retired {} authority {id}", name(kind)),
    }
}

/// A moment as protobuf writes it. Before 1970 there are no agents.
fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overflow_uid_is_no_user() {
        for (one, other, want) in [
            (1000, 1000, true),
            (1000, 1001, false),
            (65534, 65534, false),
            (65534, 1000, false),
        ] {
            assert_eq!(is_same_user(one, other), want, "{one} {other}");
        }
    }
}
