//! What runs: its path, its digest, and who else has a say in it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use plastron_attest::PeerLost;
use plastron_attest_unix::PathView;
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::house::{
    House, if_permitted, kernels, missing, needs_fuse, needs_root, patient, runs, selector, why,
};
use crate::puppet::Puppet;

pub(crate) fn sha256_of(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum")
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[tokio::test]
async fn path_and_digest_are_those_of_the_file_that_runs() {
    for features in kernels() {
        let house = House::on(features);
        let cart = house.program("cart");
        let mut puppet = Puppet::start_at(&cart);
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let evidence = house.evidence(connection.peer()).await;
        runs(&evidence, &cart);
        assert_eq!(selector(&evidence, "sha256"), sha256_of(&cart));
        assert_eq!(evidence.program.len(), 2);
        assert!(evidence.program.is_subset(&evidence.selectors));
    }
}

#[tokio::test]
async fn a_program_whose_file_is_gone_or_is_another_has_no_path() {
    for change in ["deleted", "replaced", "memfd"] {
        for view in [PathView::Host, PathView::Caller] {
            let house = House::new().attesting(patient().path(view));
            let cart = house.program("cart");
            let digest = sha256_of(&cart);
            let mut puppet = Puppet::start_at(&cart);
            match change {
                "deleted" => std::fs::remove_file(&cart).unwrap(),
                "replaced" => {
                    let new = house.program("new");
                    std::fs::rename(new, &cart).unwrap();
                }
                _ => assert_eq!(puppet.ask("exec-memfd"), "ready"),
            }
            puppet.connect(&house.socket());
            let connection = house.accept().await;
            let evidence = house.evidence(connection.peer()).await;
            assert_eq!(missing(&evidence), ["unix:path"].into(), "{change}");
            assert_eq!(
                why(&evidence, "unix:path"),
                "the program was deleted or replaced, or never had a file"
            );
            assert_eq!(evidence.facts.path, None);
            // What runs has a digest, wherever it is.
            assert_eq!(selector(&evidence, "sha256"), digest, "{change}");
        }
    }
}

#[tokio::test]
async fn a_program_that_is_replaced_while_it_runs_is_lost_by_the_close_look() {
    let house = House::new();
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&cart);
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    let peer = connection.peer();
    runs(&house.evidence(peer).await, &cart);
    let mut lost = std::pin::pin!(peer.handle.lost());
    assert_eq!(crate::house::now(lost.as_mut()).await, None);
    std::fs::rename(house.program("new"), &cart).unwrap();
    house.listener.processes().look_closely_now().await;
    assert_eq!(lost.await, PeerLost::FactsChanged);
}

#[tokio::test]
async fn a_file_that_is_called_deleted_is_not() {
    let house = House::new();
    let odd = house.program("cart (deleted)");
    let mut puppet = Puppet::start_at(&odd);
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    runs(&house.evidence(connection.peer()).await, &odd);

    // And is not what is called so after another was deleted.
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&cart);
    std::fs::remove_file(&cart).unwrap();
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    let evidence = house.evidence(connection.peer()).await;
    assert_eq!(missing(&evidence), ["unix:path"].into());
}

#[tokio::test]
async fn a_path_that_is_no_text_is_no_selector() {
    use std::os::unix::ffi::OsStrExt as _;
    let house = House::new();
    let odd = house
        .dir
        .path()
        .join(std::ffi::OsStr::from_bytes(b"c\xffrt"));
    crate::puppet::copy_of_this_program(&odd);
    let mut puppet = Puppet::start_at(&odd);
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    let evidence = house.evidence(connection.peer()).await;
    assert_eq!(
        why(&evidence, "unix:path"),
        "the program's path is not UTF-8"
    );
}

#[tokio::test]
async fn a_symbolic_link_leads_to_the_path_of_what_it_points_to() {
    let house = House::new();
    let cart = house.program("cart");
    let link = house.path("link");
    std::os::unix::fs::symlink(&cart, &link).unwrap();
    let mut puppet = Puppet::start_at(&link);
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    runs(&house.evidence(connection.peer()).await, &cart);
}

#[tokio::test]
async fn a_file_of_ones_own_mounted_over_a_path_is_not_the_file_there() {
    needs_root!();
    for view in [PathView::Host, PathView::Caller] {
        let house = House::new().attesting(patient().path(view));
        let [cart, thief] = ["cart", "thief"].map(|name| house.program(name));
        let mut puppet = Puppet::start();
        puppet.order("unshare-mounts");
        puppet.order(&format!(
            "bind-mount {} {}",
            thief.display(),
            cart.display()
        ));
        puppet.exec(&cart);
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let evidence = house.evidence(connection.peer()).await;
        match view {
            PathView::Caller => runs(&evidence, &cart),
            _ => {
                assert_eq!(missing(&evidence), ["unix:path"].into());
                assert_eq!(
                    why(&evidence, "unix:path"),
                    "what runs is not the file at its path in the agent's mount namespace"
                );
                assert_eq!(selector(&evidence, "sha256"), sha256_of(&thief));
            }
        }
        // Other mounts, but the same file.
        let mut puppet = Puppet::start();
        puppet.order("unshare-mounts");
        puppet.exec(&cart);
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        runs(&house.evidence(connection.peer()).await, &cart);
    }
}

