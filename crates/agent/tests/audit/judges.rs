//! Programs that nobody here wrote, on the hashes and the signatures.

use std::{
    fs,
    process::{Command, Stdio},
};

use base64ct::{Base64, Encoding};
use plastron_testing::parts::has_program;

use crate::log::Log;

/// Standard output of a command that was given `input`.
fn run(command: &mut Command, input: &[u8]) -> String {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn sha256sum_agrees_on_the_chain() {
    if !has_program("sha256sum") {
        return;
    }
    let log = Log::with_releases(3);
    let mut before = "0".repeat(64);
    for line in log.lines() {
        let line = String::from_utf8(line).unwrap();
        let (covered, rest) = line.rsplit_once(",\"hash\":\"").unwrap();
        let digest = run(&mut Command::new("sha256sum"), covered.as_bytes());
        assert_eq!(&digest[..64], &rest[..64]);
        assert!(covered.ends_with(&format!(",\"prev\":\"{before}\"")));
        before = rest[..64].to_owned();
    }
}

#[test]
fn openssl_agrees_on_the_signatures() {
    if !has_program("openssl") {
        return;
    }
    let log = Log::with_releases(3);
    let records = log.records();
    let file = |name: &str| log.dir.path().join(name);
    let decode = |text: &serde_json::Value| Base64::decode_vec(text.as_str().unwrap()).unwrap();
    fs::write(file("key.der"), decode(&records[0]["public_key"])).unwrap();
    let heads = records.iter().filter(|record| record["kind"] == "head");
    let mut verified = 0;
    for head in heads {
        fs::write(file("signature"), decode(&head["signature"])).unwrap();
        let seq = head["seq"].as_u64().unwrap() - 1;
        let message = format!(
            "plastron audit head v1\n{seq}\n{}\n",
            head["prev"].as_str().unwrap()
        );
        let mut openssl = Command::new("openssl");
        openssl
            .args(["dgst", "-sha256", "-keyform", "DER", "-verify"])
            .arg(file("key.der"));
        openssl.arg("-signature").arg(file("signature"));
        assert_eq!(run(&mut openssl, message.as_bytes()), "Verified OK\n");
        verified += 1;
    }
    assert_eq!(verified, 2);
}
