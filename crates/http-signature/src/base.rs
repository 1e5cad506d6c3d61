//! The signature base: the bytes that are signed. Spec: RFC 9421 §2.5.

use std::borrow::Cow;

use crate::request::{MAX_FIELD_LEN, is_token};
use crate::{HttpRequest, HttpSignatureError as Error};

/// Writes the values of these components, a line each, and the parameters as they stand in `signature-input`.
pub(crate) fn signature_base(
    request: &HttpRequest<'_>,
    components: &[&str],
    parameters: &str,
) -> Result<Vec<u8>, Error> {
    request.check_line()?;
    let mut base = Vec::with_capacity(1024);
    for name in components {
        push_line(&mut base, name, &component(request, name)?);
        base.push(b'\n');
    }
    push_line(&mut base, "@signature-params", parameters);
    Ok(base)
}

/// The value of a component of a request. Spec: RFC 9421 §2.1, §2.2.1, §2.2.5.
fn component<'r>(request: &HttpRequest<'r>, name: &str) -> Result<Cow<'r, str>, Error> {
    match name {
        "@method" => Ok(request.method.into()),
        "@request-target" => Ok(request.target.into()),
        name if is_field_name(name) => request
            .field(name, MAX_FIELD_LEN)?
            .ok_or_else(|| Error::ComponentAbsent(name.into())),
        _ => Err(Error::Component(name.into())),
    }
}

fn is_field_name(name: &str) -> bool {
    let is_lower = |byte: u8| is_token(byte) && !byte.is_ascii_uppercase();
    !name.is_empty() && name.bytes().all(is_lower)
}

fn push_line(base: &mut Vec<u8>, name: &str, value: &str) {
    for part in ["\"", name, "\": ", value] {
        base.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};
    use plastron_keys::{JwsAlgorithm, PublicKey, rust_crypto, verify_jws};

    use super::*;
    use crate::structured::Reader;

    /// RFC 9421 §2.1: white space around goes, lines become one, an empty value is one.
    #[test]
    fn fields_are_those_of_the_examples_of_rfc_9421() {
        let fields: &[(&str, &[u8])] = &[
            ("Host", b"www.example.com"),
            ("Date", b"Tue, 20 Apr 2021 02:07:56 GMT"),
            ("X-OWS-Header", b"   Leading and trailing whitespace.   "),
            ("Cache-Control", b"max-age=60"),
            ("X-Empty-Header", b""),
            ("Cache-Control", b"    must-revalidate"),
        ];
        let request = HttpRequest::new("GET", "/", fields);
        let covered = [
            "host",
            "date",
            "x-ows-header",
            "cache-control",
            "x-empty-header",
        ];
        let base = signature_base(&request, &covered, "()").unwrap();
        let want = "\"host\": www.example.com\n\
                    \"date\": Tue, 20 Apr 2021 02:07:56 GMT\n\
                    \"x-ows-header\": Leading and trailing whitespace.\n\
                    \"cache-control\": max-age=60, must-revalidate\n\
                    \"x-empty-header\": \n\
                    \"@signature-params\": ()";
        assert_eq!(String::from_utf8(base).unwrap(), want);
    }

    /// RFC 9421 §2.2.1, §2.2.5.
    #[test]
    fn derived_components_are_those_of_the_examples_of_rfc_9421() {
        for (method, target, want) in [
            (
                "POST",
                "/path?param=value",
                "\"@method\": POST\n\"@request-target\": /path?param=value",
            ),
            (
                "OPTIONS",
                "*",
                "\"@method\": OPTIONS\n\"@request-target\": *",
            ),
            (
                "CONNECT",
                "www.example.com:80",
                "\"@method\": CONNECT\n\"@request-target\": www.example.com:80",
            ),
        ] {
            let request = HttpRequest::new(method, target, &[]);
            let base = signature_base(&request, &["@method", "@request-target"], "()").unwrap();
            assert_eq!(
                String::from_utf8(base).unwrap(),
                format!("{want}\n\"@signature-params\": ()")
            );
        }
    }

    /// RFC 9421 §B.2.4, whose signature is by another implementation. It is that of a response, whose status we do not read.
    #[test]
    fn the_signature_of_rfc_9421_is_of_our_base() {
        const INPUT: &str = r#"sig-b24=("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256""#;
        const SIGNATURE: &str = "sig-b24=:wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==:";
        const DIGEST: &[u8] = b"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:";
        /// Its key, test-key-ecc-p256 of §B.1.3.
        const SPKI: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==";
        let fields: &[(&str, &[u8])] = &[
            ("Content-Type", b"application/json"),
            ("Content-Digest", DIGEST),
            ("Content-Length", b"23"),
        ];
        let body = b"{\"message\": \"good dog\"}";
        let request = HttpRequest::new("POST", "/foo", fields).body(body);
        crate::content_digest::check(&request).unwrap();
        let mut base = Vec::new();
        let read = Reader::new("signature-input", INPUT).dictionary(|reader, _| {
            let list = reader.inner_list()?;
            let covered = ["content-type", "content-digest", "content-length"];
            base = signature_base(&request, &covered, list.text)?;
            Ok(())
        });
        read.unwrap();
        base.splice(0..0, *b"\"@status\": 200\n");
        let mut signature = Vec::new();
        let read = Reader::new("signature", SIGNATURE).dictionary(|reader, _| {
            signature = reader.bytes()?;
            Ok(())
        });
        read.unwrap();
        let key = PublicKey::from_spki_der(&Base64::decode_vec(SPKI).unwrap()).unwrap();
        let es256 = JwsAlgorithm::Es256;
        verify_jws(rust_crypto::ALGORITHMS, es256, &key, &base, &signature).unwrap();
    }

    #[test]
    fn each_component_is_one_line() {
        for (method, target) in [
            ("GET\n", "/"),
            ("G T", "/"),
            ("", "/"),
            ("GET", ""),
            ("GET", "/\n"),
            ("GET", "/ x"),
            ("GET", "/ñ"),
        ] {
            assert!(
                signature_base(&HttpRequest::new(method, target, &[]), &[], "()").is_err(),
                "{method} {target}"
            );
        }
        for bytes in [
            &b"a\nb"[..],
            b"a\r\n b",
            b"a\0",
            b"\xc3\xb1",
            b"\xff",
            b"\x7f",
        ] {
            let fields = [("a", bytes)];
            let request = HttpRequest::new("GET", "/", &fields);
            assert_eq!(
                signature_base(&request, &["a"], "()"),
                Err(Error::FieldBytes("a".into()))
            );
        }
        let long = vec![b'a'; MAX_FIELD_LEN / 2];
        let fields = [("a", &*long), ("a", &*long)];
        let request = HttpRequest::new("GET", "/", &fields);
        let len = MAX_FIELD_LEN + 2;
        let want = Error::FieldTooLong {
            field: "a".into(),
            len,
        };
        assert_eq!(signature_base(&request, &["a"], "()"), Err(want), "RS-03 −");
        let fields = [("a", &*long), ("a", &long[..long.len() - 2])];
        let request = HttpRequest::new("GET", "/", &fields);
        assert!(signature_base(&request, &["a"], "()").is_ok(), "RS-03 +");
    }
}
