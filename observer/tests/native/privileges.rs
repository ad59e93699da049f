//! Each capability of the unit taken away in turn: `doctor` names it, what is lost,
//! and no other. What an agent then misses is tests/vm/privileges.sh.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::Command,
    time::Duration,
};

use serde_json::Value;
use testbed::checks::suite::run;

use crate::{rig::Rig, until};

const UNIT: [&str; 5] = [
    "bpf",
    "perfmon",
    "audit_read",
    "sys_ptrace",
    "dac_read_search",
];

/// The agent as an ordinary user with these capabilities alone.
fn as_service(directory: &Path, held: &[&str]) -> Command {
    let set = held.join(",+");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    for kind in ["bounding-set", "inh-caps", "ambient-caps"] {
        command.arg(format!("--{kind}=-all,+{set}"));
    }
    command.arg(directory.join("capwatch"));
    command
}

/// What doctor says so.
fn diagnosis(directory: &Path, held: &[&str]) -> Value {
    let mut command = as_service(directory, held);
    command.args(["--quiet", "doctor", "-o", "json"]);
    let outcome = run(&mut command).expect("no outcome");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}", outcome.stderr))
}

fn findings(diagnosis: &Value) -> Vec<&str> {
    let findings = diagnosis["findings"].as_array().expect("no list").iter();
    findings
        .filter_map(|finding| finding["what"].as_str())
        .collect()
}

#[test]
fn each_capability_of_the_unit_is_missed_in_words() {
    let Some((_stage, _turn)) = crate::stage("privileges") else {
        return;
    };
    let directory = crate::for_everyone();
    let whole = diagnosis(directory.path(), &UNIT);
    assert_eq!(whole["capabilities"]["missing"], Value::Array(vec![]));
    assert_eq!(whole["self_test"]["seen"], true, "{whole}");
    for taken in UNIT {
        let left: Vec<_> = UNIT.into_iter().filter(|name| *name != taken).collect();
        let diagnosis = diagnosis(directory.path(), &left);
        assert_eq!(diagnosis["capabilities"]["missing"][0], taken);
        let found = findings(&diagnosis);
        let missing: Vec<_> = found
            .iter()
            .filter(|what| what.contains(" is missing: "))
            .collect();
        let word = format!("CAP_{} is missing: ", taken.to_uppercase());
        assert_eq!(missing.len(), 1, "{found:?}");
        assert!(missing[0].starts_with(&word), "{found:?}");
        // Names alone are no reason to see less.
        let seen = !matches!(taken, "bpf" | "perfmon");
        assert_eq!(diagnosis["self_test"]["seen"], seen, "{taken}: {found:?}");
        assert_eq!(diagnosis["verdict"], "degraded", "{taken}: {found:?}");
    }
    // The kernel lets CAP_SYS_ADMIN stand for the first two (bpf_capable, perfmon_capable).
    let admin = ["sys_admin", "audit_read", "sys_ptrace", "dac_read_search"];
    let diagnosis = diagnosis(directory.path(), &admin);
    assert_eq!(diagnosis["capabilities"]["missing"], Value::Array(vec![]));
    assert_eq!(diagnosis["self_test"]["seen"], true);
}

#[test]
fn with_the_units_capabilities_it_goes_on_with_what_is_pinned() {
    let Some((stage, _turn)) = crate::stage("pins without SYS_ADMIN") else {
        return;
    };
    let directory = crate::for_everyone();
    let mut rig = Rig::new(&stage.path("testbed"));
    for folder in ["bpf/capwatch", "state"] {
        fs::create_dir(rig.path(folder)).expect("no folder");
    }
    let owner = fs::Permissions::from_mode(0o700);
    fs::set_permissions(rig.pins(), owner).expect("no mode");
    for place in ["", "bpf/capwatch", "state"] {
        chown(rig.path(place), Some(65_534), Some(65_534)).expect("no owner");
    }
    let start = |rig: &mut Rig| {
        let own = rig.command();
        let mut command = as_service(directory.path(), &UNIT);
        command.args(own.get_args()).current_dir(rig.path(""));
        rig.start_as(command);
        rig.wait_until_ready();
    };
    let fails = |rig: &Rig, count: u64| {
        let ended = rig.fail(Duration::ZERO).wait();
        ended.expect("it ends");
        until("the failure", || rig.episodes(&rig.metrics()) == count);
    };
    start(&mut rig);
    fails(&rig, 1);
    rig.end(libc::SIGKILL);
    start(&mut rig);
    fails(&rig, 2);
    rig.end(libc::SIGTERM);
}
