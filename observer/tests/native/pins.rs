//! What an agent pins: who holds it, which folders are refused, and what `unload` leaves.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{
    rig::{Rig, loaded, testbed},
    until,
};

#[test]
fn a_second_agent_says_who_has_the_pins_and_a_dead_one_has_none() {
    let Some((_stage, _turn)) = crate::stage("two agents") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    let first = rig.pid();
    for arguments in [
        [
            "run",
            "--web.listen-address=127.0.0.1:0",
            "--pin",
            "bpf/capwatch",
        ]
        .as_slice(),
        &["unload", "--pin", "bpf/capwatch", "--state", "state"],
    ] {
        let second = rig.capwatch().args(arguments).output().expect("no second");
        assert_eq!(second.status.code(), Some(1));
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(said.contains(&format!("pid {first} since 2")), "{said}");
    }
    rig.end(libc::SIGKILL);
    rig.start();
    rig.wait_until_ready();
    rig.end(libc::SIGTERM);
    assert!(rig.said().contains("no agent ran"), "{}", rig.said());
}

#[test]
fn unload_leaves_nothing() {
    let Some((_stage, _turn)) = crate::stage("unload") else {
        return;
    };
    let testbed = testbed();
    let mut rig = Rig::new(&testbed);
    let before = loaded(&testbed);
    rig.start();
    rig.wait_until_ready();
    let during = loaded(&testbed);
    rig.end(libc::SIGTERM);
    let added: Vec<_> = during
        .iter()
        .filter(|name| !before.contains(name))
        .collect();
    let links = added.iter().filter(|name| name.starts_with("link")).count();
    assert!(links > 0, "{added:?}");
    let mut unload = rig.capwatch();
    unload.args(["unload", "--pin", "bpf/capwatch", "--state", "state"]);
    let unloaded = unload.output().expect("no unload");
    let said = String::from_utf8_lossy(&unloaded.stdout).into_owned();
    assert!(unloaded.status.success(), "{unloaded:?}");
    assert!(said.contains(&format!("{links} links")), "{said}");
    assert!(!rig.pins().exists());
    assert_eq!(
        fs::read_dir(rig.path("state")).map_or(0, Iterator::count),
        0
    );
    until("the programs to go", || {
        let now = loaded(&testbed);
        added.iter().all(|name| !now.contains(name))
    });
    let again = unload.output().expect("no unload");
    assert!(again.status.success(), "{again:?}");
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(said.contains("nothing"), "{said}");
}

#[test]
fn pins_that_are_not_the_agents_own_are_refused() {
    let Some((_stage, _turn)) = crate::stage("hostile pins") else {
        return;
    };
    let rig = Rig::new(&testbed());
    let refused = |path: &str, why: &str| {
        let mut command = rig.capwatch();
        command.args(["run", "--web.listen-address=127.0.0.1:0", "--pin", path]);
        let ended = command.output().expect("no agent");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{path}: {said}");
    };
    refused("plain", "not on a bpf file system");
    let pins = rig.pins();
    fs::create_dir(&pins).expect("no folder");
    fs::set_permissions(&pins, fs::Permissions::from_mode(0o755)).expect("no mode");
    refused("bpf/capwatch", "mode 755");
    fs::set_permissions(&pins, fs::Permissions::from_mode(0o700)).expect("no mode");
    std::os::unix::fs::symlink(&pins, rig.path("link")).expect("no link");
    refused("link", "cannot pin below");
    std::os::unix::fs::chown(&pins, Some(65534), None).expect("no owner");
    refused("bpf/capwatch", "uid 65534");
}

#[test]
fn doctor_says_what_is_pinned_since_when_and_by_whom() {
    let Some((_stage, _turn)) = crate::stage("doctor and pins") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    let pid = rig.pid();
    let doctor = |rig: &Rig| {
        let mut command = rig.capwatch();
        command.args(["doctor", "-o", "json", "--pin", "bpf/capwatch"]);
        let output = command.output().expect("no doctor");
        let report: Value = serde_json::from_slice(&output.stdout).expect("no JSON");
        report["pins"].clone()
    };
    let pins = doctor(&rig);
    assert_eq!(pins["held"], true, "{pins}");
    assert_eq!(pins["pid"], pid, "{pins}");
    assert_eq!(pins["version"], env!("CARGO_PKG_VERSION"), "{pins}");
    assert!(
        pins["since"]
            .as_str()
            .is_some_and(|since| since.starts_with("20")),
        "{pins}"
    );
    assert!(
        pins["links"]
            .as_array()
            .is_some_and(|links| !links.is_empty()),
        "{pins}"
    );
    assert!(pins["misses"].as_u64().is_some(), "{pins}");
    rig.end(libc::SIGKILL);
    let pins = doctor(&rig);
    assert_eq!(pins["held"], false, "{pins}");
}
