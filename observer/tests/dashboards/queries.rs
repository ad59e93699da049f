//! The expressions of panels and annotations.

use std::collections::BTreeSet;

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, VectorSelector};
use serde_json::Value;

use crate::{dashboards, list, text};

/// The metrics of the agent, without prefix and the suffixes of histograms.
const METRICS: [&str; 29] = [
    "denials_total",
    "rule_refusals_total",
    "lsm_denials_total",
    "bounding_drops_total",
    "bounding_drop_episodes_total",
    "bounding_drops_skipped_total",
    "bounding_drops_pending",
    "residual_capabilities",
    "supervisors",
    "supervisor_info",
    "supervisor_inferred",
    "audit_denials_total",
    "audit_matches_total",
    "last_failed_drop_timestamp_seconds",
    "build_info",
    "hook_attached",
    "source_up",
    "events_lost_total",
    "audit_malformed_total",
    "series_overflow_total",
    "program_runs_total",
    "program_run_seconds_total",
    "event_latency_seconds",
    "event_latency_seconds_bucket",
    "event_latency_seconds_sum",
    "scrape_duration_seconds",
    "sight",
    "walk_comparisons_total",
    "walk_disagreements_total",
];

/// Grafana's variables as a parser takes them.
pub fn parse(expr: &str) -> Expr {
    let mut filled = expr.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "5m"),
        ("$__range_s", "3600"),
        ("$__range", "1h"),
        ("$__interval", "1m"),
    ] {
        filled = filled.replace(variable, value);
    }
    parser::parse(&filled).unwrap_or_else(|error| panic!("{expr}: {error}"))
}

/// Every selector of an expression with the names of the calls around it.
pub fn selectors<'a>(
    expr: &'a Expr,
    calls: &[&'a str],
    found: &mut Vec<(&'a VectorSelector, Vec<&'a str>)>,
) {
    match expr {
        Expr::Aggregate(aggregate) => {
            selectors(&aggregate.expr, calls, found);
            if let Some(parameter) = &aggregate.param {
                selectors(parameter, calls, found);
            }
        }
        Expr::Unary(unary) => selectors(&unary.expr, calls, found),
        Expr::Binary(binary) => {
            selectors(&binary.lhs, calls, found);
            selectors(&binary.rhs, calls, found);
        }
        Expr::Paren(paren) => selectors(&paren.expr, calls, found),
        Expr::Subquery(subquery) => selectors(&subquery.expr, calls, found),
        Expr::VectorSelector(selector) => found.push((selector, calls.to_vec())),
        Expr::MatrixSelector(matrix) => found.push((&matrix.vs, calls.to_vec())),
        Expr::Call(call) => {
            let inner: Vec<&str> = calls.iter().copied().chain([call.func.name]).collect();
            for argument in &call.args.args {
                selectors(argument, &inner, found);
            }
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

pub fn known(name: &str, recorded: &BTreeSet<String>) -> bool {
    name == "up"
        || ["process_cpu_seconds_total", "process_resident_memory_bytes"].contains(&name)
        || recorded.contains(name)
        || name
            .strip_prefix("capwatch_")
            .is_some_and(|rest| METRICS.contains(&rest))
}

fn matches(selector: &VectorSelector, label: &str, variable: &str) -> bool {
    selector.matchers.matchers.iter().any(|matcher| {
        matcher.name == label && matches!(matcher.op, MatchOp::Re(_)) && matcher.value == variable
    })
}

/// What holds for every query of a dashboard.
fn lint_query(place: &str, expr: &str) {
    let parsed = parse(expr);
    let mut found = Vec::new();
    selectors(&parsed, &[], &mut found);
    assert!(!found.is_empty(), "{place} asks for nothing: {expr}");
    for (selector, calls) in found {
        let name = selector.name.as_deref().unwrap_or_default();
        assert!(
            known(name, &BTreeSet::new()),
            "{place}: there is no metric {name}"
        );
        assert!(
            matches(selector, "job", "$job"),
            "{place}: no job=~\"$job\" at {name}"
        );
        assert!(
            matches(selector, "instance", "$instance"),
            "{place}: no instance=~\"$instance\" at {name}"
        );
        let rate = calls
            .iter()
            .any(|call| ["rate", "irate", "increase"].contains(call));
        let counts = name.ends_with("_total") || name.ends_with("_bucket");
        // What a series was born with is no increase: see `grown` in parts.mjs.
        let born = expr.contains(" unless ") && expr.contains(" offset ");
        assert!(
            counts == rate || (counts && born),
            "{place}: counters, and only they, want a rate: {name}"
        );
    }
    for call in ["rate(", "changes("] {
        for part in expr.split(call).skip(1) {
            let range = part.split_once('[').map(|(_, rest)| rest.split(']').next());
            assert_eq!(
                range,
                Some(Some("$__rate_interval")),
                "{place}: {call} wants $__rate_interval: {expr}"
            );
        }
    }
}

#[test]
fn queries_parse_and_keep_the_rules() {
    for (name, dashboard) in dashboards() {
        for panel in list(&dashboard, "/panels") {
            let mut ids = BTreeSet::new();
            let targets = list(panel, "/targets");
            assert_eq!(targets.is_empty(), text(panel, "type") == "row", "{name}");
            for target in targets {
                let place = format!("{name}, panel {}", text(panel, "title"));
                assert!(
                    ids.insert(text(target, "refId").to_owned()),
                    "{place}: a refId is there twice"
                );
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}");
                lint_query(&place, text(target, "expr"));
            }
        }
        for annotation in list(&dashboard, "/annotations/list") {
            if let Some(expr) = annotation.pointer("/target/expr").and_then(Value::as_str) {
                lint_query(
                    &format!("{name}, annotation {}", text(annotation, "name")),
                    expr,
                );
            }
        }
    }
}
