//! What `capwatch replay` says of a log or a stream. Nothing read is never "nothing
//! happened".

#![expect(
    clippy::disallowed_types,
    reason = "the agent starts no programs, its tests do"
)]

mod calls;
mod records;
mod streams;
mod unread;

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

const DENIED: &str = r#"type=AVC msg=audit(1795458347.188:2): apparmor="DENIED" operation="capable" class="cap" profile="web" pid=7 comm="web" capability=12  capname="net_admin""#;

/// Replays this log with these words.
fn replay(log: impl AsRef<[u8]>, words: &[&str]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    fs::write(&path, log).expect("written");
    Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .arg("replay")
        .args(words)
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .expect("capwatch runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code, output and errors.
fn said(log: impl AsRef<[u8]>, words: &[&str]) -> (Option<i32>, String, String) {
    let output = replay(log, words);
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn report(log: impl AsRef<[u8]>) -> Value {
    serde_json::from_slice(&replay(log, &["-o", "json"]).stdout).expect("a report")
}
