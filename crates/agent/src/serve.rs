//! The agent as a Workload API: it attests callers and answers them.

use std::sync::Arc;

use plastron_attest::PeerLost;
use plastron_attest_unix::UnixConnection;
use plastron_bundle::{JwtAuthority, JwtBundleSource};
use plastron_id::{SpiffeIdRef, TrustDomainRef};
use plastron_svid::JwtVerifier;
use plastron_wire::workload as proto;
use plastron_workload_api::{Answer, Attest, Held, Message, Refusal, Refused};

use crate::{
    agent::Core,
    callers::Caller,
    refusal,
    registry::{Entitled, Registry},
    stream::{Call, Stream},
};

/// The agent behind its server.
#[derive(Clone)]
pub(crate) struct Service(pub(crate) Arc<Core>);

impl Attest for Service {
    type Connection = UnixConnection;
    type Caller = Arc<Caller>;

    fn uid(&self, connection: &UnixConnection) -> u32 {
        connection.peer().uid
    }

    async fn attest(&self, connection: &UnixConnection) -> Result<Arc<Caller>, Refusal> {
        let core = &self.0;
        core.arrivals.notify_one();
        let peer = connection.peer();
        let started = core.metrics.attestation_started();
        let outcome = core.callers.admit(peer.clone()).await;
        core.metrics.attested(started, outcome.is_ok());
        if let Ok(caller) = &outcome
            && caller.known().evidence.unfinished
        {
            core.finish_looking(caller);
        }
        outcome.map_err(|error| {
            let refusal = refusal::from_attest(&error);
            core.audit.refused_peer(peer, "connect", &refusal);
            refusal
        })
    }

    fn held(&self, uid: u32) -> Held {
        let processes = &self.0.processes;
        Held {
            by_uid: processes.descriptors_of(uid),
            in_all: processes.descriptors(),
        }
    }

    fn check(&self, caller: &Arc<Caller>) -> Result<(), Refusal> {
        let checked = caller.peer().handle.check();
        checked.map_err(|lost| self.lose(caller, &lost))
    }

    async fn lost(&self, caller: &Arc<Caller>) -> Refusal {
        let lost = caller.peer().handle.lost().await;
        self.lose(caller, &lost)
    }
}

impl Service {
    /// Records that a caller is no longer who he was.
    fn lose(&self, caller: &Caller, lost: &PeerLost) -> Refusal {
        self.0.audit.lost(&caller.known().fragment, lost);
        refusal::from_lost(lost)
    }
}

impl Answer<Arc<Caller>> for Service {
    type Updates = Stream;

    async fn x509_svids(&self, caller: &Arc<Arc<Caller>>) -> Result<Stream, Refusal> {
        Stream::open(self.0.clone(), Arc::clone(caller), Call::X509Svids).await
    }

    async fn x509_bundles(&self, caller: &Arc<Arc<Caller>>) -> Result<Stream, Refusal> {
        Stream::open(self.0.clone(), Arc::clone(caller), Call::X509Bundles).await
    }

    async fn jwt_bundles(&self, caller: &Arc<Arc<Caller>>) -> Result<Stream, Refusal> {
        Stream::open(self.0.clone(), Arc::clone(caller), Call::JwtBundles).await
    }

    async fn jwt_svids(
        &self,
        caller: &Arc<Arc<Caller>>,
        request: proto::JwtsvidRequest,
    ) -> Result<Message, Refusal> {
        let core = &self.0;
        let known = caller.known();
        let refused = |refusal: Refusal| {
            core.audit
                .refused(&known.fragment, "FetchJWTSVID", &refusal);
            refusal
        };
        let wanted = request.spiffe_id.as_str();
        wanted_id(wanted).map_err(refused)?;
        let audiences: Arc<[Box<str>]> = request
            .audience
            .iter()
            .map(|audience| audience.as_str().into())
            .collect();
        let tokens = loop {
            let standing = core.entitled(caller, "FetchJWTSVID", false).await?;
            let entitled = standing.borrow().clone();
            let mut tokens = Vec::new();
            for entry in entitled
                .entries
                .iter()
                .filter(|entry| wanted.is_empty() || entry.spiffe_id.as_str() == wanted)
            {
                let token = core
                    .jwt
                    .token(caller.peer().uid, entry, audiences.clone())
                    .await
                    .map_err(|error| refused(refusal::from_jwt(&error)))?;
                tokens.push((entry.clone(), token));
            }
            // A signature can take longer than what it is for lasts.
            if !standing.has_changed().unwrap_or(false) {
                break tokens;
            }
        };
        if tokens.is_empty() {
            return Err(refused(refusal::not_entitled(wanted)));
        }
        let mut svids = Vec::with_capacity(tokens.len());
        for (entry, token) in tokens {
            core.audit.released(&known.fragment, &token.credential);
            svids.push(proto::Jwtsvid {
                spiffe_id: entry.spiffe_id.as_str().to_owned(),
                svid: token.token.clone(),
                hint: entry.hint.to_string(),
            });
        }
        Ok(Message::encode(&proto::JwtsvidResponse { svids }))
    }

