//! Makes `seeds/`, which the targets hold what they accept against, and the first inputs in `corpus/`.
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml --example seeds
//! ```
//!
//! The keys are not kept, so everything is made anew together.

use std::error::Error;
use std::fs;
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use plastron_bundle::certificate::Certificate;
use plastron_bundle::{Bundle, BundleSet, JwtAuthority, X509Authority, pem};
use plastron_fuzz::Authority;
use plastron_keys::{JwsAlgorithm, KeyBackend as _, KeyType};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::{Extension, RawCertificate, general_name as gn};

const ID: &str = "spiffe://td.example/shop/cart";

fn main() -> Result<(), Box<dyn Error>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seed = |name: &str, bytes: &[u8]| fs::write(fuzz.join("seeds").join(name), bytes);
    let corpus = |target: &str, name: &str, bytes: &[u8]| {
        let folder = fuzz.join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };

    let (root_key, key) = (
        BACKEND.generate(KeyType::Ed25519)?,
        BACKEND.generate(KeyType::Ed25519)?,
    );
    let root = RawCertificate::authority("root", "root", root_key.public_key()).sign(&*root_key);
    let intermediate = RawCertificate::authority("intermediate", "root", key.public_key())
        .with(vec![
            Extension::basic_constraints(true, Some(0)),
            Extension::subject_alt_name(&[gn::uri("spiffe://td.example")]),
            Extension::name_constraints(
                &[gn::uri("td.example"), gn::dns("a.example")],
                &[gn::ip(&[10, 0, 0, 0, 255, 0, 0, 0])],
            ),
            Extension::subject_key_id(b"intermediate"),
        ])
        .sign(&*root_key);
    let leaf = RawCertificate::leaf(ID, "intermediate", key.public_key())
        .with(vec![
            Extension::subject_alt_name(&[
                gn::uri(ID),
                gn::dns("b.a.example"),
                gn::ip(&[192, 168, 0, 1]),
            ]),
            Extension::authority_key_id(b"intermediate"),
            Extension::unknown(false),
        ])
        .sign(&*key);
    let direct = RawCertificate::leaf(ID, "root", key.public_key()).sign(&*key);
    seed("root.der", &root)?;
    seed("leaf.der", &leaf)?;
    corpus("x509_svid", "chain", &[&leaf[..], &intermediate].concat())?;
    corpus(
        "x509_svid",
        "with_root",
        &[&leaf[..], &root, &intermediate].concat(),
    )?;
    corpus("x509_svid", "forged", &direct)?;
    for (name, der) in [
        ("root", &root),
        ("intermediate", &intermediate),
        ("leaf", &leaf),
    ] {
        corpus("certificate", name, der)?;
    }

    let jwt_key = BACKEND.generate(KeyType::EcP256)?;
    let mut bundle = Bundle::new("td.example".parse()?);
    bundle.add_x509_authority(X509Authority::parse(&root)?);
    bundle.add_jwt_authority(JwtAuthority::new("key", jwt_key.public_key().clone())?)?;
    bundle.set_sequence(Some(7));
    bundle.set_refresh_hint(Some(std::time::Duration::from_secs(300)));
    seed("bundle.json", &bundle.to_document())?;
    corpus("bundle_document", "document", &bundle.to_document())?;
    corpus("bundle_document", "jwks", &bundle.jwks())?;
    corpus("bundle_document", "pem", pem::certificate(&root).as_bytes())?;
    corpus(
        "bundle_document",
        "skipped",
        br#"{"keys":[{"kty":"AKP","use":"sig"},{"kty":"EC","use":"x509-svid","x5c":[]},{"kty":"oct","k":"AA"},5]}"#,
    )?;

    let other = Bundle::new("other.example".parse()?);
    let map = BundleSet::from_iter([bundle, other]).to_map();
    corpus("bundle_map", "map", &map)?;
    corpus(
        "bundle_map",
        "twice",
        br#"{"trust_domains":{"a":{"keys":[]},"\u0061":{"keys":[]}},"more":[{}]}"#,
    )?;

    let token = |header: &str, claims: &str| -> Result<String, Box<dyn Error>> {
        let signed = [header, claims]
            .map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()))
            .join(".");
        let signature =
            JwsAlgorithm::Es256.signature_from_x509(jwt_key.sign(signed.as_bytes())?)?;
        Ok(format!(
            "{signed}.{}",
            Base64UrlUnpadded::encode_string(&signature)
        ))
    };
    let header = r#"{"alg":"ES256","kid":"key","typ":"JWT"}"#;
    let claims = format!(
        r#"{{"sub":"{ID}","aud":["payments"],"exp":4102444799,"iat":1735689600,"jti":"1"}}"#
    );
    let right = token(header, &claims)?;
    seed("token", right.as_bytes())?;
    corpus("jwt_svid", "token", right.as_bytes())?;
    corpus(
        "jwt_svid",
        "no_kid",
        token(r#"{"alg":"ES256"}"#, "{}")?.as_bytes(),
    )?;
    corpus(
        "jwt_svid",
        "crit",
        token(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, &claims)?.as_bytes(),
    )?;

    let authority = Authority::new(KeyType::Ed25519);
    let issuer = Certificate::parse(authority.certificate())?
        .subject()
        .to_vec();
    let leaf = RawCertificate::leaf(ID, "ca", authority.leaf_key().public_key());
    let mut ca = RawCertificate::authority("ca", "", authority.leaf_key().public_key());
    ca.issuer = issuer;
    let no_ca = Extension::basic_constraints(false, None);
    let names =
        Extension::subject_alt_name(&[gn::uri(ID), gn::dns("a.example"), gn::ip(&[10, 0, 0, 1])]);
    let constraints = |base| {
        vec![
            Extension::name_constraints(&[base], &[]),
            Extension::basic_constraints(true, Some(0)),
        ]
    };
    for (name, leaf, ca) in [
        ("right", leaf.clone().with(vec![no_ca.clone()]), ca.clone()),
        (
            "names",
            leaf.clone().with(vec![
                no_ca.clone(),
                names.clone(),
                Extension::unknown(false),
            ]),
            ca.clone(),
        ),
        (
            "dns",
            leaf.clone().with(vec![no_ca.clone(), names.clone()]),
            ca.clone().with(constraints(gn::dns("example"))),
        ),
        (
            "uri",
            leaf.clone().with(vec![no_ca.clone()]),
            ca.clone().with(constraints(gn::uri("td.example"))),
        ),
        (
            "ip",
            leaf.with(vec![no_ca, names]),
            ca.with(constraints(gn::ip(&[10, 0, 0, 0, 255, 0, 0, 0]))),
        ),
    ] {
        let (leaf, ca) = (
            leaf.to_tbs(authority.leaf_key()),
            ca.to_tbs(authority.key()),
        );
        let len = u16::try_from(leaf.len())?.to_be_bytes();
        corpus("differential_x509", name, &[&len[..], &leaf, &ca].concat())?;
    }
    let more = claims.replace("\"jti\"", "\"nbf\":1.5e9,\"x\":{\"a\":[null]},\"jti\"");
    for (name, header, claims) in [
        ("right", header, &claims),
        (
            "more",
            r#"{"alg":"ES256","kid":"key","cty":"x","jwk":{"kty":"EC"}}"#,
            &more,
        ),
    ] {
        let len = u16::try_from(header.len())?.to_be_bytes();
        corpus(
            "differential_jwt",
            name,
            &[&len[..], header.as_bytes(), claims.as_bytes()].concat(),
        )?;
    }

    for (name, change) in [("as_it_is", [0, 0, 0]), ("changed", [0, 40, 1])] {
        let input = |text: &str| [&change[..], text.as_bytes()].concat();
        corpus("minted_x509_svid", name, &input("/shop/cart\na.example\nb"))?;
        corpus("minted_wit_svid", name, &input("/shop/cart\n7\npayments"))?;
        corpus(
            "minted_jwt_svid",
            name,
            &input("/shop/cart\n7\npayments\nstock"),
        )?;
    }
    let wit = |header: &str, claims: &str| token(header, claims).map(|token| token + "\n=\n=");
    for (name, input) in [
        ("right", "=\n=\n=".to_owned()),
        ("bearer", "=\n\n=".to_owned()),
        (
            "key",
            r#"=
=
{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA","oth":[]}"#
                .to_owned(),
        ),
        (
            "forged",
            wit(
                r#"{"alg":"ES256","kid":"wit","typ":"wit+jwt","crit":[]}"#,
                &format!(
                    r#"{{"sub":"{ID}","exp":4102444799,"cnf":{{"jwk":{{"kty":"EC","crv":"P-256","alg":"ES256","x":"AA","y":"AA"}}}}}}"#
                ),
            )?,
        ),
        (
            "proof",
            format!(
                "=\n{}\n=",
                token(
                    r#"{"alg":"ES256","typ":"wpt+jwt"}"#,
                    r#"{"aud":"payments","exp":1735689610,"jti":"1","wth":"","ath":"","oth":{"a":""}}"#,
                )?
            ),
        ),
    ] {
        corpus("wit_svid", name, input.as_bytes())?;
    }
    let token = "workload-identity-token:=\n";
    let fields = "content-type:=\ncontent-digest:=\n";
    let signed = "signature-input:=\nsignature:=\n";
    let input = r#"signature-input: a=("@method" "x";sf);created=1;b;c=?0;d=:AA==:, b=();tag="wimse-workload-to-workload";e=1.5"#;
    for (name, input) in [
        (
            "right",
            format!("POST /pay?n=1\n{fields}{token}{signed}\n{{}}"),
        ),
        (
            "other",
            format!("GET /pay?n=2\n{fields}{token}{signed}\n{{}}"),
        ),
        (
            "added",
            format!("POST /pay?n=1\nVia: a\n{fields}{token}{signed}{input}\n\n{{}}"),
        ),
        (
            "fields",
            format!("GET /\n{token}{input}\nsignature: b=:AA==:\n"),
        ),
        (
            "digest",
            format!(
                "POST /pay?n=1\ncontent-digest: sha-512=:AA==:, md5=:AA==:\n{token}{signed}\n{{}}"
            ),
        ),
    ] {
        corpus("signed_request", name, input.as_bytes())?;
    }
    for (name, id) in [
        ("workload", ID),
        ("trust_domain", "spiffe://td.example"),
        ("dots", "spiffe://a..b/.../a./_-"),
        ("port", "spiffe://td.example:443/a"),
        ("upper", "SPIFFE://TD/a"),
    ] {
        corpus("spiffe_id", name, id.as_bytes())?;
    }
    for (name, pattern) in [
        ("exact", ID),
        ("one", "spiffe://td.example/*/cart"),
        ("rest", "spiffe://td.example/shop/**"),
        ("part", "spiffe://td.example/shop/c*"),
    ] {
        corpus("pattern", name, format!("{pattern}\n{ID}").as_bytes())?;
    }
    Ok(())
}
