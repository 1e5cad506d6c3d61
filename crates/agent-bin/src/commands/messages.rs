//! The messages of the Workload API: as JSON with the names of their protobuf fields, and for people.

use std::collections::BTreeMap;

use plastron_bundle::{BundleDocument, certificate::certificates};
use plastron_wire::workload as proto;
use serde_json::{Map, Value, json};

use crate::{
    credential::{self, View},
    report::{base64, block, plural},
};

/// A message in both forms.
pub(super) trait Message {
    fn json(&self) -> Value;
    /// `now` is in seconds since 1970.
    fn text(&self, now: i64) -> String;
}

impl Message for proto::X509svidResponse {
    fn json(&self) -> Value {
        let svids = self.svids.iter().map(|svid| {
            json!({
                "spiffe_id": svid.spiffe_id,
                "x509_svid": base64(&svid.x509_svid),
                "x509_svid_key": base64(&svid.x509_svid_key),
                "bundle": base64(&svid.bundle),
                "hint": svid.hint,
            })
        });
        json!({
            "svids": svids.collect::<Value>(),
            "crl": self.crl.iter().map(|crl| base64(crl)).collect::<Value>(),
            "federated_bundles": bundles(&self.federated_bundles),
        })
    }

    fn text(&self, now: i64) -> String {
        let mut text = String::new();
        for svid in &self.svids {
            let mut chain = certificates(&svid.x509_svid);
            let mut fields = vec![("hint", svid.hint.clone())];
            match chain.next() {
                Some(Ok(leaf)) => {
                    let view = credential::certificate(&leaf, now);
                    if view.id.as_deref() != Some(svid.spiffe_id.as_str()) {
                        let named = view.id.unwrap_or_else(|| "nobody".to_owned());
                        fields.push(("WARNING", format!("the certificate is of {named}")));
                    }
                    fields.extend(view.fields);
                    fields.push((
                        "chain",
                        plural(chain.count() + 1, "certificate", "certificates"),
                    ));
                }
                Some(Err(error)) => fields.push((
                    "WARNING",
                    format!("the certificate cannot be read: {error}"),
                )),
                None => fields.push(("WARNING", "there is no certificate".to_owned())),
            }
            fields.push(("bundle", authorities(&svid.bundle)));
            text += &block(&svid.spiffe_id, &fields);
        }
        text + &bundle_lines("federates with ", &self.federated_bundles, |bundle| {
            authorities(bundle)
        })
    }
}

impl Message for proto::X509BundlesResponse {
    fn json(&self) -> Value {
        json!({
            "crl": self.crl.iter().map(|crl| base64(crl)).collect::<Value>(),
            "bundles": bundles(&self.bundles),
        })
    }

    fn text(&self, now: i64) -> String {
        let mut text = String::new();
        for (trust_domain, bundle) in &self.bundles {
            for certificate in certificates(bundle) {
                let fields = match certificate {
                    Ok(certificate) => credential::certificate(&certificate, now).fields,
                    Err(error) => vec![(
                        "WARNING",
                        format!("the certificate cannot be read: {error}"),
                    )],
                };
                text += &block(&format!("X.509 authority of {trust_domain}"), &fields);
            }
        }
        text
    }
}

impl Message for proto::JwtsvidResponse {
    fn json(&self) -> Value {
        let svids = self.svids.iter().map(
            |svid| json!({ "spiffe_id": svid.spiffe_id, "svid": svid.svid, "hint": svid.hint }),
        );
        json!({ "svids": svids.collect::<Value>() })
    }

    fn text(&self, now: i64) -> String {
        let blocks = self.svids.iter().map(|svid| {
            let mut fields = vec![("hint", svid.hint.clone())];
            match credential::token(&svid.svid, now) {
                Some(View { fields: more, .. }) => fields.extend(more),
                None => fields.push(("WARNING", "the token cannot be read".to_owned())),
            }
            fields.push(("token", svid.svid.clone()));
            block(&svid.spiffe_id, &fields)
        });
        blocks.collect()
    }
}

impl Message for proto::JwtBundlesResponse {
    fn json(&self) -> Value {
        json!({ "bundles": bundles(&self.bundles) })
    }

    fn text(&self, _: i64) -> String {
        bundle_lines("", &self.bundles, |jwks| {
            match BundleDocument::parse(jwks) {
                Ok(document) => plural(document.keys().len(), "JWT authority", "JWT authorities"),
                Err(error) => format!("WARNING: cannot be read: {error}"),
            }
        })
    }
}

fn bundles<B: AsRef<[u8]>>(bundles: &BTreeMap<String, B>) -> Value {
    bundles
        .iter()
        .map(|(name, bundle)| (name.clone(), Value::String(base64(bundle.as_ref()))))
        .collect::<Map<_, _>>()
        .into()
}

