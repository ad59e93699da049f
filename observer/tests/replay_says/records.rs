//! What a log's records become: denials with remedies, refusals of something else, a gate.

use serde_json::Value;

use crate::{DENIED, report, said};

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
            "each profile in it must allow",
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
