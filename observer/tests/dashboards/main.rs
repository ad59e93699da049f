//! The dashboards keep the rules of Grafana's dashboard-linter that apply, and
//! every expression of panels, annotations, variables and rules parses and
//! names metrics of the reference only.

mod colours;
mod panels;
mod queries;
mod rules;
mod variables;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

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
