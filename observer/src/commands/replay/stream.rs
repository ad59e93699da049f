//! A recorded stream, back into the ledger that it came from.

use std::{io::Read, sync::Arc};

use anyhow::anyhow;

use super::{
    end::{self, Span},
    observed::Observed,
};
use crate::{
    config::Rules,
    correlate::Finding,
    finding::{End, EventKind, Header, Host, Report, Scope, Scoped, Sources, State, StateLine},
    ledger::{Ledger, MAX_SERIES},
    observation::stream::Says,
    sight::Sight,
    sources::recorded::{Line, Recorded},
    time::Stamp,
};

/// The report of a stream, and what is wrong with it: what was read is
/// reported all the same. A file that `run --events` was started on more than
/// once holds several streams, of which the last is reported.
pub fn report(input: impl Read, name: &str, rules: Arc<Rules>) -> (Report, Option<anyhow::Error>) {
    let (report, _, error) = read(input, name, rules);
    (report, error)
}

/// The same, with the ledger that the report was made of.
pub fn read(
    input: impl Read,
    name: &str,
    rules: Arc<Rules>,
) -> (Report, Ledger, Option<anyhow::Error>) {
    let mut lines = Recorded::new(input);
    let mut reading = Reading {
        findings: Replayed::new(Arc::clone(&rules)),
        observed: None,
        rules,
        streams: 0,
    };
    let mut broken = Broken::default();
    loop {
        match lines.next_line() {
            Ok(Some(Ok(line))) => {
                if let Err(why) = reading.take(line) {
                    broken.line(lines.number(), &why);
                }
            }
            Ok(Some(Err(why))) => broken.line(lines.number(), &why),
            Ok(None) => break,
            Err(error) => {
                broken.line(lines.number() + 1, &error);
                break;
            }
        }
    }
    if reading.streams > 1 {
        tracing::warn!(
            "{name} holds {} recordings; this is the report of the last one",
            reading.streams
        );
    }
    if broken.lines > 0 {
        reading.lose_lines(broken.lines);
    }
    let error = broken.describe(lines.number(), reading.is_whole());
    let error = error.map(|why| anyhow!("{why}").context(format!("cannot replay all of {name}")));
    let (report, ledger) = reading.report();
    (report, ledger, error)
}

/// What was read of a file, which may hold streams of either version.
struct Reading {
    /// The last stream of findings.
    findings: Replayed,
    /// The last recording of observations, where it came after that.
    observed: Option<Observed>,
    rules: Arc<Rules>,
    streams: u64,
}

impl Reading {
    fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Seen(line) => {
                self.streams += u64::from(matches!(line.says, Says::Header(_)));
                let rules = &self.rules;
                let observed = self
                    .observed
                    .get_or_insert_with(|| Observed::new(Arc::clone(rules)));
                observed.take(*line).map(|_| ())
            }
            line => {
                if let Line::State(state) = &line
                    && matches!(state.state, State::Header(_))
                {
                    self.streams += 1;
                    self.observed = None;
                }
                self.findings.take(line);
                Ok(())
            }
        }
    }

    const fn is_whole(&self) -> bool {
        match &self.observed {
            Some(observed) => observed.is_whole(),
            None => self.findings.end.is_some(),
        }
    }

    fn lose_lines(&mut self, lines: u64) {
        match &mut self.observed {
            Some(observed) => observed.lose_lines(lines),
            None => self.findings.lose_lines(lines),
        }
    }

    fn report(self) -> (Report, Ledger) {
        match self.observed {
            Some(observed) => observed.report(),
            None => self.findings.report(),
        }
    }
}

/// The stream so far.
struct Replayed {
    rules: Arc<Rules>,
    ledger: Ledger,
    end: Option<End>,
    /// Whose findings it has.
    scope: Scope,
    /// Whether its findings are a command's tree's, and don't say so: they were
    /// recorded before there were scopes.
    is_of_tree: bool,
    /// Whether the stream says itself what was not seen.
    has_sight: bool,
    span: Span,
}

impl Replayed {
    fn new(rules: Arc<Rules>) -> Self {
        Self {
            ledger: Ledger::new(Arc::clone(&rules), Host::default(), MAX_SERIES),
            rules,
            end: None,
            scope: Scope::Host,
            is_of_tree: false,
            has_sight: false,
            span: Span::default(),
        }
    }