#[tokio::test]
async fn a_traced_program_has_neither_path_nor_digest() {
    for features in kernels() {
        let house = House::on(features);
        let mut puppet = Puppet::start();
        if_permitted!(puppet, "traced");
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let evidence = house.evidence(connection.peer()).await;
        assert_eq!(
            missing(&evidence),
            ["unix:path", "unix:sha256"].into(),
            "{evidence:?}"
        );
        assert_eq!(why(&evidence, "unix:path"), "the process is traced");
        assert!(evidence.program.is_empty());
    }
}

#[tokio::test]
async fn a_tracer_that_comes_later_is_seen_by_the_close_look() {
    let house = House::new();
    let mut puppet = Puppet::start();
    puppet.connect(&house.socket());
    let connection = house.accept().await;
    let peer = connection.peer();
    house.evidence(peer).await;
    let mut lost = std::pin::pin!(peer.handle.lost());
    assert_eq!(crate::house::now(lost.as_mut()).await, None);
    if_permitted!(puppet, "traced");
    house.listener.processes().look_closely_now().await;
    assert_eq!(lost.await, PeerLost::FactsChanged);
}

#[tokio::test]
async fn a_program_in_another_user_namespace_has_a_path_in_its_own_view_alone() {
    for view in [PathView::Host, PathView::Caller] {
        let house = House::new().attesting(patient().path(view));
        let cart = house.program("cart");
        let mut puppet = Puppet::start_at(&cart);
        if_permitted!(puppet, "unshare-user-and-pid");
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let evidence = house.evidence(connection.peer()).await;
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(selector(&evidence, "uid"), uid.to_string());
        match view {
            PathView::Caller => runs(&evidence, &cart),
            _ => assert_eq!(missing(&evidence), ["unix:path", "unix:sha256"].into()),
        }
    }
}

#[tokio::test]
async fn programs_without_an_environment_are_seen_to_exec_too() {
    for features in kernels() {
        let house = House::on(features);
        let cart = house.program("cart");
        let mut puppet = Puppet::start_as(&cart, |command| {
            command.env_clear();
        });
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let peer = connection.peer();
        runs(&house.evidence(peer).await, &cart);
        assert_eq!(peer.handle.check(), Ok(()));
        puppet.exec(&cart);
        assert_eq!(peer.handle.check(), Err(PeerLost::ProgramChanged));
    }
}

#[tokio::test]
async fn a_program_that_is_not_read_in_time_lacks_its_digest_alone_until_it_is() {
    needs_fuse!();
    // Nobody waits.
    let house = House::new().attesting(patient().patience(Duration::ZERO));
    let (files, until) = (house.path("files"), house.path("until"));
    std::fs::create_dir(&files).unwrap();
    mkfifoat(CWD, &until, Mode::RUSR | Mode::WUSR).unwrap();
    let mut slow = Puppet::start();
    slow.order(&format!(
        "mount-unreadable {} {}",
        files.display(),
        until.display()
    ));
    slow.exec(&files.join("file"));
    slow.connect(&house.socket());
    let slow = house.accept().await;
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&cart);
    puppet.connect(&house.socket());
    // Another program of the same user, which has to be read after the slow one.
    let behind = house.accept().await;
    for (connection, also) in [(&slow, &["unix:path"][..]), (&behind, &[])] {
        let evidence = house.evidence(connection.peer()).await;
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(selector(&evidence, "uid"), uid.to_string());
        assert!(evidence.unfinished);
        let wanted = also.iter().copied().chain(["unix:sha256"]).collect();
        assert_eq!(missing(&evidence), wanted);
        assert_eq!(
            why(&evidence, "unix:sha256"),
            "the program has not been read to its end yet"
        );
    }

    // The reading goes on, and who looks again finds what it has come to.
    let let_go = tokio::task::spawn_blocking(|| File::options().write(true).open(until));
    let _let_go = let_go.await.unwrap().unwrap();
    let digest = sha256_of(&std::env::current_exe().unwrap());
    for connection in [&slow, &behind] {
        let evidence = loop {
            let evidence = house.evidence(connection.peer()).await;
            if !evidence.unfinished {
                break evidence;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(selector(&evidence, "sha256"), digest);
    }
}

#[tokio::test]
async fn programs_above_the_size_limit_have_no_digest() {
    let size = std::fs::metadata(std::env::current_exe().unwrap())
        .unwrap()
        .len();
    for (limit, hashed) in [(size - 1, false), (size, true)] {
        let house = House::new().attesting(patient().hash_size_limit(limit));
        let mut puppet = Puppet::start();
        puppet.connect(&house.socket());
        let connection = house.accept().await;
        let evidence = house.evidence(connection.peer()).await;
        assert_eq!(!missing(&evidence).contains("unix:sha256"), hashed);
        if !hashed {
            assert_eq!(
                why(&evidence, "unix:sha256"),
                format!("the program has {size} bytes, and at most {limit} are hashed")
            );
        }
    }
}
