//! Records in every form, beside what they say. `UPDATE_GOLDEN=1` writes them again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use observer::audit::{Tally, replay_records};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audit")
}

fn names() -> BTreeSet<String> {
    std::fs::read_dir(directory())
        .expect("the goldens")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .filter_map(|name| name.strip_suffix(".in").map(str::to_owned))
        .collect()
}

fn replay(name: &str, all: bool) -> (String, Tally) {
    let input = std::fs::read(directory().join(format!("{name}.in"))).expect("a golden");
    let mut out = Vec::new();
    let tally = replay_records(&input[..], all, &mut out).expect("no failure to read memory");
    (String::from_utf8(out).expect("JSON is UTF-8"), tally)
}

#[test]
fn every_form_says_what_its_golden_says() {
    for name in names() {
        let path = directory().join(format!("{name}.out"));
        let (found, tally) = replay(&name, false);
        assert_eq!(
            tally.read,
            tally.records + tally.foreign + tally.malformed,
            "{name}"
        );
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &found).expect("the golden is written");
        }
        let wanted = std::fs::read_to_string(&path).expect("a golden's other half");
        for (found, wanted) in found.lines().zip(wanted.lines()) {
            assert_eq!(found, wanted, "{name}");
        }
        assert_eq!(found.lines().count(), wanted.lines().count(), "{name}");
    }
}

#[test]
fn every_golden_names_its_origin() {
    let origins = std::fs::read_to_string(directory().join("README.md")).expect("the origins");
    for name in names() {
        assert!(
            origins.contains(&format!("| `{name}` |")),
            "{name} has no line in README.md"
        );
    }
}

/// What is before a record changes nothing.
#[test]
fn every_prefix_gives_the_same_record() {
    let (found, tally) = replay("prefixes", true);
    assert_eq!((tally.foreign, tally.malformed), (0, 0));
    let without_line: BTreeSet<String> = found
        .lines()
        .map(|line| {
            let mut object: serde_json::Value = serde_json::from_str(line).expect("an object");
            object["line"] = serde_json::Value::Null;
            object.to_string()
        })
        .collect();
    assert_eq!(without_line.len(), 1, "{without_line:#?}");
}

#[test]
fn foreign_and_broken_lines_are_all_there_is_in_their_goldens() {
    let (_, tally) = replay("foreign", false);
    assert_eq!(tally.foreign, tally.read);
    let (_, tally) = replay("malformed", false);
    assert_eq!(tally.malformed, tally.read);
}
