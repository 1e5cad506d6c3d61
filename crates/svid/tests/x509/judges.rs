//! Chains that other software made, and other software's judgement of ours.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pki_types::{CertificateDer, UnixTime};
use plastron_bundle::pem;
use plastron_keys::KeyBackend as _;
use plastron_svid::{PathError, PeerRole, VerifyError};
use plastron_testing::parts::has_program;
use plastron_testing::raw_certificate::{Extension, general_name as gn};
use plastron_testing::{Authority, BACKEND, Clock};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::fixture::*;

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

#[test]
fn accepts_a_chain_that_rcgen_made() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_ECDSA_P521_SHA512,
    ] {
        let root_key = KeyPair::generate_for(algorithm).unwrap();
        let root = ca("rcgen root").self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(ca("rcgen root"), root_key);

        let intermediate_key = KeyPair::generate_for(algorithm).unwrap();
        let intermediate = ca("rcgen intermediate")
            .signed_by(&intermediate_key, &root_issuer)
            .unwrap();
        let issuer = Issuer::new(ca("rcgen intermediate"), intermediate_key);

        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(ID.try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let leaf = params
            .signed_by(&KeyPair::generate().unwrap(), &issuer)
            .unwrap();

        let chain = [leaf.der().to_vec(), intermediate.der().to_vec()];
        assert_eq!(
            verify(&chain, &[root.der().to_vec()]),
            accepted(),
            "{algorithm:?}"
        );
    }
}

