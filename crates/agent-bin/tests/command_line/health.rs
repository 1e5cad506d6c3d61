//! What a running agent says of itself: over HTTP, by gRPC health, in its log, and by the commands that ask.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::UnixStream,
        process::CommandExt as _,
    },
    path::Path,
};

use hyper_util::rt::TokioIo;
use plastron_wire::workload::{
    JwtsvidRequest, SECURITY_HEADER, SECURITY_HEADER_VALUE,
    spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tonic::{
    Code, Request, Streaming,
    metadata::MetadataValue,
    transport::{Channel, Endpoint, Uri},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

use crate::running::{Agent, PATIENCE, Scene, Way, command, get, say, uid};

/// A user without privileges, whom nobody else is.
const NOBODY_ELSE: u32 = 41_234;

async fn channel(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move {
            Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(socket).await?))
        }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    endpoint.connect_with_connector(connector).await.unwrap()
}

/// gRPC health, as it changes.
struct Watching(Streaming<HealthCheckResponse>);

impl Watching {
    async fn of(channel: Channel, service: &str) -> Self {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = HealthClient::new(channel).watch(request).await;
        Self(answer.unwrap().into_inner())
    }

    async fn next(&mut self) -> ServingStatus {
        let message = tokio::time::timeout(PATIENCE, self.0.message()).await;
        message
            .expect("a change is told")
            .unwrap()
            .unwrap()
            .status()
    }
}

/// Makes what is in a folder that of [`NOBODY_ELSE`], if we may, and has `command` run as that user.
fn unprivileged(folder: &Path, command: &mut std::process::Command) {
    if uid() == 0 {
        chown(folder, Some(NOBODY_ELSE), Some(NOBODY_ELSE)).unwrap();
        command.uid(NOBODY_ELSE).gid(NOBODY_ELSE);
    }
}

