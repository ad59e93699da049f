//! The text form: its goldens, widths and colours.

use super::{denial, report, shown, shown_at};
use crate::{
    finding::{Audit, Counts, Denial, Gate, Report},
    outputs::report::{Form, Style, write},
    sight::Sight,
};

#[test]
fn text() {
    insta::assert_snapshot!(shown(Form::Text, &report()));
}

/// A report as a busy host has it, with names that are all of one word.
fn ordinary() -> Report {
    let mut report = report();
    report.command = None;
    report.failed_on.clear();
    report.episodes.remove(1);
    report.denials.pop();
    report.denials.push(Denial {
        supervisor: Some("openshell".to_owned()),
        role: Some("workload".to_owned()),
        capability: "checkpoint_restore".to_owned(),
        layer: "commoncap".to_owned(),
        reason: Some("not_effective".to_owned()),
        profile: None,
        audited: "unknown".to_owned(),
        ..denial("tokio-rt-worker", 1_234_567, false)
    });
    report.episodes[0].explanation = "A sentence of some words, twice as long as ".repeat(4);
    report
}

#[test]
fn text_fits_a_terminal_of_80_columns_and_loses_nothing() {
    let text = shown_at(Some(80), Form::Text, &ordinary());
    for line in text.lines() {
        assert!(crate::outputs::fit::width(line) <= 80, "{line}");
    }
    for wanted in [
        "still in set: chown, fowner, setgid and 2 more",
        "0.0.73",
        "checkpoint_",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn text_uses_the_room_of_200_columns() {
    let text = shown_at(Some(200), Form::Text, &ordinary());
    assert!(
        text.contains("chown, fowner, setgid, setuid, net_raw\n"),
        "{text}"
    );
    assert!(!text.contains("still in set:"), "a line a process: {text}");
    insta::assert_snapshot!(text);
}

#[test]
fn text_of_nothing() {
    let mut nothing = report();
    nothing.episodes.clear();
    nothing.denials.clear();
    nothing.counts = Counts::default();
    nothing.hooks.clear();
    nothing.sources.clear();
    nothing.lost.clear();
    nothing.failed_on.clear();
    nothing.audit = Audit::default();
    nothing.command = None;
    nothing.sight = Sight::default();
    insta::assert_snapshot!(shown(Form::Text, &nothing), @r"
    capwatch: no bounding-set drops; no capability denials
      kernel 6.12.48, LSMs landlock, apparmor
      sight: complete
    ");
}

#[test]
fn text_in_colour_is_the_same_text() {
    let mut out = Vec::new();
    let style = Style {
        form: Form::Text,
        color: true,
        columns: None,
        gate: &Gate::default(),
    };
    write(&mut out, &report(), style).unwrap();
    let coloured = String::from_utf8(out).unwrap();
    assert!(coloured.contains("\u{1b}[1;31mfatal   \u{1b}[0m"));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, escape)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = escape.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, shown(Form::Text, &report()));
}
