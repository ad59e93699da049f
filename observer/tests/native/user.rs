//! `record --user`: the command is the user's, with nothing between.

use std::fs;

use serde_json::Value;
use testbed::checks::suite::run;

#[test]
fn the_command_runs_as_the_user() {
    let Some((stage, _turn)) = crate::stage("a user's command") else {
        return;
    };
    let mut command = stage.capwatch();
    command.args([
        "record", "--user", "nobody", "-o", "json", "--report", "user.out",
    ]);
    command.args(["--scope", "tree", "--", "sh", "-c"]);
    command.arg("id -u; id -G; echo $HOME $USER; grep CapEff /proc/self/status");
    let outcome = run(&mut command).expect("no outcome");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let said: Vec<_> = outcome.stdout.lines().collect();
    assert_eq!(said[..3], ["65534", "65534", "/nonexistent nobody"]);
    assert_eq!(said[3], "CapEff:\t0000000000000000");
    let report = fs::read_to_string(stage.path("user.out")).expect("no report");
    let report: Value = serde_json::from_str(&report).expect("no JSON");
    assert_eq!(report["command"]["argv"][0], "sh");
    assert_eq!(report["counts"]["episodes"]["all"], 0, "no setpriv between");
}

#[test]
fn a_user_that_is_not_there_is_named() {
    let Some((stage, _turn)) = crate::stage("a user that is not there") else {
        return;
    };
    let mut command = stage.capwatch();
    let outcome = run(command.args(["record", "--user", "no-such-user", "--", "true"]));
    let outcome = outcome.expect("no outcome");
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("no user \"no-such-user\""),
        "{}",
        outcome.stderr
    );
}