    fn take(&mut self, line: Line) {
        let time = match &line {
            Line::Event(event, _) => event.time,
            Line::State(line) => line.time,
            Line::Seen(line) => line.time,
        };
        self.span.take(time);
        if let Some((row, denial)) = line.denial() {
            if let (Line::Event(event, _), Scope::Beside) = (&line, denial.scope) {
                self.ledger.note_made(&event.kind);
            }
            if !self.ledger.denials.add_answer(row, denial) {
                self.ledger.lose("ledger", "rows_full", 1);
            }
            return;
        }
        match line {
            Line::Event(event, _) => {
                let (time, is_loss) = (event.time, matches!(event.kind, EventKind::Loss(_)));
                self.ledger.enter(&Finding {
                    scope: event.kind.scope(),
                    event: *event,
                    row: None,
                    joined: None,
                });
                if is_loss {
                    self.look(time);
                }
            }
            Line::State(line) => {
                let StateLine { time, state, .. } = *line;
                self.state(time, state);
            }
            // Of the other version.
            Line::Seen(_) => {}
        }
    }

    fn lose_lines(&mut self, lines: u64) {
        self.span.lose_lines(&mut self.ledger, lines);
    }

    /// Sight, from a stream of before there was sight.
    fn look(&mut self, time: Stamp) {
        if !self.has_sight {
            self.ledger.look(time);
        }
    }

    fn sight(&mut self, time: Stamp, recorded: Option<&Sight>) {
        match recorded {
            Some(sight) => {
                self.has_sight = true;
                self.ledger.sight.restore(sight);
            }
            None => self.look(time),
        }
    }

    fn state(&mut self, time: Stamp, state: State) {
        match state {
            State::Header(Header {
                host,
                hooks,
                sources,
                command,
                scope,
                ..
            }) => {
                *self = Self {
                    scope: scope.unwrap_or_default(),
                    is_of_tree: command.is_some() && scope.is_none(),
                    ..Self::new(Arc::clone(&self.rules))
                };
                self.ledger.host = host;
                self.ledger.hooks = hooks;
                self.ledger.sources = sources;
                self.look(time);
            }
            State::Row(row) => {
                if !self.ledger.denials.set_answer(*row) {
                    self.ledger.lose("ledger", "rows_full", 1);
                }
            }
            State::Sources(Sources { sources, sight }) => {
                self.ledger.sources = sources;
                self.sight(time, sight.as_ref());
            }
            State::End(end) => {
                self.ledger.sources.clone_from(&end.sources);
                self.sight(time, end.sight.as_ref());
                self.end = Some(end);
            }
        }
    }

    fn report(mut self) -> (Report, Ledger) {
        let mut report = end::report(&mut self.ledger, self.end, self.scope);
        if self.is_of_tree {
            of_tree(&mut report);
        }
        (report, self.ledger)
    }
}

/// Says of a recording's findings what all of them were before there were scopes.
fn of_tree(report: &mut Report) {
    for denial in &mut report.denials {
        denial.scope = Scope::Tree;
    }
    for episode in &mut report.episodes {
        episode.scope = Scope::Tree;
    }
    for refusal in &mut report.rule_refusals {
        refusal.scope = Scope::Tree;
    }
    let tree = report.counts.clone();
    report.scope = report.scope.take().map(|_| Scoped {
        chosen: Scope::Tree,
        tree,
        ..Scoped::default()
    });
}

/// What is wrong with a stream.
#[derive(Default)]
struct Broken {
    first: Option<String>,
    lines: u64,
}

impl Broken {
    fn line(&mut self, number: u64, why: &dyn std::fmt::Display) {
        self.lines += 1;
        self.first
            .get_or_insert_with(|| format!("line {number}: {why}"));
    }

    fn describe(self, lines: u64, is_whole: bool) -> Option<String> {
        let more = match self.lines {
            0 | 1 => String::new(),
            count => format!(" ({count} lines like this)"),
        };
        match (self.first, is_whole) {
            (Some(first), _) => Some(first + &more),
            (None, true) => None,
            (None, false) => Some(format!(
                "it was cut short after line {lines}: there is no line of kind \"end\", so \
                 counts are from the last checkpoint"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
