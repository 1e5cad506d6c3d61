//! Users and groups, and their change.

use plastron_attest::PeerLost;

use crate::house::{House, kernels, missing, needs_root, selector, selectors, why};
use crate::puppet::Puppet;

#[tokio::test]
async fn effective_ids_names_and_groups_become_selectors() {
    needs_root!();
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        puppet.order("groups 4 24 5000000");
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let evidence = house.evidence(connection.peer()).await;
        for (name, want) in [
            ("uid", &["0"][..]),
            ("user", &["root"]),
            ("gid", &["0"]),
            ("group", &["root"]),
            ("supplementary_gid", &["24", "4", "5000000"]),
            ("supplementary_group", &["adm", "cdrom"]),
        ] {
            assert_eq!(selectors(&evidence, name), want, "{name}");
        }
        assert_eq!(
            why(&evidence, "unix:supplementary_group"),
            "gid 5000000 has no name"
        );
        assert_eq!(evidence.facts.groups, [4, 24, 5_000_000]);
        assert_eq!(evidence.facts.pid, puppet.pid());
    }
}

#[tokio::test]
async fn a_change_of_ids_loses_the_peer_before_and_after_it_was_looked_at() {
    needs_root!();
    for features in kernels() {
        for ids in ["12345 0", "0 12345", "12345 12345"] {
            let house = House::on(features);
            let mut puppet = Puppet::start();
            puppet.connect(&house.socket());
            let connection = house.accept().await;
            assert_eq!(connection.peer().uid, 0);
            assert_eq!(
                selector(&house.evidence(connection.peer()).await, "uid"),
                "0"
            );
            puppet.order(&format!("ids {ids}"));
            let handle = &connection.peer().handle;
            assert_eq!(handle.check(), Err(PeerLost::IdsChanged), "{ids}");
            assert_eq!(house.refusal(connection.peer()).await, PeerLost::IdsChanged);

            let mut puppet = Puppet::start();
            puppet.connect(&house.socket());
            puppet.order(&format!("ids {ids}"));
            let connection = house.accept().await;
            assert_eq!(connection.peer().uid, 0, "who it was when it connected");
            assert_eq!(house.refusal(connection.peer()).await, PeerLost::IdsChanged);
            // As who it is now, it may ask again.
            puppet.connect(&house.socket());
            let fresh = house.accept().await;
            let evidence = house.evidence(fresh.peer()).await;
            let [uid, gid] = ["uid", "gid"].map(|name| selector(&evidence, name));
            assert_eq!(format!("{uid} {gid}"), ids);
        }
    }
}

#[tokio::test]
async fn a_change_of_groups_is_seen_by_the_close_look() {
    needs_root!();
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        puppet.order("groups 4");
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let peer = connection.peer();
        house.evidence(peer).await;
        let mut lost = std::pin::pin!(peer.handle.lost());
        assert_eq!(crate::house::now(lost.as_mut()).await, None);
        house.listener.processes().look_closely_now().await;
        assert_eq!(peer.handle.check(), Ok(()));
        puppet.order("groups 24");
        house.listener.processes().look_closely_now().await;
        assert_eq!(lost.await, PeerLost::FactsChanged);
    }
}

#[tokio::test]
async fn the_ids_of_nobody_match_nothing() {
    needs_root!();
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        puppet.order("groups 65534 7");
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let evidence = house.evidence(connection.peer()).await;
        assert_eq!(selectors(&evidence, "supplementary_gid"), ["7"]);

        let mut puppet = Puppet::start();
        puppet.order("ids 65534 65534");
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let evidence = house.evidence(connection.peer()).await;
        for name in ["uid", "user", "gid", "group"] {
            assert_eq!(selectors(&evidence, name), [""; 0], "{name}");
        }
        assert!(missing(&evidence).is_superset(&["unix:uid", "unix:gid"].into()));
    }
}

#[tokio::test]
async fn names_that_look_like_more_are_names() {
    for features in kernels() {
        for name in [
            "a) S 1 (",
            "\\nUid:\\t0\\t0",
            "Groups:\t0",
            ") R 0 0 (",
            "x\\n",
        ] {
            let house = House::on(features);
            let mut puppet = Puppet::start();
            puppet.order(&format!("name {name}"));
            puppet.connect(&house.socket());
            let connection = house.accept().await;
            let evidence = house.evidence(connection.peer()).await;
            let uid = rustix::process::getuid().as_raw();
            assert_eq!(selector(&evidence, "uid"), uid.to_string(), "{name}");
            assert_eq!(connection.peer().handle.check(), Ok(()), "{name}");
            puppet.end();
            assert_eq!(
                connection.peer().handle.check(),
                Err(PeerLost::Exited),
                "{name}"
            );
        }
    }
}