/// Runs openssl in `dir` and fails with what it says.
fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir)
        .output()
        .expect("openssl is there");
    assert!(
        output.status.success(),
        "openssl {arguments}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn agrees_with_openssl_on_uri_name_constraints() {
    if !has_program("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(
        dir.join("extensions"),
        "[root]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n\
         [permitted]\nbasicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign\n\
         subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n\
         nameConstraints=critical,permitted;URI:td.example\n\
         [elsewhere]\nbasicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign\n\
         nameConstraints=critical,permitted;URI:other.example\n\
         [leaf]\nbasicConstraints=CA:false\nkeyUsage=critical,digitalSignature\n\
         extendedKeyUsage=serverAuth,clientAuth\nauthorityKeyIdentifier=keyid\n\
         subjectAltName=critical,URI:spiffe://td.example/shop/cart\n",
    )
    .unwrap();
    for (name, curve) in [("root", "P-256"), ("ca", "P-384"), ("leaf", "P-256")] {
        openssl(
            dir,
            &format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out {name}.key"),
        );
        openssl(
            dir,
            &format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"),
        );
    }
    let sign = |what: &str, section: &str, by: &str, to: &str| {
        let issuer = if by.is_empty() {
            "-signkey root.key".to_owned()
        } else {
            format!(
                "-CA {by}.pem -CAkey {}.key -CAcreateserial",
                by.trim_end_matches(['1', '2'])
            )
        };
        openssl(
            dir,
            &format!(
                "x509 -req -in {what}.csr -days 3650 {issuer} -extfile extensions -extensions {section} -out {to}.pem"
            ),
        );
    };
    sign("root", "root", "", "root");
    sign("ca", "permitted", "root", "ca1");
    sign("ca", "elsewhere", "root", "ca2");
    sign("leaf", "leaf", "ca1", "leaf1");
    sign("leaf", "leaf", "ca2", "leaf2");
    let read = |name: &str| {
        pem::certificates(&std::fs::read_to_string(dir.join(format!("{name}.pem"))).unwrap())
            .unwrap()
            .remove(0)
    };
    let now = plastron_bundle::certificate::Certificate::parse(&read("leaf2"))
        .unwrap()
        .not_before();
    let judge = |leaf: &str, ca: &str| {
        let (leaf, ca) = (read(leaf), read(ca));
        verifier()
            .verify(&[&leaf, &ca], &bundle(&[read("root")]), now)
            .map(|svid| svid.id().to_string())
    };
    // X509-26 +: which rustls-webpki refuses (RS-04).
    openssl(dir, "verify -CAfile root.pem -untrusted ca1.pem leaf1.pem");
    assert_eq!(judge("leaf1", "ca1"), accepted());
    // X509-26 −
    let refused = Command::new("openssl")
        .args("verify -CAfile root.pem -untrusted ca2.pem leaf2.pem".split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let error = VerifyError::Untrusted(PathError::NameConstraints(
        plastron_svid::NameConstraintError::NotPermitted,
    ));
    assert_eq!(judge("leaf2", "ca2"), Err(error));
}

/// What rustls-webpki says of a chain for a server.
fn webpki(chain: &[Vec<u8>], root: &[u8], now: UnixTime) -> bool {
    let root = CertificateDer::from(root);
    let Ok(anchor) = webpki::anchor_from_trusted_cert(&root) else {
        return false;
    };
    let leaf = CertificateDer::from(&*chain[0]);
    let Ok(leaf) = webpki::EndEntityCert::try_from(&leaf) else {
        return false;
    };
    let others: Vec<_> = chain[1..]
        .iter()
        .map(|der| CertificateDer::from(&**der))
        .collect();
    leaf.verify_for_usage(
        BACKEND.algorithms(),
        &[anchor],
        &others,
        now,
        webpki::KeyUsage::server_auth(),
        None,
        None,
    )
    .is_ok()
}

/// Where both have a rule they agree; where only one has, that is said.
#[test]
fn agrees_with_webpki_except_where_spiffe_asks_for_more() {
    #[derive(Debug, Eq, PartialEq)]
    enum Judges {
        Both,
        Neither,
        /// A rule of SPIFFE's, or one that webpki leaves out (RS-04).
        OnlyWebpki,
        OnlyUs,
    }
    use Judges::*;
    let changed = |extension| leaf_below("intermediate").with(vec![extension]);
    let signing = |extension| intermediate().with(vec![extension]);
    let right = || leaf_below("intermediate");
    for (what, leaf, ca, want) in [
        ("right", right(), intermediate(), Both),
        (
            "purposes missing",
            right().without(37),
            intermediate(),
            Both,
        ),
        (
            "clients only",
            changed(Extension::extended_key_usage(&[2])),
            intermediate(),
            Neither,
        ),
        (
            "unknown critical",
            changed(Extension::unknown(true)),
            intermediate(),
            Neither,
        ),
        ("CA not a CA", right(), intermediate().without(19), Neither),
        (
            "leaf a CA",
            changed(Extension::basic_constraints(true, None)),
            intermediate(),
            Neither,
        ),
        (
            "path length",
            right(),
            signing(Extension::basic_constraints(true, Some(0))),
            Both,
        ),
        (
            "CA for clients",
            right(),
            signing(Extension::extended_key_usage(&[2])),
            Neither,
        ),
        (
            "CA without keyCertSign",
            right(),
            signing(Extension::key_usage(&[6])),
            OnlyWebpki,
        ),
        (
            "leaf without key usage",
            right().without(15),
            intermediate(),
            OnlyWebpki,
        ),
        (
            "leaf that signs",
            changed(Extension::key_usage(&[0, 5])),
            intermediate(),
            OnlyWebpki,
        ),
        (
            "no URI",
            changed(Extension::subject_alt_name(&[gn::dns("a.example")])),
            intermediate(),
            OnlyWebpki,
        ),
        (
            "URI constraint",
            right(),
            signing(Extension::name_constraints(&[gn::uri("td.example")], &[])),
            OnlyUs,
        ),
        (
            "DNS constraint",
            changed(Extension::subject_alt_name(&[
                gn::uri(ID),
                gn::dns("b.example"),
            ])),
            signing(Extension::name_constraints(&[gn::dns("a.example")], &[])),
            Neither,
        ),
    ] {
        let chain = [by_intermediate(leaf), by_root(ca)];
        let root = by_root(root());
        let theirs = webpki(&chain, &root, NOW);
        let ours = verify_as(PeerRole::Server, &chain, &[root]).is_ok();
        let found = match (ours, theirs) {
            (true, true) => Both,
            (false, false) => Neither,
            (false, true) => OnlyWebpki,
            (true, false) => OnlyUs,
        };
        assert_eq!(found, want, "{what}");
    }
    let late = UnixTime::since_unix_epoch(Duration::from_secs(4_200_000_000));
    assert!(!webpki(&[by_root(leaf())], &by_root(root()), late));
}

#[test]
fn the_crate_spiffe_reads_our_svids_as_we_do() {
    let clock = Clock::new();
    let svid = Authority::new("td.example").x509_svid("/shop/cart", clock.now());
    let theirs = spiffe::X509Svid::parse_from_der(svid.chain_der(), svid.key_pkcs8()).unwrap();
    assert_eq!(theirs.spiffe_id().to_string(), svid.id().to_string());

    // It wants basic constraints on a leaf, which may be absent (X509-20 +).
    let leaf = by_root(leaf());
    assert!(spiffe::X509Svid::parse_from_der(&leaf, &KEYS.leaf.to_pkcs8()).is_err());
    assert_eq!(verify(&[leaf], &[by_root(root())]), accepted());
}
