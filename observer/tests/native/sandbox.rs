//! What the threads of a running agent have left, by the kernel's own word.

use std::{fs, os::unix::net::UnixDatagram, process::Stdio, thread::sleep, time::Duration};

use observer::sandbox::Room;

use crate::{
    Guard,
    rig::Rig,
    serve::{free_address, get, serve, testsup},
    until,
};

/// The room of a thread, by its name.
fn room(thread: &str) -> Room {
    match thread {
        "look-up" => Room::LookUp,
        "audit-follow" => Room::AuditLog,
        "storms" => Room::Storms,
        "web" | "web-answer" => Room::Web,
        "events" => Room::Events,
        "alarms" | "audit-stream" => Room::Plain,
        _ => Room::Main,
    }
}

#[test]
fn each_thread_keeps_what_its_room_needs_and_no_more() {
    let Some((stage, _turn)) = crate::stage("sandbox") else {
        return;
    };
    let address = free_address();
    let agent = serve(stage, &[&address]);
    // A large answer is made on its own thread.
    let report = get(&address, "/api/v1/report").map(|(status, _)| status);
    assert_eq!(report, Some(200));
    let (_, status) = get(&address, "/api/v1/status").expect("it serves");
    let status: serde_json::Value = serde_json::from_str(&status).expect("not JSON");
    assert_eq!(status["sandbox"]["mode"], "auto", "{status}");
    let lapses = status["sandbox"]["lapses"].as_array().expect("no list");
    let state = if lapses.is_empty() {
        "whole"
    } else {
        "partial"
    };
    assert_eq!(status["sandbox"]["state"], state, "{status}");
    let tasks = format!("/proc/{}/task", agent.0.id());
    let mut seen = Vec::new();
    until("every thread to be in its room", || {
        seen = fs::read_dir(&tasks)
            .expect("the agent lives")
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .collect();
        seen.iter().all(|status| field(status, "Seccomp") == "2")
    });
    assert!(seen.len() >= 4, "{}", seen.len());
    for status in &seen {
        let name = field(status, "Name");
        assert_eq!(field(status, "NoNewPrivs"), "1", "{name}");
        let hexadecimal = |text| u64::from_str_radix(field(status, text), 16).expect("a set");
        for set in ["CapEff", "CapPrm"] {
            let most = room(name).capabilities(true).bits();
            assert_eq!(hexadecimal(set) & !most, 0, "{name} has too much: {status}");
        }
        assert_eq!(hexadecimal("CapInh"), 0, "{name}");
    }
}

#[test]
fn versions_are_known_from_within_the_sandbox() {
    let Some((stage, _turn)) = crate::stage("versions, from within the sandbox") else {
        return;
    };
    let address = free_address();
    let _agent = serve(stage, &[&address]);
    testsup(stage, "drop chown sleep 1000 exit 1");
    let version = || {
        let report = get(&address, "/api/v1/report").expect("it serves").1;
        let report: serde_json::Value = serde_json::from_str(&report).expect("not JSON");
        let episodes = report["episodes"].as_array().expect("no list");
        let own = episodes.iter().find(|one| one["supervisor"] == "testsup");
        own.and_then(|own| own["version"].as_str().map(str::to_owned))
    };
    until("the version", || {
        version().is_some_and(|version| version.starts_with("sha256:"))
    });
}

#[test]
fn the_service_manager_is_notified_that_it_lives() {
    let Some((stage, _turn)) = crate::stage("notification") else {
        return;
    };
    let place = stage.path("notify");
    let manager = UnixDatagram::bind(&place).expect("bound");
    let patience = Some(Duration::from_secs(20));
    manager.set_read_timeout(patience).expect("a time-out");
    let mut command = stage.capwatch();
    command
        .args(["run", "--web.listen-address", &free_address()])
        .env("NOTIFY_SOCKET", &place)
        .env("WATCHDOG_USEC", "400000");
    let agent = Guard::start(command.stdout(Stdio::null()));
    let mut notified = String::new();
    let next = |notified: &mut String| {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).expect("a word in time");
        notified.push_str(&String::from_utf8_lossy(&buffer[..length]));
    };
    while notified.matches("WATCHDOG=1").count() < 3 {
        next(&mut notified);
    }
    assert!(notified.starts_with("READY=1\n"), "{notified}");
    agent.signal(libc::SIGTERM);
    while !notified.contains("STOPPING=1") {
        next(&mut notified);
    }
}

#[test]
fn what_is_pinned_takes_other_rules_from_within_the_sandbox() {
    let Some((stage, _turn)) = crate::stage("rules, from within the sandbox") else {
        return;
    };
    let mut rig = Rig::new(&stage.path("testbed"));
    rig.start();
    rig.wait_until_ready();
    rig.configure(&[&rig.name, "another"]);
    rig.signal(libc::SIGHUP);
    until("the rules to be read", || {
        rig.said().contains("rules stay active") || rig.said().contains("reloaded the rules")
    });
    assert!(rig.said().contains("reloaded the rules"), "{}", rig.said());
}

#[test]
fn the_agent_is_denied_nothing_itself() {
    let Some((stage, _turn)) = crate::stage("the agent's own checks") else {
        return;
    };
    let address = free_address();
    let agent = serve(stage, &[&address]);
    testsup(stage, "drop chown exit 1");
    for _ in 0..3 {
        get(&address, "/metrics").expect("no metrics");
        // What it looks at once a second is looked at, too.
        sleep(Duration::from_secs(1));
    }
    let (_, denials) = get(&address, "/api/v1/denials").expect("no denials");
    let denials: serde_json::Value = serde_json::from_str(&denials).expect("not JSON");
    let denials = denials.as_array().or_else(|| denials["denials"].as_array());
    let denials = denials.expect("no list");
    assert!(!denials.is_empty(), "the refused drop is one");
    for denial in denials {
        assert_ne!(denial["pid"], agent.0.id(), "{denial}");
    }
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("a status has it").trim()
}
