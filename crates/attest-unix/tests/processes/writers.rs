//! Connections on which others write than the process that connected.

use std::os::unix::net::UnixListener as StdListener;

use plastron_attest::{PeerHandle as _, PeerLost};
use plastron_attest_unix::{Processes, UnixListener};
use tokio::io::AsyncWriteExt as _;

use crate::house::{
    House, greet, kernels, missing, needs_root, now, overheard, read, selector, spoken_now, why,
};
use crate::puppet::Puppet;

#[tokio::test]
async fn a_process_that_inherited_a_connection_may_not_write_on_it() {
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        puppet.connect(&house.socket());
        let mut connection = house.accept().await;
        let peer = connection.peer().clone();
        house.evidence(&peer).await;
        greet(&mut connection).await;
        puppet.order("write mine");
        assert_eq!(read(&mut connection).await, "mine");
        let pid: i32 = puppet.ask("child-write foreign").parse().unwrap();
        puppet.order("write mine again");
        let lost = PeerLost::ForeignWriter { pid };
        assert_eq!(overheard(&mut connection).await, lost);
        assert_eq!(peer.handle.check(), Err(lost));
        assert_eq!(house.refusal(&peer).await, lost);
        assert!(
            now(read(&mut connection)).await.is_none(),
            "nothing more is read, of nobody"
        );
        // It can still be told why.
        connection.write_all(b"refused").await.unwrap();
        assert_eq!(puppet.ask("read"), "settingsrefused");
        // The process itself is not lost.
        puppet.connect(&house.socket());
        let fresh = house.accept().await;
        house.evidence(fresh.peer()).await;
    }
}

#[tokio::test]
async fn what_others_wrote_before_accept_is_theirs_too() {
    let house = House::new();
    for mine_first in [false, true] {
        let mut puppet = Puppet::start();
        puppet.connect(&house.socket());
        if mine_first {
            puppet.order("write mine");
        }
        let pid: i32 = puppet.ask("child-write foreign").parse().unwrap();
        let mut connection = house.accept().await;
        let peer = connection.peer().clone();
        let lost = PeerLost::ForeignWriter { pid };
        if mine_first {
            // Without anything written first, each piece is read for itself.
            assert_eq!(now(read(&mut connection)).await, None, "facts come first");
        }
        assert_eq!(overheard(&mut connection).await, lost);
        assert_eq!(peer.handle.check(), Err(lost));
    }
}

#[tokio::test]
async fn who_was_given_a_connection_may_not_write_on_it() {
    let house = House::new();
    let [mut giver, mut taker] = [Puppet::start(), Puppet::start()];
    giver.connect(&house.socket());
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    house.evidence(&peer).await;
    greet(&mut connection).await;
    let exchange = house.path("exchange.sock");
    giver.tell(&format!("give {}", exchange.display()));
    taker.order(&format!("take {}", exchange.display()));
    assert_eq!(giver.hear(), "ok");
    taker.order("write foreign");
    let lost = PeerLost::ForeignWriter { pid: taker.pid() };
    assert_eq!(overheard(&mut connection).await, lost);
    assert_eq!(spoken_now(&peer).await, Some(Err(lost)));
}

#[tokio::test]
async fn when_the_process_that_connected_is_gone_the_heir_gets_nothing() {
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let peer = connection.peer();
        house.evidence(peer).await;
        puppet.order("leave");
        // Nobody has reaped it, if that matters.
        assert_eq!(peer.handle.check(), Err(PeerLost::Exited));
        assert_eq!(house.refusal(peer).await, PeerLost::Exited);
    }
}

#[tokio::test]
async fn nobody_writes_in_the_name_of_another() {
    needs_root!();
    let house = House::new();
    let mut victim = Puppet::start();
    let mut forger = Puppet::start();
    forger.order("ids 12345 12345");
    forger.connect(&house.socket());
    let victim_pid = victim.pid();
    assert_eq!(
        forger.ask(&format!("forge {victim_pid} request")),
        "Operation not permitted (os error 1)"
    );
    // Not as root of namespaces of its own either: there the number means nothing.
    forger.order("unshare-user-and-pid");
    assert_eq!(
        forger.ask(&format!("forge {victim_pid} request")),
        "No such process (os error 3)"
    );
}

/// What root of a pid namespace can do: write in the name of any process in there. All of those are its own, and none has a
/// program to its name.
#[tokio::test]
async fn who_forges_in_a_namespace_of_its_own_gains_no_program() {
    needs_root!();
    let house = House::new();
    let mut puppet = Puppet::start();
    puppet.order("ids 12345 12345");
    puppet.order("unshare-user-and-pid");
    puppet.connect(&house.socket());
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    let evidence = house.evidence(&peer).await;
    assert_eq!(selector(&evidence, "uid"), "12345");
    assert!(evidence.program.is_empty());
    assert!(missing(&evidence).is_superset(&["unix:path", "unix:sha256"].into()));
    assert_eq!(
        why(&evidence, "unix:path"),
        "the process is in another user namespace"
    );
    greet(&mut connection).await;
    puppet.order("child-forge request");
    assert_eq!(read(&mut connection).await, "request");
    assert_eq!(peer.handle.check(), Ok(()));
}

