//! What was minted, before judges that nobody here wrote: `rustls-webpki` always, the `openssl` command where it is found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod house;

use std::path::Path;
use std::process::Command;

use base64ct::{Base64, Encoding as _};
use house::{NOW, Root, SERIAL, id, key, leaf_key, now, trust_domain, unix};
use pki_types::CertificateDer;
use plastron_keys::KeyType;
use plastron_keys_aws_lc::ALGORITHMS;
use plastron_mint::X509Issuer;
use plastron_testing::parts::has_program;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Leaf, intermediate and root, with keys of one type.
struct Chain {
    key_type: KeyType,
    leaf: Vec<u8>,
    intermediate: Vec<u8>,
    root: Root,
}

fn chain(key_type: KeyType) -> Chain {
    let root = Root::with_key(key(key_type, 0));
    let middle = key(key_type, 1);
    let trust_domain = trust_domain();
    let intermediate = root
        .issuer()
        .x509_authority(trust_domain.as_ref(), middle.public_key())
        .path_len(0)
        .sign(&[0x0b; 16], now())
        .unwrap()
        .der;
    let leaf = X509Issuer::new(&intermediate, middle)
        .unwrap()
        .x509_svid(&id(), leaf_key().public_key())
        .dns_names(&["cart.internal"])
        .sign(&SERIAL, now())
        .unwrap()
        .der;
    Chain {
        key_type,
        leaf,
        intermediate,
        root,
    }
}

#[test]
fn webpki_accepts_what_was_minted_as_client_and_as_server() {
    // X509-48 +, X509-15 +, X509-37 +, SVID-05 +: each key type, an intermediate, both purposes.
    for chain in KeyType::ALL.map(chain) {
        let root = CertificateDer::from(&*chain.root.der);
        let anchors = [anchor_from_trusted_cert(&root).unwrap()];
        let intermediates = [CertificateDer::from(&*chain.intermediate)];
        let leaf = CertificateDer::from(&*chain.leaf);
        let leaf = EndEntityCert::try_from(&leaf).unwrap();
        let verify = |usage, second| {
            leaf.verify_for_usage(
                ALGORITHMS,
                &anchors,
                &intermediates,
                unix(second),
                usage,
                None,
                None,
            )
            .map(|_| ())
        };
        for usage in [KeyUsage::client_auth(), KeyUsage::server_auth()] {
            verify(usage, NOW).unwrap_or_else(|error| panic!("{}: {error}", chain.key_type));
            // X509-49: both bounds are inside.
            verify(usage, NOW - 10).unwrap();
            verify(usage, NOW + 3600).unwrap();
            assert!(verify(usage, NOW - 11).is_err());
            assert!(verify(usage, NOW + 3601).is_err());
        }
        // X509-52 −: not under the root alone.
        assert!(
            leaf.verify_for_usage(
                ALGORITHMS,
                &anchors,
                &[],
                unix(NOW),
                KeyUsage::client_auth(),
                None,
                None
            )
            .is_err()
        );
    }
}

#[test]
fn openssl_accepts_and_reads_what_was_minted() {
    if !has_program("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for chain in KeyType::ALL.map(chain) {
        write_pem(&path("root.pem"), &chain.root.der);
        write_pem(&path("intermediate.pem"), &chain.intermediate);
        write_pem(&path("leaf.pem"), &chain.leaf);

        let verdict = openssl(
            folder.path(),
            &format!(
                "verify -x509_strict -check_ss_sig -attime {NOW} -CAfile root.pem -untrusted intermediate.pem leaf.pem"
            ),
        );
        assert_eq!(verdict.trim(), "leaf.pem: OK", "{}", chain.key_type);
        for purpose in ["sslclient", "sslserver"] {
            let arguments = format!(
                "verify -purpose {purpose} -attime {NOW} -CAfile root.pem -untrusted intermediate.pem leaf.pem"
            );
            assert_eq!(openssl(folder.path(), &arguments).trim(), "leaf.pem: OK");
        }

        // The rules of "key usage at a glance", in the words of somebody else.
        let leaf = openssl(folder.path(), "x509 -noout -text -in leaf.pem");
        for words in [
            "Version: 3 (0x2)",
            "X509v3 Key Usage: critical\n                Digital Signature\n",
            "X509v3 Extended Key Usage: \n                TLS Web Server Authentication, TLS Web Client Authentication\n",
            "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
            "X509v3 Subject Alternative Name: \n                URI:spiffe://example.org/shop/cart, DNS:cart.internal\n",
            "Subject: CN = cart.internal\n",
        ] {
            assert!(leaf.contains(words), "{words:?} not in\n{leaf}");
        }
        let root = openssl(folder.path(), "x509 -noout -text -in root.pem");
        for words in [
            "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
            "X509v3 Basic Constraints: critical\n                CA:TRUE\n",
            "X509v3 Subject Alternative Name: \n                URI:spiffe://example.org\n",
            "Subject: O = example.org, serialNumber = 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\n",
        ] {
            assert!(root.contains(words), "{words:?} not in\n{root}");
        }
        assert!(!root.contains("Extended Key Usage"), "{root}");
    }
}

fn write_pem(path: &Path, der: &[u8]) {
    let base64 = Base64::encode_string(der);
    let lines: Vec<&str> = (0..base64.len())
        .step_by(64)
        .map(|at| &base64[at..base64.len().min(at + 64)])
        .collect();
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    );
    std::fs::write(path, pem).unwrap();
}

/// Runs `openssl`.
fn openssl(folder: &Path, arguments: &str) -> String {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
