//! Answers of the Workload API as values. An answer that breaks a rule is discarded whole (WAPI-17).

use std::collections::BTreeMap;

use bytes::Bytes;
use pki_types::UnixTime;
use plastron_bundle::{Bundle, BundleError, BundleSet, Parsed};
use plastron_id::{SpiffeId, SpiffeIdError, TrustDomain, TrustDomainError, TrustDomainRef};
use plastron_keys::KeyBackend;
use plastron_source::{X509Context, first_of_each_hint};
#[cfg(feature = "wit")]
use plastron_svid::WitSvidError;
use plastron_svid::{JwtError, JwtSvid, X509Svid, X509SvidError};
use plastron_wire::workload;
use prost_types::value::Kind;
use serde_json::{Map, Number, Value};
use tracing::warn;

#[cfg(feature = "wit")]
mod wit;

#[cfg(feature = "wit")]
pub(crate) use wit::{wit_bundles, wit_svids};

/// Why an answer cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// A field that is always there is empty (WAPI-17).
    #[error("the field {0} is empty")]
    Empty(&'static str),
    /// A SPIFFE ID is none.
    #[error("not a SPIFFE ID")]
    Id(#[from] SpiffeIdError),
    /// The key of a bundle does not name a trust domain.
    #[error("a bundle whose key is not a trust domain")]
    TrustDomain(#[from] TrustDomainError),
    /// An X509-SVID is none, or its key is another's.
    #[error("the X509-SVID of {id}")]
    X509Svid {
        /// The identity it was said to have.
        id: SpiffeId,
        /// What is wrong.
        source: X509SvidError,
    },
    /// A JWT-SVID is none.
    #[error("the JWT-SVID of {id}")]
    JwtSvid {
        /// The identity it was said to have.
        id: SpiffeId,
        /// What is wrong.
        source: JwtError,
    },
    /// An SVID has another identity than the answer says (WAPI-38).
    #[error("an SVID of {found} where one of {said} was announced")]
    OtherId {
        /// What the answer says.
        said: SpiffeId,
        /// What the SVID says.
        found: SpiffeId,
    },
    /// A WIT-SVID is none, or is about another identity or another key (WAPI-63).
    #[cfg(feature = "wit")]
    #[error("the WIT-SVID of {id}")]
    WitSvid {
        /// The identity it was said to have.
        id: SpiffeId,
        /// What is wrong.
        source: WitSvidError,
    },
    /// An SVID has another identity than the one that was asked for.
    #[error("an SVID of {found} where one of {asked} was asked for")]
    NotAsked {
        /// What was asked for.
        asked: SpiffeId,
        /// What the answer has.
        found: SpiffeId,
    },
    /// A bundle cannot be read.
    #[error("the bundle of {trust_domain}")]
    Bundle {
        /// Whose it is.
        trust_domain: TrustDomain,
        /// What is wrong.
        source: BundleError,
    },
    /// Two different bundles of one trust domain (AMB-36).
    #[error("two different bundles of {0}")]
    ConflictingBundles(TrustDomain),
}

/// A JWT-SVID that the agent has validated.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedJwtSvid {
    /// The identity.
    pub id: SpiffeId,
    /// The claims as the agent tells them; numbers have gone through a double on the way.
    pub claims: Map<String, Value>,
}

/// Spec: Workload API §5.1 (WAPI-14, WAPI-15, WAPI-22 to WAPI-29).
pub(crate) fn x509_context(
    response: &workload::X509svidResponse,
    backend: &dyn KeyBackend,
) -> Result<X509Context, ResponseError> {
    if response.svids.is_empty() {
        return Err(ResponseError::Empty("svids"));
    }
    let mut bundles = BundleSet::new();
    let mut svids = Vec::with_capacity(response.svids.len());
    for svid in &response.svids {
        let parsed = x509_svid(svid, backend)?;
        let trust_domain = parsed.id().trust_domain();
        add(&mut bundles, x509_bundle(trust_domain, &svid.bundle)?)?;
        svids.push(parsed);
    }
    for bundle in x509_bundles_by_key(&response.federated_bundles) {
        add(&mut bundles, bundle?)?;
    }
    Ok(X509Context::new(svids, bundles))
}

fn x509_svid(
    svid: &workload::X509svid,
    backend: &dyn KeyBackend,
) -> Result<X509Svid, ResponseError> {
    check_filled(&[
        ("spiffe_id", svid.spiffe_id.as_bytes()),
        ("x509_svid", &svid.x509_svid),
        ("x509_svid_key", &svid.x509_svid_key),
        ("bundle", &svid.bundle),
    ])?;
    let said: SpiffeId = svid.spiffe_id.parse()?;
    match X509Svid::parse(&svid.x509_svid, &svid.x509_svid_key, backend) {
        Ok(parsed) if *parsed.id() == said => Ok(parsed.with_hint(&svid.hint)),
        Ok(parsed) => Err(ResponseError::OtherId {
            said,
            found: parsed.id().clone(),
        }),
        Err(source) => Err(ResponseError::X509Svid { id: said, source }),
    }
}

/// Spec: Workload API §5.2 (WAPI-36).
pub(crate) fn x509_bundles(
    response: &workload::X509BundlesResponse,
) -> Result<BundleSet, ResponseError> {
    if response.bundles.is_empty() {
        return Err(ResponseError::Empty("bundles"));
    }
    let mut bundles = BundleSet::new();
    for bundle in x509_bundles_by_key(&response.bundles) {
        add(&mut bundles, bundle?)?;
    }
    Ok(bundles)
}

fn x509_bundles_by_key(
    bundles: &BTreeMap<String, Bytes>,
) -> impl Iterator<Item = Result<Bundle, ResponseError>> {
    bundles
        .iter()
        .map(|(key, der)| x509_bundle(trust_domain(key)?.as_ref(), der))
}

/// Spec: Workload API §6.2 (WAPI-47 to WAPI-49).
pub(crate) fn jwt_bundles(
    response: &workload::JwtBundlesResponse,
) -> Result<BundleSet, ResponseError> {
    token_bundles(&response.bundles, Bundle::parse_jwks)
}

fn token_bundles<J: AsRef<[u8]>>(
    by_key: &BTreeMap<String, J>,
    parse: fn(TrustDomain, &[u8]) -> Result<Parsed, BundleError>,
) -> Result<BundleSet, ResponseError> {
    if by_key.is_empty() {
        return Err(ResponseError::Empty("bundles"));
    }
    let mut bundles = BundleSet::new();
    for (key, jwks) in by_key {
        let trust_domain = trust_domain(key)?;
        let parsed = parse(trust_domain.clone(), jwks.as_ref());
        add(&mut bundles, usable(trust_domain.as_ref(), parsed)?)?;
    }
    Ok(bundles)
}

/// Refuses an SVID with an empty field.
fn check_filled(fields: &[(&'static str, &[u8])]) -> Result<(), ResponseError> {
    match fields.iter().find(|(_, value)| value.is_empty()) {
        Some((field, _)) => Err(ResponseError::Empty(field)),
        None => Ok(()),
    }
}

/// Spec: Workload API §6.1 (WAPI-43, WAPI-44).
pub(crate) fn jwt_svids(
    response: &workload::JwtsvidResponse,
    audiences: &[&str],
    asked: Option<&SpiffeId>,
    now: UnixTime,
) -> Result<Vec<JwtSvid>, ResponseError> {
    if response.svids.is_empty() {
        return Err(ResponseError::Empty("svids"));
    }
    let mut svids = Vec::with_capacity(response.svids.len());
    for svid in &response.svids {
        check_filled(&[
            ("spiffe_id", svid.spiffe_id.as_bytes()),
            ("svid", svid.svid.as_bytes()),
        ])?;
        let said = announced(&svid.spiffe_id, asked)?;
        let parsed = match JwtSvid::parse_insecure(&svid.svid, audiences, now) {
            Ok(parsed) if *parsed.id() == said => parsed.with_hint(&svid.hint),
            Ok(parsed) => {
                let found = parsed.id().clone();
                return Err(ResponseError::OtherId { said, found });
            }
            Err(source) => return Err(ResponseError::JwtSvid { id: said, source }),
        };
        svids.push(parsed);
    }
    Ok(first_of_each_hint(svids))
}

/// The identity that an answer says an SVID has, if it is the one that was asked for, or none was.
fn announced(said: &str, asked: Option<&SpiffeId>) -> Result<SpiffeId, ResponseError> {
    let said: SpiffeId = said.parse()?;
    match asked {
        Some(asked) if *asked != said => Err(ResponseError::NotAsked {
            asked: asked.clone(),
            found: said,
        }),
        _ => Ok(said),
    }
}

/// Spec: Workload API §6.3 (WAPI-53, WAPI-54).
pub(crate) fn validated(
    response: workload::ValidateJwtsvidResponse,
) -> Result<ValidatedJwtSvid, ResponseError> {
    if response.spiffe_id.is_empty() {
        return Err(ResponseError::Empty("spiffe_id"));
    }
    let claims = response.claims.ok_or(ResponseError::Empty("claims"))?;
    Ok(ValidatedJwtSvid {
        id: response.spiffe_id.parse()?,
        claims: object(claims),
    })
}

/// `spiffe://name`, or the name alone (WAPI-26, AMB-42).
fn trust_domain(key: &str) -> Result<TrustDomain, ResponseError> {
    Ok(key.strip_prefix("spiffe://").unwrap_or(key).parse()?)
}

fn x509_bundle(trust_domain: TrustDomainRef<'_>, der: &[u8]) -> Result<Bundle, ResponseError> {
    usable(trust_domain, Bundle::from_der(trust_domain.to_owned(), der))
}

fn usable(
    trust_domain: TrustDomainRef<'_>,
    parsed: Result<Parsed, BundleError>,
) -> Result<Bundle, ResponseError> {
    let parsed = parsed.map_err(|source| ResponseError::Bundle {
        trust_domain: trust_domain.to_owned(),
        source,
    })?;
    for skipped in &parsed.skipped {
        warn!(%trust_domain, ?skipped, "an authority in a bundle is not usable");
    }
    Ok(parsed.bundle)
}

/// The same bundle may come several times; two different ones are nobody's word (AMB-36).
fn add(bundles: &mut BundleSet, bundle: Bundle) -> Result<(), ResponseError> {
    match bundles.get(bundle.trust_domain()) {
        None => {
            bundles.insert(bundle);
            Ok(())
        }
        Some(known) if same_authorities(known, &bundle) => Ok(()),
        Some(_) => Err(ResponseError::ConflictingBundles(
            bundle.trust_domain().to_owned(),
        )),
    }
}

fn same_authorities(one: &Bundle, other: &Bundle) -> bool {
    fn same<A: PartialEq>(one: &[A], other: &[A]) -> bool {
        one.iter().all(|authority| other.contains(authority))
            && other.iter().all(|authority| one.contains(authority))
    }
    #[cfg(feature = "wit")]
    if !same(one.wit_authorities(), other.wit_authorities()) {
        return false;
    }
    same(one.x509_authorities(), other.x509_authorities())
        && same(one.jwt_authorities(), other.jwt_authorities())
}

fn object(claims: prost_types::Struct) -> Map<String, Value> {
    let members = claims.fields.into_iter();
    members.map(|(name, value)| (name, json(value))).collect()
}

fn json(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::NumberValue(value)) => number(value),
        Some(Kind::StringValue(value)) => Value::String(value),
        Some(Kind::StructValue(value)) => Value::Object(object(value)),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
    }
}

/// Times are whole numbers that came as doubles.
fn number(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value && whole.unsigned_abs() < 1 << 53 {
        Value::Number(whole.into())
    } else {
        Number::from_f64(value).map_or(Value::Null, Value::Number)
    }
}

#[cfg(test)]
mod tests;
