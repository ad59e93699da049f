//! What becomes of `run` when its output fails, and on signals.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use testbed::checks::suite::Stage;

use crate::{
    Guard,
    serve::{free_address, get, testsup},
    until,
};

fn agent(stage: &Stage, address: &str, events: &Path) -> Guard {
    let mut command = stage.capwatch();
    command
        .args(["run", "--config", "config.toml", "--web.listen-address"])
        .arg(address)
        .arg("--events")
        .arg(events);
    let agent = Guard::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    until("the agent to be ready", || {
        get(address, "/-/ready").is_some_and(|(status, _)| status == 200)
    });
    agent
}

fn lapses(address: &str) -> Vec<String> {
    let Some((_, body)) = get(address, "/api/v1/status") else {
        return Vec::new();
    };
    let status: serde_json::Value = serde_json::from_str(&body).expect("no JSON");
    let reasons = status["sight"]["reasons"].as_array().expect("no sight");
    let lasting = reasons.iter().filter(|lapse| lapse["until"].is_null());
    lasting
        .map(|lapse| lapse["reason"].as_str().expect("no reason").to_owned())
        .collect()
}

/// Ends within a second, with code 0.
fn ends(agent: &mut Guard) {
    let began = Instant::now();
    agent.signal(libc::SIGTERM);
    assert_eq!(agent.code(), Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
}

fn kinds(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("no events");
    let lines = text.lines().map(|line| {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        line["kind"].as_str().expect("no kind").to_owned()
    });
    lines.collect()
}

#[test]
fn a_fifo_that_nobody_reads_holds_up_nothing() {
    let Some((stage, _turn)) = crate::stage("--events on a FIFO") else {
        return;
    };
    let fifo = stage.path("events.fifo");
    let _ = fs::remove_file(&fifo);
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("no mkfifo").success());
    let address = free_address();
    let mut agent = agent(stage, &address, &fifo);
    testsup(stage, "fork clear");
    until("sight to say so", || {
        lapses(&address).contains(&"lines_unwritten".to_owned())
    });
    // Its reader gets a stream from its beginning.
    let reader = File::open(&fifo).expect("no reader");
    testsup(stage, "fork clear");
    let mut first = String::new();
    BufReader::new(reader)
        .read_line(&mut first)
        .expect("no line");
    assert!(first.contains("\"kind\":\"header\""), "{first}");
    // The reader went, and a client stalls.
    let mut stalled = TcpStream::connect(&address).expect("no server");
    stalled.write_all(b"GET / HT").expect("cannot write");
    testsup(stage, "fork clear");
    ends(&mut agent);
}

/// A file system with so little room, gone with the test.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).expect("no directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]);
        let mounted = mount.arg(&path).status().expect("no mount");
        mounted.success().then_some(Self(path))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_nothing_and_cuts_no_line() {
    let Some((stage, _turn)) = crate::stage("--events on a full disk") else {
        return;
    };
    let Some(tiny) = Tiny::mount(stage.path("tiny")) else {
        println!("skipped: --events on a full disk (tmpfs can't be mounted)");
        return;
    };
    let (events, ballast) = (tiny.0.join("events"), tiny.0.join("ballast"));
    let address = free_address();
    let mut agent = agent(stage, &address, &events);
    fs::write(&ballast, vec![0; 40 << 10]).expect("cannot write");
    until("sight to say so", || {
        testsup(stage, "fork clear");
        lapses(&address).contains(&"lines_unwritten".to_owned())
    });
    let before = kinds(&events).len();
    fs::remove_file(&ballast).expect("cannot remove");
    until("it to go on", || {
        testsup(stage, "fork clear");
        kinds(&events).len() > before
    });
    ends(&mut agent);
    // Each line is whole, and it is still one stream.
    let kinds = kinds(&events);
    assert_eq!(kinds[0], "header");
    assert_eq!(kinds.iter().filter(|kind| *kind == "header").count(), 1);
}

#[test]
fn hanging_up_reopens_the_events_and_reads_the_rules_again() {
    let Some((stage, _turn)) = crate::stage("SIGHUP") else {
        return;
    };
    let (events, rotated) = (stage.path("hup.jsonl"), stage.path("hup.jsonl.1"));
    let config = stage.path("config.toml");
    let former = fs::read_to_string(&config).expect("no configuration");
    let address = free_address();
    let mut agent = agent(stage, &address, &events);
    testsup(stage, "fork clear");
    until("its line", || {
        kinds(&events).contains(&"episode".to_owned())
    });
    // The same file goes on.
    agent.signal(libc::SIGHUP);
    fs::rename(&events, &rotated).expect("cannot rename");
    fs::write(&config, "[[supervisor]\n").expect("cannot write");
    agent.signal(libc::SIGHUP);
    until("another file", || {
        events.exists() && !kinds(&events).is_empty()
    });
    fs::write(
        &config,
        format!("{former}\n[[supervisor]]\nname = \"late\"\nexe = [\"latesup\"]\n"),
    )
    .expect("cannot write");
    agent.signal(libc::SIGHUP);
    let late = stage.path("latesup");
    fs::copy(stage.path("testbed"), &late).expect("cannot copy");
    until("the new rule", || {
        let mut command = Command::new(stage.path("testbed"));
        command
            .args(["do", "drop", "except:chown", "exec"])
            .arg(&late);
        command.args(["do", "fork", "clear"]);
        command.status().expect("cannot run");
        get(&address, "/metrics").is_some_and(|(_, text)| text.contains("supervisor=\"late\""))
    });
    fs::write(&config, former).expect("cannot write");
    ends(&mut agent);
    let kinds = kinds(&events);
    assert_eq!(kinds.first().map(String::as_str), Some("header"));
    assert_eq!(kinds.last().map(String::as_str), Some("end"));
}

#[test]
fn the_log_has_date_and_level_and_alarms_are_limited() {
    let Some((stage, _turn)) = crate::stage("--log-format json") else {
        return;
    };
    let address = free_address();
    let mut command = stage.capwatch();
    command
        .args(["run", "--config", "config.toml", "--log-format", "json"])
        .args(["--web.listen-address", &address]);
    let mut agent = Guard::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    until("the agent to be ready", || {
        get(&address, "/-/ready").is_some()
    });
    for _ in 0..9 {
        testsup(stage, "fork clear");
    }
    until("the episodes", || {
        get(
            &address,
            "/api/v1/episodes?verdict=fatal&supervisor=testsup",
        )
        .is_some_and(|(_, text)| text.matches("\"id\"").count() >= 9)
    });
    ends(&mut agent);
    let stderr = agent.0.stderr.take().expect("a pipe");
    let lines = BufReader::new(stderr)
        .lines()
        .map(|line| line.expect("no text"));
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(
        lines
            .iter()
            .all(|line| line["time"].is_string() && line["level"].is_string())
    );
    let alarms = lines.iter().filter(|line| line["supervisor"] == "testsup");
    let alarms: Vec<_> = alarms.collect();
    assert_eq!(alarms.len(), 5, "{lines:?}");
    assert_eq!(
        (&alarms[0]["level"], &alarms[0]["verdict"]),
        (&"error".into(), &"fatal".into())
    );
}
