//! Rules of Prometheus, and the runbook of the alerts.

use std::collections::BTreeSet;
use std::fs;

use crate::{
    folder,
    queries::{known, parse, selectors},
};

/// The expressions of a file of rules: plain scalars and blocks after `expr:`.
fn rules(file: &str) -> (Vec<String>, BTreeSet<String>) {
    let text = fs::read_to_string(folder().join("prometheus").join(file)).unwrap();
    let recorded = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: ").map(str::to_owned))
        .collect();
    let mut expressions = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(rest) = line.trim().strip_prefix("expr: ") else {
            continue;
        };
        if rest != "|" {
            expressions.push(rest.to_owned());
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let mut block = String::new();
        while let Some(next) = lines.next_if(|next| next.len() - next.trim_start().len() > indent) {
            block.push_str(next.trim());
            block.push('\n');
        }
        expressions.push(block);
    }
    (expressions, recorded)
}

#[test]
fn rules_parse_and_name_metrics_that_exist() {
    let (recordings, recorded) = rules("capwatch.rules.yml");
    let (alerts, _) = rules("capwatch.alerts.yml");
    assert_eq!((recordings.len(), alerts.len()), (5, 14));
    for expr in recordings.iter().chain(&alerts) {
        let parsed = parse(expr);
        let mut found = Vec::new();
        selectors(&parsed, &[], &mut found);
        for (selector, _) in found {
            let name = selector.name.as_deref().unwrap_or_default();
            assert!(known(name, &recorded), "there is no metric {name}: {expr}");
        }
    }
}

#[test]
fn a_section_of_the_runbook_begins_with_a_command_and_the_impact() {
    let runbook = fs::read_to_string(folder().join("../docs/runbook.md")).unwrap();
    let alerts = fs::read_to_string(folder().join("prometheus/capwatch.alerts.yml")).unwrap();
    let alerts: Vec<&str> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(!alerts.is_empty());
    for alert in alerts {
        let section = section(&runbook, alert);
        let mut lines = section.lines().filter(|line| !line.is_empty());
        let command = lines.next().unwrap_or_default();
        assert!(command.starts_with("    ssh "), "{alert}: {command}");
        let impact = lines.next().unwrap_or_default();
        assert!(impact.starts_with("**Impact.** "), "{alert}: {impact}");
    }
    let fixes = section(&runbook, "CapwatchSupervisorDropFailed");
    for fix in [
        "ssh -NL 11400:127.0.0.1:11400 NODE",
        "podman run --cap-add SETPCAP",
        "docker run --cap-add SETPCAP",
        "cap_add: [SETPCAP]",
        "securityContext: {capabilities: {add: [SETPCAP]}}",
        "AmbientCapabilities=CAP_SETPCAP",
        "apparmor_parser -r /etc/apparmor.d/PROFILE",
        "audit2allow -M",
    ] {
        assert!(fixes.contains(fix), "{fix}");
    }
}

/// A section of the second level without its heading.
fn section<'a>(document: &'a str, title: &str) -> &'a str {
    let heading = format!("\n## {title}\n");
    let (_, rest) = document
        .split_once(&heading)
        .unwrap_or_else(|| panic!("no section {title}"));
    rest.split("\n## ").next().unwrap_or(rest)
}
