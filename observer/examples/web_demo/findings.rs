//! Made-up findings, among them names that a hostile process would choose.

use std::collections::BTreeMap;

use observer::finding::Mechanism;
use observer::finding::{
    Audit, Container, Counts, Denial, Episode, Exit, Fate, HookReport, Host, Link, Namespace,
    REPORT_SCHEMA, Report, Scope, SourceReport, Verdict,
};
use observer::outputs::web::{STATUS_SCHEMA, Status, Supervisor, TimedEpisode};
use observer::sandbox::Told;
use observer::sight::Sight;
use observer::time::Stamp;

pub const SECOND: u64 = 1_000_000_000;
const OLD: &str = "ghcr.io/example/openshell:0.0.85";
const NEW: &str = "ghcr.io/example/openshell:0.0.91";
const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// Names that try to be markup, to turn the line round, and to break it.
pub const HOSTILE: [&str; 3] = [
    "<img src=x onerror=alert(1)>",
    "\u{202e}gpj.exe",
    "a\n\u{1b}[31m\"'&",
];

#[expect(clippy::unnecessary_wraps, reason = "the shapes want options")]
fn text(words: &str) -> Option<String> {
    Some(words.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the shapes want options")]
fn container(version: &str) -> Option<Container> {
    Some(Container {
        runtime: "podman".to_owned(),
        id: "4f5c1a9d7e21".to_owned(),
        name: text("sandbox-7"),
        image: text(version),
        ..Container::default()
    })
}

/// An episode of a supervisor that nothing was refused to.
pub fn fine(number: u64, supervisor: &str, version: &str) -> Episode {
    let container = container(version).filter(|_| version.contains('/'));
    Episode {
        while_away: false,
        id: format!("ep-{number}"),
        scope: Scope::Host,
        verdict: Verdict::Ok,
        retried: false,
        skipped: false,
        refilled: false,
        supervisor: text(supervisor),
        inferred: false,
        role: text("supervisor"),
        version: text(version),
        exe_uid: None,
        container,
        pid: 4_000 + u32::try_from(number % 9_000).unwrap_or_default(),
        ppid: 3_990,
        chain: vec![
            link(1_234, supervisor),
            link(1_235, HOSTILE[0]),
            link(1_236, "init"),
        ],
        comm: supervisor.chars().take(15).collect(),
        exe: text(supervisor),
        layer: None,
        profile: None,
        drops: 41,
        refused_raised: 0,
        refused_lowered: 0,
        unknown_capability: 0,
        bounding_before: "0x1ffffffffff".to_owned(),
        bounding_namespace: None,
        workload: None,
        dropping_thread: None,
        bounding_after: "0x0".to_owned(),
        residual: Vec::new(),
        effective: "0x1ffffffffff".to_owned(),
        user_namespace: Namespace {
            inode: 4_026_532_577,
            level: 1,
        },
        fate: Fate::Exec,
        exit: None,
        first_refused: None,
        not_the_cause: vec![
            "The log has unshare refused sys_admin: that is not the cause.".to_owned(),
        ],
        duration_seconds: 0.000_412,
        explanation: format!("{supervisor} emptied its bounding set; nothing was refused."),
    }
}

fn refused(number: u64, supervisor: &str, version: &str, verdict: Verdict) -> Episode {
    let (fate, exit, became) = match verdict {
        Verdict::Fatal => (
            Fate::Exit,
            Some(Exit {
                code: Some(1),
                signal: None,
            }),
            "It ended with code 1 without starting its workload.",
        ),
        Verdict::Pending => (Fate::Running, None, "It still runs."),
        _ => (
            Fate::Exec,
            None,
            "It went on and its workload runs with them.",
        ),
    };
    Episode {
        verdict,
        layer: text("apparmor"),
        profile: text("unprivileged_userns"),
        refused_raised: 41,
        bounding_after: "0x1ffffffffff".to_owned(),
        residual: ["chown", "dac_override", "setpcap", "sys_admin"]
            .map(str::to_owned)
            .to_vec(),
        first_refused: text("chown"),
        fate,
        exit,
        explanation: format!(
            "{supervisor} asked to drop 41 capabilities from its bounding set; AppArmor refused SETPCAP under profile unprivileged_userns, so chown was the first to stay. {became} Allow `capability setpcap` in that profile, or start the supervisor under one of its own."
        ),
        ..fine(number, supervisor, version)
    }
}

fn link(pid: u32, comm: &str) -> Link {
    Link {
        pid,
        comm: comm.to_owned(),
    }
}

fn harmless(number: u64) -> Episode {
    Episode {
        verdict: Verdict::Harmless,
        layer: text("commoncap"),
        refused_lowered: 12,
        comm: HOSTILE[usize::try_from(number % 3).unwrap_or_default()].to_owned(),
        explanation: "crun dropped 12 capabilities that were not in its bounding set any more."
            .to_owned(),
        ..fine(number, "crun", DIGEST)
    }
}

fn workload(number: u64) -> Episode {
    Episode {
        role: text("workload"),
        comm: "firejail".to_owned(),
        exe: text("firejail"),
        layer: text("commoncap"),
        profile: None,
        ..refused(number, "openshell", OLD, Verdict::Degraded)
    }
}

/// Refused, but of no supervisor: no alarm.
fn stranger(number: u64) -> Episode {
    Episode {
        supervisor: None,
        role: None,
        version: None,
        container: None,
        comm: HOSTILE[0].to_owned(),
        ..refused(number, "a program", "unknown", Verdict::Fatal)
    }
}

/// The episode of some number: they repeat in their kinds.
pub fn episode(number: u64) -> Episode {
    match number % 11 {
        3 => harmless(number),
        6 => refused(number, "openshell", NEW, Verdict::Fatal),
        8 => refused(number, "openshell", NEW, Verdict::Degraded),
        9 => workload(number),
        4 => stranger(number),
        1 | 5 => fine(number, "crun", DIGEST),
        10 if number.is_multiple_of(2) => refused(number, "bwrap", DIGEST, Verdict::Pending),
        _ => fine(number, "openshell", OLD),
    }
}

pub fn history(now: Stamp) -> Vec<TimedEpisode> {
    (0..60)
        .map(|number| {
            let age = (60 - number) * (60 - number) + 20;
            TimedEpisode {
                time: Stamp(now.0 - age * SECOND),
                episode: episode(number),
            }
        })
        .collect()
}

pub fn denial(row: u64, now: Stamp) -> Denial {
    let by_profile = row.is_multiple_of(2);
    let (capability, number) = [
        ("setpcap", 8),
        ("sys_admin", 21),
        ("setuid", 7),
        ("net_admin", 12),
    ][usize::try_from(row % 4).unwrap_or_default()];
    let expected = capability == "setuid";
    Denial {
        scope: Scope::Host,
        supervisor: text(["openshell", "crun"][usize::try_from(row % 2).unwrap_or_default()]),
        role: text(["supervisor", "workload"][usize::try_from(row % 2).unwrap_or_default()]),
        container: container(NEW),
        comm: if row == 5 {
            HOSTILE[0].to_owned()
        } else {
            "openshell-sandb".to_owned()
        },
        exe: text("openshell-sandbox"),
        pid: Some(4_711),
        chain: Vec::new(),
        capability: capability.to_owned(),
        number,
        layer: if by_profile { "apparmor" } else { "commoncap" }.to_owned(),
        reason: text("not_effective").filter(|_| !by_profile),
        profile: text(if row == 4 {
            HOSTILE[1]
        } else {
            "unprivileged_userns"
        })
        .filter(|_| by_profile),
        namespace: None,
        target_namespace: Some(4_026_532_577),
        audited: "yes".to_owned(),
        expected,
        own_credentials: true,
        via: "security_capable".to_owned(),
        count: 41 * (row + 1),
        exact: row != 3,
        logged: None,
        leftover: None,
        first: Stamp(now.0 - 7_200 * SECOND),
        last: Stamp(now.0 - row * 95 * SECOND),
        explanation: if expected {
            "setuid(0) must fail after the drop: a rule expects it.".to_owned()
        } else if by_profile {
            format!("AppArmor refused {capability}: the profile does not allow it.")
        } else {
            format!("The kernel refused {capability}: it is not in the effective set.")
        },
    }
}

pub fn hooks() -> Vec<HookReport> {
    [
        ("security_capable", true, None),
        ("cap_capable", true, None),
        ("aa_capable", true, None),
        ("cap_task_prctl", true, None),
        ("sched_process_exec", true, None),
        (
            "selinux_capable",
            false,
            Some("the symbol is not in this kernel's BTF"),
        ),
    ]
    .into_iter()
    .map(|(hook, attached, reason)| HookReport {
        hook: hook.to_owned(),
        mechanism: Some(if hook.starts_with("sched") {
            Mechanism::Tracepoint
        } else {
            Mechanism::Fexit
        }),
        attached,
        needed: true,
        reason: reason.map(str::to_owned),
    })
    .collect()
}

pub fn sources() -> Vec<SourceReport> {
    let source = |name: &str, up, records, reason: Option<&str>| SourceReport {
        name: name.to_owned(),
        up,
        records,
        lost: 0,
        malformed: 0,
        reason: reason.map(str::to_owned),
    };
    vec![
        source("netlink", true, 1_204, None),
        source(
            "kmsg",
            false,
            0,
            Some("auditd takes the records; nothing is written to the kernel log"),
        ),
    ]
}

fn host() -> Host {
    Host {
        kernel: "6.12.48+deb13-amd64".to_owned(),
        lsm: ["lockdown", "capability", "yama", "apparmor"]
            .map(str::to_owned)
            .to_vec(),
        boot_id: "6f1c7a52-37f4-4f1a-9d49-3e1f4bb1e0de".to_owned(),
    }
}

/// A sandbox without Landlock, as of a kernel before 5.13.
fn sandbox() -> Told {
    let text = r#"{"mode":"auto","state":"partial","lapses":[{"part":"landlock","why":
        "the kernel lacks it, or lsm= does not list it","what":"files are not restricted","remedy":
        "boot with landlock in lsm="}]}"#;
    serde_json::from_str(text).expect("it is a sandbox")
}

