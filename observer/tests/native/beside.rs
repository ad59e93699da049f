//! Beside an agent with pins: what looks through its programs, and what attaches them
//! for it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;

use crate::{
    Guard,
    rig::{Rig, loaded, testbed},
    until,
};

#[test]
fn watch_beside_an_agent_shows_what_that_one_sees() {
    let Some((_stage, _turn)) = crate::stage("watch beside an agent") else {
        return;
    };
    let testbed = testbed();
    let mut rig = Rig::new(&testbed);
    rig.start();
    rig.wait_until_ready();
    let before = loaded(&testbed);
    let mut command = rig.capwatch();
    command.args(["watch", "-o", "json", "--pin", "bpf/capwatch", "--episodes"]);
    let mut watch = Guard::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stderr = BufReader::new(watch.0.stderr.take().expect("a pipe"));
    let mut said = String::new();
    stderr.read_line(&mut said).expect("no line");
    assert!(
        said.contains(&rig.address) && said.contains("--own"),
        "{said}"
    );
    assert_eq!(loaded(&testbed), before, "it attached something");
    // The feed begins a moment after it said so.
    std::thread::sleep(Duration::from_millis(300));
    rig.fail(Duration::ZERO).wait().expect("no end");
    let stdout = BufReader::new(watch.0.stdout.take().expect("a pipe"));
    let events = stdout.lines().map(|line| {
        let event: Value = serde_json::from_str(&line.expect("no line")).expect("no JSON");
        event
    });
    // Others of this machine fail, too.
    let mut own = events.filter(|event| event["supervisor"] == rig.name.as_str());
    assert_eq!(own.next().expect("nothing of it")["verdict"], "fatal");
    rig.end(libc::SIGTERM);
    assert_eq!(watch.code(), Some(1));
    stderr.read_to_string(&mut said).expect("no text");
    assert!(said.contains("ended"), "{said}");
}

#[test]
fn doctor_beside_an_agent_looks_through_its_programs() {
    let Some((_stage, _turn)) = crate::stage("doctor beside an agent") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    let doctor = |rig: &Rig, options: &[&str]| {
        let mut command = rig.capwatch();
        command.args(["doctor", "-o", "json", "--pin", "bpf/capwatch"]);
        let output = command.args(options).output().expect("no doctor");
        let report: Value = serde_json::from_slice(&output.stdout).expect("no JSON");
        report
    };
    // What the first provoked is no answer for the second.
    for _ in 0..2 {
        let report = doctor(&rig, &[]);
        assert_eq!(report["pins"]["used"], true, "{report}");
        assert_eq!(report["self_test"]["seen"], true, "{report}");
        let drops = &report["self_tests"][1];
        assert_eq!(drops["name"], "cap_task_prctl", "{report}");
        assert_eq!(drops["seen"], true, "{report}");
        assert_eq!(report["sight"]["complete"], true, "{report}");
    }
    let forced = doctor(&rig, &["--hooks", "tracepoint"]);
    assert_eq!(forced["pins"]["used"], false, "{forced}");
    // The agent goes on as if nothing had been.
    rig.fail(Duration::ZERO).wait().expect("no end");
    until("the episode", || rig.episodes(&rig.metrics()) == 1);
    rig.end(libc::SIGKILL);
    assert_eq!(doctor(&rig, &[])["pins"]["used"], false);
}

#[test]
fn what_attached_and_ended_counts_for_the_agent_that_comes_later() {
    let Some((_stage, _turn)) = crate::stage("attach only") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    let attach = |rig: &Rig| {
        let mut command = rig.command();
        let ended = command.arg("--attach-only").output().expect("no end");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        (ended.status.code(), said)
    };
    // A process of a supervisor's tree that was there before.
    let mut early = rig.fail(Duration::from_secs(2));
    let (code, said) = attach(&rig);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("links pinned in"), "{said}");
    assert!(!rig.path("state").exists() && !rig.path("events.jsonl").exists());
    rig.fail(Duration::ZERO).wait().expect("no end");
    early.wait().expect("no end");
    // Once more changes nothing.
    let (code, said) = attach(&rig);
    assert_eq!(code, Some(0), "{said}");
    rig.start();
    rig.wait_until_ready();
    until("the episodes", || rig.episodes(&rig.metrics()) == 2);
    assert_eq!(rig.denials(&rig.metrics(), "setpcap"), 2);
    until("their lines", || rig.reported().len() == 2);
    for episode in rig.reported().values().flatten() {
        assert_eq!(episode["while_away"], true, "{episode}");
        assert_eq!(episode["role"], "supervisor", "{episode}");
    }
    let (code, said) = attach(&rig);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another agent holds the pins"), "{said}");
    let mut command = rig.capwatch();
    let plain = command.args(["run", "--attach-only"]).output();
    let plain = plain.expect("no end");
    assert_eq!(plain.status.code(), Some(1));
    let said = String::from_utf8_lossy(&plain.stderr).into_owned();
    assert!(said.contains("--pin DIR"), "{said}");
    assert!(fs::exists(rig.pins()).expect("no answer"));
}
