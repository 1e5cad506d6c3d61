//! The agent as a process: from the configuration file to the socket, through signals and changes.

use std::{fs, os::fd::AsRawFd, os::unix::net::UnixListener, process::Stdio, time::Instant};

use crate::running::{Agent, Scene, Way, command, get, say, uid};
use rustix::process::Signal;

#[test]
fn it_serves_when_it_says_so_and_leaves_nothing_behind_but_evidence() {
    let agent = Scene::new(&Scene::entry("cart")).start();
    let fetched = agent.ask(&["api", "fetch", "x509", "--output", "json"]);
    assert_eq!(fetched.code, 0, "{fetched:?}");
    assert_eq!(
        fetched.json()["svids"][0]["spiffe_id"],
        "spiffe://example.org/cart"
    );
    assert_eq!(agent.ask(&["healthcheck"]).code, 0);

    agent.signal(Signal::TERM);
    agent.wait_for("STOPPING=1");
    let (status, scene) = agent.stop();
    assert_eq!(status.code(), Some(0));
    assert!(!scene.path("agent.sock").exists());
    let verified = say(&[
        "audit",
        "verify",
        &scene.text("audit.jsonl"),
        "--output",
        "json",
    ]);
    assert_eq!(
        (verified.code, verified.json()["unsigned"].as_u64()),
        (0, Some(0)),
        "{verified:?}"
    );
    let records = fs::read_to_string(scene.path("audit.jsonl")).unwrap();
    assert!(records.contains("spiffe://example.org/cart"), "{records}");

    // Whoever cuts the file behind a head is found by who has a later one, and whoever signs with another key by who has
    // that of the agent.
    let verify = |key: &str, head: &str| {
        say(&[
            "audit",
            "verify",
            "--key",
            key,
            "--head",
            head,
            &scene.text("audit.jsonl"),
        ])
    };
    let (key, head) = (
        scene.text("state/audit-key.pub"),
        scene.text("state/audit-head"),
    );
    assert_eq!(verify(&key, &head).code, 0);
    let other = Scene::new("").start().stop().1;
    assert_eq!(verify(&other.text("state/audit-key.pub"), &head).code, 1);
    let first_head = records.find("\"kind\":\"head\"").unwrap();
    let cut = first_head + records[first_head..].find('\n').unwrap() + 1;
    assert!(cut < records.len());
    fs::write(scene.path("audit.jsonl"), &records[..cut]).unwrap();
    assert_eq!(verify(&key, &head).code, 1);
    assert_eq!(
        say(&["audit", "verify", &scene.text("audit.jsonl")]).code,
        0,
        "nothing in the file tells it from one that ended there"
    );

    // S-99 −: a changed record is found.
    fs::write(
        scene.path("audit.jsonl"),
        records.replace("example.org/cart", "example.org/bart"),
    )
    .unwrap();
    assert_eq!(
        say(&["audit", "verify", &scene.text("audit.jsonl")]).code,
        1
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the time that is measured is the machine's"
)]
fn a_change_reaches_open_streams_however_it_is_written() {
    let agent = Scene::new(&Scene::entry("one")).start();
    let watching = agent.watch();
    assert_eq!(watching.next_ids(), ["spiffe://example.org/one"]);
    let file = agent.scene.path("agent.toml");
    for (round, way) in Way::ALL.into_iter().cycle().take(6).enumerate() {
        let name = format!("round-{round}");
        let written = Instant::now();
        way.write(&file, &Scene::config(&Scene::entry(&name)));
        assert_eq!(
            watching.next_ids(),
            [format!("spiffe://example.org/{name}")],
            "{way:?}"
        );
        println!(
            "{way:?}: {:?} from the write to the stream",
            written.elapsed()
        );
    }
}

#[test]
fn a_service_manager_that_does_not_listen_holds_up_nobody() {
    let agent = Scene::new(&Scene::entry("one")).start();
    let watching = agent.watch();
    watching.next_ids();
    let file = agent.scene.path("agent.toml");
    // Its socket takes a dozen messages, and each reload has two.
    for round in 0..20 {
        let name = format!("round-{round}");
        Way::RenamedOver.write(&file, &Scene::config(&Scene::entry(&name)));
        assert_eq!(
            watching.next_ids(),
            [format!("spiffe://example.org/{name}")]
        );
    }
}

#[test]
fn an_entry_that_is_removed_ends_the_stream_at_once() {
    // S-82 +
    let agent = Scene::new(&Scene::entry("cart")).start();
    let watching = agent.watch();
    watching.next_ids();
    Way::RenamedOver.write(&agent.scene.path("agent.toml"), &Scene::config(""));
    let said = watching.end();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("PermissionDenied") && said.out.lines().count() == 1,
        "one object a line: {said:?}"
    );

    let refused = agent.ask(&["api", "fetch", "x509"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused
            .err
            .contains("no registration entry matches this process")
            && refused.err.contains("explain --pid")
    );
}

