//! Panels: their places, titles and units.

use std::collections::BTreeSet;

use crate::{dashboards, list, text};

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
