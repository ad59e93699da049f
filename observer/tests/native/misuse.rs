//! Bad input: a clear error, a documented exit code, and no panic.

use std::{fs, net::TcpListener, os::unix::process::CommandExt as _};

use testbed::checks::suite::{Outcome, Stage, run};

fn fails(stage: &Stage, code: i32, arguments: &[&str], words: &[&str]) {
    let mut command = stage.capwatch();
    let outcome = run(command.args(arguments)).expect("no outcome");
    check(&outcome, code, words);
}

fn check(outcome: &Outcome, code: i32, words: &[&str]) {
    let stderr = &outcome.stderr;
    assert_eq!(outcome.code, Some(code), "{stderr}");
    assert_eq!(outcome.stdout, "");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in {stderr:?}");
    }
}

#[test]
fn misuse_is_2() {
    let Some((stage, _turn)) = crate::stage("misuse") else {
        return;
    };
    fails(stage, 2, &["--no-such-option"], &["--no-such-option"]);
    fails(
        stage,
        2,
        &["record", "--no-such-option", "--", "true"],
        &["--no-such-option"],
    );
    fails(stage, 2, &["record"], &["COMMAND"]);
    fails(
        stage,
        2,
        &["record", "--fail-on", "sometimes", "--", "true"],
        &["sometimes", "fatal"],
    );
    fails(
        stage,
        2,
        &["record", "--hooks", "telepathy", "--", "true"],
        &["telepathy", "fexit"],
    );
    // A host's name is looked up: what comes of it is no misuse.
    let nowhere = ["run", "--web.listen-address", "nowhere"];
    fails(stage, 1, &nowhere, &["nowhere", "--web.listen-address"]);
    fails(stage, 2, &["no-such-command"], &["no-such-command"]);
}

#[test]
fn a_bad_configuration_is_named_with_its_place() {
    let Some((stage, _turn)) = crate::stage("bad configuration") else {
        return;
    };
    let bad = stage.path("bad.toml");
    fs::write(&bad, "[[supervisor]]\nname = \"x\"\nexes = [\"a\"]\n").expect("cannot write");
    fs::create_dir_all(stage.path("directory")).expect("cannot make a directory");
    for command in ["run", "watch", "record"] {
        let tail: &[&str] = if command == "record" {
            &["--", "true"]
        } else {
            &[]
        };
        let with = |config| [&[command, "--config", config], tail].concat();
        fails(
            stage,
            1,
            &with("missing.toml"),
            &["missing.toml", "--config"],
        );
        fails(stage, 1, &with("directory"), &["directory", "--config"]);
        fails(stage, 1, &with("bad.toml"), &["bad.toml", "line 3", "exes"]);
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_before_the_command_runs() {
    let Some((stage, _turn)) = crate::stage("unwritable report") else {
        return;
    };
    let arguments = [
        "record",
        "--report",
        "/nowhere/report",
        "--",
        "touch",
        "it-ran",
    ];
    fails(stage, 1, &arguments, &["/nowhere/report"]);
    assert!(!stage.path("it-ran").exists());
}

#[test]
fn a_port_in_use_is_named() {
    let Some((stage, _turn)) = crate::stage("port in use") else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("no port");
    let address = listener.local_addr().expect("no address").to_string();
    let arguments = ["run", "--web.listen-address", &address];
    fails(
        stage,
        1,
        &arguments,
        &[&address, "in use", "--web.listen-address"],
    );
}

#[test]
fn without_privileges_it_says_which() {
    let Some((_stage, _turn)) = crate::stage("not root") else {
        return;
    };
    let directory = crate::for_everyone();
    let binary = directory.path().join("capwatch");
    for arguments in [&["record", "--", "/bin/true"][..], &["watch"]] {
        let mut command = std::process::Command::new(&binary);
        command
            .args(arguments)
            .uid(65534)
            .gid(65534)
            .current_dir("/");
        let outcome = run(&mut command).expect("no outcome");
        check(&outcome, 1, &["CAP_BPF", "root"]);
    }
}