#[tokio::test]
async fn bytes_without_a_name_are_nobodys() {
    let house = House::new();
    let path = house.path("late.sock");
    // A socket that another opened, such as systemd without PassCredentials=yes.
    let socket = StdListener::bind(&path).unwrap();
    let mut early = Puppet::start();
    early.connect(&path);
    early.order("write early");
    let listener = UnixListener::from_std(socket, Processes::default()).unwrap();
    let mut connection = listener.accept().await.unwrap();
    let peer = connection.peer().clone();
    house.evidence(&peer).await;
    assert_eq!(overheard(&mut connection).await, PeerLost::UnknownWriter);
    assert_eq!(peer.handle.check(), Err(PeerLost::UnknownWriter));

    let mut late = Puppet::start();
    late.connect(&path);
    late.order("write late");
    let mut connection = listener.accept().await.unwrap();
    house.evidence(&connection.peer().clone()).await;
    assert_eq!(greet(&mut connection).await, "late");
}

#[tokio::test]
async fn descriptors_are_not_taken() {
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        puppet.connect(&house.socket());
        let mut connection = house.accept().await;
        house.evidence(&connection.peer().clone()).await;
        greet(&mut connection).await;
        let gift = house.program("gift");
        puppet.order("write before");
        // Refused to the sender since Linux 6.16, left where they are before.
        let sent = puppet.ask(&format!("send-descriptor {}", gift.display()));
        assert_eq!(sent == "ok", !features.refuses_descriptors);
        if !features.refuses_descriptors {
            let refused = tokio::io::AsyncReadExt::read(&mut connection, &mut [0; 256]).await;
            assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
        }
        let mut open = std::fs::read_dir("/proc/self/fd").unwrap();
        assert!(
            !open.any(|fd| std::fs::read_link(fd.unwrap().path()).is_ok_and(|file| file == gift))
        );
    }
}

/// A socket that takes long to close: what was sent over it has not arrived.
fn lingering() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut slow = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (never_reads, _) = listener.accept().unwrap();
    slow.set_nonblocking(true).unwrap();
    while std::io::Write::write(&mut slow, &[0; 65536]).is_ok() {}
    slow.set_nonblocking(false).unwrap();
    rustix::net::sockopt::set_socket_linger(&slow, Some(LONG)).unwrap();
    (slow, never_reads)
}

const LONG: std::time::Duration = std::time::Duration::from_secs(60);

fn send(over: &std::os::unix::net::UnixStream, gift: std::net::TcpStream) {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    let fds = [std::os::fd::AsFd::as_fd(&gift)];
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
    let bytes = [std::io::IoSlice::new(b"x")];
    rustix::net::sendmsg(over, &bytes, &mut control, rustix::net::SendFlags::empty()).unwrap();
}

#[tokio::test]
async fn a_descriptor_that_takes_long_to_close_holds_up_nobody() {
    let start = tokio::time::Instant::now();
    let house = House::on(plastron_attest_unix::KernelFeatures::least());
    let processes = house.listener.processes().clone();
    let uid = rustix::process::geteuid().as_raw();
    let mut ends = Vec::new();
    for is_read in [true, false] {
        let peer = std::os::unix::net::UnixStream::connect(house.socket()).unwrap();
        let mut connection = house.accept().await;
        house.evidence(&connection.peer().clone()).await;
        greet(&mut connection).await;
        let (slow, never_reads) = lingering();
        send(&peer, slow);
        if is_read {
            let refused = tokio::io::AsyncReadExt::read(&mut connection, &mut [0; 256]).await;
            assert!(refused.is_err());
        }
        drop(connection);
        // Its peer learns of the end at once.
        assert_eq!(std::io::Read::read(&mut &peer, &mut [0; 8]).unwrap(), 8);
        assert_eq!(std::io::Read::read(&mut &peer, &mut [0; 8]).unwrap(), 0);
        ends.push(never_reads);
    }
    assert_eq!(
        processes.descriptors_of(uid),
        2,
        "they count until they are closed"
    );
    assert!(start.elapsed() < LONG / 2);
    drop(ends);
    while processes.descriptors_of(uid) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_read_after_all_that_came_before() {
    let house = House::new();
    let mut puppet = Puppet::start();
    puppet.connect(&house.socket());
    puppet.order("write last words");
    puppet.end();
    let mut connection = house.accept().await;
    assert_eq!(read(&mut connection).await, "last words");
    assert_eq!(read(&mut connection).await, "");
    assert_eq!(
        connection
            .peer()
            .handle_as::<plastron_attest_unix::UnixPeer>()
            .unwrap()
            .check(),
        Err(PeerLost::Exited)
    );
}

#[tokio::test]
async fn a_descriptor_that_was_sent_before_the_agent_came_holds_up_nobody() {
    let start = tokio::time::Instant::now();
    let house = House::new();
    let path = house.path("systemd.sock");
    let held = StdListener::bind(&path).unwrap();
    rustix::net::sockopt::set_socket_passcred(&held, true).unwrap();
    let peer = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let (slow, never_reads) = lingering();
    send(&peer, slow);
    let processes = house.listener.processes().clone();
    let listener = UnixListener::from_std(held, processes.clone()).unwrap();
    let mut connection = listener.accept().await.unwrap();
    let refused = tokio::io::AsyncReadExt::read(&mut connection, &mut [0; 256]).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    drop(connection);
    assert!(start.elapsed() < LONG / 2);
    drop(never_reads);
    while processes.descriptors() > 0 {
        tokio::task::yield_now().await;
    }
}
