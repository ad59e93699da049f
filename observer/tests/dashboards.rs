//! The dashboards keep the rules of Grafana's dashboard-linter that apply, and
//! every expression of panels, annotations, variables and rules parses and
//! names metrics of the reference only.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, VectorSelector};
use serde_json::Value;

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

/// Grafana's units; `suffix:…` shows the word behind the number.
const UNITS: [&str; 9] = [
    "short",
    "s",
    "percentunit",
    "bytes",
    "suffix:calls",
    "suffix:denials",
    "suffix:drops",
    "suffix:episodes",
    "suffix:running",
];
const UNITS_OF_HEALTH: [&str; 3] = ["suffix:events", "suffix:records", "suffix:runs/s"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

fn dashboards() -> Vec<(String, Value)> {
    ["overview", "denials", "health"]
        .into_iter()
        .map(|name| {
            let path = folder().join(format!("grafana/dashboards/{name}.json"));
            let text = fs::read_to_string(path).unwrap();
            (name.to_owned(), serde_json::from_str(&text).unwrap())
        })
        .collect()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Grafana's variables as a parser takes them.
fn parse(expr: &str) -> Expr {
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
fn selectors<'a>(
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

fn known(name: &str, recorded: &BTreeSet<String>) -> bool {
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
fn dashboards_have_their_variables_and_links() {
    let mut ids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["schemaVersion"], 42, "{name}");
        assert_eq!(dashboard["editable"], false, "{name}");
        assert!(
            ids.insert(text(&dashboard, "uid").to_owned()),
            "{name}: its uid is another's"
        );
        assert!(
            !text(&dashboard, "title").is_empty() && !text(&dashboard, "description").is_empty()
        );
        assert_eq!(list(&dashboard, "/links")[0]["includeVars"], true, "{name}");
        let variables = list(&dashboard, "/templating/list");
        let names: Vec<&str> = variables.iter().map(|one| text(one, "name")).collect();
        assert_eq!(
            names,
            ["datasource", "job", "instance", "supervisor"],
            "{name}"
        );
        let source = &variables[0];
        assert_eq!(
            (
                text(source, "type"),
                text(source, "query"),
                text(source, "label")
            ),
            ("datasource", "prometheus", "Data source")
        );
        for variable in &variables[1..] {
            let place = format!("{name}, variable {}", text(variable, "name"));
            assert_eq!(text(variable, "type"), "query", "{place}");
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{place}");
            assert_eq!(
                (
                    &variable["multi"],
                    text(variable, "allValue"),
                    &variable["refresh"]
                ),
                (&Value::Bool(true), ".+", &Value::from(2)),
                "{place}"
            );
            let query = variable["query"]["query"].as_str().unwrap();
            let (selector, label) = query
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(')'))
                .and_then(|rest| rest.rsplit_once(", "))
                .unwrap_or_else(|| panic!("{place}: {query}"));
            assert_eq!(label, text(variable, "name"), "{place}");
            parse(selector);
        }
    }
}

#[test]
fn panels_are_described_and_do_not_overlap() {
    for (name, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        let mut titles = BTreeSet::new();
        let mut cells = BTreeSet::new();
        for panel in list(&dashboard, "/panels") {
            let place = format!("{name}, panel {}", text(panel, "title"));
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{place}: its id is another's"
            );
            assert!(
                titles.insert(text(panel, "title").to_owned()),
                "{place}: its title is another's"
            );
            let at = |key: &str| {
                panel["gridPos"][key]
                    .as_u64()
                    .unwrap_or_else(|| panic!("{place}: no {key} on the grid"))
            };
            assert!(at("x") + at("w") <= 24, "{place} stands out");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(cells.insert((x, y)), "{place} overlaps another");
                }
            }
            if text(panel, "type") == "row" {
                continue;
            }
            assert!(
                !text(panel, "title").is_empty() && !text(panel, "description").is_empty(),
                "{place} wants words"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{place}");
            let unit = panel["fieldConfig"]["defaults"]["unit"]
                .as_str()
                .unwrap_or_default();
            match text(panel, "type") {
                // Its values are words.
                "state-timeline" => {
                    let words = list(panel, "/fieldConfig/defaults/mappings");
                    assert!(unit == "none" && !words.is_empty(), "{place}");
                }
                // A bare number says in its title or heading what it counts; an axis has no title.
                "stat" | "gauge" | "table" => assert!(UNITS.contains(&unit), "{place}: {unit:?}"),
                _ => assert!(
                    unit != "short" && (UNITS.contains(&unit) || UNITS_OF_HEALTH.contains(&unit)),
                    "{place} has the unit {unit:?}"
                ),
            }
        }
    }
}

