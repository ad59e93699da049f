//! Nothing stays attached, however the agent ends.

use std::{collections::BTreeSet, fs};

use crate::{Guard, until};

/// The programs that a process holds, as its descriptors tell.
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
            "captest",
            "do",
            "sleep",
            "20000",
        ]);
        let mut record = Guard::start(&mut command);
        record.wait_for_child("captest");
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
