//! `watch`: what happens, as it happens.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use testbed::checks::{expect, suite::Stage};

use crate::{Guard, until};

/// A `watch`, and the lines that it wrote so far.
fn watch(stage: &Stage, options: &[&str]) -> (Guard, Arc<Mutex<String>>) {
    let mut command = stage.capwatch();
    command
        .args(["watch", "--config", "config.toml"])
        .args(options);
    let mut watch = Guard::start(command.stdout(Stdio::piped()));
    let stdout = BufReader::new(watch.0.stdout.take().expect("a pipe"));
    let written = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&written);
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let mut written = shared.lock().expect("no panic");
            written.push_str(&line);
            written.push('\n');
        }
    });
    (watch, written)
}

/// Provokes until the text shows it: a `watch` doesn't say when it is ready.
fn provoke_until(stage: &Stage, written: &Mutex<String>, shows: impl Fn(&str) -> bool) {
    until("the lines", || {
        let mut command = Command::new(stage.path("testbed"));
        command
            .args(["do", "drop", "except:chown", "exec"])
            .arg(stage.path("testsup"));
        command
            .args(["do", "fork", "clear"])
            .status()
            .expect("cannot run");
        thread::sleep(std::time::Duration::from_millis(200));
        shows(&written.lock().expect("no panic"))
    });
}

fn holds(lines: &str, expectations: &[&str]) -> bool {
    let lines = format!("{{\"lines\": [{}]}}", lines.trim().replace('\n', ","));
    expect::read(&lines).is_ok_and(|lines| {
        let failures = expect::failures(&lines, expectations).expect("nonsense");
        failures.is_empty()
    })
}

#[test]
fn json_lines_show_denial_and_episode() {
    let Some((stage, _turn)) = crate::stage("watch -o json") else {
        return;
    };
    let (mut watch, written) = watch(stage, &["-o", "json"]);
    provoke_until(stage, &written, |lines| {
        holds(
            lines,
            &[
                "lines.schema == capwatch.event/1",
                "any(lines[kind=episode, supervisor=testsup].verdict) == fatal",
                "any(lines[kind=denial, supervisor=testsup].capability) == setpcap",
                "lines.time ~ T",
            ],
        )
    });
    watch.signal(libc::SIGINT);
    assert_eq!(watch.code(), Some(0));
}

#[test]
fn filters_leave_the_rest_out() {
    let Some((stage, _turn)) = crate::stage("watch --episodes") else {
        return;
    };
    let options = ["-o", "json", "--episodes", "--supervisor", "testsup"];
    let (_watch, written) = watch(stage, &options);
    provoke_until(stage, &written, |lines| {
        holds(
            lines,
            &["lines.kind == episode", "lines.supervisor == testsup"],
        )
    });
}

#[test]
fn columns_are_for_people() {
    let Some((stage, _turn)) = crate::stage("watch") else {
        return;
    };
    let (_watch, written) = watch(stage, &["--color", "never"]);
    provoke_until(stage, &written, |text| {
        let line = text.lines().find(|line| line.contains("fatal"));
        line.is_some_and(|line| line.contains("testsup") && line.contains("commoncap"))
    });
    let text = written.lock().expect("no panic");
    let columns = [
        "TIME",
        "PID",
        "COMM",
        "SUPERVISOR",
        "CAP",
        "LAYER",
        "PROFILE",
        "VERDICT",
    ];
    let header = text.lines().next().unwrap_or_default();
    assert_eq!(header.split_whitespace().collect::<Vec<_>>(), columns);
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let Some((stage, _turn)) = crate::stage("watch | head") else {
        return;
    };
    let mut command = stage.capwatch();
    command
        .args(["watch", "--config", "config.toml", "-o", "json"])
        .stdout(Stdio::piped());
    let mut watch = Guard::start(&mut command);
    drop(watch.0.stdout.take());
    let ended = Mutex::new(String::new());
    let mut code = None;
    until("its end", || {
        provoke_until(stage, &ended, |_| true);
        code = watch
            .0
            .try_wait()
            .expect("cannot wait")
            .map(|status| status.code());
        code.is_some()
    });
    assert_eq!(code, Some(Some(0)));
}
