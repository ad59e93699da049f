//! Nothing stays attached, however the agent ends.

use std::{collections::BTreeSet, fs};

use crate::{Guard, until};

/// The programs that a process holds, by its descriptors.
fn held(pid: u32) -> BTreeSet<u32> {
    let mut ids = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .expect("no process")
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let id = text.lines().find_map(|line| line.strip_prefix("prog_id:"));
        ids.extend(id.and_then(|id| id.trim().parse::<u32>().ok()));
    }
    ids
}

fn loaded() -> BTreeSet<u32> {
    let programs = aya::programs::loaded_programs();
    programs
        .map(|program| program.expect("no programs").id())
        .collect()
}

/// What an agent could have changed: what is pinned, and the kernel's settings.
fn host() -> (Vec<String>, Vec<String>) {
    let pinned = fs::read_dir("/sys/fs/bpf").into_iter().flatten().flatten();
    let mut pinned: Vec<String> = pinned
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    pinned.sort();
    let settings = ["bpf_stats_enabled", "unprivileged_bpf_disabled"];
    let settings = settings.map(|name| {
        let path = format!("/proc/sys/kernel/{name}");
        fs::read_to_string(path).unwrap_or_default()
    });
    (pinned, settings.to_vec())
}

/// While it loads, while it attaches, once it serves, with an open episode.
#[test]
fn killed_in_any_state_it_leaves_nothing() {
    let Some((stage, _turn)) = crate::stage("killed in any state") else {
        return;
    };
    let before = host();
    // The last time once it has loaded its programs, however long that takes.
    let moments = [0, 20, 50, 80, 120, 200, 400, 1_000].map(Some);
    for moment in moments.into_iter().chain([None]) {
        let mut command = stage.capwatch();
        command
            .args(["--quiet", "run", "--web.listen-address=127.0.0.1:0"])
            .stderr(std::process::Stdio::null());
        let mut agent = Guard::start(&mut command);
        let mut workload = stage.program("testsup");
        workload.args(["do", "lower", "setpcap", "drop", "chown", "sleep", "5000"]);
        let _workload = Guard::start(&mut workload);
        match moment {
            Some(delay) => std::thread::sleep(std::time::Duration::from_millis(delay)),
            None => until("a program", || !held(agent.0.id()).is_empty()),
        }
        let held = held(agent.0.id());
        agent.signal(libc::SIGKILL);
        agent.code();
        until("the programs to go", || held.is_disjoint(&loaded()));
    }
    assert_eq!(host(), before);
}

#[test]
fn programs_go_with_the_agent() {
    let Some((stage, _turn)) = crate::stage("leftovers") else {
        return;
    };
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        let mut command = stage.capwatch();
        command.args([
            "record",
            "--report",
            "left.json",
            "--",
            "testbed",
            "do",
            "sleep",
            "20000",
        ]);
        let mut record = Guard::start(&mut command);
        record.wait_for_child("testbed");
        let held = held(record.0.id());
        assert!(!held.is_empty(), "it holds no program at all");
        assert!(
            held.is_subset(&loaded()),
            "the kernel does not list {held:?}"
        );
        record.signal(signal);
        record.code();
        // The kernel frees them after a grace period.
        until("the programs to go", || held.is_disjoint(&loaded()));
    }
}
