//! Pids: used again, gone, and out of sight.

use plastron_attest::{AttestError, PeerLost};
use plastron_attest_unix::{BindOptions, KernelFeatures, UnixListener};

use crate::house::{House, greet, kernels, missing, needs_root, runs, selectors, spoken_now};
use crate::puppet::Puppet;

/// Connects by a child that is gone by now. Returns its pid, and keeps the connection.
fn connect_and_die(puppet: &mut Puppet, house: &House) -> i32 {
    let command = format!("child-connect {} request", house.socket().display());
    puppet.ask(&command).parse().unwrap()
}

#[tokio::test]
async fn a_process_that_was_gone_before_it_was_accepted_gets_nothing() {
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        let pid = connect_and_die(&mut puppet, &house);
        let mut connection = house.accept().await;
        assert_eq!(connection.peer().pid, pid);
        assert_eq!(house.refusal(connection.peer()).await, PeerLost::Exited);
        // It can still be told so.
        assert_eq!(greet(&mut connection).await, "request");
        assert_eq!(puppet.ask("read"), "settings");
    }
}

#[tokio::test]
async fn a_pid_that_was_given_to_another_process_is_not_that_process() {
    needs_root!();
    let house = House::new();
    let mut puppet = Puppet::start();
    let pid = connect_and_die(&mut puppet, &house);
    puppet.order(&format!("become-pid {pid}"));
    assert_eq!(puppet.pid(), pid);
    let connection = house.accept().await;
    assert_eq!(connection.peer().pid, pid, "what SO_PEERCRED says");
    // WAPI-06 −, WEP-10 −
    assert_eq!(house.refusal(connection.peer()).await, PeerLost::Exited);
    // WAPI-06 +: the process that has the pid now may ask for itself.
    puppet.connect(&house.socket());
    let own = house.accept().await;
    assert_eq!(house.evidence(own.peer()).await.facts.pid, pid);
    assert_eq!(connection.peer().handle.check(), Err(PeerLost::Exited));
}

#[tokio::test]
async fn a_process_is_not_mistaken_for_one_that_had_its_pid_before_and_waits_to_be_accepted() {
    needs_root!();
    let house = House::new();
    let mut puppet = Puppet::start();
    let pid = connect_and_die(&mut puppet, &house);
    puppet.order(&format!("become-pid {pid}"));
    // By another way in, the process that has the pid now is known first.
    let other = house.path("other.sock");
    let processes = house.listener.processes().clone();
    let other_listener = UnixListener::bind(&BindOptions::new(&other), processes).unwrap();
    puppet.connect(&other);
    let own = other_listener.accept().await.unwrap();
    house.evidence(own.peer()).await;
    let connection = house.accept().await;
    assert_eq!(connection.peer().pid, pid);
    assert_eq!(house.refusal(connection.peer()).await, PeerLost::Exited);
    assert_eq!(own.peer().handle.check(), Ok(()));
}

#[tokio::test]
async fn a_pid_given_to_another_after_accept_is_not_that_process() {
    needs_root!();
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        let command = format!(
            "child-connect-and-stay {} request",
            house.socket().display()
        );
        let pid: i32 = puppet.ask(&command).parse().unwrap();
        let connection = house.accept().await;
        a_clock_tick().await;
        assert_eq!(puppet.ask(""), "gone");
        puppet.order(&format!("become-pid {pid}"));
        // Without a pidfd of the peer: its start time says that it was not there yet.
        assert_eq!(house.refusal(connection.peer()).await, PeerLost::Exited);
    }
}

#[tokio::test]
async fn a_pid_given_to_another_after_the_facts_is_not_that_process() {
    needs_root!();
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        let command = format!(
            "child-connect-and-stay {} request",
            house.socket().display()
        );
        let pid: i32 = puppet.ask(&command).parse().unwrap();
        let connection = house.accept().await;
        house.evidence(connection.peer()).await;
        assert_eq!(puppet.ask(""), "gone");
        puppet.order(&format!("become-pid {pid}"));
        assert_eq!(connection.peer().handle.check(), Err(PeerLost::Exited));
        assert_eq!(house.refusal(connection.peer()).await, PeerLost::Exited);
    }
}