fn bundle_lines<B: AsRef<[u8]>>(
    before: &str,
    bundles: &BTreeMap<String, B>,
    what: impl Fn(&[u8]) -> String,
) -> String {
    bundles
        .iter()
        .map(|(name, bundle)| format!("{before}{name} ({})\n", what(bundle.as_ref())))
        .collect()
}

/// How many certificates follow one another.
fn authorities(der: &[u8]) -> String {
    match certificates(der).collect::<Result<Vec<_>, _>>() {
        Ok(all) => plural(all.len(), "X.509 authority", "X.509 authorities"),
        Err(error) => format!("WARNING: cannot be read: {error}"),
    }
}

/// Claims of a validated token. The wire has all numbers as floating point; whole ones are shown whole.
pub(super) fn claims(claims: &prost_types::Struct) -> Value {
    claims
        .fields
        .iter()
        .map(|(name, value)| (name.clone(), claim(value)))
        .collect::<Map<_, _>>()
        .into()
}

fn claim(value: &prost_types::Value) -> Value {
    use prost_types::value::Kind;
    /// Beyond, a float does not tell neighbouring integers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match &value.kind {
        Some(Kind::BoolValue(value)) => json!(value),
        Some(Kind::NumberValue(value)) if value.fract() == 0.0 && value.abs() < EXACT => {
            json!(*value as i64)
        }
        Some(Kind::NumberValue(value)) => json!(value),
        Some(Kind::StringValue(value)) => json!(value),
        Some(Kind::ListValue(list)) => list.values.iter().map(claim).collect(),
        Some(Kind::StructValue(inner)) => claims(inner),
        Some(Kind::NullValue(_)) | None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use prost_types::{ListValue, Struct, value::Kind};

    use super::*;

    #[test]
    fn json_has_the_field_names_of_the_protobuf_messages() {
        let x509 = proto::X509svidResponse {
            svids: vec![proto::X509svid {
                spiffe_id: "spiffe://td/a".into(),
                x509_svid: vec![1, 2].into(),
                x509_svid_key: vec![3].into(),
                bundle: vec![4].into(),
                hint: "h".into(),
            }],
            crl: vec![vec![5].into()],
            federated_bundles: [("spiffe://b".to_owned(), vec![6].into())].into(),
        };
        assert_eq!(
            x509.json(),
            json!({
                "svids": [{
                    "spiffe_id": "spiffe://td/a", "x509_svid": "AQI=", "x509_svid_key": "Aw==", "bundle": "BA==", "hint": "h",
                }],
                "crl": ["BQ=="],
                "federated_bundles": { "spiffe://b": "Bg==" },
            })
        );
        let jwt = proto::JwtsvidResponse {
            svids: vec![proto::Jwtsvid {
                spiffe_id: "spiffe://td/a".into(),
                svid: "t".into(),
                hint: String::new(),
            }],
        };
        assert_eq!(
            jwt.json(),
            json!({ "svids": [{ "spiffe_id": "spiffe://td/a", "svid": "t", "hint": "" }] })
        );
        let bundles = [("spiffe://td".to_owned(), vec![7].into())];
        let x509 = proto::X509BundlesResponse {
            crl: vec![],
            bundles: bundles.clone().into(),
        };
        assert_eq!(
            x509.json(),
            json!({ "crl": [], "bundles": { "spiffe://td": "Bw==" } })
        );
        let jwt = proto::JwtBundlesResponse {
            bundles: bundles.into(),
        };
        assert_eq!(jwt.json(), json!({ "bundles": { "spiffe://td": "Bw==" } }));
    }

    #[test]
    fn what_cannot_be_read_is_said_to_people() {
        let response = proto::X509svidResponse {
            svids: vec![proto::X509svid {
                spiffe_id: "spiffe://td/a".into(),
                x509_svid: vec![1].into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        assert!(response.text(0).contains("WARNING"), "{}", response.text(0));
        assert!(!response.text(0).contains("x509_svid_key"));
    }

    #[test]
    fn claims_come_out_as_they_went_in() {
        let value = |kind| prost_types::Value { kind: Some(kind) };
        let fields = [
            ("exp", Kind::NumberValue(1_893_456_300.0)),
            ("ratio", Kind::NumberValue(0.5)),
            ("sub", Kind::StringValue("spiffe://td/a".into())),
            (
                "aud",
                Kind::ListValue(ListValue {
                    values: vec![value(Kind::StringValue("x".into()))],
                }),
            ),
            ("admin", Kind::BoolValue(true)),
            ("none", Kind::NullValue(0)),
        ];
        let fields = fields.map(|(name, kind)| (name.to_owned(), value(kind)));
        assert_eq!(
            claims(&Struct {
                fields: fields.into()
            }),
            json!({ "exp": 1_893_456_300, "ratio": 0.5, "sub": "spiffe://td/a", "aud": ["x"], "admin": true, "none": null })
        );
    }
}
