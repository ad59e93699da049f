//! A recorded stream, back into the ledger that it came from.

use std::{io::Read, sync::Arc};

use anyhow::anyhow;

use crate::{
    config::Rules,
    correlate::Finding,
    finding::{End, Header, Host, Report, State, StateLine},
    ledger::Ledger,
    sources::recorded::{Line, Recorded},
};

/// The report of a stream, and what is wrong with it: what was read is
/// reported all the same. A file that `run --events` was started on more than
/// once holds several streams, of which the last is reported.
pub fn report(input: impl Read, name: &str, rules: Arc<Rules>) -> (Report, Option<anyhow::Error>) {
    let mut lines = Recorded::new(input);
    let mut replayed = Replayed::new(rules);
    let mut broken = Broken::default();
    loop {
        match lines.next_line() {
            Ok(Some(Ok(line))) => replayed.take(line),
            Ok(Some(Err(why))) => broken.line(lines.number(), &why),
            Ok(None) => break,
            Err(error) => {
                broken.stop(lines.number(), &error);
                break;
            }
        }
    }
    if replayed.streams > 1 {
        tracing::warn!(
            "{name} holds {} recordings; the last one is reported",
            replayed.streams
        );
    }
    let error = broken.told(lines.number(), &replayed);
    let error = error.map(|why| anyhow!("{why}").context(format!("cannot replay all of {name}")));
    (replayed.report(), error)
}

/// What a stream told so far.
struct Replayed {
    rules: Arc<Rules>,
    ledger: Ledger,
    end: Option<End>,
    streams: u64,
}

impl Replayed {
    fn new(rules: Arc<Rules>) -> Self {
        Self {
            ledger: Ledger::new(Arc::clone(&rules), Host::default(), usize::MAX),
            rules,
            end: None,
            streams: 0,
        }
    }

    fn take(&mut self, line: Line) {
        if let Some((row, denial)) = line.denial() {
            return self.ledger.denials.told().add(row, denial);
        }
        match line {
            Line::Event(event, _) => self.ledger.enter(&Finding {
                event: *event,
                in_tree: true,
                row: None,
                joined: None,
            }),
            Line::State(line) => {
                let StateLine { state, .. } = *line;
                self.state(state);
            }
        }
    }

    fn state(&mut self, state: State) {
        match state {
            State::Header(Header {
                host,
                hooks,
                sources,
                ..
            }) => {
                *self = Self {
                    streams: self.streams + 1,
                    ..Self::new(Arc::clone(&self.rules))
                };
                self.ledger.host = host;
                self.ledger.hooks = hooks;
                self.ledger.sources = sources;
            }
            State::Row(row) => self.ledger.denials.told().set(*row),
            State::Sources(sources) => self.ledger.sources = sources.sources,
            State::End(end) => {
                self.ledger.sources.clone_from(&end.sources);
                self.end = Some(end);
            }
        }
    }

    fn report(mut self) -> Report {
        let malformed = self.ledger.sources.iter().map(|source| source.malformed);
        let malformed = malformed.sum();
        self.ledger.audit.set_malformed(malformed);
        let End {
            command, failed_on, ..
        } = self.end.unwrap_or_default();
        Report {
            failed_on,
            ..self.ledger.report(false, command)
        }
    }
}

/// What is wrong with a stream.
#[derive(Default)]
struct Broken {
    first: Option<String>,
    lines: u64,
}

impl Broken {
    fn line(&mut self, number: u64, why: &dyn std::error::Error) {
        self.lines += 1;
        self.first
            .get_or_insert_with(|| format!("line {number}: {why}"));
    }

    fn stop(&mut self, number: u64, why: &dyn std::error::Error) {
        self.line(number + 1, why);
    }

    fn told(self, lines: u64, replayed: &Replayed) -> Option<String> {
        let more = match self.lines {
            0 | 1 => String::new(),
            count => format!(" ({count} such lines)"),
        };
        match (self.first, &replayed.end) {
            (Some(first), _) => Some(first + &more),
            (None, Some(_)) => None,
            (None, None) => Some(format!(
                "it was cut short after line {lines}: there is no line of kind \"end\", so that \
                 counts are those of the last checkpoint"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
