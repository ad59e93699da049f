//! A supervisor that no rule names: it warns, and a rule that `config suggest`
//! prints names it.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;
use testbed::checks::suite::{Stage, run};

use crate::{Guard, serve, until};

/// The README's own command.
#[cfg(target_arch = "x86_64")]
const PROGRAM: &str = "syscall(157, 24, 0)";
#[cfg(not(target_arch = "x86_64"))]
const PROGRAM: &str = "syscall(167, 24, 0)";

fn one_liner() {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--clear-groups", "perl", "-e", PROGRAM]);
    assert!(command.status().expect("no setpriv").success());
}

fn agent(stage: &Stage, config: Option<&str>) -> (Guard, String) {
    let address = serve::free_address();
    let mut command = stage.capwatch();
    command.args(["run", "--web.listen-address", &address]);
    if let Some(config) = config {
        command.args(["--config", config]);
    }
    let agent = Guard::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    until("the agent to be ready", || {
        serve::get(&address, "/-/ready").is_some_and(|(status, _)| status == 200)
    });
    (agent, address)
}

fn findings(address: &str) -> Value {
    let (_, body) = serve::get(address, "/api/v1/status").expect("no status");
    let status: Value = serde_json::from_str(&body).expect("no JSON");
    status["findings"].clone()
}

#[test]
fn the_one_liner_of_the_readme_warns_and_a_suggested_rule_names_it() {
    let Some((stage, _turn)) = crate::stage("a supervisor by deed") else {
        return;
    };
    let (_agent, address) = agent(stage, None);
    assert_eq!(findings(&address)["level"], "ok");
    one_liner();
    until("the page to warn", || findings(&address)["level"] != "ok");
    let finding = findings(&address);
    assert_eq!(finding["level"], "warning", "{finding}");
    assert!(
        finding["title"]
            .as_str()
            .is_some_and(|title| title.starts_with("perl ")),
        "{finding}"
    );
    let detail = finding["detail"].as_str().expect("no detail");
    assert!(detail.contains("capwatch config suggest"), "{detail}");
    let (_, report) = serve::get(&address, "/api/v1/report").expect("no report");
    let report: Value = serde_json::from_str(&report).expect("no JSON");
    let text = report["episodes"][0]["explanation"].as_str();
    assert!(
        text.is_some_and(|text| text.starts_with("Process perl (pid ")
            && text.contains("), launched by setpriv, could not drop chown")),
        "{report}"
    );
    let (_, page) = serve::get(&address, "/").expect("no page");
    assert!(page.contains("headline warning"), "the page stays green");

    let (_, metrics) = serve::get(&address, "/metrics").expect("no metrics");
    let own = "supervisor=\"perl\"";
    let fatal = [own, "role=\"supervisor\"", "verdict=\"fatal\""];
    for (name, labels) in [
        ("capwatch_bounding_drop_episodes_total", &fatal[..]),
        ("capwatch_supervisor_inferred", &[own]),
    ] {
        let value = serve::sample(&metrics, name, labels);
        assert_eq!(value, Some(1.0), "{name}");
    }
    let failed = "capwatch_last_failed_drop_timestamp_seconds";
    assert!(
        serve::sample(&metrics, failed, &[own]).is_some(),
        "the alert has nothing to go by"
    );

    // From what the live agent answers, and from a recorded stream of the same.
    let (_, report) = serve::get(&address, "/api/v1/report").expect("no report");
    fs::write(stage.path("live.json"), report).expect("cannot write");
    let mut record = stage.capwatch();
    record.args([
        "record",
        "--report",
        "/dev/null",
        "--stream",
        "deeds.jsonl",
        "--",
    ]);
    record.args([
        "setpriv",
        "--reuid",
        "65534",
        "--clear-groups",
        "perl",
        "-e",
        PROGRAM,
    ]);
    assert_eq!(run(&mut record).expect("no outcome").code, Some(0));
    for source in ["deeds.jsonl", "live.json"] {
        let suggested =
            run(stage.capwatch().args(["config", "suggest", source])).expect("no outcome");
        assert_eq!(suggested.code, Some(0), "{}", suggested.stderr);
        assert!(
            suggested.stdout.contains("name = \"perl\""),
            "{}",
            suggested.stdout
        );
        fs::write(stage.path("suggested.toml"), &suggested.stdout).expect("cannot write");
        let mut check = stage.capwatch();
        let checked = run(check.args(["--config", "suggested.toml", "config", "check"]));
        assert_eq!(checked.expect("no outcome").code, Some(0));
    }

    let (_agent, address) = agent(stage, Some("suggested.toml"));
    one_liner();
    until("the page to alarm", || {
        findings(&address)["level"] == "fatal"
    });
    let (_, metrics) = serve::get(&address, "/metrics").expect("no metrics");
    assert_eq!(
        serve::sample(&metrics, "capwatch_supervisor_inferred", &[own]),
        None
    );
}

#[test]
fn a_workload_with_capabilities_left_alarms_whoever_started_it() {
    let Some((stage, _turn)) = crate::stage("a workload left raised") else {
        return;
    };
    let (_agent, address) = agent(stage, Some("config.toml"));
    // A workload's own child, below a supervisor: no failure of the supervisor's.
    let mut command = Command::new(stage.path("testbed"));
    command.args(["do", "drop", "except:chown", "exec"]);
    command
        .arg(stage.path("testsup"))
        .args(["do", "fork", "exec"]);
    command.arg(stage.path("testload"));
    let mut guard =
        Guard::start(command.args(["do", "fork", "drop", "chown", "exec", "sleep", "60"]));
    until("the page to alarm", || {
        findings(&address)["level"] == "degraded"
    });
    let (_, metrics) = serve::get(&address, "/metrics").expect("no metrics");
    let residual = serve::sample(
        &metrics,
        "capwatch_residual_capabilities",
        &["testsup", "chown"],
    );
    assert_eq!(residual, Some(1.0));
    let _ = &mut guard;
}
