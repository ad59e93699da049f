//! `capwatch doctor`: the provoked denial is seen, or it is said why not.

use std::{os::unix::process::CommandExt as _, process::Command};

use serde_json::Value;
use testbed::checks::suite::run;

#[test]
fn a_provoked_denial_is_seen() {
    let Some((stage, _turn)) = crate::stage("a provoked denial is seen") else {
        return;
    };
    let outcome = run(stage.capwatch().args(["doctor", "-o", "json"])).expect("no outcome");
    let diagnosis: Value = serde_json::from_str(&outcome.stdout).expect("not JSON");
    assert_eq!(diagnosis["schema"], "capwatch.doctor/1");
    assert_eq!(diagnosis["self_test"]["provoked"], true, "{diagnosis}");
    assert_eq!(diagnosis["self_test"]["seen"], true, "{diagnosis}");
    let problems = diagnosis["findings"].as_array().expect("no list");
    let complete = problems.iter().all(|finding| finding["level"] == "note");
    let expected = if complete {
        ("all", 0)
    } else {
        ("degraded", 1)
    };
    assert_eq!(diagnosis["verdict"], expected.0);
    assert_eq!(outcome.code, Some(expected.1));
    for finding in problems {
        assert_ne!(finding["remedy"], "", "{finding}");
    }
    let tests = diagnosis["self_tests"].as_array().expect("no list");
    for test in tests.iter().filter(|test| test["provoked"] == true) {
        assert_eq!(test["seen"], true, "{test}");
        let after = test["after_seconds"].as_f64().expect("no time");
        assert!(after < 1.0, "{test}");
    }
    let provoked = |kind: &str| {
        let tests = tests.iter().filter(|test| test["kind"] == kind);
        tests.filter(|test| test["provoked"] == true).count()
    };
    assert_eq!(provoked("hook"), 4, "{tests:?}");
    assert!(provoked("source") >= 1, "{tests:?}");
}

/// The golden was recorded on the machine that the tests are run on every day.
#[test]
fn on_this_kernel_it_says_what_it_always_said() {
    let Some((stage, _turn)) = crate::stage("doctor's golden") else {
        return;
    };
    let outcome = run(stage.capwatch().args(["doctor", "-o", "json"])).expect("no outcome");
    let mut diagnosis: Value = serde_json::from_str(&outcome.stdout).expect("not JSON");
    let kernel = diagnosis["host"]["kernel"].as_str().expect("no release");
    let modules = diagnosis["host"]["lsm"].as_array().map_or(0, Vec::len);
    if !kernel.starts_with("6.18.") || diagnosis["kprobes"] != false || modules > 0 {
        println!("skipped: doctor's golden is of 6.18 without kprobes or securityfs: {kernel}");
        return;
    }
    // What the machine's owner chose, and what differs from run to run.
    let object = diagnosis.as_object_mut().expect("no object");
    let others = [
        "host",
        "settings",
        "audit",
        "inside",
        "locked_memory",
        "cgroup",
        "capabilities",
        "sandbox",
    ];
    for other in others {
        assert!(object.remove(other).is_some(), "{other}");
    }
    let notes = object["findings"].as_array_mut().expect("no list");
    notes.retain(|finding| finding["level"] != "note");
    let tests = object["self_tests"].as_array_mut().expect("no list");
    for test in tests {
        if test["after_seconds"].is_number() {
            test["after_seconds"] = 0.into();
        }
    }
    object["self_test"]["after_seconds"] = 0.into();
    for source in object["sources"].as_array_mut().expect("no list") {
        source["records"] = 0.into();
    }
    let text = serde_json::to_string_pretty(&diagnosis).expect("no text");
    insta::assert_snapshot!("doctor_6.18", text);
}

#[test]
fn without_privileges_it_is_blind_and_says_so() {
    let Some((_, _turn)) = crate::stage("doctor without privileges") else {
        return;
    };
    let directory = crate::for_everyone();
    let mut command = Command::new(directory.path().join("capwatch"));
    command.args(["--quiet", "doctor"]).uid(65534).gid(65534);
    let outcome = run(&mut command).expect("no outcome");
    assert_eq!(outcome.code, Some(2), "{}", outcome.stdout);
    for words in [
        "blind",
        "CAP_BPF is missing",
        "run as root",
        "no hook is attached",
    ] {
        assert!(
            outcome.stdout.contains(words),
            "{words}: {}",
            outcome.stdout
        );
    }
}