pub fn status(now: Stamp, started: Stamp) -> Status {
    Status {
        pins: None,
        sandbox: sandbox(),
        schema: STATUS_SCHEMA.to_owned(),
        version: "0.2.0".to_owned(),
        ready: true,
        reason: None,
        now,
        started,
        node: "worker-7".to_owned(),
        host: host(),
        hooks: hooks(),
        sources: sources(),
        lost: BTreeMap::from([("events".to_owned(), 0), ("ring_full".to_owned(), 0)]),
        sight: Sight::default(),
    }
}

pub fn supervisors(now: Stamp) -> Vec<Supervisor> {
    [
        ("openshell", OLD),
        ("openshell", OLD),
        ("openshell", NEW),
        ("crun", DIGEST),
        ("conmon", DIGEST),
    ]
    .into_iter()
    .zip(3_990..)
    .map(|((supervisor, version), pid)| Supervisor {
        supervisor: supervisor.to_owned(),
        pid,
        exe: text(supervisor),
        version: text(version),
        container: container(version),
        since: Stamp(now.0 - 3_600 * SECOND),
    })
    .collect()
}

pub fn report(episodes: Vec<Episode>, now: Stamp) -> Report {
    let denials: Vec<_> = (0..7).map(|row| denial(row, now)).collect();
    Report {
        schema: REPORT_SCHEMA.to_owned(),
        counts: Counts::of(&episodes, &denials),
        host: host(),
        hooks: hooks(),
        sources: sources(),
        lost: BTreeMap::from([("events".to_owned(), 0)]),
        command: None,
        scope: None,
        denials,
        episodes,
        rule_refusals: Vec::new(),
        others: Vec::new(),
        log: None,
        notes: Vec::new(),
        failed_on: Vec::new(),
        audit: Audit {
            records: 1_204,
            matched: 1_100,
            ebpf_only: 96,
            audit_only: 8,
            malformed: 0,
            leftovers: BTreeMap::new(),
        },
        sight: Sight::default(),
    }
}
