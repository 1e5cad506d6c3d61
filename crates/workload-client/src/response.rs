//! Answers of the Workload API as values. An answer that breaks a rule is discarded whole (WAPI-17).

use std::collections::BTreeMap;

use bytes::Bytes;
use pki_types::UnixTime;
use plastron_bundle::{Bundle, BundleError, BundleSet, Parsed};
use plastron_id::{SpiffeId, SpiffeIdError, TrustDomain, TrustDomainError, TrustDomainRef};
use plastron_keys::KeyBackend;
use plastron_source::X509Context;
use plastron_svid::{JwtError, JwtSvid, X509Svid, X509SvidError};
use plastron_wire::workload;
use prost_types::value::Kind;
use serde_json::{Map, Number, Value};
use tracing::warn;

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
    for (field, is_empty) in [
        ("spiffe_id", svid.spiffe_id.is_empty()),
        ("x509_svid", svid.x509_svid.is_empty()),
        ("x509_svid_key", svid.x509_svid_key.is_empty()),
        ("bundle", svid.bundle.is_empty()),
    ] {
        if is_empty {
            return Err(ResponseError::Empty(field));
        }
    }
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
    if response.bundles.is_empty() {
        return Err(ResponseError::Empty("bundles"));
    }
    let mut bundles = BundleSet::new();
    for (key, jwks) in &response.bundles {
        let trust_domain = trust_domain(key)?;
        let parsed = Bundle::parse_jwks(trust_domain.clone(), jwks);
        add(&mut bundles, usable(trust_domain.as_ref(), parsed)?)?;
    }
    Ok(bundles)
}