    #[cfg(feature = "wit")]
    fn offers_wit(&self) -> bool {
        self.0.settings.wit_svid
    }

    #[cfg(feature = "wit")]
    async fn wit_svids(
        &self,
        caller: &Arc<Arc<Caller>>,
        request: proto::WitsvidRequest,
    ) -> Result<Stream, Refusal> {
        let wanted = wanted_id(&request.spiffe_id).inspect_err(|refusal| {
            let caller = &caller.known().fragment;
            self.0.audit.refused(caller, "FetchWITSVID", refusal);
        })?;
        let call = Call::WitSvids(wanted.map(SpiffeIdRef::to_owned));
        Stream::open(self.0.clone(), Arc::clone(caller), call).await
    }

    #[cfg(feature = "wit")]
    async fn wit_bundles(&self, caller: &Arc<Arc<Caller>>) -> Result<Stream, Refusal> {
        Stream::open(self.0.clone(), Arc::clone(caller), Call::WitBundles).await
    }

    async fn validate_jwt_svid(
        &self,
        caller: &Arc<Arc<Caller>>,
        request: proto::ValidateJwtsvidRequest,
    ) -> Result<Message, Refusal> {
        let core = &self.0;
        let to_anybody = core.settings.unauthenticated_bundles;
        let standing = core.entitled(caller, "ValidateJWTSVID", to_anybody);
        let entitled = standing.await?.borrow().clone();
        let own = core.upstream.bundle().borrow().clone();
        let bundles = Visible {
            own: &own,
            registry: &core.callers.registry(),
            entitled: &entitled,
        };
        let svid = JwtVerifier::new(core.keys.algorithms())
            .verify(
                &request.svid,
                &[&request.audience],
                &bundles,
                core.unix_now(),
            )
            .map_err(|error| refusal::invalid(format!("JWT-SVID is not valid: {error}")))?;
        Ok(Message::encode(&proto::ValidateJwtsvidResponse {
            spiffe_id: svid.id().to_string(),
            claims: Some(claims(&svid.claims())),
        }))
    }

    fn refused(&self, refused: &Refused<'_, Arc<Caller>>) {
        let call = refused.method.map_or("connect", |method| method.as_str());
        match refused.caller {
            Some(caller) => self
                .0
                .audit
                .refused(&caller.known().fragment, call, refused.refusal),
            None => self.0.audit.refused_uid(refused.uid, call, refused.refusal),
        }
    }
}

/// The identity that a caller asks for, unless he asks for all that he has.
fn wanted_id(spiffe_id: &str) -> Result<Option<SpiffeIdRef<'_>>, Refusal> {
    if spiffe_id.is_empty() {
        return Ok(None);
    }
    SpiffeIdRef::parse(spiffe_id)
        .map(Some)
        .map_err(|error| refusal::invalid(format!("spiffe_id is not a SPIFFE ID: {error}")))
}

/// The bundles a caller may see: its own domain's, and those its entries federate with (WAPI-52).
struct Visible<'a> {
    own: &'a plastron_bundle::Bundle,
    registry: &'a Registry,
    entitled: &'a Entitled,
}

impl JwtBundleSource for Visible<'_> {
    fn jwt_authorities(&self, trust_domain: TrustDomainRef<'_>) -> Option<&[JwtAuthority]> {
        if self.own.trust_domain() == trust_domain {
            return Some(self.own.jwt_authorities());
        }
        let federated = self
            .entitled
            .entries
            .iter()
            .flat_map(|entry| &entry.federates_with)
            .any(|name| name.as_ref() == trust_domain);
        if !federated {
            return None;
        }
        self.registry
            .foreign()
            .get(trust_domain)
            .map(|bundle| bundle.jwt_authorities())
    }
}

/// Claims as protobuf has them: numbers become doubles (WAPI-54).
fn claims(claims: &serde_json::Map<String, serde_json::Value>) -> prost_types::Struct {
    prost_types::Struct {
        fields: claims
            .iter()
            .map(|(name, value)| (name.clone(), protobuf_value(value)))
            .collect(),
    }
}

fn protobuf_value(value: &serde_json::Value) -> prost_types::Value {
    use prost_types::value::Kind;
    use serde_json::Value;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => Kind::ListValue(prost_types::ListValue {
            values: values.iter().map(protobuf_value).collect(),
        }),
        Value::Object(members) => Kind::StructValue(self::claims(members)),
    };
    prost_types::Value { kind: Some(kind) }
}