/// What the way around a missing SO_PEERPIDFD leaves open, on kernels before 6.5: who has the pid of the peer by the time it is
/// accepted, and the same uid and gid, passes for it. What it does not give away is an identity that hangs on a program.
#[tokio::test]
async fn without_a_pidfd_of_the_peer_a_pid_given_away_before_accept_passes() {
    needs_root!();
    let house = House::on(KernelFeatures::least());
    let mut puppet = Puppet::start();
    let pid = connect_and_die(&mut puppet, &house);
    puppet.order(&format!("become-pid {pid}"));
    let cart = house.program("cart");
    puppet.exec(&cart);
    puppet.order("groups 24");
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    let evidence = house.evidence(&peer).await;
    runs(&evidence, &cart);
    assert_eq!(
        selectors(&evidence, "supplementary_gid"),
        ["24"],
        "groups of another process with the same uid and gid"
    );
    assert_eq!(greet(&mut connection).await, "request");
    assert_eq!(spoken_now(&peer).await, None);

    // Not so with other ids.
    let mut puppet = Puppet::start();
    let pid = connect_and_die(&mut puppet, &house);
    puppet.order(&format!("become-pid {pid}"));
    puppet.order("ids 12345 12345");
    let connection = house.accept().await;
    assert_eq!(house.refusal(connection.peer()).await, PeerLost::IdsChanged);
}

#[tokio::test]
async fn a_zombie_has_exited() {
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        puppet.connect(&house.socket());
        let before = house.accept().await;
        house.evidence(before.peer()).await;
        puppet.connect(&house.socket());
        puppet.end_unreaped();
        let after = house.accept().await;
        assert_eq!(before.peer().handle.check(), Err(PeerLost::Exited));
        assert_eq!(house.refusal(after.peer()).await, PeerLost::Exited);
        puppet.end();
    }
}

#[tokio::test]
async fn a_process_that_dies_while_it_is_looked_at_is_seen_whole_or_not_at_all() {
    for features in kernels() {
        let house = House::on(features);
        let uid = rustix::process::getuid().as_raw();
        let mut gone = 0;
        for round in 0..60u32 {
            let mut puppet = Puppet::start();
            puppet.connect(&house.socket());
            let connection = house.accept().await;
            let attested = {
                let mut attested = Box::pin(house.attest(connection.peer()));
                let begun = crate::house::now(&mut attested).await;
                // A little later each time.
                for _ in 0..round * 200 {
                    std::hint::spin_loop();
                }
                puppet.tell("exit");
                match begun {
                    Some(attested) => attested,
                    None => attested.await,
                }
            };
            match attested {
                Ok(evidence) => {
                    assert_eq!(evidence.facts.uid, uid);
                    // All of it or, while it lasts, nothing of its program.
                    let path = selectors(&evidence, "path");
                    assert_eq!(path.is_empty(), missing(&evidence).contains("unix:path"));
                }
                Err(AttestError::Lost(PeerLost::Exited)) => gone += 1,
                Err(other) => panic!("{other:?}"),
            }
            puppet.end();
            assert_eq!(connection.peer().handle.check(), Err(PeerLost::Exited));
        }
        println!("{gone} of 60 were gone");
    }
}

#[tokio::test]
async fn an_agent_that_cannot_see_the_peer_refuses_it() {
    needs_root!();
    let house = House::new();
    let mut agent = Puppet::start();
    agent.order("unshare-mounts");
    agent.order("unshare-pid");
    agent.order("own-proc");
    let socket = house.path("inner.sock");
    agent.order(&format!("agent {}", socket.display()));
    let mut puppet = Puppet::start();
    puppet.connect(&socket);
    puppet.order("write request");
    assert_eq!(agent.hear(), "lost Unobservable");
}

#[tokio::test]
async fn an_agent_with_the_proc_of_others_believes_nothing_in_it() {
    needs_root!();
    let house = House::new();
    let mut agent = Puppet::start();
    agent.order("unshare-pid");
    let socket = house.path("inner.sock");
    agent.order(&format!("agent-with-a-child {}", socket.display()));
    assert_eq!(
        agent.hear(),
        "gid:0 group:root uid:0 user:root - \
         unix:path unix:sha256 unix:supplementary_gid unix:supplementary_group - \
         no /proc that belongs to the agent's pid namespace"
    );
}

/// The next hundredth of a second, in which start times are counted.
async fn a_clock_tick() {
    let uptime = || std::fs::read_to_string("/proc/uptime").unwrap();
    let before = uptime();
    while uptime().split(' ').next() == before.split(' ').next() {
        tokio::task::yield_now().await;
    }
}
