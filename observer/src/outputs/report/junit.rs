//! A report as a test report: the XML that `JUnit`'s Ant task began and every CI
//! service reads. Written to fit both schemas in use, Ant's (by Windy Road) and
//! Jenkins's: hence attributes that say little, and one result a case.

mod xml;

use xml::{Case, Outcome, Suite};

use std::collections::HashMap;

use super::words;
use crate::{
    finding::{Denial, Episode, FailOn, Gate, Report, RuleRefusal, Verdict},
    time::Stamp,
};

/// The report; what the gate stops is a failure.
pub fn render(report: &Report, gate: &Gate) -> String {
    let host = rustix::system::uname();
    let origin = Origin {
        host: host.nodename().to_string_lossy().into_owned(),
        // To the second and without a zone, as Ant's schema has it.
        time: Stamp::now().to_string().chars().take(19).collect(),
    };
    render_from(report, gate, &origin)
}

/// Where and when a report was made.
pub struct Origin {
    pub host: String,
    pub time: String,
}

/// The report, made there and then.
pub fn render_from(report: &Report, gate: &Gate, origin: &Origin) -> String {
    let suites = [
        Suite::new("command", command(report)),
        Suite::new("episodes", episodes(report, gate)),
        Suite::new("denials", denials(report, gate)),
        Suite::new("rules", refusals(report, gate)),
        Suite::new("others", others(report)),
        Suite::new("sight", sight(report, gate)),
    ];
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let present = suites.iter().filter(|suite| !suite.cases.is_empty());
    for (id, suite) in present.enumerate() {
        // Writing to a string never fails.
        let _ = suite.write(&mut xml, id, report, origin);
    }
    xml += "</testsuites>\n";
    xml
}

/// The command itself, as its exit code has it.
fn command(report: &Report) -> Vec<Case> {
    let Some(command) = &report.command else {
        return Vec::new();
    };
    let outcome = match command.exit_code {
        0 => Outcome::Passed,
        code => Outcome::Failed {
            kind: "exit".to_owned(),
            message: format!("the command ended with {code}"),
        },
    };
    vec![Case {
        class: "capwatch.command".to_owned(),
        name: command.argv.join(" "),
        seconds: command.duration_seconds,
        outcome,
    }]
}

fn episodes(report: &Report, gate: &Gate) -> Vec<Case> {
    let listed = words::worst_first(report);
    let mut cases: Vec<_> = listed.iter().map(|found| episode(found, gate)).collect();
    let stopped: HashMap<_, _> = gate
        .unlisted(report)
        .into_iter()
        .map(|(what, count)| (what.as_str(), count))
        .collect();
    for verdict in Verdict::ALL.into_iter().rev() {
        let all = report.counts.episodes.verdict(verdict);
        let listed = listed.iter().filter(|found| found.verdict == verdict);
        let unlisted = all.saturating_sub(listed.count() as u64);
        let stopped = stopped.get(verdict.as_str()).copied().unwrap_or_default();
        if stopped > 0 {
            cases.push(beyond(
                "capwatch.episodes",
                format!("{stopped} more {verdict} episodes, known by number alone"),
                Some(verdict.as_str()),
            ));
        }
        if unlisted > stopped {
            let others = unlisted - stopped;
            let name = format!("{others} more {verdict} episodes, known by number alone");
            cases.push(beyond("capwatch.episodes", name, None));
        }
    }
    cases
}

/// Findings that are not listed, in one case.
fn beyond(class: &str, name: String, failed: Option<&str>) -> Case {
    let outcome = match failed {
        Some(kind) => Outcome::Failed {
            kind: kind.to_owned(),
            message: name.clone(),
        },
        None => Outcome::Passed,
    };
    Case {
        class: class.to_owned(),
        name,
        seconds: 0.0,
        outcome,
    }
}

fn episode(episode: &Episode, gate: &Gate) -> Case {
    let owner = words::owner(episode.supervisor.as_deref(), episode.role.as_deref());
    let outcome = if gate.stops_episode(episode) {
        Outcome::Failed {
            kind: episode.verdict.to_string(),
            message: episode.explanation.clone(),
        }
    } else {
        Outcome::Passed
    };
    Case {
        class: class("episodes", &owner),
        // Without the pid: a name that stays the same has a history.
        name: format!("{} empties its bounding set", episode.comm),
        seconds: episode.duration_seconds,
        outcome,
    }
}

/// Denials are cases where they are asked for; else they are no failures, and
/// many.
fn denials(report: &Report, gate: &Gate) -> Vec<Case> {
    let denials = words::most_first(report);
    let stopped = denials.iter().filter(|found| gate.stops_denial(found));
    let mut cases: Vec<_> = stopped.map(denial).collect();
    let unlisted = gate.unlisted(report).into_iter();
    let unlisted = unlisted.filter(|(what, _)| *what == FailOn::Denied);
    cases.extend(unlisted.map(|(what, count)| {
        let name = format!("{count} more denials, known by number alone");
        beyond("capwatch.denials", name, Some(what.as_str()))
    }));
    cases
}

