//! What an agent without privileges sees, and what it says of the rest.

use std::path::{Path, PathBuf};

use plastron_attest::{Attested, Interest, WorkloadAttestor as _};
use plastron_attest_unix::{BindOptions, Capabilities, Processes, UnixAttestor, UnixListener};

use crate::house::{House, needs_root, patient};
use crate::puppet::{Puppet, say};

/// What a puppet does that is an agent: accepts one connection, and says what it makes of it.
pub(crate) fn be_an_agent(socket: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = UnixListener::bind(&BindOptions::new(socket), Processes::default()).unwrap();
        say("ok");
        let connection = listener.accept().await.unwrap();
        let peer = connection.peer();
        match UnixAttestor::new(patient())
            .attest(peer, &Interest::all())
            .await
        {
            Ok(Attested::Evidence(evidence)) => {
                let selectors: Vec<_> = evidence.selectors.iter().map(|one| one.value()).collect();
                let mut missing: Vec<_> = evidence.missing.iter().map(|one| one.what).collect();
                missing.sort_unstable();
                let mut why: Vec<_> = evidence.missing.iter().map(|one| &*one.why).collect();
                why.sort_unstable();
                why.dedup();
                say(&format!(
                    "{} - {} - {}",
                    selectors.join(" "),
                    missing.join(" "),
                    why.join("; ")
                ));
            }
            Err(plastron_attest::AttestError::Lost(lost)) => say(&format!("lost {lost:?}")),
            other => say(&format!("{other:?}")),
        }
        if crate::puppet::next_command().as_deref() == Some("check") {
            say(&format!("{:?}", peer.handle.check()));
        }
    });
}

struct Agent {
    puppet: Puppet,
    socket: PathBuf,
}

/// An agent of an ordinary user.
fn agent(house: &House, name: &str, prepare: &[&str]) -> Agent {
    let mut puppet = Puppet::start();
    for command in prepare {
        puppet.order(command);
    }
    puppet.order("ids 12345 12345");
    let socket = house.path(name);
    puppet.order(&format!("agent {}", socket.display()));
    Agent { puppet, socket }
}

#[tokio::test]
async fn an_agent_without_privileges_sees_all_of_its_own_processes() {
    needs_root!();
    let house = House::new();
    let mut agent = agent(&house, "own.sock", &[]);
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&cart);
    puppet.order("ids 12345 12345 7");
    puppet.connect(&agent.socket);
    let said = agent.puppet.hear();
    for selector in [
        "uid:12345",
        "gid:12345",
        "supplementary_gid:7",
        &format!("path:{}", cart.display()),
        "sha256:",
    ] {
        assert!(said.contains(selector), "{selector}: {said}");
    }
    puppet.exec(&cart);
    agent.puppet.tell("check");
    assert_eq!(agent.puppet.hear(), "Err(ProgramChanged)");
}

#[tokio::test]
async fn an_agent_without_privileges_misses_what_it_may_not_see_and_says_so() {
    needs_root!();
    let hidden = ["unshare-mounts", "hide-processes"];
    for (how, prepare, caller, seen, missing, why) in [
        (
            "another's",
            &[][..],
            &["ids 23456 23456 7"][..],
            "gid:23456 supplementary_gid:7 uid:23456",
            "unix:path unix:sha256",
            "/exe: the agent needs CAP_SYS_PTRACE",
        ),
        (
            "its own, which may not be looked into",
            &[],
            &["ids 12345 12345 7", "undumpable"],
            "gid:12345 supplementary_gid:7 uid:12345",
            "unix:path unix:sha256",
            "/exe: the agent needs CAP_SYS_PTRACE",
        ),
        (
            "another's, and hidden",
            &hidden,
            &["ids 23456 23456 7"],
            "gid:23456 uid:23456",
            "unix:path unix:sha256 unix:supplementary_gid unix:supplementary_group",
            "/status is hidden: /proc is mounted with hidepid, or the process is ending",
        ),
    ] {
        let house = House::new();
        let mut agent = agent(&house, "other.sock", prepare);
        let mut puppet = Puppet::start();
        for command in caller {
            puppet.order(command);
        }
        puppet.connect(&agent.socket);
        let said = agent.puppet.hear();
        let [selectors, missed, reasons] = said.split(" - ").collect::<Vec<_>>()[..] else {
            panic!("{how}: {said}");
        };
        // Names are those of this machine.
        let nameless = |what: &str| what.ends_with("group") || what.ends_with("user");
        let missed: Vec<_> = missed
            .split(' ')
            .filter(|what| !nameless(what) || missing.contains(what))
            .collect();
        let selectors: Vec<_> = selectors
            .split(' ')
            .filter(|selector| !selector.starts_with("supplementary_group:"))
            .collect();
        assert_eq!(selectors.join(" "), seen, "{how}");
        assert_eq!(missed.join(" "), missing, "{how}");
        assert!(reasons.contains(why), "{how}: {reasons}");
        // What it cannot see, it does not miss either: an exec within the same user. (Exit and ids it sees.)
        let program = house.program("next");
        puppet.exec(&program);
        agent.puppet.tell("check");
        assert_eq!(agent.puppet.hear(), "Ok(())", "{how}");
    }
}

#[test]
fn what_is_out_of_sight_is_told_at_the_start() {
    needs_root!();
    assert_eq!(Capabilities::probe().limitations, []);
    for (commands, want) in [
        (&["ids 12345 12345"][..], "[NoPtrace]"),
        (
            &["unshare-mounts", "hide-processes", "ids 12345 12345"],
            "[NoPtrace, HidePid]",
        ),
        (&["unshare-pid"], "[NoProc, OwnPidNamespace]"),
        (
            &["unshare-mounts", "unshare-pid", "own-proc"],
            "[OwnPidNamespace]",
        ),
        (
            &["unshare-user-and-pid"],
            "[NoProc, OwnPidNamespace, OwnUserNamespace]",
        ),
    ] {
        let mut puppet = Puppet::start();
        for command in commands {
            puppet.order(command);
        }
        assert_eq!(puppet.ask("limitations"), want, "{commands:?}");
    }
}
