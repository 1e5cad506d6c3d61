//! The same with OpenSSL's commands on the other side, where there are any.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use plastron_bundle::pem;
use plastron_svid::X509Svid;
use plastron_testing::parts::has_program;
use plastron_tls::PeerError;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use crate::{CART, PAY, Side, only, talk, two_sides};

/// `openssl` with the SVID of `side`, which trusts `other`, at the time of the tests.
fn openssl(command: &str, folder: &Path, side: &Side, svid: &X509Svid, other: &Side) -> Command {
    let write = |name: &str, content: &[u8]| {
        fs::write(folder.join(name), content).unwrap();
    };
    write("svid.der", svid.leaf_der());
    write("key.der", svid.key_pkcs8());
    write(
        "bundle.pem",
        pem::certificate(other.authority.certificate()).as_bytes(),
    );
    let mut openssl = Command::new("openssl");
    openssl
        .current_dir(folder)
        .args([command, "-cert", "svid.der", "-certform", "DER"])
        .args(["-key", "key.der", "-keyform", "DER"])
        .args(["-CAfile", "bundle.pem", "-verify_return_error", "-attime"])
        .arg(side.clock.unix_time().as_secs().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    openssl
}

#[test]
fn openssl_calls_our_server() {
    if !has_program("openssl") {
        return;
    }
    let (client, server, clock) = two_sides();
    for version in ["-tls1_2", "-tls1_3"] {
        for (path, is_meant) in [(CART, true), ("/shop/thief", false)] {
            let config = server.server(&server.tls(), only("spiffe://a.example/shop/cart"));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let folder = tempfile::tempdir().unwrap();
            let svid = client.authority.x509_svid(path, clock.now());
            let mut caller = openssl("s_client", folder.path(), &client, &svid, &server)
                .args(["-quiet", "-connect", &address, version])
                .spawn()
                .unwrap();
            caller.stdin.take().unwrap().write_all(b"?").unwrap();
            let (mut socket, _) = listener.accept().unwrap();
            let mut connection = ServerConnection::new(config).unwrap();
            let seen = talk(&mut connection, &mut socket);
            drop(socket);
            caller.wait().unwrap();
            match (is_meant, seen) {
                (true, Ok((peer, ..))) => {
                    assert_eq!(peer.unwrap().as_str(), "spiffe://a.example/shop/cart");
                }
                (false, Err(error)) => {
                    let refused = PeerError::of(&error);
                    assert!(
                        matches!(refused, Some(PeerError::Unauthorized { .. })),
                        "{error}"
                    );
                }
                (_, other) => panic!("{version} {path}: {other:?}"),
            }
        }
    }
}

#[test]
fn our_client_calls_openssl() {
    if !has_program("openssl") {
        return;
    }
    let (client, server, clock) = two_sides();
    for version in ["-tls1_2", "-tls1_3"] {
        for (path, is_meant) in [(PAY, true), ("/shop/thief", false)] {
            let folder = tempfile::tempdir().unwrap();
            let svid = server.authority.x509_svid(path, clock.now());
            let mut listener = openssl("s_server", folder.path(), &server, &svid, &client)
                .args([
                    "-accept",
                    "127.0.0.1:0",
                    "-naccept",
                    "1",
                    "-rev",
                    "-Verify",
                    "1",
                    version,
                ])
                .spawn()
                .unwrap();
            let lines = BufReader::new(listener.stdout.take().unwrap()).lines();
            let address = lines
                .map(Result::unwrap)
                .find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned))
                .unwrap();
            let config = client.client(&client.tls(), only("spiffe://b.example/shop/pay"));
            let mut socket = TcpStream::connect(address).unwrap();
            let name = ServerName::try_from("nobody.looks.at.it").unwrap();
            let mut connection = ClientConnection::new(Arc::clone(&config), name).unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut socket);
            let mut answer = [0; 4];
            let talked = stream
                .write_all(b"abc\n")
                .and_then(|()| stream.read_exact(&mut answer));
            drop(socket);
            listener.kill().unwrap();
            listener.wait().unwrap();
            assert_eq!(talked.is_ok(), is_meant, "{version} {path}: {talked:?}");
            assert!(!is_meant || &answer == b"cba\n");
        }
    }
}
