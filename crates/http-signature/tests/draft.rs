//! The example of draft-ietf-wimse-http-signature, of its working copy of 2026-08-06: made by the draft's authors with a Go
//! library. Its key is Ed25519, which no WIT-SVID has; what is signed is the same for all keys.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64ct::{Base64UrlUnpadded, Encoding as _};
use plastron_http_signature::{HttpRequest, HttpSignature, SignatureParameters, ToSign};
use plastron_keys::{PublicKey, SignatureAlgorithm, rust_crypto, verify};

/// `x` of the caller's key in the draft.
const KEY: &str = "ZjlVT4COsCkQO9HIo6tDWAXayQ0MymoFUKJRIQ7S8R8";

const TARGET: &str = "/gimme-ice-cream?flavor=vanilla";

const INPUT: &str = concat!(
    r#"wimse=("@method" "@request-target" "workload-identity-token");created=1785155797;expires=1785156097"#,
    r#";nonce="abcd1111";tag="wimse-workload-to-workload""#,
    r#";wimse-aud="https://svcb.example.com/gimme-ice-cream";wimse-sign-response"#,
);

const SIGNATURE: &str = "wimse=:zSK+kx5EnoZct9FZ6LMYzfx0mk32oI/hHpB7y4rgHxkRDcAA72yBW5xgzA03nKviXLjL7nphq840Uwznp6IKAw==:";

const TOKEN: &str = concat!(
    "eyJhbGciOiJFZERTQSIsImtpZCI6Imlzc3Vlci1rZXkiLCJ0eXAiOiJ3aXQrand0In0.",
    "eyJjbmYiOnsiandrIjp7ImFsZyI6IkVkRFNBIiwiY3J2IjoiRWQyNTUxOSIsImtpZCI6InN2Yy1hLWtleSIsImt0eSI6Ik9LUCIsIngi",
    "OiJaamxWVDRDT3NDa1FPOUhJbzZ0RFdBWGF5UTBNeW1vRlVLSlJJUTdTOFI4In19LCJleHAiOjE3ODUxNTYwOTcsImlhdCI6MTc4NTE1",
    "NTc5NywiaXNzIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS9pc3N1ZXIiLCJqdGkiOiJ3aXQtMTc4NTE1NTc5NzIxNjU0NTcxOSIsInN1YiI6",
    "IndpbXNlOi8vZXhhbXBsZS5jb20vc3ZjQSJ9.",
    "BqJfcsbrYlS9GSQ7NpFBBVz4CeszShqleIyr2sSnd0Ic6l2HXX27giZcdAOGnXjtv_7h-9vV16GZbVcrQt6hCg",
);

/// An Ed25519 key as SubjectPublicKeyInfo. Spec: RFC 8410 §4.
fn key() -> PublicKey {
    let start = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    let point = Base64UrlUnpadded::decode_vec(KEY).unwrap();
    PublicKey::from_spki_der(&[&start[..], &point].concat()).unwrap()
}

fn verifies(base: &[u8], signature: &[u8]) -> bool {
    verify(
        rust_crypto::ALGORITHMS,
        SignatureAlgorithm::Ed25519,
        &key(),
        base,
        signature,
    )
    .is_ok()
}

#[test]
fn reads_the_example_of_the_draft() {
    let fields: &[(&str, &[u8])] = &[
        ("Host", b"svcb.example.com"),
        ("Signature", SIGNATURE.as_bytes()),
        ("Signature-Input", INPUT.as_bytes()),
        ("Workload-Identity-Token", TOKEN.as_bytes()),
    ];
    let signed = HttpSignature::of(&HttpRequest::new("GET", TARGET, fields)).unwrap();
    // WIT-53 +
    assert!(verifies(&signed.base, &signed.signature));
    assert!(signed.wants_signed_response);
    let parameters = SignatureParameters {
        created: 1_785_155_797,
        expires: 1_785_156_097,
        nonce: "abcd1111".into(),
        audience: "https://svcb.example.com/gimme-ice-cream".into(),
    };
    assert_eq!(signed.parameters, parameters);
    // Ours is the same but for what it asks of the answer.
    let ours = ToSign::new(&HttpRequest::new("GET", TARGET, &fields[3..]), &parameters).unwrap();
    let without = |text: &str| text.replace(";wimse-sign-response", "");
    assert_eq!(
        ours.fields(&signed.signature).signature_input,
        without(INPUT)
    );
    assert_eq!(ours.fields(&signed.signature).signature, SIGNATURE);
    let base = String::from_utf8(signed.base).unwrap();
    assert_eq!(
        String::from_utf8(ours.base().to_vec()).unwrap(),
        without(&base)
    );
    // WIT-39 −
    let other = HttpSignature::of(&HttpRequest::new("POST", TARGET, fields)).unwrap();
    assert!(!verifies(&other.base, &other.signature));
}

#[test]
fn values_show_no_token_and_no_signature() {
    let fields: &[(&str, &[u8])] = &[
        ("Signature", SIGNATURE.as_bytes()),
        ("Signature-Input", INPUT.as_bytes()),
        ("Workload-Identity-Token", TOKEN.as_bytes()),
    ];
    let request = HttpRequest::new("GET", TARGET, fields);
    let signed = HttpSignature::of(&request).unwrap();
    let to_sign = ToSign::new(&request, &signed.parameters).unwrap();
    for (shown, part) in [
        (format!("{request:?}"), TARGET),
        (format!("{signed:?}"), "abcd1111"),
        (format!("{to_sign:?}"), "abcd1111"),
        (
            format!("{:?}", to_sign.fields(&signed.signature)),
            "abcd1111",
        ),
    ] {
        assert!(shown.contains(part), "{shown}");
        let base = format!("{:?}", signed.base);
        let secrets = [TOKEN, SIGNATURE, &base];
        assert!(
            !secrets.iter().any(|secret| shown.contains(secret)),
            "RS-15 −: {shown}"
        );
    }
}
