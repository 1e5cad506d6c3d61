//! Whose the socket is, and who may connect.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};

use plastron_attest_unix::{BindError, BindOptions, Processes, UnixConnection, UnixListener};
use plastron_testing::parts::left_out;
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    (dir, path)
}

fn bind(path: &Path) -> Result<UnixListener, BindError> {
    UnixListener::bind(&BindOptions::new(path), Processes::default())
}

#[track_caller]
fn assert_in_use(outcome: Result<UnixListener, BindError>) {
    assert!(
        matches!(outcome, Err(BindError::InUse { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_pipe_in_the_place_of_the_lock_is_no_reason_to_wait() {
    let (_dir, path) = place();
    let lock = path.with_extension("sock.lock");
    rustix::fs::mkfifoat(rustix::fs::CWD, &lock, 0o666.into()).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        let _runtime = runtime.enter();
        tell.send(bind(&path).map(drop))
    });
    let bound = told.recv_timeout(std::time::Duration::from_secs(10));
    assert!(matches!(bound.unwrap(), Err(BindError::Failed { .. })));
}

#[tokio::test]
async fn the_socket_has_the_mode_and_the_owner_that_it_was_given() {
    let may_give_away = rustix::thread::capabilities(None).is_ok_and(|sets| {
        sets.effective
            .contains(rustix::thread::CapabilitySet::CHOWN)
    });
    for (mode, owner) in [
        (None, None),
        (Some(0o600), None),
        (Some(0o660), Some((None, Some(12345)))),
        (Some(0o666), Some((Some(12345), None))),
    ] {
        let (_dir, path) = place();
        let mut options = BindOptions::new(&path);
        if let Some(mode) = mode {
            options = options.mode(mode);
        }
        if let Some((uid, gid)) = owner {
            if !may_give_away {
                left_out("no CAP_CHOWN");
                continue;
            }
            options = options.owner(uid, gid);
        }
        let _listener = UnixListener::bind(&options, Processes::default()).unwrap();
        let there = path.metadata().unwrap();
        assert!(there.file_type().is_socket());
        assert_eq!(there.permissions().mode() & 0o7777, mode.unwrap_or(0o666));
        if let Some((uid, gid)) = owner {
            assert_eq!(
                there.uid(),
                uid.unwrap_or(rustix::process::geteuid().as_raw())
            );
            assert_eq!(
                there.gid(),
                gid.unwrap_or(rustix::process::getegid().as_raw())
            );
        }
    }
}

#[tokio::test]
async fn a_live_socket_is_never_replaced() {
    // Another agent of this make.
    let (_dir, path) = place();
    let first = bind(&path).unwrap();
    assert_in_use(bind(&path));
    UnixStream::connect(&path).unwrap();
    first.accept().await.unwrap();
    drop(first);
    bind(&path).unwrap();

    // Somebody else, who knows of no lock, and does not accept.
    let (_dir, path) = place();
    let _other = StdListener::bind(&path).unwrap();
    assert_in_use(bind(&path));
    UnixStream::connect(&path).unwrap();

    // One that has so much to do that nobody else can connect.
    let (_dir, path) = place();
    let busy = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
    rustix::net::bind(&busy, &address).unwrap();
    rustix::net::listen(&busy, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    assert_in_use(bind(&path));

    // Of another sort.
    let (_dir, path) = place();
    let _datagrams = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    assert_in_use(bind(&path));
}

#[tokio::test]
async fn an_abandoned_socket_is_replaced() {
    let (_dir, path) = place();
    drop(StdListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = bind(&path).unwrap();
    UnixStream::connect(&path).unwrap();
    listener.accept().await.unwrap();
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    for kind in ["file", "directory", "link"] {
        let (dir, path) = place();
        match kind {
            "file" => std::fs::write(&path, "precious").unwrap(),
            "directory" => std::fs::create_dir(&path).unwrap(),
            _ => {
                let target = dir.path().join("target");
                drop(StdListener::bind(&target).unwrap());
                std::os::unix::fs::symlink(target, &path).unwrap();
            }
        }
        let outcome = bind(&path);
        assert!(
            matches!(outcome, Err(BindError::NotASocket { .. })),
            "{kind}: {outcome:?}"
        );
        assert!(path.symlink_metadata().is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn the_socket_goes_with_the_listener_unless_it_is_another_by_then() {
    let (_dir, path) = place();
    drop(bind(&path).unwrap());
    assert!(!path.exists());

    let listener = bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _another = StdListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
}

#[tokio::test]
async fn a_failed_bind_leaves_no_socket_and_says_what_failed() {
    let (_dir, path) = place();
    let missing = path.join("below/agent.sock");
    let outcome = bind(&missing);
    assert!(
        matches!(&outcome, Err(BindError::Failed { what: "opening", path, .. }) if path.ends_with("below/agent.sock.lock")),
        "{outcome:?}"
    );
    let long = path.with_file_name("x".repeat(200));
    assert!(matches!(bind(&long), Err(BindError::Failed { .. })));
    if rustix::process::geteuid().is_root() {
        left_out("root may give away what it makes");
        return;
    }
    let options = BindOptions::new(&path).owner(Some(0), None);
    let outcome = UnixListener::bind(&options, Processes::default());
    assert!(matches!(outcome, Err(BindError::Failed { .. })));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_from_elsewhere_must_be_listened_on() {
    let (_dir, path) = place();
    let listening = StdListener::bind(&path).unwrap();
    let listener = UnixListener::from_std(listening, Processes::default()).unwrap();
    UnixStream::connect(&path).unwrap();
    listener.accept().await.unwrap();
    drop(listener);
    assert!(path.exists(), "it is not this one's to remove");

    let (one, _other) = UnixStream::pair().unwrap();
    let connected = StdListener::from(std::os::fd::OwnedFd::from(one));
    assert!(UnixListener::from_std(connected, Processes::default()).is_err());
}

#[tokio::test]
async fn connections_and_listeners_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync + Unpin>() {}
    shareable::<UnixListener>();
    shareable::<UnixConnection>();
}
