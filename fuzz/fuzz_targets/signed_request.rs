//! Requests with a right WIT-SVID: the only ones that are accepted say what was signed.
//!
//! Method and target, then fields, then a body, as in HTTP/1.1 but for the ends of lines. Where the value of a field is `=` it
//! is the right one.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plastron_fuzz::{Authority, now};
use plastron_http_signature::{HttpRequest, HttpSignature, content_digest};
use plastron_keys::KeyType;
use plastron_keys::rust_crypto::ALGORITHMS;
use plastron_svid::{HttpProof, WitVerifier};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(KeyType::Ed25519));

const BODY: &[u8] = b"{}";
const AUDIENCE: &str = "payments";

/// The fields of the right request.
static RIGHT: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let token = AUTHORITY.wit_svid("/shop/cart", "1").expect("a path");
    let mut fields = vec![
        ("content-type", "application/json".to_owned()),
        ("content-digest", content_digest(BODY)),
        ("workload-identity-token", token),
    ];
    let signed = {
        let fields = view(&fields);
        let request = HttpRequest::new("POST", "/pay?n=1", &fields).body(BODY);
        AUTHORITY.http_signature(&request, AUDIENCE, "1")
    };
    let signed = signed.expect("a right request");
    fields.push(("signature-input", signed.signature_input));
    fields.push(("signature", signed.signature));
    fields
});

/// What was signed.
static BASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let fields = view(&RIGHT);
    let request = HttpRequest::new("POST", "/pay?n=1", &fields).body(BODY);
    HttpSignature::of(&request).expect("signed by us").base
});

fn view<'a>(fields: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a [u8])> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect()
}

fn right(name: &str) -> Option<&'static [u8]> {
    let of_name = |field: &&(&str, String)| field.0.eq_ignore_ascii_case(name);
    RIGHT.iter().find(of_name).map(|field| field.1.as_bytes())
}

fuzz_target!(|bytes: &[u8]| {
    let (head, body) = match bytes.windows(2).position(|two| two == b"\n\n") {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (bytes, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let Some((method, target)) = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.split_once(' '))
    else {
        return;
    };
    let mut fields = Vec::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let Ok(name) = std::str::from_utf8(&line[..colon]) else {
            return;
        };
        let value = &line[colon + 1..];
        let value = if value == b"=" {
            right(name).unwrap_or(value)
        } else {
            value
        };
        fields.push((name, value));
    }
    let request = HttpRequest::new(method, target, &fields).body(body);
    let read = HttpSignature::of(&request);
    let proof = HttpProof::new(&request, &[AUDIENCE]);
    if WitVerifier::new(ALGORITHMS)
        .verify_request(&proof, &AUTHORITY.bundle, now())
        .is_ok()
    {
        let read = read.expect("verified");
        assert_eq!(read.base, *BASE);
        assert_eq!(body, BODY);
    }
});
