//! A recorded stream, replayed: the same report to the letter. Every scenario
//! compares the JSON besides (`testbed::checks::suite`).

use std::{fs, process::Stdio};

use testbed::checks::{expect, suite::run};

use crate::{Guard, serve, until};

#[test]
fn the_text_is_the_same_too() {
    let Some((stage, _turn)) = crate::stage("record --stream") else {
        return;
    };
    let mut record = stage.capwatch();
    record.args(["record", "--config", "config.toml", "--fail-on", "fatal"]);
    record.args(["--report", "live.txt", "--stream", "live.jsonl", "--"]);
    record.args(["testbed", "do", "drop", "except:chown", "exec", "testsup"]);
    let outcome = run(record.args(["do", "fork", "clear"])).expect("no outcome");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);

    let mut replay = stage.capwatch();
    let outcome = run(replay.args(["replay", "live.jsonl"])).expect("no outcome");
    let live = fs::read_to_string(stage.path("live.txt")).expect("no report");
    assert_eq!(outcome.stdout, live);
    assert!(
        live.contains("fatal") && live.contains("failed on"),
        "{live}"
    );
    assert_eq!(outcome.stderr, "");

    // Cut short: what was read is reported, and what is missing.
    let text = fs::read_to_string(stage.path("live.jsonl")).expect("no stream");
    let half = &text[..text.len() - 20];
    fs::write(stage.path("cut.jsonl"), half).expect("cannot write");
    let mut replay = stage.capwatch();
    let outcome = run(replay.args(["replay", "cut.jsonl"])).expect("no outcome");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.contains("fatal"), "{}", outcome.stdout);
    let last = format!("line {}", text.lines().count());
    assert!(outcome.stderr.contains(&last), "{}", outcome.stderr);
}

#[test]
fn an_agents_events_give_the_report_that_it_served() {
    let Some((stage, _turn)) = crate::stage("run --events") else {
        return;
    };
    let address = serve::free_address();
    let events = stage.path("events.jsonl");
    let mut command = stage.capwatch();
    command.args(["run", "--config", "config.toml", "--events"]);
    command
        .arg(&events)
        .args(["--web.listen-address", &address]);
    let mut agent = Guard::start(command.stdout(Stdio::null()));
    until("the agent to be ready", || {
        serve::get(&address, "/-/ready").is_some_and(|(status, _)| status == 200)
    });
    serve::testsup(stage, "fork clear");
    serve::testsup(stage, "fork drop chown exec true");
    let mut served = String::new();
    until("the episodes", || {
        served = serve::get(&address, "/api/v1/report").expect("no report").1;
        let report: serde_json::Value = serde_json::from_str(&served).expect("JSON");
        let own = |part: &str| {
            let all = report[part].as_array().expect("a list").clone();
            let own = all.into_iter().filter(|one| one["supervisor"] == "testsup");
            own.collect::<Vec<_>>()
        };
        // Counts come from the kernel, details through the ring, a moment later.
        own("episodes").len() >= 2 && own("denials").iter().all(|one| !one["pid"].is_null())
    });
    agent.signal(libc::SIGTERM);
    assert_eq!(agent.code(), Some(0));

    let mut replay = stage.capwatch();
    let outcome = run(replay.args(["replay", "-o", "json"]).arg(&events)).expect("no outcome");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let [served, replayed] =
        [&served, &outcome.stdout].map(|text| expect::read(text).expect("JSON"));
    // Others on the machine may have gone on; what the test did stays the same.
    for part in ["schema", "host", "hooks", "lost", "command"] {
        assert_eq!(served[part], replayed[part], "{part}");
    }
    for part in ["episodes", "denials"] {
        let own = |report: &serde_json::Value| {
            let all = report[part].as_array().expect("a list").clone();
            let of_testsup = all.into_iter().filter(|one| one["supervisor"] == "testsup");
            of_testsup.collect::<Vec<_>>()
        };
        assert_eq!(own(&served), own(&replayed), "{part}");
        assert!(!own(&served).is_empty(), "{part}");
    }
}
