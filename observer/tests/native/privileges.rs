//! Each capability of the unit taken away in turn: `doctor` names it, what is lost,
//! and no other. What an agent then misses is tests/vm/privileges.sh.

use std::process::Command;

use captest::suite::run;
use serde_json::Value;

const UNIT: [&str; 5] = [
    "bpf",
    "perfmon",
    "audit_read",
    "sys_ptrace",
    "dac_read_search",
];

/// What doctor says as an ordinary user with these capabilities alone.
fn diagnosis(directory: &std::path::Path, held: &[&str]) -> Value {
    let set = held.join(",+");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    for kind in ["bounding-set", "inh-caps", "ambient-caps"] {
        command.arg(format!("--{kind}=-all,+{set}"));
    }
    command.arg(directory.join("capwatch"));
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
