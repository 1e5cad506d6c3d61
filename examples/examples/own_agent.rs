//! Another team's agent. It knows callers by their user ID alone (SO_PEERCRED), and hands out what its own authority
//! leaves in a folder per user: `FOLDER/1000/{id,svid.der,key.der,bundle.der}`.
//!
//! `cargo run -p plastron-examples --example own_agent -- SOCKET FOLDER`, and any SPIFFE client can ask at SOCKET.

use std::{env, error::Error, fs, future::pending, path::PathBuf, sync::Arc};

use plastron_wire::workload::{X509svid, X509svidResponse};
use plastron_workload_api::{Answer, Attest, Latest, Limits, Message, Refusal, Server};
use tokio::net::{UnixListener, UnixStream};

struct PeerUid;

impl Attest for PeerUid {
    type Connection = UnixStream;
    type Caller = u32;

    fn uid(&self, connection: &UnixStream) -> u32 {
        connection.peer_cred().map_or(u32::MAX, |peer| peer.uid())
    }

    async fn attest(&self, connection: &UnixStream) -> Result<u32, Refusal> {
        Ok(self.uid(connection))
    }

    fn check(&self, _: &u32) -> Result<(), Refusal> {
        Ok(()) // A user ID that was true at connect is all this agent asks for.
    }

    async fn lost(&self, _: &u32) -> Refusal {
        pending().await
    }
}

struct Folder(PathBuf);

impl Answer<u32> for Folder {
    type Updates = Latest;

    async fn x509_svids(&self, uid: &Arc<u32>) -> Result<Latest, Refusal> {
        let read = |file: &str| {
            fs::read(self.0.join(uid.to_string()).join(file))
                .map_err(|_| Refusal::permission_denied("no identity for this user"))
        };
        let svid = X509svid {
            spiffe_id: String::from_utf8_lossy(&read("id")?).trim().to_owned(),
            x509_svid: read("svid.der")?.into(),
            x509_svid_key: read("key.der")?.into(),
            bundle: read("bundle.der")?.into(),
            hint: String::new(),
        };
        let response = X509svidResponse {
            svids: vec![svid],
            ..Default::default()
        };
        Ok(Latest::fixed(Message::encode(&response)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let (Some(socket), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: own_agent SOCKET FOLDER".into());
    };
    let server = Server::new(PeerUid, Folder(folder.into()), Limits::default());
    server.serve(UnixListener::bind(socket)?, pending()).await;
    Ok(())
}