/// A number has its noun above it, everything else the one question that it answers.
#[test]
fn a_panel_answers_one_question() {
    for (name, dashboard) in dashboards() {
        for panel in list(&dashboard, "/panels") {
            let title = text(panel, "title");
            let asked = match text(panel, "type") {
                "row" | "stat" | "gauge" => 0,
                _ => 1,
            };
            let place = format!("{name}, panel {title}");
            assert_eq!(title.matches('?').count(), asked, "{place}");
            assert_eq!(title.ends_with('?'), asked == 1, "{place}");
            // Uncut on a phone, and four of a row on a screen.
            assert!(title.len() <= 48, "{place} is too long");
        }
    }
}

/// The hue of `#rrggbb` in the words of a dashboard.
fn hue(colour: &str) -> &'static str {
    let part = |at: usize| i32::from_str_radix(&colour[at..at + 2], 16).unwrap();
    let [red, green, blue] = [1, 3, 5].map(part);
    let (least, most) = (red.min(green).min(blue), red.max(green).max(blue));
    let sector = |one: i32, other: i32| 60 * (one - other) / (most - least).max(1);
    let degrees = match most {
        most if most == red => sector(green, blue),
        most if most == green => 120 + sector(blue, red),
        _ => 240 + sector(red, green),
    };
    match degrees.rem_euclid(360) {
        0..15 | 345.. => "red",
        15..50 => "orange",
        90..170 => "green",
        190..235 => "blue",
        250..300 => "purple",
        _ => "none",
    }
}

/// The page's colours, of light and dark, and the terminal's.
#[test]
fn page_and_terminal_have_the_colours_of_the_dashboards() {
    use observer::{finding::Verdict, outputs::color::verdict as painted};
    let css = fs::read_to_string(folder().join("../observer/src/outputs/web/assets/page.css"));
    let css = css.unwrap();
    for (verdict, colour) in VERDICTS {
        let variable = format!("--{verdict}: ");
        let values: Vec<_> = css
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&variable)?.strip_suffix(';'))
            .collect();
        assert_eq!(values.len(), 2, "{verdict} in light and dark: {values:?}");
        for value in values {
            assert_eq!(hue(value), colour, "--{verdict}: {value}");
        }
        // A terminal's eight colours have no orange, and its blue can't be read on black.
        let code = match colour {
            "red" => "31",
            "orange" => "33",
            "green" => "32",
            "blue" => "36",
            _ => "35",
        };
        let one = Verdict::ALL.into_iter().find(|one| one.as_str() == verdict);
        let text = painted(one.unwrap(), true);
        assert!(text.contains(&format!("{code}m{verdict}")), "{text:?}");
    }
}

const VERDICTS: [(&str, &str); 5] = [
    ("fatal", "red"),
    ("degraded", "orange"),
    ("pending", "purple"),
    ("harmless", "blue"),
    ("ok", "green"),
];

/// Where a panel is about one verdict, it has that verdict's colour.
#[test]
fn a_verdict_has_one_colour() {
    let mut about = 0;
    for (name, dashboard) in dashboards() {
        for panel in list(&dashboard, "/panels") {
            let place = format!("{name}, panel {}", text(panel, "title"));
            let first = text(panel, "title").to_lowercase();
            let verdict = VERDICTS
                .iter()
                .find(|(verdict, _)| first.split(' ').next() == Some(*verdict));
            if let Some((_, colour)) = verdict.filter(|_| text(panel, "type") == "stat") {
                let steps = list(panel, "/fieldConfig/defaults/thresholds/steps");
                let last = steps.last().map(|step| text(step, "color"));
                assert_eq!(last, Some(*colour), "{place}");
                about += 1;
            }
            for rule in list(panel, "/fieldConfig/overrides") {
                let pattern = text(&rule["matcher"], "options");
                for (verdict, colour) in VERDICTS {
                    if pattern.contains(&format!("b{verdict}\\")) {
                        let fixed = rule.pointer("/properties/0/value/fixedColor");
                        assert_eq!(fixed.and_then(Value::as_str), Some(colour), "{place}");
                        about += 1;
                    }
                }
            }
            // A series that is named by a verdict has its colour, too.
            let named = list(panel, "/targets")
                .iter()
                .any(|target| text(target, "legendFormat").contains("{{verdict}}"));
            let rules = list(panel, "/fieldConfig/overrides").len();
            assert!(!named || rules == VERDICTS.len(), "{place}");
        }
    }
    assert!(about > 12, "{about} places");
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

#[test]
fn nothing_takes_the_place_of_what_grafana_has() {
    let source =
        fs::read_to_string(folder().join("grafana/provisioning/datasources/capwatch.yml")).unwrap();
    assert!(source.contains("isDefault: false"), "{source}");
    assert!(source.contains("name: capwatch "), "{source}");
    for (name, dashboard) in dashboards() {
        assert!(text(&dashboard, "uid").starts_with("capwatch-"), "{name}");
        let variables = list(&dashboard, "/templating/list");
        let of_data = variables
            .iter()
            .find(|variable| text(variable, "type") == "datasource");
        // Without a value Grafana takes the first Prometheus that it knows.
        let current = of_data.and_then(|variable| variable.get("current"));
        assert_eq!(current, None, "{name} asks the default source");
    }
}
