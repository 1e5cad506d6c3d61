//! `svid verify`: what it says of files, good ones and such with one defect.

use std::{fs, path::Path};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use plastron_bundle::{Bundle, JwtAuthority, X509Authority, pem};
use plastron_keys::{JwsAlgorithm, KeyBackend as _, KeyType, PrivateKey};
use plastron_testing::{
    BACKEND,
    raw_certificate::{Extension, RawCertificate, general_name as gn},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::running::{Said, say};

const ID: &str = "spiffe://td.example/shop/cart";
/// 2025-01-01; certificates here are valid from 2000 to 2099, tokens for five minutes.
const NOW: u64 = 1_735_689_600;

/// Files to judge. `root` signs certificates, `jwt` tokens under the `kid` `key`.
struct Files {
    folder: TempDir,
    root: Box<dyn PrivateKey>,
    jwt: Box<dyn PrivateKey>,
}

impl Files {
    fn new() -> Self {
        let generate = || BACKEND.generate(KeyType::EcP256).unwrap();
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
            root: generate(),
            jwt: generate(),
        };
        let root = files.authority("root", "root");
        let mut bundle = Bundle::new("td.example".parse().unwrap());
        bundle.add_x509_authority(X509Authority::parse(&root).unwrap());
        files.write("x509.json", bundle.to_document());
        bundle
            .add_jwt_authority(JwtAuthority::new("key", files.jwt.public_key().clone()).unwrap())
            .unwrap();
        files.write("bundle.json", bundle.to_document());
        files.write("root.pem", pem::certificate(&root));
        files.write("root.der", &root);
        let mut jwt_alone = Bundle::new("td.example".parse().unwrap());
        for authority in bundle.jwt_authorities() {
            jwt_alone.add_jwt_authority(authority.clone()).unwrap();
        }
        files.write("jwt.json", jwt_alone.to_document());
        files.write("empty.json", r#"{"keys":[]}"#);
        files.write("unknown.json", r#"{"keys":[{"use":"sig","kty":"EC"}]}"#);
        files
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(Path::new(&self.path(name)), content).unwrap();
        self.path(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn authority(&self, subject: &str, issuer: &str) -> Vec<u8> {
        RawCertificate::authority(subject, issuer, self.root.public_key()).sign(&*self.root)
    }

    fn leaf(&self) -> RawCertificate {
        RawCertificate::leaf(ID, "root", self.root.public_key())
    }

    fn sign(&self, leaf: RawCertificate) -> Vec<u8> {
        leaf.sign(&*self.root)
    }

    fn token_of(&self, header: Value, claims: Value) -> String {
        let signed = [header, claims]
            .map(|part| Base64UrlUnpadded::encode_string(part.to_string().as_bytes()))
            .join(".");
        let signature = JwsAlgorithm::Es256
            .signature_from_x509(self.jwt.sign(signed.as_bytes()).unwrap())
            .unwrap();
        format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature))
    }

    /// A token with these claims in the place of the right ones.
    fn token(&self, claims: Value) -> String {
        let mut right =
            json!({ "sub": ID, "aud": ["payments", "stock"], "exp": NOW + 300, "iat": NOW });
        for (name, value) in claims.as_object().unwrap() {
            right[name] = value.clone();
        }
        self.token_of(json!({ "alg": "ES256", "kid": "key", "typ": "JWT" }), right)
    }

    /// What the command says of a file at [`NOW`], by `bundle.json` where nothing else is named.
    fn say(&self, file: &str, more: &[&str]) -> Said {
        let bundle = format!("td.example={}", self.path("bundle.json"));
        let mut arguments = vec!["--output", "json", "svid", "verify"];
        if !more.contains(&"--at") {
            arguments.extend(["--at", "1735689600"]);
        }
        if !more.contains(&"--bundle") {
            arguments.extend(["--bundle", &bundle]);
        }
        arguments.extend(more);
        arguments.push(file);
        say(&arguments)
    }
}

/// What all outcomes have in common, and what they differ in.
#[track_caller]
fn assert_verdict(said: &Said, code: i32, rule: Option<&str>, what: &str) {
    assert_eq!(said.code, code, "{what}: {said:?}");
    let json = said.json();
    assert_eq!(json["rule"], json!(rule), "{what}: {said:?}");
    let (valid, id) = match code {
        0 => (json!(true), json!(ID)),
        1 => (json!(false), Value::Null),
        _ => (Value::Null, Value::Null),
    };
    assert_eq!(
        (&json["valid"], &json["spiffe_id"]),
        (&valid, &id),
        "{what}"
    );
    assert_eq!(json["error"].is_string(), code != 0, "{what}: {said:?}");
}

#[test]
fn a_broken_certificate_names_the_rule_that_it_breaks() {
    let files = Files::new();
    let with = |extension| files.sign(files.leaf().with(vec![extension]));
    let sans = |names: &[Vec<u8>]| with(Extension::subject_alt_name(names));
    let mut expired = files.leaf();
    expired.not_after = plastron_testing::raw_certificate::der(0x17, "200101000000Z");
    let right = files.sign(files.leaf());
    let mut flipped = right.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (rule, what, der) in [
        (None, "right", right.clone()),
        (
            Some("X509-02"),
            "two URIs",
            sans(&[gn::uri(ID), gn::uri("https://x/")]),
        ),
        (Some("X509-03"), "no URI", sans(&[gn::dns("td.example")])),
        (
            Some("X509-04"),
            "no SPIFFE ID",
            sans(&[gn::uri("https://td.example/a")]),
        ),
        (
            Some("X509-10"),
            "no path",
            sans(&[gn::uri("spiffe://td.example")]),
        ),
        (
            Some("X509-62"),
            "a CA",
            with(Extension::basic_constraints(true, None)),
        ),
        (
            Some("X509-63"),
            "may sign",
            with(Extension::key_usage(&[0, 5])),
        ),
        (
            Some("X509-65"),
            "no signatures",
            with(Extension::key_usage(&[2])),
        ),
        (Some("X509-58"), "critical", with(Extension::unknown(true))),
        (Some("X509-53"), "expired", files.sign(expired)),
        (
            Some("X509-54"),
            "another issuer",
            files.sign(RawCertificate::leaf(ID, "other", files.root.public_key())),
        ),
        (Some("X509-52"), "a flipped bit", flipped),
        (
            Some("X509-66"),
            "another trust domain",
            sans(&[gn::uri("spiffe://other.example/a")]),
        ),
        (Some("X509-61"), "too many", right.repeat(17)),
        (Some("X509-51"), "left over", [&right[..], &[0]].concat()),
        (
            Some("X509-51"),
            "cut off",
            right[..right.len() - 1].to_vec(),
        ),
        (Some("X509-68"), "nothing", vec![]),
    ] {
        let title = format!("{rule:?} −: {what}");
        let said = files.say(&files.write("svid.der", &der), &[]);
        assert_verdict(&said, i32::from(rule.is_some()), rule, &title);
        if rule.is_none_or(|rule| !["X509-51", "X509-68"].contains(&rule)) {
            let text: String = plastron_bundle::certificate::certificates(&der)
                .map(|certificate| pem::certificate(certificate.unwrap().der()))
                .collect();
            let said = files.say(&files.write("svid.pem", text), &[]);
            assert_verdict(&said, i32::from(rule.is_some()), rule, &title);
        }
    }
}

#[test]
fn a_broken_token_names_the_rule_that_it_breaks() {
    let files = Files::new();
    let right = files.token(json!({}));
    let claims = json!({ "sub": ID, "aud": "payments", "exp": NOW + 300 });
    let header = |header| files.token_of(header, claims.clone());
    let mut flipped = right.clone().into_bytes();
    let middle = flipped.len() - 8;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    for (rule, what, token) in [
        (None, "right", right.clone()),
        (None, "a line end", format!("{right}\n")),
        (None, "a line end of DOS", format!("{right}\r\n")),
        (Some("JWT-16"), "two line ends", format!("{right}\n\n")),
        (Some("JWT-16"), "half a line end", format!("{right}\r")),
        (Some("JWT-16"), "a space before", format!(" {right}")),
        (Some("JWT-16"), "a space behind", format!("{right} ")),
        (Some("JWT-16"), "padding", format!("{right}=")),
        (Some("JWT-01"), "two parts", "a.b".to_owned()),
        (Some("JWT-01"), "words", "hello world".to_owned()),
        (
            Some("JWT-06"),
            "alg none",
            header(json!({ "alg": "none", "kid": "key" })),
        ),
        (
            Some("JWT-06"),
            "HS256",
            header(json!({ "alg": "HS256", "kid": "key" })),
        ),
        (
            Some("JWT-07"),
            "ES384",
            header(json!({ "alg": "ES384", "kid": "key" })),
        ),
        (
            Some("JWT-10"),
            "an unknown kid",
            header(json!({ "alg": "ES256", "kid": "x" })),
        ),
        (Some("AMB-20"), "no kid", header(json!({ "alg": "ES256" }))),
        (
            Some("JWT-13"),
            "a WIT",
            header(json!({ "alg": "ES256", "kid": "key", "typ": "wit+jwt" })),
        ),
        (
            Some("JWT-18"),
            "no SPIFFE ID",
            files.token(json!({ "sub": "cart" })),
        ),
        (
            Some("JWT-19"),
            "no path",
            files.token(json!({ "sub": "spiffe://td.example" })),
        ),
        (
            Some("JWT-38"),
            "another trust domain",
            files.token(json!({ "sub": "spiffe://other.example/a" })),
        ),
        (Some("JWT-21"), "no aud", files.token(json!({ "aud": [] }))),
        (
            Some("JWT-22"),
            "for others",
            files.token(json!({ "aud": ["billing"] })),
        ),
        (
            Some("JWT-26"),
            "no exp",
            files.token(json!({ "exp": null })),
        ),
        (
            Some("JWT-27"),
            "ends now",
            files.token(json!({ "exp": NOW })),
        ),
        (
            Some("JWT-29"),
            "not yet",
            files.token(json!({ "nbf": NOW + 1 })),
        ),
        (
            Some("JWT-37"),
            "a flipped byte",
            String::from_utf8(flipped).unwrap(),
        ),
    ] {
        let file = files.write("token", token);
        let title = format!("{rule:?} −: {what}");
        let said = files.say(&file, &["--audience", "nobody", "--audience", "payments"]);
        assert_verdict(&said, i32::from(rule.is_some()), rule, &title);
    }
}

#[test]
fn options_decide_what_a_file_is_judged_by() {
    let files = Files::new();
    let purposes = |purposes: &[u8]| {
        files.sign(
            files
                .leaf()
                .with(vec![Extension::extended_key_usage(purposes)]),
        )
    };
    let svid = files.write("svid.der", files.sign(files.leaf()));
    let server = files.write("server.der", purposes(&[1]));
    let client = files.write("client.der", purposes(&[2]));
    let bare = files.write("bare.der", files.sign(files.leaf().without(37)));
    let token = files.write(
        "token",
        files.token(json!({ "nbf": NOW - 5, "exp": NOW + 5 })),
    );
    let bundle = |trust_domain: &str, name: &str| format!("{trust_domain}={}", files.path(name));
    let root_pem = bundle("td.example", "root.pem");
    let root_der = bundle("spiffe://td.example", "root.der");
    let marked = [&b"\xef\xbb\xbf"[..], &files.read("x509.json")].concat();
    files.write("marked.json", marked);
    let marked = bundle("td.example", "marked.json");
    let latin = [&b"M\xfcnchen\n"[..], &files.read("root.pem")].concat();
    files.write("latin.pem", latin);
    let latin = bundle("td.example", "latin.pem");
    let jwt = bundle("td.example", "jwt.json");
    let x509 = bundle("td.example", "x509.json");
    let empty = bundle("td.example", "empty.json");
    let unknown = bundle("td.example", "unknown.json");
    let other = bundle("other.example", "bundle.json");
    let sub = bundle("a.td.example", "bundle.json");
    let payments = ["--audience", "payments"];
    for (code, rule, file, options) in [
        // X509-37: without a role it may be in either.
        (1, Some("X509-37"), &server, vec![]),
        (1, Some("X509-37"), &client, vec![]),
        (0, None, &bare, vec![]),
        (0, None, &server, vec!["--peer", "server"]),
        (1, Some("AMB-11"), &server, vec!["--peer", "client"]),
        (0, None, &client, vec!["--peer", "client"]),
        (1, Some("AMB-11"), &client, vec!["--peer", "server"]),
        // Bundles: every form, joined, empty, of others.
        (0, None, &svid, vec!["--bundle", &root_pem]),
        (0, None, &svid, vec!["--bundle", &root_der]),
        (0, None, &svid, vec!["--bundle", &marked]),
        (0, None, &svid, vec!["--bundle", &latin]),
        (
            0,
            None,
            &svid,
            vec!["--bundle", &jwt, "--bundle", &root_der],
        ),
        (
            0,
            None,
            &svid,
            vec![
                "--bundle", &root_der, "--bundle", &jwt, "--bundle", &root_pem,
            ],
        ),
        (
            0,
            None,
            &token,
            [&["--bundle", &*root_der, "--bundle", &jwt][..], &payments].concat(),
        ),
        (
            1,
            Some("JWT-51"),
            &token,
            [&["--bundle", &*root_pem][..], &payments].concat(),
        ),
        (
            1,
            Some("JWT-51"),
            &token,
            [&["--bundle", &*x509][..], &payments].concat(),
        ),
        (1, Some("X509-67"), &svid, vec!["--bundle", &jwt]),
        (1, Some("X509-67"), &svid, vec!["--bundle", &empty]),
        (1, Some("X509-67"), &svid, vec!["--bundle", &unknown]),
        (1, Some("X509-66"), &svid, vec!["--bundle", &other]),
        (
            1,
            Some("X509-66"),
            &svid,
            vec!["--bundle", &sub, "--bundle", &other],
        ),
        (0, None, &svid, vec!["--bundle", &other, "--bundle", &x509]),
        // The moment: both ends belong to a certificate, fractions are cut.
        (0, None, &svid, vec!["--at", "946684800"]),
        (1, Some("X509-53"), &svid, vec!["--at", "946684799"]),
        (
            1,
            Some("X509-53"),
            &svid,
            vec!["--at", "1960-01-01T00:00:00Z"],
        ),
        (0, None, &svid, vec!["--at", "2099-12-31T23:59:59.999999Z"]),
        (
            1,
            Some("X509-53"),
            &svid,
            vec!["--at", "2100-01-01T00:00:00Z"],
        ),
        (0, None, &svid, vec!["--at", "2100-01-01T01:59:59+02:00"]),
        (
            0,
            None,
            &token,
            [&["--at", "2025-01-01T00:00:04.9Z"][..], &payments].concat(),
        ),
        (
            1,
            Some("JWT-27"),
            &token,
            [&["--at", "2025-01-01t00:00:05z"][..], &payments].concat(),
        ),
        (
            0,
            None,
            &token,
            [&["--at", "1735689605", "--leeway", "1s"][..], &payments].concat(),
        ),
        (
            1,
            Some("JWT-29"),
            &token,
            [&["--at", "1735689594"][..], &payments].concat(),
        ),
        (
            0,
            None,
            &token,
            [&["--at", "1735689594", "--leeway", "1s"][..], &payments].concat(),
        ),
        (
            1,
            Some("JWT-27"),
            &token,
            [&["--at", "1735689606", "--leeway", "1s"][..], &payments].concat(),
        ),
        (1, Some("JWT-22"), &token, vec!["--audience", "Payments"]),
    ] {
        let said = files.say(file, &options);
        assert_verdict(&said, code, rule, &format!("{file} {options:?}"));
    }
    let said = files.say(&svid, &["--bundle", &unknown]);
    assert!(
        said.err.contains("key 0") && said.err.contains("BUNDLE-20"),
        "{said:?}"
    );
}

#[test]
fn what_cannot_be_judged_is_neither_valid_nor_invalid() {
    let files = Files::new();
    let svid = files.write("svid.der", files.sign(files.leaf()));
    let token = files.write("token", files.token(json!({})));
    let words = files.write("words", "words");
    let broken = files.write("broken.json", r#"{"keys":null}"#);
    let broken = format!("td.example={broken}");
    let words_bundle = format!("td.example={words}");
    let no_file = format!("td.example={}", files.path("missing"));
    let no_name = format!("TD={}", files.path("root.pem"));
    let other_key = JwtAuthority::new("key", files.root.public_key().clone()).unwrap();
    let mut conflict = Bundle::new("td.example".parse().unwrap());
    conflict.add_jwt_authority(other_key).unwrap();
    let conflict = format!(
        "td.example={}",
        files.write("conflict.json", conflict.to_document())
    );
    let bundle = format!("td.example={}", files.path("bundle.json"));
    for (rule, file, options) in [
        (Some("JWT-23"), &token, vec![]),
        (Some("JWT-23"), &token, vec!["--audience", ""]),
        (None, &files.path("missing"), vec![]),
        (None, &svid, vec!["--bundle", &no_file]),
        (None, &svid, vec!["--bundle", &words_bundle]),
        (None, &svid, vec!["--bundle", "root.pem"]),
        (Some("ID-09"), &svid, vec!["--bundle", &no_name]),
        (Some("BUNDLE-18"), &svid, vec!["--bundle", &broken]),
        (
            Some("BUNDLE-24"),
            &svid,
            vec!["--bundle", &bundle, "--bundle", &conflict],
        ),
        (None, &svid, vec!["--at", "yesterday"]),
        (None, &svid, vec!["--at", "2025-01-01"]),
        (None, &svid, vec!["--at", "2025-01-01T00:00Z"]),
        (None, &svid, vec!["--at", "+1735689600"]),
        (
            None,
            &svid,
            vec!["--bundle", "a.example=-", "--bundle", "b.example=-"],
        ),
        (None, &"-".to_owned(), vec!["--bundle", "a.example=-"]),
        (None, &svid, vec!["--peer", "both"]),
        (None, &svid, vec!["--leeway", "1h"]),
        (None, &svid, vec!["--leeway", "1"]),
        (None, &svid, vec!["--frobnicate"]),
    ] {
        assert_verdict(&files.say(file, &options), 2, rule, &format!("{options:?}"));
    }
    let huge = files.write(
        "huge",
        [&*files.sign(files.leaf()), &vec![0; 64 << 20]].concat(),
    );
    assert_verdict(&files.say(&huge, &[]), 1, Some("X509-61"), "X509-61 −");
    let huge = format!("td.example={huge}");
    assert_verdict(
        &files.say(&svid, &["--bundle", &huge]),
        2,
        None,
        "a bundle of that size",
    );
    // Nobody needs to know for whom what is no token is meant.
    assert_verdict(&files.say(&words, &[]), 1, Some("JWT-01"), "words");
    let no_bundle = say(&["svid", "verify", &svid, "--output=json"]);
    assert_verdict(&no_bundle, 2, None, "no bundle");
}

#[test]
fn a_bundle_is_named_by_its_trust_domain_and_not_by_a_workload() {
    let files = Files::new();
    let [leaf, _, root] = foreign_chain();
    let bundle = format!(
        "spiffe://td.example/db={}",
        files.write("foreign.der", &root)
    );
    let said = files.say(&files.write("chain", leaf), &["--bundle", &bundle]);
    assert_verdict(&said, 2, None, "the ID of a workload");
}

#[test]
fn a_chain_of_others_is_judged_with_its_intermediates_in_any_form() {
    let files = Files::new();
    let chain = foreign_chain();
    let bundle = format!("td.example={}", files.write("foreign.der", &chain[2]));
    let pem_of = |ders: &[&[u8]]| {
        ders.iter()
            .map(|der| pem::certificate(der))
            .collect::<String>()
    };
    let [leaf, intermediate, root] = &chain;
    for (rule, what, content) in [
        (None, "PEM", pem_of(&[leaf, intermediate]).into_bytes()),
        (None, "DER", [&leaf[..], intermediate].concat()),
        (
            None,
            "with its root",
            pem_of(&[leaf, root, intermediate]).into_bytes(),
        ),
        (
            None,
            "with words and a key around it",
            format!(
                "subject=\n{}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                pem_of(&[leaf, intermediate])
            )
            .into_bytes(),
        ),
        (
            None,
            "with a number in front of it",
            format!("0 s:CN=cart\n{}", pem_of(&[leaf, intermediate])).into_bytes(),
        ),
        (
            None,
            "with words in Latin-1 in front of it",
            [
                &b"subject=M\xfcller\n"[..],
                pem_of(&[leaf, intermediate]).as_bytes(),
            ]
            .concat(),
        ),
        (Some("X509-54"), "without it", leaf.clone()),
        (
            Some("X509-51"),
            "cut",
            pem_of(&[leaf, intermediate])[..1000].into(),
        ),
        (
            Some("X509-68"),
            "a key alone",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec(),
        ),
    ] {
        let title = format!("{rule:?} −: {what}");
        let said = files.say(&files.write("chain", content), &["--bundle", &bundle]);
        assert_verdict(&said, i32::from(rule.is_some()), rule, &title);
    }
    let people = say(&[
        "svid",
        "verify",
        "--bundle",
        &bundle,
        &files.write("leaf", leaf),
    ]);
    assert_eq!(people.code, 1);
    assert!(
        people.out.contains("not valid") && people.out.contains("(X509-54)"),
        "{people:?}"
    );
}

/// A leaf, its intermediate and its root, made by `rcgen`.
fn foreign_chain() -> [Vec<u8>; 3] {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
        KeyPair, KeyUsagePurpose, SanType,
    };
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    };
    let [root_key, intermediate_key, leaf_key] = [(); 3].map(|()| KeyPair::generate().unwrap());
    let root = authority("root").self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(authority("root"), root_key);
    let intermediate = authority("intermediate")
        .signed_by(&intermediate_key, &root_issuer)
        .unwrap();
    let intermediate_issuer = Issuer::new(authority("intermediate"), intermediate_key);
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(ID.try_into().unwrap())];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let leaf = leaf.signed_by(&leaf_key, &intermediate_issuer).unwrap();
    [
        leaf.der().to_vec(),
        intermediate.der().to_vec(),
        root.der().to_vec(),
    ]
}
