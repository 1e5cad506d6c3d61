//! Writing: the bundle document, the bundle map, and the plain JWK Set of the Workload API.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use plastron_keys::PublicKey;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

#[cfg(feature = "wit")]
use super::key::WIT_SVID;
use super::key::{JWT_SVID, X509_SVID};
use crate::{Bundle, BundleSet, TokenAuthority, TokenUse, X509Authority};

/// Writes all that is published of a bundle.
pub(crate) fn write_document(bundle: &Bundle) -> Vec<u8> {
    write(&Document {
        // Whole seconds, and a fraction counts as one (BUNDLE-16).
        spiffe_refresh_hint: bundle.refresh_hint().map(|hint| {
            hint.as_secs()
                .saturating_add(u64::from(hint.subsec_nanos() > 0))
        }),
        ..document(bundle)
    })
}

/// Writes all that is published of several bundles, without refresh hints (BUNDLE-40).
pub(crate) fn write_map(bundles: &BundleSet) -> Vec<u8> {
    let documents = bundles
        .iter()
        .map(|bundle| (bundle.trust_domain().as_str(), document(bundle)));
    write(&Map {
        trust_domains: documents.collect(),
    })
}

/// A bundle without its refresh hint.
///
/// Keys have the members that the standards name and no others (BUNDLE-31); an empty list is written as one (AMB-15).
fn document(bundle: &Bundle) -> Document<'_> {
    let x509 = bundle.x509_authorities().iter().map(Key::X509);
    let jwt = bundle.jwt_authorities().iter();
    let keys = x509.chain(jwt.map(|authority| Key::token(authority, Some(JWT_SVID))));
    #[cfg(feature = "wit")]
    let keys = {
        let wit = bundle.wit_authorities().iter();
        keys.chain(wit.map(|authority| Key::token(authority, Some(WIT_SVID))))
    };
    Document {
        keys: keys.collect(),
        spiffe_sequence: bundle.sequence(),
        spiffe_refresh_hint: None,
    }
}

/// Writes keys for tokens of one kind alone. Those of JWT-SVIDs go without `use`, as SPIRE does (WAPI-48, AMB-32).
pub(crate) fn write_jwks<U: TokenUse>(
    authorities: &[TokenAuthority<U>],
    key_use: Option<&'static str>,
) -> Vec<u8> {
    let keys = authorities
        .iter()
        .map(|authority| Key::token(authority, key_use));
    write(&Document {
        keys: keys.collect(),
        spiffe_sequence: None,
        spiffe_refresh_hint: None,
    })
}

fn write(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("strings and integers are always JSON")
}

#[derive(serde::Serialize)]
struct Document<'a> {
    keys: Vec<Key<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_refresh_hint: Option<u64>,
}

#[derive(serde::Serialize)]
struct Map<'a> {
    trust_domains: BTreeMap<&'a str, Document<'a>>,
}

enum Key<'a> {
    /// No `kid`, and one certificate (X509-76, X509-77).
    X509(&'a X509Authority),
    Token {
        key_id: &'a str,
        public_key: &'a PublicKey,
        key_use: Option<&'static str>,
    },
}

impl<'a> Key<'a> {
    fn token<U: TokenUse>(authority: &'a TokenAuthority<U>, key_use: Option<&'static str>) -> Self {
        Self::Token {
            key_id: authority.key_id(),
            public_key: authority.public_key(),
            key_use,
        }
    }
}

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let write_key = |map: &mut S::SerializeMap, key: &PublicKey| {
            let jwk = key.jwk();
            jwk.members()
                .into_iter()
                .try_for_each(|(name, value)| map.serialize_entry(name, value))
        };
        match self {
            Self::X509(authority) => {
                map.serialize_entry("use", X509_SVID)?;
                write_key(&mut map, authority.public_key())?;
                map.serialize_entry("x5c", &[Base64::encode_string(authority.der())])?;
            }
            Self::Token {
                key_id,
                public_key,
                key_use,
            } => {
                if let Some(key_use) = key_use {
                    map.serialize_entry("use", key_use)?;
                }
                map.serialize_entry("kid", key_id)?;
                write_key(&mut map, public_key)?;
            }
        }
        map.end()
    }
}
