//! The shape of the listing: protobuf's JSON with its own field names, and numbers of 64 bits as text.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::Value;

use super::ImportError;

/// Reads a listing.
pub(super) fn parse(json: &[u8]) -> Result<Vec<Listed>, ImportError> {
    #[derive(Deserialize)]
    struct Listing {
        entries: Vec<Listed>,
    }
    let listing: Listing = serde_json::from_slice(json).map_err(|error| ImportError {
        line: error.line(),
        column: error.column(),
        message: words(&error).into(),
    })?;
    Ok(listing.entries)
}

/// What the parser says, without the place.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// One entry, field by field.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) spiffe_id: Option<Id>,
    pub(super) parent_id: Option<Id>,
    pub(super) selectors: Vec<Selector>,
    #[serde(deserialize_with = "integer")]
    pub(super) x509_svid_ttl: i64,
    #[serde(deserialize_with = "integer")]
    pub(super) jwt_svid_ttl: i64,
    pub(super) federates_with: Vec<String>,
    pub(super) admin: bool,
    pub(super) downstream: bool,
    #[serde(deserialize_with = "integer")]
    pub(super) expires_at: i64,
    pub(super) dns_names: Vec<String>,
    pub(super) store_svid: bool,
    pub(super) hint: String,
    #[serde(deserialize_with = "integer")]
    pub(super) created_at: i64,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Listed {
    /// The fields that are set and mean something that is not known here.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &str> {
        self.others
            .iter()
            .filter(|(name, value)| !WITHOUT_LOSS.contains(&name.as_str()) && is_set(value))
            .map(|(name, _)| name.as_str())
    }
}

/// Fields that ask for what is done here anyway, or that concern the server alone.
const WITHOUT_LOSS: [&str; 3] = [
    "revision_number",
    "disable_x509_svid_prefetch",
    "jwt_svid_include_jti",
];

/// Whether a field has another value than an unset one is printed with.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_i64() != Some(0),
        Value::String(value) => !value.is_empty() && value != "0",
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => !values.is_empty(),
    }
}

/// A SPIFFE ID in two parts, not checked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Id {
    pub(super) trust_domain: String,
    pub(super) path: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}{}", self.trust_domain, self.path)
    }
}

/// A selector, not checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Selector {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) value: String,
}

/// A whole number, also one that is printed as text, as protobuf prints those of 64 bits.
fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Integer;

    impl Visitor<'_> for Integer {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
            Ok(number)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
            i64::try_from(number).map_err(|_| E::custom("number is out of range"))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
            text.parse()
                .map_err(|_| E::custom(format_args!("{text:?} is no whole number")))
        }
    }

    deserializer.deserialize_any(Integer)
}
