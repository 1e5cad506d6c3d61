//! The commands that need no agent: what they print and how they end.

use std::fs;

use crate::running::{Scene, command, say};
use serde_json::json;

#[test]
fn exit_codes_tell_no_from_cannot_tell() {
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("good.toml"), "trust_domain = \"example.org\"\n").unwrap();
    fs::write(path("bad.toml"), "trust_domain = \"example.org\"\nx = 1\n").unwrap();
    fs::write(path("empty"), "").unwrap();
    let (good, bad, empty, missing) = (
        path("good.toml"),
        path("bad.toml"),
        path("empty"),
        path("missing"),
    );
    let bundle = format!("example.org={empty}");
    for (want, arguments) in [
        (0, vec!["check", "--config", &good]),
        (1, vec!["check", "--config", &bad]),
        (2, vec!["check", "--config", &missing]),
        (1, vec!["run", "--config", &bad]),
        (2, vec!["run", "--config", &missing]),
        (2, vec!["run"]),
        (2, vec!["run", "--dev", "--config", &good]),
        (2, vec!["frobnicate"]),
        (2, vec!["healthcheck", "--socket", &missing]),
        (2, vec!["healthcheck", "--socket", "http://localhost"]),
        (2, vec!["api", "fetch", "jwt", "--socket", &missing]),
        (2, vec!["api", "fetch", "x509", "--socket", &missing]),
        (2, vec!["api", "watch", "jwt"]),
        (2, vec!["api", "validate", "jwt", "TOKEN"]),
        (2, vec!["explain", "--pid", "0"]),
        (1, vec!["svid", "show", &empty]),
        (2, vec!["svid", "show", &missing]),
        (2, vec!["svid", "verify", "--bundle", &bundle, &empty]),
        (2, vec!["svid", "verify", "--bundle", &empty, &empty]),
        (1, vec!["entry", "import", &empty]),
        (2, vec!["entry", "import", &missing]),
        (2, vec!["audit", "verify", &missing]),
        (0, vec!["completions", "bash"]),
        (2, vec!["completions", "cmd.exe"]),
        (0, vec!["--help"]),
        (0, vec!["--version"]),
    ] {
        let said = say(&arguments);
        assert_eq!(said.code, want, "{arguments:?}: {said:?}");
        assert!(
            want == 0 || !said.out.is_empty() || !said.err.is_empty(),
            "{arguments:?} says why"
        );
    }
}

#[test]
fn failures_are_json_too() {
    let said = say(&[
        "healthcheck",
        "--socket",
        "/nowhere/agent.sock",
        "--output",
        "json",
    ]);
    assert_eq!(said.code, 2);
    assert!(
        said.json()["error"]
            .as_str()
            .unwrap()
            .contains("/nowhere/agent.sock"),
        "{said:?}"
    );
    assert!(said.json()["hint"].is_string());
}

#[test]
fn check_prints_findings_for_people_and_for_programs() {
    let scene = Scene::new("[[entry]]\nspiffe_id = \"spiffe://example.org/a\"\nselector = []\n");
    let config = scene.text("agent.toml");
    let people = say(&["check", "--config", &config]);
    assert_eq!(people.code, 1);
    assert_eq!(
        people.out,
        format!(
            "{config}:7: error: this entry has no selectors\n    write selectors = [\"unix:uid:1000\"]\n{config}:9: error: \
             [[entry]] knows no key \"selector\"\n    write selectors\n{config}: 2 errors\n"
        )
    );
    let programs = say(&["check", "--config", &config, "--output", "json"]);
    assert_eq!(programs.code, 1);
    assert_eq!(
        programs.json()["errors"][1],
        json!({ "file": config, "line": 9, "message": "[[entry]] knows no key \"selector\"", "instead": "write selectors" })
    );
}

#[test]
fn flags_go_before_variables_and_these_before_the_file() {
    let scene = Scene::new("");
    let config = scene.text("agent.toml");
    let socket = |flags: &[&str], variable: Option<&str>| {
        let mut check = command(&["check", "--config", &config, "--output", "json"]);
        check
            .args(flags)
            .envs(variable.map(|value| ("PLASTRON_SOCKET", value)));
        let said: crate::running::Said = check.output().unwrap().into();
        said.json()["settings"]["workload_api.socket"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(socket(&[], None), scene.text("agent.sock"));
    assert_eq!(socket(&[], Some("/variable.sock")), "/variable.sock");
    assert_eq!(
        socket(&["--socket", "/flag.sock"], Some("/variable.sock")),
        "/flag.sock"
    );

    let mut check = command(&["check", "--config", &config]);
    let said: crate::running::Said = check
        .env("PLASTRON_WORKLOAD_API_MODE", "rw")
        .output()
        .unwrap()
        .into();
    assert!(
        said.out
            .starts_with("variable PLASTRON_WORKLOAD_API_MODE: error: "),
        "{said:?}"
    );
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let temp = tempfile::tempdir().unwrap();
    let said = say(&["man", temp.path().to_str().unwrap(), "--output", "json"]);
    assert_eq!(said.code, 0);
    assert!(
        said.json()["pages"].as_array().unwrap().len() > 15,
        "{said:?}"
    );
    let run = fs::read_to_string(temp.path().join("plastron-agent-run.1")).unwrap();
    assert!(
        run.contains("PLASTRON_SOCKET"),
        "variables are in the manual"
    );
}