#[test]
fn what_cannot_be_in_force_changes_nothing_and_is_said() {
    let agent = Scene::new(&format!(
        "[log]\nformat = \"json\"\n{}",
        Scene::entry("cart")
    ))
    .start();
    let file = agent.scene.path("agent.toml");
    let good = fs::read_to_string(&file).unwrap();
    for (change, said) in [
        (
            good.replace("spiffe://", "spiff://"),
            "agent.toml:10: spiffe_id:",
        ),
        (
            good.replace("agent.sock", "other.sock"),
            "workload_api.socket has changed and cannot change while the agent runs: restart",
        ),
        (String::new(), "agent.toml:1: trust_domain is missing"),
    ] {
        Way::RenamedOver.write(&file, &change);
        let status = agent.wait_for_reload();
        assert!(
            status.contains("not in force") && status.contains(said),
            "{status}"
        );
        agent.wait_for_log(said);
        assert_eq!(
            agent.ask(&["api", "fetch", "x509"]).code,
            0,
            "what was in force stays so"
        );
    }
    Way::RenamedOver.write(&file, &good);
    assert!(agent.wait_for_reload().contains("STATUS=1 entry"));
}

#[test]
fn a_foreign_bundle_follows_its_file_and_outlives_it() {
    let other = Scene::new(&Scene::entry("partner")).start();
    let bundle = other.ask(&["bundle", "show", "--format", "spiffe"]).out;
    let entry = format!(
        "{}federates_with = [\"partner.org\"]\n",
        Scene::entry("cart")
    );
    let agent = Scene::new(&format!(
        "{entry}[[bundle]]\ntrust_domain = \"partner.org\"\nfile = \"partner.json\"\n"
    ))
    .start();
    let known = |agent: &Agent| {
        agent
            .ask(&["bundle", "show", "--trust-domain", "partner.org"])
            .code
            == 0
    };
    assert!(!known(&agent), "absent: a warning");
    agent.wait_for_log("partner.json cannot be read");

    let watching = agent.watch();
    watching.next_ids();
    Way::RenamedOver.write(&agent.scene.path("partner.json"), &bundle);
    watching.next_ids();
    assert!(known(&agent));
    fs::remove_file(agent.scene.path("partner.json")).unwrap();
    agent.signal(Signal::HUP);
    agent.wait_for_reload();
    assert!(known(&agent), "the one before stays in force");
}

