//! `capwatch probe`: what is tried, what comes, and that the hooks say the same.

use std::{os::unix::process::CommandExt as _, process::Command};

use serde_json::Value;
use testbed::checks::suite::{Outcome, run};

fn trials(outcome: &Outcome) -> (Value, Vec<Value>) {
    let report: Value = serde_json::from_str(&outcome.stdout).expect("not JSON");
    assert_eq!(report["schema"], "capwatch.probe/1");
    let trials = report["trials"].as_array().expect("no list").clone();
    (report, trials)
}

fn row<'a>(trials: &'a [Value], namespace: &str, setpcap: &str) -> &'a Value {
    let row = trials
        .iter()
        .find(|row| row["namespace"] == namespace && row["setpcap"] == setpcap);
    row.unwrap_or_else(|| panic!("no trial {namespace} {setpcap} in {trials:?}"))
}

#[test]
fn with_setpcap_it_is_cleared_and_without_refused() {
    let Some((stage, _turn)) = crate::stage("probe") else {
        return;
    };
    let outcome = run(stage.capwatch().args(["probe", "--check", "-o", "json"]));
    let outcome = outcome.expect("no outcome");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let (report, trials) = trials(&outcome);
    assert_eq!(report["cleared"], true);
    assert_eq!(report["hooks"]["attached"], true);
    for namespace in ["host", "new"] {
        let held = row(&trials, namespace, "held");
        assert_eq!(held["verdict"], "ok", "{held}");
        assert_eq!(held["workload_bounding"], "0x0", "{held}");
        assert_eq!(held["unknown_capability"], 1, "{held}");
        assert_eq!(held["fate"], "exec", "{held}");
        let without = row(&trials, namespace, "given_up");
        assert_eq!(without["verdict"], "fatal", "{without}");
        assert_eq!(without["layer"], "commoncap", "{without}");
        assert_eq!(without["drops"], 1, "{without}");
        assert_eq!(without["first_refused"], "chown", "{without}");
        assert_eq!(without["fate"], "exit", "{without}");
        for row in [held, without] {
            assert_eq!(row["seen"]["agrees"], true, "{row}");
        }
    }
}

#[test]
fn programs_behave_as_in_the_catalogue() {
    let Some((stage, _turn)) = crate::stage("probe --as") else {
        return;
    };
    for (program, verdict, fate, drops) in [
        ("crun", Value::from("fatal"), "exit", 1),
        ("bwrap", Value::from("degraded"), "exec", 41),
        ("setpriv", Value::Null, "exec", 0),
    ] {
        let outcome = run(stage
            .capwatch()
            .args(["probe", "--as", program, "-o", "json"]));
        let (_, trials) = trials(&outcome.expect("no outcome"));
        let without = row(&trials, "host", "given_up");
        assert_eq!(without["verdict"], verdict, "{program}: {without}");
        assert_eq!(without["fate"], fate, "{program}: {without}");
        assert_eq!(without["drops"], drops, "{program}: {without}");
    }
}

#[test]
fn without_setpcap_nothing_is_skipped() {
    let Some((_, _turn)) = crate::stage("probe without privileges") else {
        return;
    };
    let directory = crate::for_everyone();
    let mut command = Command::new(directory.path().join("capwatch"));
    command
        .args(["probe", "--check", "-o", "json"])
        .uid(65534)
        .gid(65534);
    let outcome = run(&mut command).expect("no outcome");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert_eq!(outcome.stderr, "");
    let (report, trials) = trials(&outcome);
    assert_eq!(report["cleared"], false);
    assert_eq!(report["hooks"]["reason"], "CAP_BPF is missing");
    let missing = row(&trials, "host", "missing");
    assert_eq!(missing["tried"], true, "{missing}");
    assert_eq!(missing["verdict"], "fatal", "{missing}");
    assert_eq!(missing["layer"], "commoncap", "{missing}");
    assert_eq!(row(&trials, "new", "held")["verdict"], "ok");
}

#[test]
fn a_profile_that_is_not_there_is_reported() {
    let Some((stage, _turn)) = crate::stage("probe --apparmor-profile") else {
        return;
    };
    let mut command = stage.capwatch();
    command.args(["probe", "--check", "--apparmor-profile=none", "-o", "json"]);
    let outcome = run(&mut command).expect("no outcome");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let (_, trials) = trials(&outcome);
    let under = trials.iter().filter(|row| row["profile"] == "none");
    let under: Vec<_> = under.collect();
    assert_eq!(under.len(), 4);
    for row in under {
        assert_eq!(row["tried"], false, "{row}");
        assert!(
            row["why_not"]
                .as_str()
                .unwrap_or_default()
                .contains("AppArmor")
                || row["why_not"].as_str().unwrap_or_default().contains("none"),
            "{row}"
        );
    }
}