fn denial(denial: &Denial) -> Case {
    let owner = words::owner(denial.supervisor.as_deref(), denial.role.as_deref());
    let outcome = Outcome::Failed {
        kind: "denied".to_owned(),
        message: format!("{} times: {}", words::count(denial), denial.explanation),
    };
    Case {
        class: class("denials", &owner),
        name: format!(
            "{} is not refused {} by {}",
            denial.comm, denial.capability, denial.layer
        ),
        seconds: denial.last.seconds_since(denial.first),
        outcome,
    }
}

/// What rules refused: cases where they are asked for, as denials.
fn refusals(report: &Report, gate: &Gate) -> Vec<Case> {
    let rows = report.rule_refusals.iter();
    let stopped = rows.filter(|found| gate.stops_refusal(found));
    let case = |refusal: &RuleRefusal| {
        let owner = words::owner(refusal.supervisor.as_deref(), refusal.role.as_deref());
        let what = refusal.exe.as_deref().unwrap_or(&refusal.comm);
        Case {
            class: class("rules", &owner),
            name: format!(
                "{} of {what} is not refused: {}",
                refusal.call, refusal.rule
            ),
            seconds: refusal.last.seconds_since(refusal.first),
            outcome: Outcome::Failed {
                kind: "rule".to_owned(),
                message: format!("{} times: {}", refusal.count, refusal.explanation),
            },
        }
    };
    let mut cases: Vec<_> = stopped.map(case).collect();
    let unlisted = gate.unlisted(report).into_iter();
    let unlisted = unlisted.filter(|(what, _)| *what == FailOn::Rule);
    cases.extend(unlisted.map(|(what, count)| {
        let name = format!("{count} more calls, known by number alone");
        beyond("capwatch.rules", name, Some(what.as_str()))
    }));
    cases.extend(gate.unseen(report).map(|why| Case {
        class: "capwatch.rules".to_owned(),
        name: "a hook shows what rules refuse".to_owned(),
        seconds: 0.0,
        outcome: Outcome::Failed {
            kind: "rule".to_owned(),
            message: format!("{why}: run `capwatch doctor` for the reason"),
        },
    }));
    cases
}

/// Records beside capability denials: no test of anything, so skipped.
fn others(report: &Report) -> Vec<Case> {
    let lines = words::others(report).into_iter().enumerate();
    let case = |(place, line): (usize, String)| Case {
        class: "capwatch.others".to_owned(),
        name: format!("other record {}", place + 1),
        seconds: 0.0,
        outcome: Outcome::Skipped(line),
    };
    lines.map(case).collect()
}

/// Hooks and sources: what was not seen is skipped, not passed.
fn sight(report: &Report, gate: &Gate) -> Vec<Case> {
    let case = |name: String, outcome: Outcome| Case {
        class: "capwatch.sight".to_owned(),
        name,
        seconds: 0.0,
        outcome,
    };
    let reason = |reason: &Option<String>| {
        reason
            .clone()
            .unwrap_or_else(|| "unknown reason".to_owned())
    };
    let mut cases: Vec<Case> = Vec::new();
    for hook in report.hooks.iter().filter(|hook| hook.needed) {
        let outcome = if hook.attached {
            Outcome::Passed
        } else {
            Outcome::Skipped(reason(&hook.reason))
        };
        cases.push(case(format!("hook {} is attached", hook.hook), outcome));
    }
    for source in &report.sources {
        let outcome = if source.up {
            Outcome::Passed
        } else {
            Outcome::Skipped(reason(&source.reason))
        };
        cases.push(case(
            format!("source {} is connected", source.name),
            outcome,
        ));
    }
    for note in words::left_out(report) {
        let name = "the work of the command's daemons is covered".to_owned();
        cases.push(case(name, Outcome::Skipped(note)));
    }
    for (what, count) in words::losses(report) {
        let outcome = Outcome::Skipped(format!("{count} lost: their details are missing"));
        cases.push(case(format!("nothing is lost ({what})"), outcome));
    }
    if let Some(log) = &report.log {
        let notes: Vec<_> = log.notes().collect();
        let name = "every line of the log is read".to_owned();
        if notes.is_empty() {
            cases.push(case(name, Outcome::Passed));
        } else {
            cases.push(case(name, Outcome::Skipped(notes.join("; "))));
        }
    }
    let blind = report.sight.hiding().next().is_some();
    let outcome = if report.sight.complete {
        Outcome::Passed
    } else if blind && gate.fail_on.contains(&FailOn::Blind) {
        Outcome::Failed {
            kind: "blind".to_owned(),
            message: words::sight(report),
        }
    } else {
        Outcome::Skipped(words::sight(report))
    };
    cases.push(case("sight is complete".to_owned(), outcome));
    cases
}

fn class(kind: &str, owner: &str) -> String {
    let owner = if owner.is_empty() { "none" } else { owner };
    format!("capwatch.{kind}.{}", owner.replace('/', "."))
}
