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
    assert_eq!(paths, ["/a", "/b", "/d"], "WAPI-29 +, WAPI-68 +");
    assert_eq!(context.default_svid().unwrap().hint(), "main");
    assert_eq!(context.bundles().len(), 3, "AMB-36 +, AMB-42 +");
    let partner = foreign.trust_domain().as_ref();
    assert_eq!(
        context.x509_authorities(partner).unwrap().len(),
        1,
        "WAPI-18 +, WAPI-34 +: by its trust domain"
    );
    assert!(
        context
            .bundles()
            .jwt_authorities(partner)
            .unwrap()
            .is_empty(),
        "WAPI-34 −: no authorities for JWT"
    );

    answer.federated_bundles.clear();
    let context = x509_context(&answer, &BACKEND).unwrap();
    assert_eq!(
        context.x509_authorities(partner),
        None,
        "WAPI-14 +/−, WAPI-15 +: what is not there any more is dropped"
    );
}

#[test]
fn an_answer_that_breaks_a_rule_is_discarded_whole() {
    let own = Authority::new("example.org");
    let again = Authority::new("example.org");
    let good = || wire_svid(&own, "/a", "");
    let conflict = ResponseError::ConflictingBundles(own.trust_domain().clone());
    type Expected<'a> = &'a dyn Fn(&ResponseError) -> bool;
    let cases: [(&str, X509svidResponse, Expected<'_>); 13] = [
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
    let parse_asked = |svids, audiences: &[&str], asked: Option<&SpiffeId>| {
        let response = JwtsvidResponse { svids };
        jwt_svids(&response, audiences, asked, clock.unix_time())
    };
    let parse = |svids, audiences: &[&str]| parse_asked(svids, audiences, None);
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
    let (asked, found) = (own.id("/b"), own.id("/a"));
    let other = parse_asked(vec![wire("/a", "/a", "")], &["x"], Some(&asked)).unwrap_err();
    let not_asked = ResponseError::NotAsked { asked, found };
    assert_eq!(other, not_asked, "WAPI-41 −");
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