#[tokio::test]
async fn an_agent_that_has_no_key_left_is_not_ready_until_it_has_one() {
    let agent = Scene::new(
        "[authority]\nx509_ca_ttl = \"6s\"\n[health]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n",
    )
    .start();
    let http = agent.address_of("health");
    // Nothing can be put where a folder stands.
    let keys = agent.scene.path("state/authority.json");
    fs::rename(&keys, agent.scene.path("keys")).unwrap();
    fs::create_dir_all(keys.join("in the way")).unwrap();
    let channel = channel(&agent.scene.path("agent.sock")).await;
    let mut all = Watching::of(channel.clone(), "").await;
    let mut workload_api = Watching::of(channel, "SpiffeWorkloadAPI").await;
    assert_eq!(all.next().await, ServingStatus::Serving);
    assert_eq!(workload_api.next().await, ServingStatus::Serving);
    assert!(get(http, "/ready").starts_with("HTTP/1.1 200"));
    assert!(get(http, "/metrics").contains("plastron_agent_ready 1"));

    assert_eq!(all.next().await, ServingStatus::NotServing);
    assert_eq!(workload_api.next().await, ServingStatus::NotServing);
    let said = agent.ask(&["healthcheck", "--output", "json"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(said.json()["status"], "NOT_SERVING");
    let problem = said.json()["problems"][0].as_str().unwrap().to_owned();
    assert!(
        problem.starts_with("authority: no signing key is active: ")
            && problem.contains("could not be stored"),
        "{problem}"
    );
    assert!(agent.ask(&["healthcheck"]).out.contains(&problem));
    let ready = get(http, "/ready");
    assert!(
        ready.starts_with("HTTP/1.1 503") && ready.contains("no signing key is active"),
        "{ready}"
    );
    assert!(get(http, "/live").starts_with("HTTP/1.1 200"));
    assert!(get(http, "/metrics").contains("plastron_agent_ready 0"));

    fs::remove_dir_all(&keys).unwrap();
    assert_eq!(all.next().await, ServingStatus::Serving);
    assert_eq!(workload_api.next().await, ServingStatus::Serving);
    let said = agent.ask(&["healthcheck"]);
    assert_eq!((said.code, &*said.out), (0, "the agent serves\n"));
    assert!(get(http, "/ready").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_agent_that_cannot_accept_is_not_ready_until_it_can() {
    let agent = Scene::new("").start();
    let socket = agent.scene.path("agent.sock");
    let mut all = Watching::of(channel(&socket).await, "").await;
    assert_eq!(all.next().await, ServingStatus::Serving);
    let pid = Pid::from_raw(agent.pid().cast_signed());
    let descriptors = |current| {
        let limits = Rlimit {
            current,
            ..getrlimit(Resource::Nofile)
        };
        prlimit(pid, Resource::Nofile, limits).unwrap().current
    };
    let before = descriptors(Some(1));
    let _waits = UnixStream::connect(&socket).unwrap();
    assert_eq!(all.next().await, ServingStatus::NotServing);
    descriptors(before);
    assert_eq!(all.next().await, ServingStatus::Serving);
    assert_eq!(agent.ask(&["healthcheck"]).code, 0);
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the time that is measured is the machine's"
)]
async fn who_is_refused_stands_in_the_log_once_a_second_also_without_a_record() {
    const CALLS: u64 = 50;
    let scene = Scene::new("");
    let config = fs::read_to_string(scene.path("agent.toml")).unwrap();
    let unrecorded = config.replace(
        "[audit]\nfile = \"audit.jsonl\"\n",
        "[log]\nformat = \"json\"\n",
    );
    fs::write(scene.path("agent.toml"), unrecorded).unwrap();
    let agent = scene.start();
    let began = std::time::Instant::now();
    let channel = channel(&agent.scene.path("agent.sock")).await;
    let mut client = SpiffeWorkloadApiClient::new(channel);
    for _ in 0..CALLS {
        let mut request = Request::new(JwtsvidRequest {
            audience: vec!["somebody".into()],
            ..Default::default()
        });
        request.metadata_mut().insert(
            SECURITY_HEADER,
            MetadataValue::from_static(SECURITY_HEADER_VALUE),
        );
        let refused = client.fetch_jwtsvid(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    agent.signal(Signal::TERM);
    let (_, scene) = agent.stop();
    let seconds = began.elapsed().as_secs() + 1;
    let log = fs::read_to_string(scene.path("log")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| line["message"] == "refused")
        .collect();
    assert!(
        !lines.is_empty() && lines.len() as u64 <= seconds + 1,
        "at once, each second, and what is left at the end: {log}"
    );
    for line in &lines {
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["uid"], uid());
        assert_eq!(line["pid"], std::process::id());
        assert_eq!(line["call"], "FetchJWTSVID");
        assert_eq!(line["code"], "PermissionDenied");
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.contains("no registration entry matches"), "{reason}");
    }
    let counted = lines.iter().filter_map(|line| line["count"].as_u64());
    assert_eq!(counted.sum::<u64>(), CALLS, "none is lost: {log}");
    assert!(!scene.path("audit.jsonl").exists());
}

#[test]
fn a_token_that_is_refused_is_not_in_the_log() {
    let agent = Scene::new(&Scene::entry("cart")).start();
    let said = agent.ask(&["api", "fetch", "jwt", "--audience", "a", "--output", "json"]);
    let token = said.json()["svids"][0]["svid"].as_str().unwrap().to_owned();
    Way::RenamedOver.write(&agent.scene.path("agent.toml"), &Scene::config(""));
    agent.wait_for_reload();
    let refused = agent.ask(&["api", "validate", "jwt", "--audience", "a", &token]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let (_, scene) = agent.stop();
    let log = fs::read_to_string(scene.path("log")).unwrap();
    assert!(
        log.contains("refused") && log.contains("ValidateJWTSVID"),
        "{log}"
    );
    for part in token.split('.') {
        assert!(!log.contains(part), "{log}");
    }
}

#[test]
fn what_is_out_of_sight_is_said_at_the_start_and_by_metrics_explain_and_healthcheck() {
    let scene =
        Scene::new("[health]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.2:0\"\n");
    let mut run = command(&["run", "--config", &scene.text("agent.toml")]);
    unprivileged(scene.folder.path(), &mut run);
    let agent = Agent::spawn(scene, run);
    agent.wait_for_log("no CAP_SYS_PTRACE");
    let (health, metrics) = (agent.address_of("health"), agent.address_of("metrics"));
    let page = get(metrics, "/metrics");
    assert!(
        page.contains("plastron_agent_limitation{name=\"no_ptrace\"} 1"),
        "{page}"
    );
    // Each is where it was said, and nowhere else.
    assert!(get(health, "/ready").starts_with("HTTP/1.1 200"));
    assert!(get(health, "/metrics").starts_with("HTTP/1.1 404"));
    assert!(get(metrics, "/ready").starts_with("HTTP/1.1 404"));

    let said = agent.ask(&["healthcheck", "--verbose", "--output", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let missing = said.json()["missing"].as_array().unwrap().clone();
    assert!(
        missing.iter().any(|missing| missing["what"] == "no_ptrace"
            && missing["why"].as_str().unwrap().contains("CAP_SYS_PTRACE")),
        "{said:?}"
    );
    // The first process is another user's than the agent's.
    let said = agent.ask(&["explain", "--pid", "1"]);
    let unseen = said
        .out
        .split_once("could not be seen\n")
        .expect("a section")
        .1;
    assert!(unseen.contains("unix:path: "), "{said:?}");
}

#[test]
fn files_that_cannot_be_watched_are_told_and_are_read_on_a_hangup() {
    let scene = Scene::new("");
    fs::create_dir(scene.path("run")).unwrap();
    let config = |entries: &str| {
        format!(
            "trust_domain = \"example.org\"\n[workload_api]\nsocket = \"run/agent.sock\"\n[health]\nlisten = \
             \"127.0.0.1:0\"\n{entries}"
        )
    };
    fs::write(scene.path("agent.toml"), config("")).unwrap();
    let mut run = command(&["run", "--config", &scene.text("agent.toml")]);
    unprivileged(&scene.path("run"), &mut run);
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let folder = scene.folder.path().to_owned();
    // Names in it can be looked up, and not be read.
    mode(&folder, 0o311);
    let agent = Agent::spawn(scene, run);
    let http = agent.address_of("health");
    let ready = get(http, "/ready");
    mode(&folder, 0o755);
    assert!(
        ready.starts_with("HTTP/1.1 200")
            && ready.contains("\"status\":\"degraded\"")
            && ready.contains("files: ")
            && ready.contains("cannot be watched: ")
            && ready.contains("send SIGHUP after a change"),
        "{ready}"
    );
    agent.wait_for_log("cannot be watched");
    Way::InPlace.write(
        &agent.scene.path("agent.toml"),
        &config(&Scene::entry("cart")),
    );
    agent.signal(Signal::HUP);
    assert!(agent.wait_for_reload().contains("1 entry"));
    let ready = get(http, "/ready");
    assert!(ready.contains("\"status\":\"ready\""), "{ready}");
    let socket = agent.scene.text("run/agent.sock");
    assert_eq!(say(&["api", "fetch", "x509", "--socket", &socket]).code, 0);
}

#[test]
fn what_is_asked_of_nobody_or_refused_is_answered_in_the_form_of_a_validation() {
    let agent = Scene::new("").start();
    let validate = [
        "api",
        "validate",
        "jwt",
        "--audience",
        "a",
        "x.y.z",
        "--output",
        "json",
    ];
    let refused = agent.ask(&validate);
    let missing = agent.scene.text("missing.sock");
    let unreachable = say(&[&validate[..], &["--socket", &missing]].concat());
    let misused = say(&["api", "validate", "jwt", "x.y.z", "--output", "json"]);
    for (said, code) in [(refused, 1), (unreachable, 2), (misused, 2)] {
        assert_eq!(said.code, code, "{said:?}");
        let json = said.json();
        let object = json.as_object().unwrap();
        for member in ["valid", "spiffe_id", "claims"] {
            assert!(object[member].is_null(), "{said:?}");
        }
        assert!(object["error"].is_string(), "{said:?}");
    }
}
