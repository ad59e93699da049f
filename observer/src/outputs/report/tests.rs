//! What reports of each form say, of a report with names that anyone who runs a
//! program may choose.

mod every_form;
mod junit_xml;
mod names;
mod text;

use std::collections::BTreeMap;

use super::{Form, Style, junit, write};
use crate::{
    finding::{
        Audit, Command, Counts, Denial, Episode, Exit, Fate, Gate, HookReport, Host, Mechanism,
        Namespace, REPORT_SCHEMA, Report, Scope, SourceReport, Verdict,
    },
    sight::{Lapse, Sight},
    time::Stamp,
};

/// Markup of every kind, a terminal's escape, the end of a cell, of a line, of
/// a section and of a document.
const HOSTILE: &str = "\u{1b}[31m<b>|`*_](\n]]>\u{202e}\u{ffff}&'\"\\|";

fn episode(verdict: Verdict, comm: &str) -> Episode {
    let failed = verdict >= Verdict::Pending;
    Episode {
        scope: Scope::Tree,
        id: format!("1a2b-{verdict}"),
        verdict,
        retried: false,
        skipped: false,
        refilled: false,
        supervisor: Some("openshell".to_owned()),
        inferred: false,
        while_away: false,
        role: Some("supervisor".to_owned()),
        version: Some("ghcr.io/nvidia/openshell/supervisor:0.0.73".to_owned()),
        exe_uid: None,
        container: None,
        pid: 29_030,
        ppid: 1,
        chain: Vec::new(),
        comm: comm.to_owned(),
        exe: Some("openshell-sandbox".to_owned()),
        layer: failed.then(|| "commoncap".to_owned()),
        profile: None,
        drops: 41,
        refused_raised: u32::from(failed),
        refused_lowered: 0,
        unknown_capability: 1,
        bounding_before: "0x4002810cd".to_owned(),
        bounding_after: "0x4002810cd".to_owned(),
        residual: if failed {
            ["chown", "fowner", "setgid", "setuid", "net_raw"]
                .map(str::to_owned)
                .to_vec()
        } else {
            Vec::new()
        },
        bounding_namespace: None,
        workload: None,
        dropping_thread: None,
        effective: "0x0".to_owned(),
        user_namespace: Namespace {
            inode: 4_026_531_837,
            level: 0,
        },
        fate: match verdict {
            Verdict::Fatal => Fate::Exit,
            Verdict::Pending => Fate::Running,
            _ => Fate::Exec,
        },
        exit: (verdict == Verdict::Fatal).then_some(Exit {
            code: Some(101),
            signal: None,
        }),
        first_refused: failed.then(|| "chown".to_owned()),
        not_the_cause: Vec::new(),
        duration_seconds: 0.000_076,
        explanation: format!("Supervisor openshell, process {comm}, is {verdict}."),
    }
}

fn denial(comm: &str, count: u64, expected: bool) -> Denial {
    Denial {
        scope: Scope::Tree,
        supervisor: None,
        role: None,
        container: None,
        comm: comm.to_owned(),
        exe: None,
        pid: Some(29_030),
        chain: Vec::new(),
        capability: "setpcap".to_owned(),
        number: 8,
        layer: "apparmor".to_owned(),
        reason: None,
        profile: Some(comm.to_owned()),
        namespace: None,
        target_namespace: None,
        audited: "yes".to_owned(),
        expected,
        own_credentials: true,
        via: "security_capable".to_owned(),
        count,
        exact: count < 10,
        logged: None,
        leftover: None,
        first: Stamp(1_795_000_000_000_000_000),
        last: Stamp(1_795_000_001_500_000_000),
        explanation: format!("Process {comm} was refused setpcap."),
    }
}

fn report() -> Report {
    let hook = |name: &str, attached: bool, needed: bool| HookReport {
        hook: name.to_owned(),
        mechanism: Some(Mechanism::Kprobe),
        attached,
        needed,
        reason: (!attached).then(|| "kprobe: not permitted".to_owned()),
    };
    let report = Report {
        schema: REPORT_SCHEMA.to_owned(),
        host: Host {
            kernel: "6.12.48".to_owned(),
            lsm: vec!["landlock".to_owned(), "apparmor".to_owned()],
            boot_id: String::new(),
        },
        hooks: vec![
            hook("cap_capable", true, true),
            hook("aa_capable", false, true),
            hook("cap_task_prctl", false, false),
        ],
        sources: vec![SourceReport {
            name: "kmsg".to_owned(),
            up: false,
            records: 0,
            lost: 0,
            malformed: 0,
            reason: Some("auditd takes the records".to_owned()),
        }],
        scope: None,
        lost: BTreeMap::from([("events".to_owned(), 3), ("ring_full".to_owned(), 3)]),
        command: Some(Command {
            argv: vec!["./job".to_owned(), HOSTILE.to_owned()],
            exit_code: 1,
            duration_seconds: 1.25,
        }),
        denials: vec![
            denial("setpriv", 3, true),
            denial("日本語", 12, false),
            // Of another instance: shown as one with the row above.
            denial("日本語", 12, false),
            denial(HOSTILE, 1, false),
        ],
        episodes: vec![
            episode(Verdict::Ok, "crun"),
            episode(Verdict::Fatal, HOSTILE),
            episode(Verdict::Degraded, "tokio-rt-worker"),
            episode(Verdict::Ok, "crun"),
            episode(Verdict::Pending, "日本語"),
        ],
        rule_refusals: Vec::new(),
        others: Vec::new(),
        log: None,
        notes: Vec::new(),
        failed_on: vec![format!("fatal: episode of {HOSTILE}")],
        audit: Audit {
            records: 2,
            matched: 1,
            ebpf_only: 4,
            audit_only: 1,
            malformed: 0,
            leftovers: BTreeMap::new(),
        },
        sight: Sight {
            complete: false,
            reasons: vec![Lapse {
                reason: "drops_missed".to_owned(),
                since: Stamp(1_795_000_000_500_000_000),
                until: Some(Stamp(1_795_000_001_000_000_000)),
                count: 3,
            }],
        },
        counts: Counts::default(),
    };
    Report {
        counts: Counts::of(&report.episodes, &report.denials),
        ..report
    }
}

fn shown(form: Form, report: &Report) -> String {
    shown_at(None, form, report)
}

fn shown_at(columns: Option<usize>, form: Form, report: &Report) -> String {
    let mut out = Vec::new();
    let style = Style {
        form,
        color: false,
        columns,
        gate: &Gate::failed_drops(),
    };
    write(&mut out, report, style).unwrap();
    String::from_utf8(out).unwrap()
}

fn junit(report: &Report, gate: &Gate) -> String {
    let origin = junit::Origin {
        host: "node<1>".to_owned(),
        time: "2026-11-24T00:00:00".to_owned(),
    };
    junit::render_from(report, gate, &origin)
}