/// Spec: Workload API §6.1 (WAPI-43, WAPI-44).
pub(crate) fn jwt_svids(
    response: &workload::JwtsvidResponse,
    audiences: &[&str],
    now: UnixTime,
) -> Result<Vec<JwtSvid>, ResponseError> {
    if response.svids.is_empty() {
        return Err(ResponseError::Empty("svids"));
    }
    let mut svids: Vec<JwtSvid> = Vec::with_capacity(response.svids.len());
    for svid in &response.svids {
        for (field, is_empty) in [
            ("spiffe_id", svid.spiffe_id.is_empty()),
            ("svid", svid.svid.is_empty()),
        ] {
            if is_empty {
                return Err(ResponseError::Empty(field));
            }
        }
        let said: SpiffeId = svid.spiffe_id.parse()?;
        let parsed = match JwtSvid::parse_insecure(&svid.svid, audiences, now) {
            Ok(parsed) if *parsed.id() == said => parsed.with_hint(&svid.hint),
            Ok(parsed) => {
                let found = parsed.id().clone();
                return Err(ResponseError::OtherId { said, found });
            }
            Err(source) => return Err(ResponseError::JwtSvid { id: said, source }),
        };
        let hint_is_taken =
            !svid.hint.is_empty() && svids.iter().any(|other| other.hint() == svid.hint);
        if !hint_is_taken {
            svids.push(parsed);
        }
    }
    Ok(svids)
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
    let contains = |a: &Bundle, b: &Bundle| {
        let mut x509 = b.x509_authorities().iter();
        let mut jwt = b.jwt_authorities().iter();
        x509.all(|authority| a.x509_authorities().contains(authority))
            && jwt.all(|authority| a.jwt_authorities().contains(authority))
    };
    contains(one, other) && contains(other, one)
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
mod tests {
    use plastron_bundle::{JwtBundleSource as _, X509BundleSource as _};
    use plastron_testing::{Authority, BACKEND, Clock};
    use plastron_wire::workload::{
        JwtBundlesResponse, Jwtsvid, JwtsvidResponse, ValidateJwtsvidResponse, X509BundlesResponse,
        X509svid, X509svidResponse,
    };

    use super::*;

    fn wire_svid(authority: &Authority, path: &str, hint: &str) -> X509svid {
        let svid = authority.x509_svid(path, Clock::new().now());
        X509svid {
            spiffe_id: svid.id().to_string(),
            x509_svid: svid.chain_der().to_vec().into(),
            x509_svid_key: svid.key_pkcs8().to_vec().into(),
            bundle: authority.bundle().x509_der().into(),
            hint: hint.into(),
        }
    }

    fn map<V: Into<Bytes>>(
        entries: impl IntoIterator<Item = (&'static str, V)>,
    ) -> BTreeMap<String, Bytes> {
        let entries = entries.into_iter();
        entries
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    }

    fn response(svids: Vec<X509svid>) -> X509svidResponse {
        X509svidResponse {
            svids,
            ..Default::default()
        }
    }

    #[test]
    fn a_good_answer_becomes_svids_and_bundles() {
        let (own, foreign) = (Authority::new("example.org"), Authority::new("partner.org"));
        let mut answer = response(vec![
            wire_svid(&own, "/a", "main"),
            wire_svid(&own, "/b", ""),
            wire_svid(&own, "/c", "main"),
            wire_svid(&own, "/d", ""),
        ]);
        answer.federated_bundles = map([
            ("spiffe://partner.org", foreign.bundle().x509_der()),
            ("example.org", own.bundle().x509_der()),
            ("empty.org", Vec::new()),
        ]);
        let context = x509_context(&answer, &BACKEND).unwrap();
        let paths: Vec<_> = context
            .svids()
            .iter()
            .map(|svid| svid.id().path())
            .collect();
        assert_eq!(paths, ["/a", "/b", "/d"], "WAPI-29, WAPI-68 +");
        assert_eq!(context.default_svid().unwrap().hint(), "main");
        assert_eq!(context.bundles().len(), 3, "AMB-36 +, AMB-42 +");
        let partner = foreign.trust_domain().as_ref();
        assert_eq!(
            context.x509_authorities(partner).unwrap().len(),
            1,
            "WAPI-18"
        );
        assert!(
            context
                .bundles()
                .jwt_authorities(partner)
                .unwrap()
                .is_empty(),
            "WAPI-34 −"
        );

        answer.federated_bundles.clear();
        let context = x509_context(&answer, &BACKEND).unwrap();
        assert_eq!(
            context.x509_authorities(partner),
            None,
            "WAPI-14 +, WAPI-15 +"
        );
    }

    #[test]
    fn an_answer_that_breaks_a_rule_is_discarded_whole() {
        let own = Authority::new("example.org");
        let again = Authority::new("example.org");
        let good = || wire_svid(&own, "/a", "");
        let conflict = ResponseError::ConflictingBundles(own.trust_domain().clone());
        let cases: [(&str, X509svidResponse, &dyn Fn(&ResponseError) -> bool); 13] = [
            ("WAPI-17 −", response(vec![]), &|e| {
                *e == ResponseError::Empty("svids")
            }),
            (
                "WAPI-17 −",
                response(vec![X509svid {
                    spiffe_id: String::new(),
                    ..good()
                }]),
                &|e| *e == ResponseError::Empty("spiffe_id"),
            ),
            (
                "WAPI-17 −",
                response(vec![X509svid {
                    x509_svid: Bytes::new(),
                    ..good()
                }]),
                &|e| *e == ResponseError::Empty("x509_svid"),
            ),
            (
                "WAPI-17 −",
                response(vec![
                    good(),
                    X509svid {
                        x509_svid_key: Bytes::new(),
                        ..good()
                    },
                ]),
                &|e| *e == ResponseError::Empty("x509_svid_key"),
            ),
            (
                "WAPI-17 −",
                response(vec![X509svid {
                    bundle: Bytes::new(),
                    ..good()
                }]),
                &|e| *e == ResponseError::Empty("bundle"),
            ),
            (
                "WAPI-38 −",
                response(vec![X509svid {
                    spiffe_id: "spiffe://example.org/other".into(),
                    ..good()
                }]),
                &|e| matches!(e, ResponseError::OtherId { found, .. } if found.path() == "/a"),
            ),
            (
                "ID",
                response(vec![X509svid {
                    spiffe_id: "example.org/a".into(),
                    ..good()
                }]),
                &|e| matches!(e, ResponseError::Id(_)),
            ),
            (
                "X509-71 −",
                response(vec![X509svid {
                    x509_svid_key: wire_svid(&own, "/a", "").x509_svid_key,
                    ..good()
                }]),
                &|e| {
                    matches!(
                        e,
                        ResponseError::X509Svid {
                            source: X509SvidError::OtherKey,
                            ..
                        }
                    )
                },
            ),
            (
                "WAPI-24 −",
                response(vec![X509svid {
                    x509_svid: Bytes::from_static(b"-----BEGIN CERTIFICATE-----"),
                    ..good()
                }]),
                &|e| matches!(e, ResponseError::X509Svid { .. }),
            ),
            (
                "RS-09 −",
                response(vec![X509svid {
                    bundle: [&*good().bundle, &[0]].concat().into(),
                    ..good()
                }]),
                &|e| matches!(e, ResponseError::Bundle { .. }),
            ),
            (
                "AMB-36 −",
                response(vec![good(), wire_svid(&again, "/b", "")]),
                &|e| *e == conflict,
            ),
            (
                "AMB-36 −",
                X509svidResponse {
                    federated_bundles: map([("spiffe://example.org", again.bundle().x509_der())]),
                    ..response(vec![good()])
                },
                &|e| *e == conflict,
            ),
            (
                "WAPI-26 −",
                X509svidResponse {
                    federated_bundles: map([("partner.org/", again.bundle().x509_der())]),
                    ..response(vec![good()])
                },
                &|e| matches!(e, ResponseError::TrustDomain(_)),
            ),
        ];
        for (rule, answer, is_expected) in cases {
            let error = x509_context(&answer, &BACKEND).unwrap_err();
            assert!(is_expected(&error), "{rule}: {error:?}");
        }
    }

    #[test]
    fn bundles_come_by_trust_domain() {
        let own = Authority::new("example.org");
        let x509 = |key| X509BundlesResponse {
            bundles: map([(key, own.bundle().x509_der())]),
            ..Default::default()
        };
        for key in ["spiffe://example.org", "example.org"] {
            let bundles = x509_bundles(&x509(key)).unwrap();
            let authorities = bundles.x509_authorities(own.trust_domain().as_ref());
            assert_eq!(authorities.unwrap().len(), 1, "WAPI-36 +, AMB-42 +: {key}");
        }
        for key in [
            "",
            "spiffe://",
            "spiffe://example.org/a",
            "https://example.org",
        ] {
            let error = x509_bundles(&x509(key)).unwrap_err();
            assert!(
                matches!(error, ResponseError::TrustDomain(_)),
                "AMB-42 −: {key}"
            );
        }
        let nothing = x509_bundles(&X509BundlesResponse::default());
        assert_eq!(
            nothing,
            Err(ResponseError::Empty("bundles")),
            "WAPI-36 −, WAPI-17 −"
        );
    }

    #[test]
    fn jwt_bundles_hold_jwt_keys_alone() {
        let own = Authority::new("example.org");
        let jwt = |jwks: Vec<u8>| JwtBundlesResponse {
            bundles: map([("spiffe://example.org", jwks)]),
        };
        let bundles = jwt_bundles(&jwt(own.bundle().jwks())).unwrap();
        let name = own.trust_domain().as_ref();
        assert_eq!(bundles.jwt_authorities(name).unwrap().len(), 1, "WAPI-49 +");
        assert!(
            bundles.x509_authorities(name).unwrap().is_empty(),
            "WAPI-50 −"
        );

        // A document with an X.509 key too: that key is not for this.
        let bundles = jwt_bundles(&jwt(own.bundle().to_document())).unwrap();
        assert_eq!(bundles.jwt_authorities(name).unwrap().len(), 1, "WAPI-49 −");
        assert!(
            bundles.x509_authorities(name).unwrap().is_empty(),
            "WAPI-49 −"
        );

        let error = jwt_bundles(&jwt(b"-----BEGIN".to_vec())).unwrap_err();
        assert!(matches!(error, ResponseError::Bundle { .. }), "WAPI-46 −");
        let nothing = jwt_bundles(&JwtBundlesResponse::default());
        assert_eq!(nothing, Err(ResponseError::Empty("bundles")), "WAPI-47 −");
    }

    #[test]
    fn jwt_svids_are_for_the_audience_asked_and_the_identity_announced() {
        let (own, clock) = (Authority::new("example.org"), Clock::new());
        let wire = |path: &str, said: &str, hint: &str| Jwtsvid {
            spiffe_id: format!("spiffe://example.org{said}"),
            svid: own.jwt_svid(path, &["x"], clock.now()),
            hint: hint.into(),
        };
        let parse = |svids, audiences: &[&str]| {
            jwt_svids(&JwtsvidResponse { svids }, audiences, clock.unix_time())
        };
        let all = vec![
            wire("/a", "/a", "main"),
            wire("/b", "/b", "main"),
            wire("/c", "/c", ""),
        ];
        let got = parse(all, &["x"]).unwrap();
        let paths: Vec<_> = got.iter().map(|svid| svid.id().path()).collect();
        assert_eq!(paths, ["/a", "/c"], "WAPI-44 +");

        assert_eq!(
            parse(vec![], &["x"]).unwrap_err(),
            ResponseError::Empty("svids"),
            "WAPI-43 −"
        );
        let empty = vec![Jwtsvid {
            svid: String::new(),
            ..wire("/a", "/a", "")
        }];
        assert_eq!(
            parse(empty, &["x"]).unwrap_err(),
            ResponseError::Empty("svid"),
            "WAPI-17 −"
        );
        let other = parse(vec![wire("/a", "/b", "")], &["x"]).unwrap_err();
        assert!(
            matches!(other, ResponseError::OtherId { .. }),
            "WAPI-38 −: {other}"
        );
        let other = parse(vec![wire("/a", "/a", "")], &["y"]).unwrap_err();
        assert!(
            matches!(other, ResponseError::JwtSvid { .. }),
            "WAPI-40 −: {other}"
        );
    }

    #[test]
    fn claims_become_json_with_whole_numbers_whole() {
        let value = |kind| prost_types::Value { kind: Some(kind) };
        let list = prost_types::ListValue {
            values: vec![
                value(Kind::StringValue("x".into())),
                value(Kind::BoolValue(true)),
            ],
        };
        let nested = prost_types::Struct {
            fields: [("n".to_owned(), value(Kind::NullValue(0)))].into(),
        };
        let claims = prost_types::Struct {
            fields: [
                ("exp".to_owned(), value(Kind::NumberValue(1_900_000_000.0))),
                ("half".to_owned(), value(Kind::NumberValue(0.5))),
                ("huge".to_owned(), value(Kind::NumberValue(1e300))),
                ("nan".to_owned(), value(Kind::NumberValue(f64::NAN))),
                ("aud".to_owned(), value(Kind::ListValue(list))),
                ("o".to_owned(), value(Kind::StructValue(nested))),
            ]
            .into(),
        };
        let response = |claims, id: &str| ValidateJwtsvidResponse {
            spiffe_id: id.into(),
            claims,
        };
        let valid = validated(response(Some(claims), "spiffe://example.org/a")).unwrap();
        let want = serde_json::json!({
            "exp": 1_900_000_000, "half": 0.5, "huge": 1e300, "nan": null, "aud": ["x", true], "o": {"n": null},
        });
        assert_eq!(Value::Object(valid.claims), want, "WAPI-54 +");
        let empty = validated(response(Some(Default::default()), "")).unwrap_err();
        assert_eq!(empty, ResponseError::Empty("spiffe_id"), "WAPI-55 −");
        let empty = validated(response(None, "spiffe://example.org/a")).unwrap_err();
        assert_eq!(empty, ResponseError::Empty("claims"), "WAPI-54 −");
    }
}