#[test]
fn a_hangup_reads_the_file_again_and_reopens_the_record() {
    let agent = Scene::new(&Scene::entry("cart")).start();
    assert_eq!(agent.ask(&["api", "fetch", "x509"]).code, 0);
    let (record, rotated) = (
        agent.scene.text("audit.jsonl"),
        agent.scene.text("audit.jsonl.1"),
    );
    fs::rename(&record, &rotated).unwrap();
    agent.signal(Signal::HUP);
    agent.wait_for_reload();
    assert_eq!(agent.ask(&["api", "fetch", "x509"]).code, 0);
    let (_, _scene) = agent.stop();
    assert!(fs::read_to_string(&record).unwrap().contains("x509_svid"));
    let verified = say(&["audit", "verify", &record, &rotated]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

#[test]
fn keys_survive_a_restart_and_a_stale_socket_is_replaced_but_never_a_live_one() {
    let mut agent = Scene::new(&Scene::entry("cart")).start();
    let bundle = agent.ask(&["bundle", "show"]).out;

    let config = agent.scene.text("agent.toml");
    let second = say(&["run", "--config", &config]);
    assert_eq!(second.code, 2, "{second:?}");
    assert!(
        second.err.contains("in use") && second.err.contains("--socket"),
        "{second:?}"
    );
    assert_eq!(
        agent.ask(&["healthcheck"]).code,
        0,
        "the first one did not notice"
    );

    agent.kill();
    assert!(
        agent.scene.path("agent.sock").exists(),
        "killed, it could not clean up"
    );
    assert_eq!(agent.ask(&["healthcheck"]).code, 2, "no agent");
    let scene = Scene {
        folder: std::mem::replace(&mut agent.scene.folder, tempfile::tempdir().unwrap()),
    };
    fs::remove_file(scene.path("notify")).unwrap();
    let again = scene.start();
    assert_eq!(again.ask(&["bundle", "show"]).out, bundle);
}

#[test]
fn the_socket_may_come_from_the_service_manager() {
    let scene = Scene::new(&Scene::entry("cart"));
    let listener = UnixListener::bind(scene.path("held.sock")).unwrap();
    // Handed on under a number of its own, as the third after standard error. Other tests spawn meanwhile; they do not mind.
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let mut bash = std::process::Command::new("bash");
    bash.arg("-c").arg(format!(
        "exec 3<&{} && LISTEN_PID=$$ LISTEN_FDS=1 exec {} run --config {}",
        listener.as_raw_fd(),
        env!("CARGO_BIN_EXE_plastron-agent"),
        scene.text("agent.toml"),
    ));
    let agent = Agent::spawn(scene, bash);
    let socket = agent.scene.text("held.sock");
    assert!(!agent.scene.path("agent.sock").exists());
    assert_eq!(say(&["healthcheck", "--socket", &socket]).code, 0);
    let fetched = say(&[
        "api",
        "fetch",
        "x509",
        "--socket",
        &format!("unix://{socket}"),
    ]);
    assert_eq!(fetched.code, 0, "{fetched:?}");
    let (status, scene) = agent.stop();
    assert_eq!(status.code(), Some(0));
    assert!(
        scene.path("held.sock").exists(),
        "it is the service manager's"
    );
}

#[test]
fn the_watchdog_hears_from_it() {
    let scene = Scene::new("");
    let config = scene.text("agent.toml");
    let mut run = command(&["run", "--config", &config]);
    run.env("WATCHDOG_USEC", "200000");
    let agent = Agent::spawn(scene, run);
    for _ in 0..3 {
        agent.wait_for("WATCHDOG=1");
    }
}

#[test]
fn health_and_metrics_are_served_where_it_was_said() {
    let agent =
        Scene::new("[health]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n")
            .start();
    let address = agent.address_of("health");
    assert_eq!(agent.address_of("metrics"), address);
    let get = |path: &str| get(address, path);
    assert!(
        get("/ready").starts_with("HTTP/1.1 200"),
        "{}",
        get("/ready")
    );
    Way::InPlace.write(
        &agent.scene.path("agent.toml"),
        "trust_domain = \"Nonsense\"\n",
    );
    agent.wait_for_reload();
    assert!(get("/ready").contains("not in force"), "{}", get("/ready"));
    assert!(
        get("/metrics").contains("plastron_agent_reload_ok 0"),
        "{}",
        get("/metrics")
    );
}

#[test]
fn dev_says_what_to_type_next_and_cleans_up() {
    let temp = tempfile::tempdir().unwrap();
    let socket = temp.path().join("dev.sock");
    let notify = std::os::unix::net::UnixDatagram::bind(temp.path().join("notify")).unwrap();
    notify
        .set_read_timeout(Some(crate::running::PATIENCE))
        .unwrap();
    let mut dev = command(&["run", "--dev", "--socket", socket.to_str().unwrap()])
        .env("NOTIFY_SOCKET", temp.path().join("notify"))
        .env("TMPDIR", temp.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    notify.recv(&mut [0; 64]).unwrap();
    let fetched = say(&[
        "api",
        "fetch",
        "jwt",
        "--audience",
        "test",
        "--socket",
        socket.to_str().unwrap(),
    ]);
    assert_eq!(fetched.code, 0, "{fetched:?}");
    assert!(
        fetched.out.contains("spiffe://example.org/user/"),
        "{fetched:?}"
    );
    rustix::process::kill_process(rustix::process::Pid::from_child(&dev), Signal::INT).unwrap();
    let out = std::io::read_to_string(dev.stdout.take().unwrap()).unwrap();
    assert_eq!(dev.wait().unwrap().code(), Some(0));
    for next in [
        "export SPIFFE_ENDPOINT_SOCKET=unix://",
        "api fetch x509",
        "explain --pid",
        "agent.toml",
    ] {
        assert!(out.contains(next), "{next} in {out}");
    }
    let left: Vec<_> = fs::read_dir(temp.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().contains("plastron-dev")),
        "{left:?}"
    );
}

#[test]
fn explain_says_what_is_missing() {
    let near = format!(
        "[[entry]]\nspiffe_id = \"spiffe://example.org/near\"\nselectors = [\"unix:uid:{}\", \"unix:gid:4242\"]\n",
        uid()
    );
    let agent = Scene::new(&near).start();
    let pid = agent.pid().to_string();
    let config = agent.scene.text("agent.toml");
    let asked = agent.ask(&["explain", "--pid", &pid, "--output", "json"]);
    let alone = say(&[
        "explain", "--pid", &pid, "--config", &config, "--output", "json",
    ]);
    for said in [asked, alone] {
        assert_eq!(said.code, 1, "it gets nothing: {said:?}");
        assert_eq!(
            said.json()["near"][0]["missing_selectors"][0],
            "unix:gid:4242"
        );
        assert_eq!(said.json()["facts"]["uid"], uid());
    }
}
