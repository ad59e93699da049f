//! A recording of observations, through correlate and ledger again: what it comes to
//! is judged by the rules of now.

use std::{collections::HashMap, sync::Arc};

use super::end::{self, Span};
use crate::{
    config::Rules,
    correlate::{Correlator, Finding, Tally},
    finding::{End, Header, Host, Report, Scope, Sources},
    ledger::{KernelRow, KernelTotal, Ledger, MAX_SERIES},
    observation::{
        Row, Total, identity,
        stream::{CountedRow, CountedTotal, Line, Logged, RecordedRules, Says},
    },
    sight::Sight,
    time::Stamp,
};

/// Rows that are counted at one time: twice as many as the kernel has room for.
const MAX_ROWS: usize = 32_768;

/// The recording so far.
pub struct Observed {
    /// The rules of this host, which go before the recording's.
    given: Arc<Rules>,
    correlator: Correlator,
    ledger: Ledger,
    rows: HashMap<Row, KernelRow>,
    totals: HashMap<Total, u64>,
    scope: Scope,
    end: Option<End>,
    span: Span,
}

impl Observed {
    /// Nothing yet.
    pub fn new(given: Arc<Rules>) -> Self {
        Self {
            correlator: Correlator::new(Arc::clone(&given)),
            ledger: Ledger::new(Arc::clone(&given), Host::default(), MAX_SERIES),
            given,
            rows: HashMap::new(),
            totals: HashMap::new(),
            scope: Scope::Host,
            end: None,
            span: Span::default(),
        }
    }

    /// Whether the last line was there.
    pub const fn is_whole(&self) -> bool {
        self.end.is_some()
    }

    /// Takes a line in; gives what it came to. One that can't be used says why.
    pub fn take(&mut self, line: Line) -> Result<Vec<Finding>, String> {
        let Line { time, says, .. } = line;
        self.span.take(time);
        let findings = match says {
            Says::Header(header) => {
                self.begin(*header, time);
                Vec::new()
            }
            Says::Rules(rules) => {
                self.rules(*rules)?;
                Vec::new()
            }
            Says::Observed(observation) => self.correlator.observe(observation),
            Says::Logged(logged) => {
                let Logged { time, episode } = *logged;
                vec![self.correlator.logged(episode, time)]
            }
            Says::Loss(loss) => vec![Finding::lost(time, loss)],
            Says::Clock(now) => self.correlator.expire(now),
            Says::Row(row) => {
                self.row(&row);
                Vec::new()
            }
            Says::Total(total) => {
                let CountedTotal { total, count } = *total;
                if self.totals.len() < MAX_ROWS || self.totals.contains_key(&total) {
                    self.totals.insert(total, count);
                } else {
                    self.ledger.lose("ledger", "rows_full", 1);
                }
                Vec::new()
            }
            Says::Sources(sources) => {
                let Sources { sources, sight } = *sources;
                self.ledger.sources = sources;
                self.sight(sight.as_ref());
                Vec::new()
            }
            Says::End(end) => {
                let findings = self.correlator.finish();
                self.ledger.sources.clone_from(&end.sources);
                self.sight(end.sight.as_ref());
                self.end = Some(*end);
                findings
            }
        };
        for finding in &findings {
            self.ledger.enter(finding);
        }
        Ok(findings)
    }

    fn begin(&mut self, header: Header, time: Stamp) {
        *self = Self::new(Arc::clone(&self.given));
        self.span.take(time);
        let Header {
            host,
            hooks,
            sources,
            scope,
            ..
        } = header;
        self.scope = scope.unwrap_or_default();
        self.ledger.host = host;
        self.ledger.hooks = hooks;
        self.ledger.sources = sources;
        self.ledger.look(time);
    }

    /// Knows supervisors as the recording did, but for rules of this host that have the
    /// same name: a changed one may be tried on what was recorded before.
    fn rules(&mut self, recorded: RecordedRules) -> Result<(), String> {
        let RecordedRules {
            names,
            supervisors,
            release,
        } = recorded;
        let mut rules = Rules::load(None).map_err(|error| error.to_string())?;
        for typed in [&supervisors[..], self.given.typed()] {
            let added = rules.add_typed(typed, "the recording");
            added.map_err(|error| error.to_string())?;
        }
        let rules = Arc::new(rules.on(release).numbered(&names));
        self.correlator.set_rules(Arc::clone(&rules));
        self.ledger.denials.set_rules(rules);
        Ok(())
    }

    fn row(&mut self, counted: &CountedRow) {
        let CountedRow {
            row,
            count,
            first,
            last,
            scope,
            like,
            folded,
        } = *counted;
        let tally = Tally { count, first, last };
        let kernel = KernelRow {
            scope,
            ..KernelRow::new(identity(&row), row, tally)
        };
        if like {
            self.ledger.denials.note_like(row);
        }
        if folded {
            self.rows.remove(&row);
            let grounds = self.ledger.grounds();
            self.ledger.denials.fold(&[kernel], &grounds);
        } else if self.rows.len() < MAX_ROWS || self.rows.contains_key(&row) {
            self.rows.insert(row, kernel);
        } else {
            self.ledger.lose("ledger", "rows_full", 1);
        }
    }

    fn sight(&mut self, recorded: Option<&Sight>) {
        if let Some(sight) = recorded {
            self.ledger.sight.restore(sight);
        }
    }

    /// Says that lines could not be read.
    pub fn lose_lines(&mut self, lines: u64) {
        self.span.lose_lines(&mut self.ledger, lines);
    }

    /// The report, and the ledger that it was made of.
    pub fn report(mut self) -> (Report, Ledger) {
        if self.end.is_none() {
            for finding in self.correlator.finish() {
                self.ledger.enter(&finding);
            }
        }
        let rows: Vec<_> = self.rows.into_values().collect();
        let totals = self.totals.into_iter();
        let totals: Vec<_> = totals
            .map(|(total, count)| KernelTotal::new(identity(&total), total, count))
            .collect();
        self.ledger.denials.set(&rows, &totals);
        let report = end::report(&mut self.ledger, self.end, self.scope);
        (report, self.ledger)
    }
}

#[cfg(test)]
mod tests;
