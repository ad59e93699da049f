//! What `capwatch replay` says of a log beside capability denials: lines that it
//! could not read or did not believe, refusals of something else, files that are
//! no log. Nothing read is never "nothing happened".

#![expect(
    clippy::disallowed_types,
    reason = "the agent starts no programs, its tests do"
)]

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

const DENIED: &str = r#"type=AVC msg=audit(1795458347.188:2): apparmor="DENIED" operation="capable" class="cap" profile="web" pid=7 comm="web" capability=12  capname="net_admin""#;

/// Replays this log with these words.
fn replay(log: impl AsRef<[u8]>, words: &[&str]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    fs::write(&path, log).expect("written");
    Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .arg("replay")
        .args(words)
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .expect("capwatch runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code, output and errors.
fn said(log: impl AsRef<[u8]>, words: &[&str]) -> (Option<i32>, String, String) {
    let output = replay(log, words);
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn report(log: impl AsRef<[u8]>) -> Value {
    serde_json::from_slice(&replay(log, &["-o", "json"]).stdout).expect("a report")
}

#[test]
fn lines_that_could_not_be_read_are_said_in_every_form_with_the_first_one() {
    let cut = &DENIED[..DENIED.len() - 24];
    let log = format!("{DENIED}\nNov 24 10:22:07 host sshd[12]: hello\n{cut}\n{cut}\n");
    for form in ["text", "markdown", "junit"] {
        let (code, out, _) = said(&log, &["-o", form]);
        assert_eq!(code, Some(0), "{form}");
        let out = out.replace('\\', "");
        assert!(
            out.contains("2 of 4 lines could not be read"),
            "{form}: {out}"
        );
        assert!(
            out.contains("line 3: the record was cut short"),
            "{form}: {out}"
        );
    }
    let report = report(&log);
    assert_eq!(report["log"]["unread"], 2);
    assert_eq!(report["log"]["first_unread"]["line"], 3);
    assert_eq!(report["log"]["records"], 1);
}

#[test]
fn what_another_program_wrote_is_left_out_and_said() {
    let log = format!(
        "{DENIED}\nNov 24 10:22:07 host eve[9]: audit: {}\n",
        DENIED.replace("msg=", "")
    );
    let (code, out, _) = said(&log, &[]);
    assert_eq!(code, Some(0));
    assert!(out.contains("1 of 2 lines left out"), "{out}");
    assert!(out.contains("; 1 denial\n"), "{out}");
}

#[test]
fn a_log_in_which_nothing_is_understood_is_an_error_unless_that_is_wanted() {
    for (log, words) in [
        (
            "Operation: capable\nDenied: sys_nice\n",
            "no line is an audit record",
        ),
        ("", "it is empty"),
        (
            &DENIED[..DENIED.len() - 24],
            "line 1: the record was cut short",
        ),
        ("\x01\x02\x03\x04\x05\x06\n", "binary data"),
    ] {
        let (code, _, error) = said(log, &[]);
        assert_eq!(code, Some(1), "{log}");
        assert!(error.contains("cannot show denials"), "{error}");
        assert!(error.contains(words), "{error}");
        assert_eq!(said(log, &["--lenient"]).0, Some(0), "{log}");
    }
    // A log it is, in which nothing of the kind happened.
    let (code, out, error) = said("Nov 24 10:22:07 host sshd[12]: session opened\n", &[]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(
        out.contains("none of its 1 lines is an audit record"),
        "{out}"
    );
}

#[test]
fn a_file_that_is_no_log_is_named_with_what_to_do() {
    let packed = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    };
    let wide: Vec<u8> = DENIED.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let journal = [&b"LPKSHHRH"[..], &[0; 200]].concat();
    let picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    for (bytes, words) in [
        (wide, "iconv -f UTF-16"),
        (journal.clone(), "journalctl --file FILE -o export"),
        (picture.to_vec(), "not a screenshot"),
        (packed(picture), "unpacked from gzip, it is a picture"),
        (packed(&journal), "a binary journal"),
        (packed(&packed(DENIED.as_bytes())), "packed twice"),
    ] {
        for form in [&[][..], &["--records"]] {
            let (code, out, error) = said(&bytes, form);
            assert_eq!((code, out.as_str()), (Some(1), ""), "{words}");
            assert!(error.contains(words), "{error}");
        }
    }
}

#[test]
fn what_is_refused_beside_capabilities_has_a_line_in_every_form() {
    let seccomp = |call: u32, code: &str| {
        format!(
            "type=SECCOMP msg=audit(1795458347.188:3): auid=0 uid=0 gid=0 ses=1 subj=x pid=8 \
             comm=\"box\" exe=\"/bin/box\" sig=0 arch=c000003e syscall={call} compat=0 ip=0x7f \
             code={code}\n"
        )
    };
    let apparmor =
        |rest: &str| format!("audit: type=1400 audit(1795458347.188:4): apparmor={rest}\n");
    let selinux = |rest: &str| format!("type=AVC msg=audit(1795458347.188:5): avc:  {rest}\n");
    for (log, words) in [
        (
            seccomp(157, "0x50000"),
            "seccomp refused box (pid 8) the system call prctl",
        ),
        (seccomp(126, "0x50000"), "capset"),
        (seccomp(272, "0x50000"), "unshare"),
        (
            seccomp(56, "0x80000000"),
            "seccomp killed box (pid 8) for calling clone",
        ),
        (
            apparmor(
                r#""DENIED" operation="userns_create" class="namespace" profile="unconfined" pid=9 comm="box" requested="userns_create""#,
            ),
            "AppArmor refused box (pid 9) a new user namespace",
        ),
        (
            apparmor(
                r#""ALLOWED" operation="capable" class="cap" profile="trial" pid=9 comm="box" capability=12  capname="net_admin""#,
            ),
            "would be refused in enforce mode",
        ),
        (
            selinux(
                r#"denied  { net_admin } for  pid=9 comm="box" capability=12  scontext=u:r:box_t:s0 tcontext=u:r:box_t:s0 tclass=capability permissive=1"#,
            ),
            "would be refused in enforcing mode",
        ),
        (
            selinux(
                r#"denied  { create } for  pid=9 comm="box" scontext=u:r:box_t:s0 tcontext=u:r:box_t:s0 tclass=user_namespace permissive=0"#,
            ),
            "SELinux refused box (pid 9) a new user namespace",
        ),
        (
            apparmor(
                r#""DENIED" operation="mount" class="mount" profile="box" name="/" pid=9 comm="box""#,
            ),
            "AppArmor refused mount",
        ),
        (
            selinux(
                r#"denied  { read } for  pid=9 comm="box" scontext=u:r:box_t:s0 tcontext=u:r:b:s0 tclass=file permissive=0"#,
            ),
            "refused access to a file, a socket or the like",
        ),
    ] {
        for form in ["text", "junit"] {
            let (code, out, _) = said(&log, &["-o", form]);
            assert_eq!(code, Some(0), "{log}");
            let out = out
                .replace("&quot;", "\"")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            assert!(out.contains(words), "{form}, {words}: {out}");
        }
        let (_, out, _) = said(&log, &["-o", "markdown"]);
        assert!(out.contains("### Other records"), "{out}");
        assert!(
            report(&log)["others"][0]["explanation"]
                .as_str()
                .expect("text")
                .contains(words)
        );
    }
}

#[test]
fn a_record_without_a_stamp_has_no_time() {
    let report = report(
        r#"apparmor="DENIED" operation="capable" class="cap" profile="web" pid=7 comm="web" capability=12  capname="net_admin""#,
    );
    assert_eq!(report["denials"][0]["first"], Value::Null);
    assert_eq!(report["denials"][0]["last"], Value::Null);
    assert!(!report.to_string().contains("1970"), "{report}");
}

#[test]
fn the_two_copies_that_journalctl_prints_count_once() {
    let body = &DENIED[DENIED.find("apparmor").expect("a body")..];
    let copies = |serial: u32| {
        format!(
            "Nov 24 10:22:07 host audit[7]: AVC {body}\n\
             Nov 24 10:22:07 host kernel: audit: type=1400 audit(1795458347.188:{serial}): {body}\n"
        )
    };
    let log: String = (0..3).map(copies).collect();
    assert_eq!(report(&log)["denials"][0]["count"], 3);
}

#[test]
fn remedies_fit_what_the_log_knows() {
    let apparmor = |profile: &str, more: &str| {
        format!(
            "audit: type=1400 audit(1795458347.188:4): apparmor=\"DENIED\" operation=\"capable\" \
             class=\"cap\"{more} profile=\"{profile}\" pid=9 comm=\"box\" capability=21  \
             capname=\"sys_admin\"\n"
        )
    };
    let selinux = "type=AVC msg=audit(1795458347.188:5): avc:  denied  { sys_admin } for  pid=9 \
                   comm=\"box\" capability=21  scontext=u:r:box_t:s0 tcontext=u:r:box_t:s0 \
                   tclass=capability permissive=0\n";
    for (log, wanted, unwanted) in [
        (
            apparmor("box", ""),
            "allow \"capability sys_admin,\" in profile \"box\"",
            "domain",
        ),
        (
            apparmor("unprivileged_userns", ""),
            "profile local-box /PATH/box flags=(unconfined) { userns, }",
            "in profile \"unprivileged_userns\" (",
        ),
        (
            apparmor("a//&b", ""),
            "each of its profiles must allow it",
            "in profile \"a//&b\" (",
        ),
        (
            apparmor("box", " namespace=\"root//lxd-web_<x>\""),
            "in policy namespace \"root//lxd-web_<x>\"",
            "domain",
        ),
        (
            selinux.to_owned(),
            "\"allow box_t self:capability sys_admin;\"",
            "profile",
        ),
    ] {
        let report = report(&log);
        let sentence = report["denials"][0]["explanation"].as_str().expect("text");
        assert!(sentence.contains(wanted), "{wanted}: {sentence}");
        assert!(!sentence.contains(unwanted), "{unwanted}: {sentence}");
        assert!(
            sentence.contains("(pid 9)") && sentence.contains("at 2026-11-23T"),
            "{sentence}"
        );
        let (_, out, _) = said(&log, &[]);
        let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(out.contains(wanted), "{out}");
    }
}

#[test]
fn a_name_that_the_kernel_cut_is_its_supervisor_s() {
    let log = DENIED.replace("comm=\"web\"", "comm=\"openshell-sandb\"");
    assert_eq!(report(&log)["denials"][0]["supervisor"], "openshell");
    assert_eq!(report(DENIED)["denials"][0]["supervisor"], Value::Null);
}

#[test]
fn a_log_can_be_a_gate() {
    assert_eq!(said(DENIED, &["--fail-on", "denied"]).0, Some(3));
    assert_eq!(said(DENIED, &["--fail-on", "fatal,degraded"]).0, Some(0));
    let cut = format!("{DENIED}\n{}\n", &DENIED[..DENIED.len() - 24]);
    let (code, out, _) = said(&cut, &["--fail-on", "blind"]);
    assert_eq!(code, Some(3), "what was not read can hide a denial");
    assert!(out.contains("failed on:"), "{out}");
}

/// As Python's json.dumps, jq and Vector write it.
#[test]
fn a_stream_that_others_wrote_again_is_one() {
    let spaced = r#"{"schema": "capwatch.event/1", "time": "2026-11-26T00:00:00.000000Z", "kind": "header", "version": "0.1.0", "host": {"kernel": "6.12", "lsm": [], "boot_id": "b"}, "hooks": [], "sources": [], "command": null}"#;
    let sorted = r#"{"boot":1,"kind":"header","schema":"capwatch.event/1","time":"2026-11-26T00:00:00.000000Z","version":"0.1.0","host":{"kernel":"6.12","lsm":[],"boot_id":"b"},"hooks":[],"sources":[],"command":null}"#;
    for stream in [spaced, sorted] {
        let (code, out, error) = said(format!("{stream}\n"), &[]);
        assert_eq!(code, Some(1), "it was cut short");
        assert!(out.contains("kernel 6.12"), "{out}");
        assert!(error.contains("it was cut short after line 1"), "{error}");
    }
    let (_, _, error) = said(spaced.replace(", ", ",\n  "), &[]);
    assert!(error.contains("line 1"), "pretty-printed: {error}");
}

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

/// Layers, supervisors and reasons come from the writer of the stream.
#[test]
fn a_foreign_streams_words_are_no_commands() {
    let head = |kind: &str| {
        format!(
            "{{\"schema\":\"capwatch.event/1\",\"time\":\"2026-11-26T00:00:01.000000Z\",\"kind\":\"{kind}\""
        )
    };
    let bad = r"x\u001b[31m\n::error::y\u202e";
    let stream = [
        format!(r#"{},"version":"1","host":{{"kernel":"{bad}","lsm":["{bad}"],"boot_id":"b"}},"hooks":[],"sources":[],"command":null}}"#, head("header")),
        format!(r#"{},"row":"0000000000000001","folded":false,"supervisor":"{bad}","role":"{bad}","container":null,"comm":"{bad}","exe":"{bad}","pid":1,"chain":[],"capability":"{bad}","number":12,"layer":"{bad}","reason":"{bad}","profile":null,"namespace":null,"target_namespace":null,"audited":"yes","expected":false,"own_credentials":true,"via":"{bad}","count":2,"exact":true,"logged":null,"leftover":null,"first":null,"last":null,"explanation":"{bad}"}}"#, head("row")),
        format!(r#"{},"id":"{bad}","verdict":"fatal","retried":false,"supervisor":"{bad}","role":"supervisor","version":"{bad}","container":null,"pid":1,"ppid":1,"comm":"{bad}","exe":"{bad}","layer":"{bad}","profile":"{bad}","drops":1,"refused_raised":1,"refused_lowered":0,"unknown_capability":0,"bounding_before":"{bad}","bounding_after":"{bad}","residual":["{bad}"],"effective":"{bad}","user_namespace":{{"inode":1,"level":0}},"fate":"exit","exit":null,"first_refused":"{bad}","duration_seconds":0.1,"explanation":"{bad}"}}"#, head("episode")),
        format!(r#"{},"stage":"{bad}","reason":"{bad}","count":3}}"#, head("loss")),
        format!(r#"{},"id":"i","verdict":"{bad}"}}"#, head("episode")),
    ]
    .join("\n");
    for form in ["text", "markdown", "junit"] {
        let (_, out, error) = said(&stream, &["-o", form, "--fail-on", "fatal,denied,blind"]);
        assert!(out.contains("1 fatal") || form == "junit", "{form}: {out}");
        assert!(error.contains("line 5"), "{error}");
        for text in [&out, &error] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{form}: {text:?}");
            let command = text
                .lines()
                .find(|line| line.trim_start().starts_with("::"));
            assert_eq!(command, None, "{form}");
        }
    }
}
