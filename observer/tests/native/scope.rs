//! Whose findings a report has: the command's own, what daemons made while it ran,
//! or everybody's. The test itself is the daemon: it makes cgroups as engines and
//! systemd name them, and has a supervisor fail there.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use testbed::checks::suite::{Outcome, Stage, run};

use crate::{Guard, until};

const ID: &str = "5c0be000000000000000000000000000000000000000000000000000000000aa";

/// Where the default hierarchy is, if the test may make cgroups there.
fn hierarchy() -> Option<&'static Path> {
    let mut mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(Path::new);
    mounts.find(|mount| mount.join("cgroup.procs").exists())
}

/// A cgroup that is gone with its test.
struct Cgroup(PathBuf);

impl Cgroup {
    fn make(name: &str) -> Self {
        let path = hierarchy().expect("no hierarchy").join(name);
        fs::create_dir_all(&path).expect("cannot make a cgroup");
        Self(path)
    }

    /// Has a command begin in it.
    fn enter(&self, command: &mut Command) {
        let procs = self.0.join("cgroup.procs");
        let enter = move || fs::write(&procs, "0");
        // SAFETY: one write to a file; nothing of the parent's is touched.
        unsafe { command.pre_exec(enter) };
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its last process may not be gone yet.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// A supervisor whose child can't drop, and dies of it.
fn fail(stage: &Stage, cgroup: &Cgroup) {
    let mut command = stage.program("testbed");
    command.args(["do", "drop", "except:chown", "exec"]);
    command.arg(stage.path("testsup"));
    command.args(["do", "fork", "clear"]);
    cgroup.enter(command.current_dir(stage.path(".")).stdin(Stdio::null()));
    run(&mut command).expect("no outcome");
}

/// Records a command that waits while `meanwhile` runs beside it.
fn record(stage: &Stage, options: &[&str], meanwhile: impl FnOnce()) -> (Outcome, Value) {
    let [ready, go] = ["scope.ready", "scope.go"].map(|name| stage.path(name));
    for file in [&ready, &go] {
        let _ = fs::remove_file(file);
    }
    let mut command = stage.capwatch();
    command.args(["record", "--config", "config.toml", "-o", "json"]);
    command.args(["--report", "scope.json", "--stream", "scope.jsonl"]);
    command.args(options).args(["--", "sh", "-c"]);
    command.arg("echo $PPID >scope.ready; while [ ! -e scope.go ]; do sleep 0.02; done");
    let recorded = std::thread::scope(|scope| {
        let recorded = scope.spawn(|| run(&mut command).expect("no outcome"));
        until("the command to run", || ready.exists());
        meanwhile();
        // What it looks up is kept: the cgroup is gone by the end.
        std::thread::sleep(std::time::Duration::from_millis(300));
        fs::write(&go, "").expect("cannot write");
        recorded.join().expect("it panicked")
    });
    let text = fs::read_to_string(stage.path("scope.json")).expect("no report");
    let mut replay = stage.capwatch();
    let replayed = run(replay.args(["replay", "-o", "json", "scope.jsonl"])).expect("no outcome");
    assert_eq!(replayed.stdout, text, "replayed");
    let report = serde_json::from_str(&text).expect("no JSON");
    (recorded, report)
}

fn fatal_of(report: &Value, scope: &str) -> u64 {
    let counts = &report["scope"][scope]["episodes"];
    let roles = ["supervisor", "workload", "none"];
    let fatal = roles.map(|role| counts[role]["fatal"].as_u64().unwrap_or_default());
    fatal.iter().sum()
}

#[test]
fn a_container_of_a_daemon_is_beside_the_command_and_stops_the_gate() {
    let Some((stage, _turn)) = crate::stage("record --scope") else {
        return;
    };
    if hierarchy().is_none() {
        println!("skipped: record --scope (no cgroup v2)");
        return;
    }
    let gate = ["--fail-on", "fatal,degraded"];
    let in_container = || {
        let cgroup = Cgroup::make(&format!("system.slice/docker-{ID}.scope"));
        fail(stage, &cgroup);
    };
    let (outcome, report) = record(stage, &gate, in_container);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert_eq!(report["scope"]["chosen"], "beside");
    assert_eq!(
        (fatal_of(&report, "tree"), fatal_of(&report, "beside")),
        (0, 1)
    );
    let made = &report["scope"]["made"][0];
    assert_eq!(
        (&made["runtime"], &made["id"]),
        (&"docker".into(), &ID.into())
    );
    assert_eq!(container_of_fatal(&report)["id"], ID);

    let tree = ["--scope", "tree", "--fail-on", "fatal,degraded"];
    let (outcome, report) = record(stage, &tree, in_container);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(report["counts"]["episodes"]["all"], 0);
    assert_eq!(report["scope"]["beside"], Value::Null);

    // The same in a container that was there before is the host's.
    let old = Cgroup::make(&format!("system.slice/docker-{ID}.scope"));
    let in_old = || fail(stage, &old);
    let (outcome, report) = record(stage, &gate, in_old);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(report["counts"]["episodes"]["all"], 0);
    let host = ["--scope", "host", "--fail-on", "fatal"];
    let (outcome, report) = record(stage, &host, in_old);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert_eq!(
        (fatal_of(&report, "tree"), fatal_of(&report, "host")),
        (0, 1)
    );
}

/// The container of the one fatal episode of a report.
fn container_of_fatal(report: &Value) -> &Value {
    let episodes = report["episodes"].as_array().expect("no episodes");
    let fatal = episodes.iter().find(|one| one["verdict"] == "fatal");
    let fatal = fatal.expect("no fatal episode");
    assert_eq!(fatal["scope"], "beside");
    &fatal["container"]
}

#[test]
fn a_container_is_named_though_it_is_gone_before_capwatch_could_look() {
    let Some((stage, _turn)) = crate::stage("a container that is gone") else {
        return;
    };
    let Some(mount) = hierarchy() else {
        println!("skipped: a container that is gone (no cgroup v2)");
        return;
    };
    // `capwatch record` stops while the container comes and goes.
    let asleep = |meanwhile: &dyn Fn()| {
        let pid = || {
            fs::read_to_string(stage.path("scope.ready"))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        until("the recorder's number", || pid().is_some());
        let recorder = pid()
            .and_then(rustix::process::Pid::from_raw)
            .expect("no pid");
        let signal = |signal| rustix::process::kill_process(recorder, signal).expect("no signal");
        signal(rustix::process::Signal::STOP);
        meanwhile();
        signal(rustix::process::Signal::CONT);
    };
    let name = format!("system.slice/docker-{ID}.scope");
    let (_, report) = record(stage, &[], || {
        asleep(&|| {
            let cgroup = Cgroup::make(&name);
            fail(stage, &cgroup);
            drop(cgroup);
            assert!(!mount.join(&name).exists());
        });
    });
    assert_eq!(container_of_fatal(&report)["runtime"], "docker");
    assert_eq!(container_of_fatal(&report)["id"], ID);

    // A user who makes many loses their own, not root's.
    let (_, report) = record(stage, &[], || {
        asleep(&|| {
            let cgroup = Cgroup::make(&name);
            fail(stage, &cgroup);
            drop(cgroup);
            let yard = Cgroup::make("capwatch-yard");
            std::os::unix::fs::chown(&yard.0, Some(65_534), None).expect("cannot hand it over");
            let mut user = Command::new("setpriv");
            user.args(["--reuid", "65534", "--clear-groups", "sh", "-c"]);
            user.arg("for n in $(seq 2000); do mkdir \"$0/$n\"; rmdir \"$0/$n\"; done");
            assert!(user.arg(&yard.0).status().expect("no setpriv").success());
        });
    });
    assert_eq!(container_of_fatal(&report)["id"], ID);
}

#[test]
fn transient_units_are_beside_and_logins_are_not() {
    let Some((stage, _turn)) = crate::stage("units beside a command") else {
        return;
    };
    if hierarchy().is_none() {
        println!("skipped: units beside a command (no cgroup v2)");
        return;
    }
    for (name, expected) in [
        ("system.slice/run-capwatch-test.service", 3),
        ("user.slice/user-0.slice/session-987654.scope", 0),
    ] {
        let meanwhile = || fail(stage, &Cgroup::make(name));
        let (outcome, report) = record(stage, &["--fail-on", "fatal"], meanwhile);
        assert_eq!(outcome.code, Some(expected), "{name}: {}", outcome.stderr);
        let made = report["scope"]["made"].as_array().expect("no list");
        assert_eq!(made.len(), usize::from(expected == 3), "{name}");
    }
}

#[test]
fn what_still_runs_is_named_and_followed_on_request() {
    let Some((stage, _turn)) = crate::stage("record --wait") else {
        return;
    };
    // A daemon of the tree's own fails after the command ended, and sleeps by then.
    let daemon = "setsid sh -c 'sleep 1.5; testbed do drop except:chown exec testsup do fork clear' \
                  </dev/null >/dev/null 2>&1 & sleep 0.3";
    let record = |options: &[&str]| {
        let mut command = stage.capwatch();
        command.args(["record", "--config", "config.toml", "--fail-on", "fatal"]);
        let outcome = run(command.args(options).args(["--", "sh", "-c", daemon]));
        outcome.expect("no outcome")
    };
    let outcome = record(&[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .contains("still running when the recording ended: "),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("sleep (pid "), "{}", outcome.stderr);
    let began = std::time::Instant::now();
    let outcome = record(&["--wait", "60s"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(began.elapsed().as_secs() < 30, "it ends with the tree");
    assert!(
        !outcome.stderr.contains("still running"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_a_daemon_makes_for_a_client_is_named_though_nothing_is_found() {
    let Some((stage, _turn)) = crate::stage("a unit that is well") else {
        return;
    };
    if hierarchy().is_none() {
        println!("skipped: a unit that is well (no cgroup v2)");
        return;
    }
    let client = stage.path("machinectl");
    fs::copy(stage.path("testbed"), &client).expect("cannot copy");
    let mut command = stage.capwatch();
    command.args(["record", "--", "machinectl", "do", "sleep", "8000"]);
    let outcome = std::thread::scope(|scope| {
        let recorded = scope.spawn(|| run(&mut command).expect("no outcome"));
        // The command has begun by then on a busy machine too.
        std::thread::sleep(std::time::Duration::from_secs(3));
        let cgroup = Cgroup::make("machine.slice/machine-capwatch.scope");
        let mut well = Command::new("sleep");
        cgroup.enter(well.arg("4"));
        run(&mut well).expect("no outcome");
        recorded.join().expect("it panicked")
    });
    let text = outcome.stderr;
    assert!(
        text.contains("made while it ran: machine capwatch: no bounding-set drops"),
        "{text}"
    );
    assert!(!text.contains("a daemon does the work"), "{text}");
    fs::remove_file(client).expect("cannot remove");
}

#[test]
fn a_client_whose_daemon_made_nothing_is_said() {
    let Some((stage, _turn)) = crate::stage("clients of daemons") else {
        return;
    };
    let docker = stage.path("docker");
    fs::copy(stage.path("testbed"), &docker).expect("cannot copy");
    let own = ["docker", "do", "sleep", "100"];
    let by_script = ["sh", "-c", "docker do sleep 2000; true", ""];
    for (form, words) in [
        ("text", own),
        ("markdown", own),
        ("junit", own),
        ("text", by_script),
    ] {
        let mut command = stage.capwatch();
        command.args(["record", "-o", form, "--"]).args(words);
        let outcome = run(&mut command).expect("no outcome");
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("a daemon does the work"),
            "{form}: {}",
            outcome.stderr
        );
    }
    fs::remove_file(docker).expect("cannot remove");
}

#[test]
fn what_others_make_takes_no_room_of_the_commands() {
    let Some((stage, _turn)) = crate::stage("a loop beside the command") else {
        return;
    };
    if hierarchy().is_none() {
        println!("skipped: a loop beside the command (no cgroup v2)");
        return;
    }
    let [ready, stop] = ["loop.ready", "loop.stop"].map(|name| stage.path(name));
    for file in [&ready, &stop] {
        let _ = fs::remove_file(file);
    }
    let mut command = stage.capwatch();
    command.args(["record", "--config", "config.toml", "--fail-on", "fatal"]);
    command.args(["--report", "loop.txt", "--", "sh", "-c"]);
    command.arg(
        "testbed do drop except:chown exec testsup do fork clear; touch loop.ready; \
         while [ ! -e loop.stop ]; do sleep 0.05; done",
    );
    let cgroup_name = "system.slice/run-capwatch-loop.service";
    let outcome = std::thread::scope(|scope| {
        let recorded = scope.spawn(|| run(&mut command).expect("no outcome"));
        until("the command's own failure", || ready.exists());
        let cgroup = Cgroup::make(cgroup_name);
        let mut beside = stage.program("testbed");
        beside.args(["do", "drop", "except:chown", "exec"]);
        beside.arg(stage.path("testsup"));
        cgroup.enter(beside.args(["do", "repeat", "3000", "fork", "clear"]));
        let mut beside = Guard::start(beside.stdout(Stdio::null()).stderr(Stdio::null()));
        beside.code();
        fs::write(&stop, "").expect("cannot write");
        recorded.join().expect("it panicked")
    });
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let text = fs::read_to_string(stage.path("loop.txt")).expect("no report");
    assert!(text.contains("the command's own tree: 1 fatal"), "{text}");
    let own = text.lines().filter(|line| line.starts_with("fatal "));
    let own = own.filter(|line| !line.contains("[beside]"));
    assert_eq!(own.count(), 1, "{text}");
}
