//! Recordings of before, replayed: what a version recorded gives the report that it
//! printed then. Of a recording of observations the verdicts are given again, so that a
//! rule that judges otherwise shows here.

#![expect(
    clippy::disallowed_types,
    reason = "the agent starts no programs, its tests do"
)]

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

/// Sentences, which are worded better by and by.
const JUDGED_AGAIN: [&str; 2] = ["explanation", "not_the_cause"];

fn golden(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/streams");
    folder.join(name)
}

fn replayed(words: &[&str], version: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .args(words)
        .args(["replay", "-o", "json"])
        .arg(golden(&format!("{version}.jsonl")))
        .output()
        .expect("capwatch runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{version}: {said}");
    serde_json::from_slice(&output.stdout).expect("a report")
}

fn live(version: &str) -> Value {
    let text = fs::read(golden(&format!("{version}.json"))).expect("a golden");
    serde_json::from_slice(&text).expect("a report")
}

/// What of the one is not in the other as it is there; fields that came later are no
/// difference. What is judged again is told in the sentences of now.
fn missing(of: &Value, there: &Value, path: &str, wrong: &mut Vec<String>) {
    match (of, there) {
        (Value::Object(of), Value::Object(there)) => {
            for (name, value) in of {
                if JUDGED_AGAIN.contains(&name.as_str()) {
                    continue;
                }
                let other = there.get(name).unwrap_or(&Value::Null);
                missing(value, other, &format!("{path}.{name}"), wrong);
            }
        }
        (Value::Array(of), Value::Array(there)) if of.len() == there.len() => {
            for (index, (value, other)) in of.iter().zip(there).enumerate() {
                missing(value, other, &format!("{path}[{index}]"), wrong);
            }
        }
        (of, there) if of == there => {}
        (of, there) => wrong.push(format!("{path}: {of} then, {there} now")),
    }
}

#[test]
fn recordings_of_each_version_give_the_reports_of_then() {
    for version in ["0.1", "0.2"] {
        let (live, now) = (live(version), replayed(&[], version));
        let mut wrong = Vec::new();
        missing(&live, &now, "", &mut wrong);
        assert!(wrong.is_empty(), "{version}:\n{}", wrong.join("\n"));
        let verdicts: Vec<_> = live["episodes"].as_array().unwrap().iter().collect();
        assert!(verdicts.len() > 5);
    }
}

/// A rule that is mended may be tried on what was recorded before it was.
#[test]
fn a_recording_of_observations_is_judged_by_the_rules_that_are_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("c.toml");
    let rule = "[[supervisor]]\nname = \"perl\"\nexe = [\"perl\"]\nempties = true\n";
    fs::write(&config, rule).expect("written");
    let words = ["--config", config.to_str().expect("UTF-8")];
    let (then, now) = (replayed(&[], "0.2"), replayed(&words, "0.2"));
    let residual = |report: &Value| {
        let mut episodes = report["episodes"].as_array().expect("a list").iter();
        let launched = episodes.find(|one| one["verdict"] == "degraded" && one["fate"] == "exec");
        let residual = &launched.expect("it went on")["residual"];
        residual.as_array().expect("a list").len()
    };
    assert_eq!(residual(&then), 2, "what it tried to drop");
    assert!(residual(&now) > 30, "all that should be gone");
    // Findings are as they were.
    let (then, now) = (replayed(&[], "0.1"), replayed(&words, "0.1"));
    assert_eq!(then["episodes"], now["episodes"]);
}
