//! What is watched while somebody waits, and what it costs.

use std::pin::pin;
use std::time::Duration;

use plastron_attest::{AttestError, Interest, PeerLost, WorkloadAttestor as _};
use plastron_attest_unix::ProcessOptions;
use tokio::runtime::Handle;

use crate::house::{House, kernels, now};
use crate::puppet::Puppet;

#[tokio::test(start_paused = true)]
async fn a_change_is_noticed_within_a_second_without_a_word_from_the_process() {
    for features in kernels() {
        for (what, want) in [
            ("exit", PeerLost::Exited),
            ("exec", PeerLost::ProgramChanged),
            ("ids", PeerLost::IdsChanged),
        ] {
            if what == "ids" && !crate::house::is_root() {
                continue;
            }
            let house = House::on(features);
            let program = house.program("next");
            let mut puppet = Puppet::start();
            puppet.connect(&house.socket());
            let connection = house.accept().await;
            let peer = connection.peer();
            house.evidence(peer).await;
            let mut lost = pin!(peer.handle.lost());
            assert_eq!(now(lost.as_mut()).await, None);
            let started = tokio::time::Instant::now();
            match what {
                "exit" => puppet.end(),
                "exec" => puppet.exec(&program),
                _ => puppet.order("ids 12345 12345"),
            }
            assert_eq!(lost.await, want);
            assert!(started.elapsed() <= Duration::from_secs(1), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_facts_are_looked_at_each_ten_seconds() {
    for features in kernels() {
        let house = House::on(features);
        let cart = house.program("cart");
        let mut puppet = Puppet::start_at(&cart);
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let peer = connection.peer();
        house.evidence(peer).await;
        let mut lost = pin!(peer.handle.lost());
        assert_eq!(now(lost.as_mut()).await, None);
        let started = tokio::time::Instant::now();
        std::fs::remove_file(&cart).unwrap();
        assert_eq!(lost.await, PeerLost::FactsChanged);
        assert!(started.elapsed() <= Duration::from_secs(10));
    }
}

#[tokio::test(start_paused = true)]
async fn facts_older_than_ten_seconds_are_taken_again_before_a_decision_rests_on_them() {
    let house = House::new();
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&cart);
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    let peer = connection.peer();
    house.evidence(peer).await;
    std::fs::remove_file(&cart).unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    house.evidence(peer).await;
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(house.refusal(peer).await, PeerLost::FactsChanged);
}

#[tokio::test(start_paused = true)]
async fn nothing_wakes_up_when_nobody_waits() {
    let house = House::new();
    let mut puppet = Puppet::start();
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    let peer = connection.peer();
    house.evidence(peer).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks(), 0, "attested, and nobody waits");
    for _ in 0..2 {
        let mut lost = pin!(peer.handle.lost());
        assert_eq!(now(lost.as_mut()).await, None);
        let mut another = pin!(peer.handle.lost());
        assert_eq!(now(another.as_mut()).await, None);
        assert_eq!(tasks(), 1, "one look for all that wait");
    }
    let mut looks = 0;
    while tasks() > 0 {
        assert!(looks < 3, "nobody waits any more");
        tokio::time::advance(Duration::from_secs(1)).await;
        looks += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_the_agents_to_choose() {
    let options = ProcessOptions::default()
        .look_every(Duration::from_millis(20))
        .closely_every(3);
    let house = House::with(options);
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&cart);
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    house.evidence(connection.peer()).await;
    let mut lost = pin!(connection.peer().handle.lost());
    assert_eq!(now(lost.as_mut()).await, None);
    let started = tokio::time::Instant::now();
    std::fs::remove_file(&cart).unwrap();
    assert_eq!(lost.await, PeerLost::FactsChanged);
    assert!(started.elapsed() <= Duration::from_millis(60));
}

#[tokio::test]
async fn what_no_entry_asks_for_is_not_established() {
    let house = House::new();
    let mut puppet = Puppet::start();
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    let outcome = house
        .attestor
        .attest(connection.peer(), &Interest::default())
        .await
        .unwrap();
    let plastron_attest::Attested::Evidence(evidence) = outcome else {
        panic!("{outcome:?}");
    };
    let sorts: Vec<_> = evidence.selectors.iter().map(|one| one.name()).collect();
    assert_eq!(sorts, ["gid", "uid"]);
    assert!(
        evidence.facts.path.is_some(),
        "records have it all the same"
    );
    // What is known already is of no use once the process is gone.
    puppet.end();
    let outcome = house
        .attestor
        .attest(connection.peer(), &Interest::default())
        .await;
    assert!(
        matches!(outcome, Err(AttestError::Lost(PeerLost::Exited))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_process_without_a_connection_can_be_looked_at() {
    for features in kernels() {
        let house = House::on(features);
        let cart = house.program("cart");
        let mut puppet = Puppet::start_at(&cart);
        let pid = puppet.pid();
        let processes = house.listener.processes();
        let peer = processes.peer_of_pid(pid).unwrap();
        crate::house::runs(&house.evidence(&peer).await, &cart);
        assert_eq!(now(peer.handle.spoken()).await, None);
        puppet.end();
        assert_eq!(peer.handle.check(), Err(PeerLost::Exited));
        for pid in [pid, 0, -1, i32::MAX] {
            assert!(processes.peer_of_pid(pid).is_err(), "{pid}");
        }
    }
}
