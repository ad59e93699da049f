//! A verdict's colour is the same on dashboards, page and terminal.

use std::fs;

use serde_json::Value;

use crate::{dashboards, folder, list, text};

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
