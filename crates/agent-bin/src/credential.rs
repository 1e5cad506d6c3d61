//! Certificates and tokens, as commands show them. What is shown is read, not verified.

use base64ct::{Base64UrlUnpadded, Encoding};
use plastron_bundle::certificate::{Certificate, GeneralName};
use plastron_keys::{PublicKey, PublicKeyKind};
use serde_json::{Value, json};

use crate::{
    calendar::{distance, rfc3339},
    distinguished_name,
    report::hex,
};

/// What is known about a certificate or a token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    /// The SPIFFE ID that it names, whether or not it may.
    pub(crate) id: Option<String>,
    /// For people, in order.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// For programs.
    pub(crate) json: Value,
}

/// A certificate at `now`, in seconds since 1970.
pub(crate) fn certificate(certificate: &Certificate<'_>, now: i64) -> View {
    let id = certificate
        .uri_san()
        .map(|uri| String::from_utf8_lossy(uri).into_owned());
    let dns_names: Vec<String> = certificate
        .subject_alt_names()
        .filter_map(|name| match name {
            GeneralName::Dns(name) => Some(String::from_utf8_lossy(name).into_owned()),
            _ => None,
        })
        .collect();
    let serial = serial(certificate.serial());
    let (subject, issuer) = (
        distinguished_name::show(certificate.subject()),
        distinguished_name::show(certificate.issuer()),
    );
    let [not_before, not_after] = [certificate.not_before(), certificate.not_after()]
        .map(|time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let key_type = PublicKey::from_spki_der(certificate.spki().der()).map_or_else(
        |_| "of a kind that SPIFFE does not use".to_owned(),
        |key| key_kind(key.kind()),
    );
    View {
        fields: vec![
            ("serial", serial.clone()),
            ("valid", validity(not_before, not_after, now)),
            ("key", key_type.clone()),
            ("subject", subject.clone()),
            ("issuer", issuer.clone()),
            ("DNS names", dns_names.join("\n")),
        ],
        json: json!({
            "spiffe_id": id,
            "serial": serial,
            "subject": subject,
            "issuer": issuer,
            "not_before": rfc3339(not_before),
            "not_after": rfc3339(not_after),
            "key_type": key_type,
            "dns_names": dns_names,
            "is_ca": certificate.is_ca(),
        }),
        id,
    }
}

/// A serial number as OpenSSL and the audit record have it: without the byte that DER puts before a high bit.
fn serial(bytes: &[u8]) -> String {
    hex(match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    })
}

/// The name of a key type as the configuration has it.
pub(crate) fn key_kind(kind: PublicKeyKind) -> String {
    match kind {
        PublicKeyKind::EcP256 => "ec-p256".to_owned(),
        PublicKeyKind::EcP384 => "ec-p384".to_owned(),
        PublicKeyKind::EcP521 => "ec-p521".to_owned(),
        PublicKeyKind::Rsa { bits } => format!("rsa-{bits}"),
        PublicKeyKind::Ed25519 => "ed25519".to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn validity(from: i64, until: i64, now: i64) -> String {
    let state = match now {
        now if now < from => format!("begins {}", distance(from, now)),
        now if now > until => format!("expired {}", distance(until, now)),
        now => format!("ends {}", distance(until, now)),
    };
    format!("{} to {} ({state})", rfc3339(from), rfc3339(until))
}

/// A compact JWS at `now`: its header and claims. `None` when it is none.
pub(crate) fn token(token: &str, now: i64) -> Option<View> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let decode = |part: &str| -> Option<Value> {
        let bytes = Base64UrlUnpadded::decode_vec(part).ok()?;
        serde_json::from_slice(&bytes).ok().filter(Value::is_object)
    };
    let (header, claims) = (decode(header)?, decode(claims)?);
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned).unwrap_or_default();
    let moment = |value: &Value| {
        value
            .as_i64()
            .or_else(|| value.as_f64().map(|seconds| seconds as i64))
    };
    let time = |name: &str| moment(&claims[name]).map(rfc3339).unwrap_or_default();
    let expires = moment(&claims["exp"]).map(|end| {
        let verb = if end < now { "expired" } else { "ends" };
        format!("{} ({verb} {})", rfc3339(end), distance(end, now))
    });
    let audiences = match &claims["aud"] {
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join("\n"),
        one => text(one),
    };
    Some(View {
        id: claims["sub"].as_str().map(ToOwned::to_owned),
        fields: vec![
            ("audience", audiences),
            ("issued", time("iat")),
            ("expires", expires.unwrap_or_default()),
            ("jti", text(&claims["jti"])),
            ("issuer", text(&claims["iss"])),
            ("algorithm", text(&header["alg"])),
            ("key ID", text(&header["kid"])),
        ],
        json: json!({ "spiffe_id": claims["sub"], "header": header, "claims": claims }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jws(header: &str, claims: &str) -> String {
        let encode = |part: &str| Base64UrlUnpadded::encode_string(part.as_bytes());
        format!("{}.{}.c2ln", encode(header), encode(claims))
    }

    #[test]
    fn a_token_shows_its_claims_and_not_itself() {
        let text = jws(
            r#"{"alg":"ES256","kid":"k1"}"#,
            r#"{"sub":"spiffe://td/a","aud":["x","y"],"iat":1893456000,"exp":1893456300,"jti":"j"}"#,
        );
        let view = token(&text, 1_893_456_240).unwrap();
        assert_eq!(view.id.as_deref(), Some("spiffe://td/a"));
        let fields: Vec<_> = view
            .fields
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .cloned()
            .collect();
        assert_eq!(
            fields,
            [
                ("audience", "x\ny".to_owned()),
                ("issued", "2030-01-01T00:00:00Z".to_owned()),
                ("expires", "2030-01-01T00:05:00Z (ends in 1m)".to_owned()),
                ("jti", "j".to_owned()),
                ("algorithm", "ES256".to_owned()),
                ("key ID", "k1".to_owned()),
            ]
        );
        assert_eq!(view.json["claims"]["exp"], 1_893_456_300);
    }

    #[test]
    fn what_is_no_token_is_none() {
        for text in [
            "",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            &jws("[]", "{}"),
            &jws("{}", "7"),
        ] {
            assert_eq!(token(text, 0), None, "{text}");
        }
    }

    #[test]
    fn validity_says_where_now_is() {
        for (now, want) in [
            (-60, "begins in 1m"),
            (0, "ends in 1h"),
            (3600, "ends in 0s"),
            (3660, "expired 1m ago"),
        ] {
            assert!(
                validity(0, 3600, now).ends_with(&format!("({want})")),
                "{now}"
            );
        }
    }
}
