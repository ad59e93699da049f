//! Variables, links and the source of data.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::{dashboards, folder, list, queries::parse, text};

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
