//! Audit records of this host from where an operator says: a log and a pipe.

use std::{
    fs::{self, OpenOptions},
    io::{Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::Path,
    process::{ChildStdin, Command, Stdio},
};

use observer::sources::audit::listeners::write_record;
use rustix::net::{
    self as netlink, AddressFamily, SocketFlags, SocketType,
    netlink::{AUDIT, SocketAddrNetlink},
};
use testbed::checks::suite::run;

use crate::{Guard, serve, until};

fn record(serial: u32) -> String {
    let now = std::time::SystemTime::now();
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    format!(
        "type=AVC msg=audit({}.188:{serial}): apparmor=\"DENIED\" operation=\"capable\" \
         class=\"cap\" profile=\"from a log\" pid=1 comm=\"c\" capability=8  capname=\"setpcap\"\n",
        now.as_secs()
    )
}

/// An agent that reads records from a pipe, once this path answers.
fn fed(command: &mut Command, address: &str, path: &str) -> (Guard, ChildStdin) {
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut agent = Guard::start(command);
    until("the agent to answer", || {
        serve::get(address, path).is_some_and(|(status, _)| status == 200)
    });
    let stdin = agent.0.stdin.take().expect("a pipe");
    (agent, stdin)
}

#[test]
fn a_log_and_standard_input_count_once() {
    let Some((stage, _turn)) = crate::stage("run --audit-source") else {
        return;
    };
    let (address, log) = (serve::free_address(), stage.path("audit.log"));
    fs::write(&log, record(1)).expect("cannot write");
    let mut command = stage.capwatch();
    command
        .args(["run", "--audit-source", "-", "--audit-source"])
        .arg(format!("log:{}", log.display()))
        .args(["--web.listen-address", &address]);
    let (mut agent, mut stdin) = fed(&mut command, &address, "/-/ready");
    let mut file = OpenOptions::new().append(true).open(&log).expect("a log");
    for serial in [2, 3] {
        let record = record(serial);
        stdin.write_all(record.as_bytes()).expect("cannot write");
        file.write_all(record.as_bytes()).expect("cannot write");
    }
    let denials = || {
        let (_, metrics) = serve::get(&address, "/metrics").expect("no metrics");
        let labels = [
            "lsm=\"apparmor\"",
            "profile=\"from a log\"",
            "capability=\"setpcap\"",
        ];
        serve::sample(&metrics, "capwatch_audit_denials_total", &labels)
    };
    until("the records", || denials() == Some(2.0));
    drop(stdin);
    let report = || serve::get(&address, "/api/v1/report").expect("no report").1;
    until("the end of the pipe", || {
        report().contains("the log has ended")
    });
    assert_eq!(denials(), Some(2.0));
    let report = testbed::checks::expect::read(&report()).expect("JSON");
    let expected = [
        "sources[name=auditd].records == 2",
        "sources[name=auditd].up == true",
        "sources[name=stream].records == 2",
        "sources[name=stream].up == false",
        "denials[layer=apparmor].count == 2",
        "audit.audit_only == 2",
    ];
    let failures = testbed::checks::expect::failures(&report, &expected).expect("nonsense");
    assert!(failures.is_empty(), "{failures:?}");
    agent.signal(libc::SIGTERM);
    assert_eq!(agent.code(), Some(0));
}

#[test]
fn a_source_that_can_not_be_is_refused_before_anything_runs() {
    let Some((stage, _turn)) = crate::stage("--audit-source misused") else {
        return;
    };
    for (source, wanted) in [
        ("-", "the command uses standard input"),
        (
            "log:/nowhere/audit.log",
            "cannot open /nowhere/audit.log: No such file",
        ),
        ("log:/", "/ is a directory"),
        ("auditd", "no audit source is called \"auditd\""),
    ] {
        let mut command = stage.capwatch();
        command.args(["record", "--audit-source", source, "--", "touch", "ran"]);
        let outcome = run(&mut command).expect("no outcome");
        assert!(outcome.stderr.contains(wanted), "{}", outcome.stderr);
        assert!(!stage.path("ran").exists(), "{source}");
        assert!(matches!(outcome.code, Some(1 | 2)), "{source}");
    }
}

/// The stamp of an event of now.
fn event(serial: u32) -> String {
    let now = std::time::SystemTime::now();
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    format!("{}.{:03}:{serial}", now.as_secs(), now.subsec_millis())
}

/// The record of a system call.
fn called(event: &str, pid: u32, call: &str, program: &str) -> String {
    format!(
        "type=SYSCALL msg=audit({event}): arch=c000003e {call} ppid=1 pid={pid} uid=0 \
         comm=\"{program}\" exe=\"/usr/bin/{program}\" key=\"capwatch\"\n"
    )
}

const REFUSED: &str = "syscall=157 success=no exit=-1 a0=18 a1=15";

#[test]
fn without_a_hook_the_log_shows_drops() {
    let Some((_stage, _turn)) = crate::stage("drops in the log alone") else {
        return;
    };
    let address = serve::free_address();
    let directory = crate::for_everyone();
    let events = directory.path().join("events.jsonl");
    // Any user can read a pipe, and none but root can attach hooks.
    let nobody = 65_534;
    fs::write(&events, "").expect("a file");
    std::os::unix::fs::chown(&events, Some(nobody), Some(nobody)).expect("its own");
    // A process that carries on, and is there to be looked at.
    let mut sleeper = Command::new("sleep");
    let sleeper = Guard::start(sleeper.arg("120").uid(nobody).gid(nobody));
    let mut command = Command::new(directory.path().join("capwatch"));
    command
        .args(["run", "--audit-source", "-"])
        .args(["--web.listen-address", &address])
        .arg("--events")
        .arg(&events)
        .uid(nobody)
        .gid(nobody);
    let (mut agent, mut stdin) = fed(&mut command, &address, "/-/healthy");
    let mut write = |line: String| stdin.write_all(line.as_bytes()).expect("cannot write");
    // It is reported twice, as by two sources, and its module's record is beside it.
    let first = event(1);
    write(format!(
        "type=AVC msg=audit({first}): apparmor=\"DENIED\" operation=\"capable\" class=\"cap\" \
         profile=\"from a log\" pid=4000001 comm=\"bwrap\" capability=8  capname=\"setpcap\"\n"
    ));
    write(called(&first, 4_000_001, REFUSED, "bwrap"));
    write(called(&first, 4_000_001, REFUSED, "bwrap"));
    write(called(&event(2), 4_000_002, REFUSED, "crun"));
    write(called(
        &event(3),
        4_000_002,
        "syscall=59 success=yes exit=0 a0=1 a1=2",
        "web",
    ));
    write(called(&event(4), sleeper.0.id(), REFUSED, "sleep"));
    write(called(
        &event(5),
        4_000_003,
        "syscall=126 success=no exit=-1 a0=1 a1=2",
        "capsh",
    ));
    let report = || serve::get(&address, "/api/v1/report").expect("no report").1;
    until("the sleeper to carry on", || {
        report().contains("carried_on")
    });
    let report = testbed::checks::expect::read(&report()).expect("JSON");
    let expected = [
        "episodes[comm=bwrap].supervisor == bwrap",
        "episodes[comm=bwrap].layer == apparmor",
        "episodes[comm=bwrap].drops == 1",
        "episodes[comm=bwrap].fate == exit",
        "episodes[comm=bwrap].verdict == fatal",
        "episodes[comm=crun].layer == commoncap",
        "episodes[comm=crun].verdict == degraded",
        "episodes[comm=crun].workload.exe == web",
        "episodes[comm=sleep].verdict == degraded",
        "episodes[comm=sleep].fate == carried_on",
        "others[kind=capset].comm == capsh",
    ];
    let failures = testbed::checks::expect::failures(&report, &expected).expect("nonsense");
    assert!(failures.is_empty(), "{failures:?}");
    let (_, metrics) = serve::get(&address, "/metrics").expect("no metrics");
    let closed = |supervisor: &str, verdict: &str| {
        let labels = [
            format!("supervisor=\"{supervisor}\""),
            format!("verdict=\"{verdict}\""),
        ];
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        serve::sample(&metrics, "capwatch_bounding_drop_episodes_total", &labels)
    };
    assert_eq!(closed("bwrap", "fatal"), Some(1.0));
    assert_eq!(closed("crun", "degraded"), Some(1.0));
    drop(stdin);
    agent.signal(libc::SIGTERM);
    assert_eq!(agent.code(), Some(0));
    let lines = fs::read_to_string(&events).expect("events");
    let lines = lines
        .lines()
        .filter(|line| line.contains("\"kind\":\"episode\"") && line.contains("\"comm\":\"crun\""));
    assert_eq!(lines.count(), 1, "each is reported once");
}

#[test]
fn where_a_hook_watches_drops_the_log_does_not_repeat_them() {
    let Some((stage, _turn)) = crate::stage("drops that a hook saw") else {
        return;
    };
    let address = serve::free_address();
    let mut command = stage.capwatch();
    command
        .args(["run", "--audit-source", "-"])
        .args(["--web.listen-address", &address]);
    let (mut agent, mut stdin) = fed(&mut command, &address, "/-/ready");
    let line = called(&event(1), 4_000_001, REFUSED, "in-the-log");
    stdin.write_all(line.as_bytes()).expect("cannot write");
    drop(stdin);
    let report = || serve::get(&address, "/api/v1/report").expect("no report").1;
    until("the end of the pipe", || {
        report().contains("the log has ended")
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(!report().contains("in-the-log"));
    agent.signal(libc::SIGTERM);
    assert_eq!(agent.code(), Some(0));
}

/// What a path answers over a Unix socket.
fn answer(socket: &Path, path: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// As `ListenNetlink=audit 1` of a `.socket` unit does for a service with
/// `PrivateNetwork=yes`.
#[test]
fn a_socket_that_systemd_passed_works_from_another_network() {
    let Some((stage, _turn)) = crate::stage("a passed socket") else {
        return;
    };
    let listening = netlink::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(AUDIT),
    );
    let listening = listening.expect("no socket");
    let group = SocketAddrNetlink::new(0, 1);
    netlink::bind(&listening, &group).expect("CAP_AUDIT_READ");
    let web = stage.path("web.sock");
    let mut command = stage.capwatch();
    command
        .args(["run", "--web.listen-address"])
        .arg(format!("unix:{}", web.display()))
        .env("LISTEN_FDS", "1");
    let passed = listening.as_raw_fd();
    // SAFETY: only system calls are made between fork and exec.
    unsafe {
        command.pre_exec(move || {
            if libc::unshare(libc::CLONE_NEWNET) != 0 || libc::dup2(passed, 3) != 3 {
                return Err(std::io::Error::last_os_error());
            }
            // One that is 3 already would be closed by the exec.
            if libc::fcntl(3, libc::F_SETFD, 0) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let _agent = Guard::start(command.stdout(Stdio::null()));
    let report = || testbed::checks::expect::read(&answer(&web, "/api/v1/report")?).ok();
    until("the agent to answer", || report().is_some());
    write_record("apparmor=\"DENIED\" operation=\"capable\" pid=1 comm=\"c\" profile=\"passed\" capability=8 capname=\"setpcap\" ")
        .expect("CAP_AUDIT_WRITE");
    let expected = [
        "sources[name=netlink].up == true",
        "sources[name=netlink].records >= 1",
        "count(sources) == 1",
    ];
    let mut failures = Vec::new();
    until("the record", || {
        let report = report().expect("it answers");
        failures = testbed::checks::expect::failures(&report, &expected).expect("expectations");
        failures.is_empty()
    });
}
