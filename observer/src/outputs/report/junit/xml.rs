//! Suites and cases as XML.

use std::{collections::HashMap, fmt::Write as _};

use super::Origin;
use crate::{clean::clean, finding::Report, outputs::report::words};

/// What came of a case.
pub(super) enum Outcome {
    Passed,
    Failed { kind: String, message: String },
    Skipped(String),
}

pub(super) struct Case {
    pub(super) class: String,
    pub(super) name: String,
    pub(super) seconds: f64,
    pub(super) outcome: Outcome,
}

pub(super) struct Suite {
    pub(super) name: &'static str,
    pub(super) cases: Vec<Case>,
}

impl Suite {
    /// Cases of the same name are numbered: services keep one of each name.
    pub(super) fn new(name: &'static str, mut cases: Vec<Case>) -> Self {
        let mut seen: HashMap<(String, String), usize> = HashMap::new();
        for case in &mut cases {
            let key = (case.class.clone(), case.name.clone());
            let number = seen.entry(key).or_default();
            *number += 1;
            if *number > 1 {
                case.name = format!("{} ({number})", case.name);
            }
        }
        Self { name, cases }
    }

    pub(super) fn write(
        &self,
        xml: &mut String,
        id: usize,
        report: &Report,
        origin: &Origin,
    ) -> std::fmt::Result {
        let count = |wanted: fn(&Outcome) -> bool| {
            let cases = self.cases.iter();
            cases.filter(|case| wanted(&case.outcome)).count()
        };
        let seconds: f64 = self.cases.iter().map(|case| case.seconds).sum();
        writeln!(
            xml,
            "  <testsuite id=\"{id}\" package=\"capwatch\" name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" \
             skipped=\"{}\" time=\"{seconds:.6}\" timestamp=\"{}\" hostname=\"{}\">",
            self.name,
            self.cases.len(),
            count(|outcome| matches!(outcome, Outcome::Failed { .. })),
            count(|outcome| matches!(outcome, Outcome::Skipped(_))),
            escape(&origin.time),
            escape(&origin.host),
        )?;
        writeln!(xml, "    <properties>")?;
        let (host, counts) = (&report.host, &report.counts);
        for (name, value) in [
            ("capwatch.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("kernel", host.kernel.clone()),
            ("lsm", host.lsm.join(",")),
            ("capwatch.episodes", counts.episodes.all.to_string()),
            (
                "capwatch.episodes.listed",
                counts.episodes.shown.to_string(),
            ),
            ("capwatch.denials", counts.denials.all.to_string()),
            ("capwatch.denials.rows", counts.denials.rows.to_string()),
            (
                "capwatch.denials.rows.listed",
                counts.denials.rows_shown.to_string(),
            ),
        ] {
            let value = escape(&value);
            writeln!(xml, "      <property name=\"{name}\" value=\"{value}\"/>")?;
        }
        write_scope(xml, report)?;
        writeln!(xml, "    </properties>")?;
        for case in &self.cases {
            case.write(xml)?;
        }
        writeln!(xml, "    <system-out></system-out>")?;
        writeln!(xml, "    <system-err></system-err>")?;
        writeln!(xml, "  </testsuite>")
    }
}

/// Whose findings they are, where a command was recorded.
fn write_scope(xml: &mut String, report: &Report) -> std::fmt::Result {
    let Some(scope) = &report.scope else {
        return Ok(());
    };
    let chosen = std::iter::once(("capwatch.scope", scope.chosen.as_str().to_owned()));
    let taken_in = words::taken_in(report).into_iter();
    for (name, value) in chosen.chain(taken_in.map(|line| ("capwatch.taken_in", line))) {
        let value = escape(&value);
        writeln!(xml, "      <property name=\"{name}\" value=\"{value}\"/>")?;
    }
    Ok(())
}

impl Case {
    pub(super) fn write(&self, xml: &mut String) -> std::fmt::Result {
        let (class, name) = (escape(&self.class), escape(&self.name));
        write!(
            xml,
            "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{:.6}\"",
            self.seconds
        )?;
        match &self.outcome {
            Outcome::Passed => writeln!(xml, "/>"),
            Outcome::Failed { kind, message } => {
                let (kind, message) = (escape(kind), escape(message));
                writeln!(
                    xml,
                    ">\n      <failure type=\"{kind}\" message=\"{message}\">{message}</failure>\n    </testcase>"
                )
            }
            Outcome::Skipped(why) => {
                let why = escape(why);
                writeln!(
                    xml,
                    ">\n      <skipped message=\"{why}\"/>\n    </testcase>"
                )
            }
        }
    }
}

/// Text for an attribute or an element. What XML can't hold at all is shown as
/// its number.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for character in clean(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => safe.extend(character.escape_unicode()),
            _ => safe.push(character),
        }
    }
    safe
}
