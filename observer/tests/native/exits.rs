//! `record` as a wrapper: exit codes, signals, and whose output goes where.

use std::{fs, io::Write as _, process::Stdio};

use testbed::checks::suite::{Outcome, run};

use crate::Guard;

fn record(stage: &testbed::checks::suite::Stage, arguments: &[&str]) -> Outcome {
    let mut command = stage.capwatch();
    command
        .args(["record", "--config", "config.toml"])
        .args(arguments);
    let outcome = run(&mut command).expect("no outcome");
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    outcome
}

#[test]
fn a_command_that_does_not_exist_is_127() {
    let Some((stage, _turn)) = crate::stage("127") else {
        return;
    };
    for name in ["/nowhere/nothing", "no-program-is-called-this"] {
        let outcome = record(stage, &["--", name]);
        assert_eq!(outcome.code, Some(127), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
    }
}

#[test]
fn a_command_that_is_not_executable_is_126() {
    let Some((stage, _turn)) = crate::stage("126") else {
        return;
    };
    let file = stage.path("not-executable");
    fs::write(&file, "#!/bin/sh\n").expect("cannot write");
    for name in [file.to_str().expect("a name"), "/"] {
        let outcome = record(stage, &["--", name]);
        assert_eq!(outcome.code, Some(126), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
    }
}

#[test]
fn a_file_beyond_the_bounding_set_is_explained_by_its_126() {
    let Some((stage, _turn)) = crate::stage("a file beyond the bounding set") else {
        return;
    };
    let file = stage.path("with-capabilities");
    fs::copy("/bin/true", &file).expect("cannot copy");
    // `cap_net_bind_service=ep`, version 2.
    let caps = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&file, "security.capability", &caps, flags).expect("no attribute");
    let name = file.to_str().expect("a name");
    let outcome = record(
        stage,
        &["--", "setpriv", "--bounding-set=-net_bind_service", name],
    );
    assert_eq!(outcome.code, Some(126), "{}", outcome.stderr);
    let text = outcome.stderr.split_whitespace().collect::<Vec<_>>();
    let text = text.join(" ");
    for words in ["exit, code 126", "net_bind_service just left the set"] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
}

#[test]
fn a_killed_command_is_128_and_its_signal() {
    let Some((stage, _turn)) = crate::stage("128 + signal") else {
        return;
    };
    for signal in ["9", "15", "6"] {
        let outcome = record(stage, &["--", "testbed", "do", "kill", signal]);
        let expected = 128 + signal.parse::<i32>().expect("a number");
        assert_eq!(outcome.code, Some(expected), "{}", outcome.stderr);
    }
}

#[test]
fn signals_pass_through() {
    let Some((stage, _turn)) = crate::stage("signals") else {
        return;
    };
    for signal in [
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGINT,
        libc::SIGQUIT,
    ] {
        let mut command = stage.capwatch();
        command
            .args(["record", "--report", "signal.json", "-o", "json", "--"])
            .args(["testbed", "do", "sleep", "60000"]);
        let mut record = Guard::start(&mut command);
        record.wait_for_child("testbed");
        record.signal(signal);
        assert_eq!(record.code(), Some(128 + signal));
        let report = fs::read_to_string(stage.path("signal.json")).expect("no report");
        let expected = [format!("command.exit_code == {}", 128 + signal)];
        let report = testbed::checks::expect::read(&report).expect("no JSON");
        let failures = testbed::checks::expect::failures(&report, &expected).expect("nonsense");
        assert!(failures.is_empty(), "{failures:?}");
    }
}

#[test]
fn input_and_output_are_the_commands() {
    let Some((stage, _turn)) = crate::stage("input and output") else {
        return;
    };
    let mut command = stage.capwatch();
    command
        .args(["record", "--report", "cat.json", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("cannot start");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"as it was\n").expect("cannot write");
    drop(stdin);
    let output = child.wait_with_output().expect("no output");
    assert!(output.status.success());
    assert_eq!(output.stdout, b"as it was\n");
}

#[test]
fn the_report_goes_to_stderr_unless_a_file_is_named() {
    let Some((stage, _turn)) = crate::stage("report to stderr") else {
        return;
    };
    let drops = [
        "testbed",
        "do",
        "drop",
        "except:chown",
        "exec",
        "testsup",
        "do",
        "fork",
        "clear",
    ];
    let text = record(stage, &[&["--"], &drops[..]].concat());
    assert_eq!(text.code, Some(1));
    assert_eq!(text.stdout, "");
    for word in ["testsup", "fatal", "chown", "commoncap"] {
        assert!(
            text.stderr.contains(word),
            "{word} is not in {}",
            text.stderr
        );
    }

    let json = record(stage, &[&["-o", "json", "--"], &drops[..]].concat());
    assert_eq!(json.stdout, "");
    let start = json.stderr.find('{').expect("no JSON");
    let report = testbed::checks::expect::read(&json.stderr[start..]).expect("no JSON");
    let expected = ["count(episodes[supervisor=testsup, verdict=fatal]) == 1"];
    let failures = testbed::checks::expect::failures(&report, &expected).expect("nonsense");
    assert!(failures.is_empty(), "{failures:?}");

    let file = record(
        stage,
        &[&["--report", "text.txt", "--"], &drops[..]].concat(),
    );
    assert_eq!((file.stdout.as_str(), file.stderr.as_str()), ("", ""));
    let written = fs::read_to_string(stage.path("text.txt")).expect("no report");
    assert!(
        written.contains("fatal") && written.contains("testsup"),
        "{written}"
    );
}
