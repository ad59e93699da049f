//! Recordings of before, replayed: what a version recorded gives the report that it
//! printed then. Of a recording of observations the verdicts are given again, so a
//! rule that judges otherwise shows here.

#![expect(
    clippy::disallowed_types,
    reason = "the agent starts no programs, its tests do"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

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
/// difference. What is judged again is reported in the sentences of now.
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

/// A rule that is changed may be tried on what was recorded before it was.
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

/// A server that ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a server");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

#[test]
fn the_page_is_served_over_either_recording() {
    for version in ["0.1", "0.2"] {
        let mut serving = Command::new(env!("CARGO_BIN_EXE_capwatch"))
            .args(["replay", "--serve", "127.0.0.1:0"])
            .arg(golden(&format!("{version}.jsonl")))
            .stderr(Stdio::piped())
            .spawn()
            .map(Serving)
            .expect("capwatch runs");
        let mut said = BufReader::new(serving.0.stderr.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("where it is");
        let address = line
            .trim()
            .rsplit_once("http://")
            .expect(&line)
            .1
            .to_owned();
        let report: Value = serde_json::from_str(&get(&address, "/api/v1/report")).expect("JSON");
        assert_eq!(report["episodes"], replayed(&[], version)["episodes"]);
        let page = get(&address, "/");
        let file = format!("{version}.jsonl");
        assert!(
            page.contains(&file) && page.contains("7953") == (version == "0.2"),
            "{page}"
        );
    }
}

#[test]
fn a_log_has_no_page() {
    let log = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audit/selinux.in");
    let output = Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .args(["replay", "--serve", "127.0.0.1:0"])
        .arg(log)
        .output()
        .expect("capwatch runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--serve needs a recorded stream"), "{said}");
}
