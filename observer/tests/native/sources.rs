//! Audit records of this host from where an operator says: a log and a pipe.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    process::Stdio,
};

use captest::suite::run;

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
        .args(["--web.listen-address", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut agent = Guard::start(&mut command);
    until("the agent to be ready", || {
        serve::get(&address, "/-/ready").is_some_and(|(status, _)| status == 200)
    });
    let mut stdin = agent.0.stdin.take().expect("a pipe");
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
    let report = captest::check::read(&report()).expect("JSON");
    let expected = [
        "sources[name=auditd].records == 2",
        "sources[name=auditd].up == true",
        "sources[name=stream].records == 2",
        "sources[name=stream].up == false",
        "denials[layer=apparmor].count == 2",
        "audit.audit_only == 2",
    ];
    let failures = captest::check::failures(&report, &expected).expect("nonsense");
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
        ("-", "standard input is the command's"),
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
