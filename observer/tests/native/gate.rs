//! A gate forgets nothing: one child dies, and so many others are well after it.

use std::fs;

use serde_json::Value;
use testbed::checks::suite::{Outcome, Stage, run};

use crate::Guard;

/// Records `gate N`; the report is in the file `gate.out`. What lowers the set
/// before it is an episode too, and well.
fn record(stage: &Stage, well: u32, form: &str, fail_on: &str) -> Outcome {
    let mut command = stage.capwatch();
    command.args(["record", "--config", "config.toml", "--fail-on", fail_on]);
    command.args(["-o", form, "--report", "gate.out", "--stream", "gate.jsonl"]);
    command.args([
        "--",
        "testbed",
        "do",
        "drop",
        "except:chown",
        "exec",
        "testsup",
    ]);
    run(command.args(["do", "gate", &well.to_string()])).expect("no outcome")
}

/// Records it until the report is complete. A machine that others keep busy loses
/// some, and says so: exact is what is not partial.
fn complete(stage: &Stage, well: u32, fail_on: &str) -> Outcome {
    let mut outcome = record(stage, well, "json", fail_on);
    for _ in 0..4 {
        let parsed: Value = serde_json::from_str(&report(stage)).expect("no JSON");
        if parsed["sight"]["complete"] == true {
            break;
        }
        outcome = record(stage, well, "json", fail_on);
    }
    outcome
}

fn report(stage: &Stage) -> String {
    fs::read_to_string(stage.path("gate.out")).expect("no report")
}

fn assert_counts(report: &str, well: u32) {
    let report: Value = serde_json::from_str(report).expect("the report is no JSON");
    let counts = &report["counts"]["episodes"];
    assert_eq!(counts["all"], well + 2, "{counts}");
    assert_eq!(counts["supervisor"]["fatal"], 1, "{counts}");
    let ok = ["supervisor", "none"].map(|role| counts[role]["ok"].as_u64().expect("no count"));
    assert_eq!(ok.iter().sum::<u64>(), u64::from(well) + 1, "{counts}");
    let episodes = report["episodes"].as_array().expect("no episodes");
    assert_eq!(counts["shown"], episodes.len(), "{counts}");
    assert!(episodes.len() <= 1_000);
    let mut verdicts = episodes.iter().map(|episode| &episode["verdict"]);
    assert!(
        verdicts.any(|verdict| verdict == "fatal"),
        "the one that died is gone"
    );
    assert!(
        report["failed_on"][0]
            .as_str()
            .is_some_and(|why| why.starts_with("fatal"))
    );
}

#[test]
fn the_one_that_died_is_reported_however_many_are_well() {
    let Some((stage, _turn)) = crate::stage("gate") else {
        return;
    };
    for well in [10, 1_100, 20_000] {
        let outcome = complete(stage, well, "fatal,degraded");
        assert_eq!(outcome.code, Some(3), "{well}: {}", outcome.stderr);
        assert_counts(&report(stage), well);
        let mut replay = stage.capwatch();
        let replayed =
            run(replay.args(["replay", "-o", "json", "gate.jsonl"])).expect("no outcome");
        assert_eq!(replayed.stdout, report(stage), "{well}");
    }
    let outcome = record(stage, 1_100, "json", "degraded");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn every_form_has_the_exact_count_and_says_how_much_it_shows() {
    let Some((stage, _turn)) = crate::stage("the forms of a gate") else {
        return;
    };
    for (form, shown) in [
        ("text", "200 of 1102 episodes shown"),
        ("markdown", "200 of 1102 episodes shown"),
        ("junit", "102 more ok episodes, known by number alone"),
    ] {
        let outcome = record(stage, 1_100, form, "fatal,degraded");
        assert_eq!(outcome.code, Some(3), "{form}: {}", outcome.stderr);
        let report = report(stage);
        assert!(report.contains(shown), "{form}: {report}");
        let fatal = match form {
            "junit" => "failures=\"1\"",
            _ => "1 fatal, 1101 ok",
        };
        assert!(report.contains(fatal), "{form}: {report}");
    }
}

#[test]
fn others_take_no_room_of_the_commands() {
    let Some((stage, _turn)) = crate::stage("a gate beside others") else {
        return;
    };
    let mut beside = stage.program("testbed");
    beside.args(["do", "drop", "except:chown", "exec"]);
    beside.arg(stage.path("testsup"));
    let _beside = Guard::start(beside.args(["do", "repeat", "1000000", "fork", "clear"]));
    let outcome = complete(stage, 2_000, "fatal");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert_counts(&report(stage), 2_000);
}
