//! `JUnit` XML: what fails in it, and the schemas that it fits.

use super::{junit, report};
use crate::finding::{FailOn, Gate};

#[test]
fn junit_xml() {
    insta::assert_snapshot!(junit(&report(), &Gate::failed_drops()));
}

#[test]
fn junit_fails_what_the_gate_stops_and_counts_it() {
    let everything = Gate {
        fail_on: vec![FailOn::Fatal, FailOn::Denied],
        role: None,
    };
    for (gate, failures) in [
        (Gate::failed_drops(), 1 + 3),
        // The command, the fatal episode, and two denials that nothing expects.
        (everything, 1 + 1 + 2),
        (Gate::default(), 1),
    ] {
        let text = junit(&report(), &gate);
        let document = roxmltree::Document::parse(&text).unwrap();
        let all = |name: &str| {
            let nodes = document.descendants();
            nodes.filter(|node| node.has_tag_name(name)).count()
        };
        assert_eq!(all("failure"), failures);
        let suites = document.descendants();
        let suites = suites.filter(|node| node.has_tag_name("testsuite"));
        for suite in suites {
            let below = |name: &str| {
                let nodes = suite.descendants();
                nodes.filter(|node| node.has_tag_name(name)).count()
            };
            for (attribute, element) in [
                ("tests", "testcase"),
                ("failures", "failure"),
                ("skipped", "skipped"),
            ] {
                let said = suite.attribute(attribute).unwrap().parse();
                assert_eq!(said, Ok(below(element)), "{attribute}");
            }
        }
    }
}

/// The rules of the two schemas in use where they are the strictest: Ant's (Windy
/// Road's `JUnit.xsd`) wants each attribute, in each suite these children in this
/// order, one result a case at most, and no attribute of `testsuites`.
#[test]
fn junit_fits_the_schemas_in_use() {
    let text = junit(&report(), &Gate::failed_drops());
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    assert_eq!(root.attributes().count(), 0);
    let suites = root.children().filter(roxmltree::Node::is_element);
    for (number, suite) in suites.enumerate() {
        assert_eq!(suite.attribute("id"), Some(number.to_string().as_str()));
        for attribute in ["package", "name", "hostname"] {
            assert!(suite.attribute(attribute).is_some_and(|it| !it.is_empty()));
        }
        for attribute in ["tests", "failures", "errors", "skipped"] {
            let value = suite.attribute(attribute).unwrap();
            assert!(value.parse::<i32>().is_ok(), "{attribute}={value}");
        }
        let time = suite.attribute("timestamp").unwrap();
        assert_eq!(time.len(), "2026-11-24T00:00:00".len());
        let children = suite.children().filter(roxmltree::Node::is_element);
        let names: Vec<_> = children.map(|child| child.tag_name().name()).collect();
        let (first, rest) = names.split_first().unwrap();
        let (cases, last) = rest.split_at(rest.len() - 2);
        assert_eq!(*first, "properties");
        assert!(cases.iter().all(|name| *name == "testcase"), "{names:?}");
        assert_eq!(last, ["system-out", "system-err"]);
    }
    for case in document
        .descendants()
        .filter(|it| it.has_tag_name("testcase"))
    {
        assert!(case.attribute("classname").is_some() && case.attribute("name").is_some());
        assert!(case.attribute("time").unwrap().parse::<f64>().is_ok());
        let results: Vec<_> = case
            .children()
            .filter(roxmltree::Node::is_element)
            .collect();
        assert!(results.len() <= 1);
        for result in results {
            let name = result.tag_name().name();
            let typed = result.attribute("type").is_some();
            assert!(name == "skipped" || (name == "failure" && typed), "{name}");
        }
    }
}
