use std::sync::Arc;

use super::*;
use crate::{config::Rules, ledger::Ledger};

fn episode(id: &str, verdict: &str, pid: u32) -> Episode {
    serde_json::from_value(serde_json::json!({
        "id": id, "verdict": verdict, "retried": false, "supervisor": "openshell",
        "role": "supervisor", "version": "registry.acme.example/alice/supervisor:0.0.73",
        "container": {
            "runtime": "podman", "id": "0123456789abcdef", "name": "acme-payroll",
            "image": "registry.acme.example/alice/supervisor:0.0.73",
            "pod": {"namespace": "payroll-prod", "name": "payroll-7", "uid": "u-1-2-3"}
        },
        "pid": pid, "ppid": 1, "comm": "openshell`\u{1b}[31m", "exe": "openshell-sandbox",
        "layer": "apparmor", "profile": "/home/bob/bin/agent", "drops": 1,
        "refused_raised": 1, "refused_lowered": 0, "unknown_capability": 0,
        "bounding_before": "0x4002811cd", "bounding_after": "0x4002811cd",
        "residual": ["chown"], "effective": "0x0", "user_namespace": {"inode": 1, "level": 1},
        "fate": "exit", "exit": {"code": 1, "signal": null}, "first_refused": "chown",
        "duration_seconds": 0.1,
        "explanation": "in container acme-payroll of pod payroll-7 at 10.1.2.3 for alice on build7: refused"
    }))
    .unwrap()
}

fn denial(comm: &str, pid: u32) -> Denial {
    serde_json::from_value(serde_json::json!({
        "supervisor": null, "role": null, "container": null, "comm": comm, "exe": null,
        "pid": pid, "capability": "net_admin", "number": 12, "layer": "apparmor",
        "reason": null, "profile": "/home/bob/x", "namespace": null, "target_namespace": null,
        "audited": "yes", "expected": false, "own_credentials": true,
        "via": "security_capable", "count": 3, "exact": true, "logged": 3, "leftover": null,
        "first": "2026-11-26T10:00:00Z", "last": "2026-11-26T10:00:00Z", "explanation": "x"
    }))
    .unwrap()
}

fn report() -> Report {
    let rules = Arc::new(Rules::load(None).unwrap());
    let mut report = Ledger::new(rules, crate::finding::Host::default(), 10)
        .report(crate::finding::Scope::Host, None);
    report.episodes = vec![
        episode("a", "ok", 7),
        episode("b", "fatal", 8),
        episode("c", "ok", 9),
    ];
    report.denials = (0..40).map(|n| denial("ip", 8 + n % 2)).collect();
    report.command = Some(crate::finding::Command {
        argv: vec!["curl".to_owned(), "--token=hunter2".to_owned()],
        exit_code: 0,
        duration_seconds: 0.0,
    });
    report
}

fn shown(pid: Option<u32>) -> String {
    let report = report();
    let mut secrets = Secrets::default();
    secrets.add_all(["alice", "build7"]);
    hide_containers(&report, &mut secrets);
    let facts = Facts::read(None).unwrap();
    let known = Known::Report(Box::new(report));
    let Known::Report(report) = &known else {
        unreachable!()
    };
    let episode = chosen(report, pid);
    block(
        &facts,
        &known,
        episode,
        pid.or(episode.map(|e| e.pid)),
        &secrets,
    )
}

#[test]
fn it_holds_what_maintainers_ask_for() {
    let block = shown(None);
    for word in [
        "LSMs:",
        "apparmor_restrict_unprivileged_userns",
        "max_user_namespaces",
        "label:",
        "CapEff:",
        "CapBnd:",
        "NoNewPrivs:",
        "Seccomp:",
        "uid_map:",
        "nosuid mounts:",
        "**Finding**: fatal by apparmor",
        "version supervisor:0.0.73",
        "first refused chown",
        "0x4002811cd",
        "exit status 1",
        "**Denials** (20)",
        "and 12 more",
    ] {
        assert!(block.contains(word), "{word} is missing:\n{block}");
    }
    assert!(block.lines().count() <= LINES, "{block}");
}

#[test]
fn nothing_secret_is_in_it() {
    let block = shown(None);
    for secret in [
        "alice",
        "bob",
        "build7",
        "acme",
        "payroll",
        "10.1.2.3",
        "hunter2",
        "curl",
        "0123456789abcdef",
        "u-1-2-3",
        "\u{1b}",
    ] {
        assert!(!block.contains(secret), "{secret} is in it:\n{block}");
    }
    assert_eq!(
        block.matches("openshell'").count(),
        1,
        "it can't end the code"
    );
}

#[test]
fn the_processes_own_episode_is_chosen_else_the_worst() {
    let report = report();
    let id = |pid| chosen(&report, pid).map(|found| found.id.as_str());
    assert_eq!(id(None), Some("b"));
    assert_eq!(id(Some(9)), Some("c"));
    assert_eq!(id(Some(10)), None);
}

#[test]
fn without_an_agent_it_says_why_and_stays_short() {
    let mut facts = Facts::read(None).unwrap();
    facts.host.kernel = "k".repeat(5_000);
    facts.status = vec![("CapEff", "0".to_owned()); 300];
    let known = Known::Nobody("nobody listens at 192.0.2.1:11400".to_owned());
    let block = block(&facts, &known, None, None, &Secrets::default());
    let lines: Vec<_> = block.lines().collect();
    assert_eq!(lines.len(), LINES);
    assert!(lines[LINES - 1].contains("more lines"));
    assert!(block.chars().count() < LINES * 410);
    facts.status.truncate(1);
    let block = super::block(&facts, &known, None, None, &Secrets::default());
    assert!(
        block.contains("no agent answered (nobody listens at …"),
        "{block}"
    );
}
