//! What the agent's own service answers to whom, and that its refusals are on record.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "other tests need the rest of it")]
mod served;

use std::{
    fs::{File, Permissions},
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, process::CommandExt as _},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use plastron_agent::audit::AuditOptions;
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey};
use plastron_keys_aws_lc::AwsLc;
use plastron_testing::parts::{has, left_out};
use plastron_wire::agent::v1::{
    ExplainRequest, GetBundleRequest, GetStatusRequest, RotateAuthorityRequest,
};
use served::{Different, operator_at, serve_differently};
use tonic::Code;

/// A user who is neither root nor the agent's.
const SOMEBODY: u32 = 12345;
/// The socket that a process started by a test is to connect to.
const SOCKET: &str = "ADMINISTRATION_SOCKET";
/// A process that is not its own.
const PID: &str = "ADMINISTRATION_PID";

#[tokio::test]
#[ignore = "run by the test below, as another user"]
async fn asks_everything_as_somebody_else() {
    let socket = PathBuf::from(std::env::var_os(SOCKET).unwrap());
    let others: i32 = std::env::var(PID).unwrap().parse().unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    let mut operator = operator_at(socket).await;
    let bundle = operator.get_bundle(GetBundleRequest::default()).await;
    let rotated = operator
        .rotate_authority(RotateAuthorityRequest::default())
        .await;
    let status = operator.get_status(GetStatusRequest::default()).await;
    let explained = operator.explain(ExplainRequest { pid: others }).await;
    for (call, refused) in [
        ("GetBundle", bundle.map(drop)),
        ("RotateAuthority", rotated.map(drop)),
        ("GetStatus", status.map(drop)),
        ("Explain", explained.map(drop)),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{call}");
        assert!(refused.message().contains("only root"), "{call}: {refused}");
    }
    let explained = operator.explain(ExplainRequest { pid: own }).await;
    assert_eq!(
        explained.unwrap().into_inner().facts.unwrap().uid,
        Some(SOMEBODY)
    );
}

/// Starts a program as somebody else, unless nobody may here.
fn start_as_somebody(command: &mut Command) -> Option<Child> {
    if !rustix::process::geteuid().is_root() {
        left_out("not root");
        return None;
    }
    let child = command.uid(SOMEBODY).gid(SOMEBODY).spawn();
    has("no CAP_SETUID", child.is_ok()).then(|| child.unwrap())
}

#[tokio::test]
async fn somebody_else_is_told_of_his_own_processes_alone_and_refusals_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.jsonl");
    let key = Arc::<dyn PrivateKey>::from(AwsLc.generate(KeyType::EcP256).unwrap());
    let (audit, recording) = AuditOptions::new(file.clone(), key, "example.org")
        .start()
        .unwrap();
    let different = Different {
        audit,
        ..Different::default()
    };
    let agent = serve_differently([], different);
    let folder = agent.socket.parent().unwrap();
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();

    // This program, wherever it lies.
    let program = File::open(std::env::current_exe().unwrap()).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command
        .args(["asks_everything_as_somebody_else", "--ignored", "--exact"])
        .env(SOCKET, &agent.socket)
        .env(PID, std::process::id().to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Some(child) = start_as_somebody(&mut command) else {
        return;
    };
    let asker = child.id();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );

    // Root may ask about anybody.
    let mut cat = Command::new("/bin/cat");
    let mut process = start_as_somebody(cat.stdin(Stdio::piped())).unwrap();
    let pid = i32::try_from(process.id()).unwrap();
    let mut root = agent.operator().await;
    let explained = root.explain(ExplainRequest { pid }).await.unwrap();
    assert_eq!(explained.into_inner().facts.unwrap().uid, Some(SOMEBODY));
    drop(process.stdin.take());
    process.wait().unwrap();
    drop(root);

    agent.stop().await;
    recording.stop();
    let records = std::fs::read_to_string(file).unwrap();
    let mut refused = Vec::new();
    for record in records.lines() {
        let record: serde_json::Value = serde_json::from_str(record).unwrap();
        if record["kind"] == "refusal" {
            assert_eq!(record["code"], "PermissionDenied");
            assert_eq!(
                (&record["uid"], &record["pid"]),
                (&SOMEBODY.into(), &asker.into())
            );
            refused.push(record["call"].as_str().unwrap().to_owned());
        }
    }
    refused.sort();
    assert_eq!(
        refused,
        ["Explain", "GetBundle", "GetStatus", "RotateAuthority"]
    );
}
