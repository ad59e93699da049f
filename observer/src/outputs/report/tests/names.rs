//! Names stay names: none is markup of a form, or a command of a runner.

use super::{episode, junit, report, shown};
use crate::{
    finding::{Command, Gate, Verdict},
    outputs::report::{Form, Style, write},
};

#[test]
fn markdown() {
    insta::assert_snapshot!(shown(Form::Markdown, &report()));
}

#[test]
fn names_stay_names() {
    let text = shown(Form::Text, &report());
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    let markdown = shown(Form::Markdown, &report());
    assert!(!markdown.contains("<b>"), "{markdown}");
    for row in markdown.lines().filter(|line| line.starts_with('|')) {
        let mut cells = 0;
        let mut before = ' ';
        for character in row.chars() {
            cells += usize::from(character == '|' && before != '\\');
            before = match (before, character) {
                ('\\', '\\') => ' ',
                (_, character) => character,
            };
        }
        assert!([8, 12].contains(&cells), "{cells}: {row}");
    }
    let xml = junit(&report(), &Gate::failed_drops());
    let document = roxmltree::Document::parse(&xml).unwrap();
    let seen = "\\u{1b}[31m<b>|`*_](\\u{a}]]>\\u{202e}\\u{ffff}&'\"\\|";
    let name = format!("{seen} empties its bounding set");
    let mut nodes = document.descendants();
    assert!(nodes.any(|node| node.attribute("name") == Some(&name)));
}

/// What `record` prints is read by the runner that ran it.
#[test]
fn no_name_gives_a_runner_a_command() {
    for name in ["::error::forged", "##[error]forged", "##vso[task.x]forged"] {
        let mut report = report();
        report.episodes = vec![episode(Verdict::Fatal, name)];
        report.episodes[0].explanation = format!("{name} could not drop chown");
        report.command = Some(Command {
            argv: vec![name.to_owned()],
            exit_code: 0,
            duration_seconds: 0.1,
        });
        for form in [Form::Text, Form::Json, Form::Markdown, Form::Junit] {
            let mut out = Vec::new();
            let gate = Gate::failed_drops();
            let style = Style {
                form,
                color: false,
                columns: Some(40),
                gate: &gate,
            };
            write(&mut out, &report, style).unwrap();
            let text = String::from_utf8(out).unwrap();
            for line in text.lines() {
                let obeyed = line.trim_start().starts_with("::")
                    || ["##[", "##vso["].iter().any(|mark| line.contains(mark));
                assert!(!obeyed, "{form:?}: {line}");
            }
            if form == Form::Json {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(value["episodes"][0]["comm"], name);
            }
        }
    }
}
