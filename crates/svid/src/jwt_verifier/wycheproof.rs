//! The vectors of Wycheproof for JWS and JWK: payloads there are not claims, so this looks at the layer below.

use std::collections::BTreeMap;

use plastron_bundle::Bundle;
use plastron_keys::KeyBackend as _;
use plastron_keys_aws_lc::AwsLc;
use serde_json::{Value, json};

use super::{JwtError, JwtVerifier, MAX_TOKEN_LEN};
use crate::token::{Compact, Header};

/// Rows that we judge otherwise, and why.
const DIVERGENCES: [(&str, u64, &str); 9] = [
    (SIGNATURES, 332, ALG),
    (SIGNATURES, 334, ALG),
    (SIGNATURES, 336, ALG),
    (SIGNATURES, 338, ALG),
    (SIGNATURES, 340, ALG),
    (SIGNATURES, 355, KEY_OPS),
    (SIGNATURES, 356, KEY_OPS),
    (KEYS, 19, ALG),
    (KEYS, 20, ALG),
];

const SIGNATURES: &str = "wycheproof/json_web_signature_test.json";
const KEYS: &str = "wycheproof/json_web_key_test.json";
const KEY_OPS: &str = "`use` says what a key is for, and `key_ops` is tolerated (BUNDLE-31)";
const ALG: &str =
    "the kind of the key decides (JWT-07), and a member `alg` of it is tolerated (BUNDLE-31)";

#[test]
fn judges_as_wycheproof_does_but_for_known_divergences() {
    let mut judged = 0;
    for file in [SIGNATURES, KEYS] {
        let Some(text) = plastron_testing::vectors::read(file) else {
            return;
        };
        let mut divergences: BTreeMap<u64, &str> = DIVERGENCES
            .into_iter()
            .filter(|(of, ..)| *of == file)
            .map(|(_, row, why)| (row, why))
            .collect();
        let suite: Value = serde_json::from_str(&text).unwrap();
        let mut faults = Vec::new();
        for group in suite["testGroups"].as_array().unwrap() {
            let bundle = bundle(&group["public"]);
            for test in group["tests"].as_array().unwrap() {
                judged += 1;
                let row = test["tcId"].as_u64().unwrap();
                let verdict = match &test["jws"] {
                    Value::String(token) => judge(token, &bundle),
                    json => judge(&json.to_string(), &bundle),
                };
                // Without a public key it is HMAC, which is refused whatever its secret says (JWT-06).
                let is_valid = test["result"] != "invalid" && group["public"] != Value::Null;
                let agrees = verdict.is_ok() == is_valid;
                if agrees == divergences.remove(&row).is_some() {
                    faults.push(format!("{file} {row} {}: {verdict:?}", test["comment"]));
                }
            }
        }
        faults.extend(
            divergences
                .keys()
                .map(|row| format!("{file} has no row {row}")),
        );
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
    assert!(judged > 400);
}

/// A set of keys as a bundle would have it: what is for signatures there is for JWT-SVIDs here.
fn bundle(public: &Value) -> Bundle {
    let keys = match public {
        Value::Null => vec![],
        Value::Object(set) if set.contains_key("keys") => set["keys"].as_array().unwrap().clone(),
        key => vec![key.clone()],
    };
    let keys: Vec<Value> = keys
        .into_iter()
        .map(|mut key| {
            if key["use"] == "sig" {
                key["use"] = json!("jwt-svid");
            }
            if key["kid"].is_null() {
                key["kid"] = json!("none");
            }
            key
        })
        .collect();
    let jwks = json!({ "keys": keys }).to_string();
    let trust_domain = "td.example".parse().unwrap();
    Bundle::parse_jwks(trust_domain, jwks.as_bytes())
        .unwrap()
        .bundle
}

fn judge(token: &str, bundle: &Bundle) -> Result<(), JwtError> {
    let verifier = JwtVerifier::new(AwsLc.algorithms()).allow_missing_key_id();
    let compact = Compact::split(token, MAX_TOKEN_LEN)?;
    let header = compact.header()?;
    let header = Header::parse(&header)?;
    super::check_header(&header, false)?;
    verifier.check_signature(&compact, &header, bundle.jwt_authorities())
}
