//! System calls that an audit rule logs: drops, and what failed beside a denial.

use serde_json::Value;

use crate::{report, said};

/// As an audit rule for prctl and capset writes them, beside a module's records.
#[test]
fn a_log_shows_drops_too() {
    let call = |serial: u32, syscall: u32, capability: u32, exit: i32| {
        let success = if exit < 0 { "no" } else { "yes" };
        format!(
            "type=SYSCALL msg=audit(1795458347.188:{serial}): arch=c000003e syscall={syscall} \
             success={success} exit={exit} a0=18 a1={capability:x} a2=0 a3=0 items=0 ppid=6 pid=9 \
             auid=0 uid=0 gid=0 ses=1 comm=\"crun\" exe=\"/usr/bin/crun\" subj=x key=\"caps\"\n"
        )
    };
    let denied = |serial: u32| {
        format!(
            "type=AVC msg=audit(1795458347.188:{serial}): apparmor=\"DENIED\" operation=\"capable\" \
             class=\"cap\" profile=\"jail\" pid=9 comm=\"crun\" capability=8  capname=\"setpcap\"\n"
        )
    };
    for (log, verdict, layer, words) in [
        (call(1, 157, 21, 0), "ok", Value::Null, "without a refusal"),
        (
            call(1, 157, 21, -1) + &call(2, 157, 22, -1),
            "pending",
            "commoncap".into(),
            "2 of 2 calls failed",
        ),
        (
            denied(1) + &call(1, 157, 21, -1),
            "pending",
            "apparmor".into(),
            "profile \"jail\" refused CAP_SETPCAP",
        ),
        (
            call(1, 157, 21, -1) + &call(2, 59, 0, 0),
            "degraded",
            "commoncap".into(),
            "then ran a program",
        ),
    ] {
        let report = report(&log);
        let episode = &report["episodes"][0];
        assert_eq!(episode["verdict"], verdict, "{log}");
        assert_eq!(episode["layer"], layer, "{log}");
        assert_eq!(episode["supervisor"], "crun");
        let sentence = episode["explanation"].as_str().expect("text");
        assert!(sentence.contains(words), "{words}: {sentence}");
        let (code, out, _) = said(&log, &["--fail-on", "fatal,degraded,pending"]);
        assert_eq!(code, Some(if verdict == "ok" { 0 } else { 3 }), "{out}");
        assert!(!out.contains("no bounding-set drops"), "{out}");
    }
    let (_, out, _) = said(call(1, 126, 0, -1), &[]);
    assert!(out.contains("capset of crun (pid 9) failed"), "{out}");
}

#[test]
fn a_call_that_failed_at_the_same_moment_is_the_likely_cause() {
    let log = |pid: u32, later: u32| {
        format!(
            "audit: type=1400 audit(1795458348.900:2): apparmor=\"DENIED\" operation=\"open\" \
             class=\"file\" profile=\"jail\" name=\"/proc/9/uid_map\" pid={pid} comm=\"box\" \
             requested_mask=\"w\" denied_mask=\"w\" fsuid=1000 ouid=1000\n\
             audit: type=1400 audit({}.100:3): apparmor=\"DENIED\" operation=\"capable\" \
             class=\"cap\" profile=\"jail\" pid=9 comm=\"box\" capability=8  capname=\"setpcap\"\n",
            1_795_458_349 + later
        )
    };
    let says = |log: String| {
        let report = report(log);
        let sentence = report["denials"][0]["explanation"].to_string();
        sentence.contains("/proc/9/uid_map") && sentence.contains("likely cause")
    };
    assert!(says(log(9, 0)));
    assert!(!says(log(8, 0)), "another process");
    assert!(!says(log(9, 5)), "another moment");
}
