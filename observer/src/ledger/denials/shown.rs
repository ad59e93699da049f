//! Rows as reports and streams show them.

use super::{Denials, of_lsm, of_total, row_name, sort};
use crate::{
    correlate::{self, Tally},
    finding::{Denial, DenialCounts, Scope},
    ledger::leftover::{self, Grounds},
    observation::{Row, Total},
    time::Stamp,
};

impl Denials {
    /// Rows for a report of a scope and those within it, most first, and exact
    /// counts of all there were, by scope.
    pub fn report(
        &self,
        scope: Scope,
        grounds: &Grounds,
    ) -> (Vec<Denial>, [DenialCounts; Scope::ALL.len()]) {
        let rows = self.rows(scope, grounds).map(|(_, denial)| denial);
        let answers = self.answers.rows(scope).cloned();
        let mut denials: Vec<_> = rows.chain(answers).collect();
        let mut counts: [DenialCounts; Scope::ALL.len()] =
            std::array::from_fn(|_| DenialCounts::default());
        for denial in &denials {
            counts[denial.scope as usize].add(denial);
        }
        for (part, folded) in self.folded(scope) {
            counts[part as usize].join(folded.counts());
            denials.extend(folded.kept().cloned());
        }
        sort(&mut denials);
        (denials, counts)
    }

    /// The kernel's rows with their names in a stream.
    pub fn rows(&self, scope: Scope, grounds: &Grounds) -> impl Iterator<Item = (String, Denial)> {
        let rows = self.rows.iter();
        let rows = rows.filter(move |(_, _, row)| scope.takes(*row));
        let totals = self.totals.iter();
        let totals = totals.filter(move |(key, _)| scope.takes(of_total(key)));
        rows.map(|(key, tally, row)| (row_name(key), self.row(key, *tally, *row, grounds)))
            .chain(totals.map(|(key, count)| (row_name(key), self.inexact(key, *count))))
    }

    /// Some of these rows, in their order.
    pub fn part(
        &self,
        scope: Scope,
        grounds: &Grounds,
        from: usize,
        most: usize,
    ) -> Vec<(String, Denial)> {
        let rows = self.rows.iter();
        let rows = rows.filter(|(_, _, row)| scope.takes(*row));
        let totals = self.totals.iter();
        let totals = totals.filter(|(key, _)| scope.takes(of_total(key)));
        // What is passed over is not made.
        let all = rows.map(Ok).chain(totals.map(Err));
        let part = all.skip(from).take(most).map(|one| match one {
            Ok((key, tally, row)) => (row_name(key), self.row(key, *tally, *row, grounds)),
            Err((key, count)) => (row_name(key), self.inexact(key, *count)),
        });
        part.collect()
    }

    /// A row of so many denials, as it is shown.
    pub fn row(&self, key: &Row, tally: Tally, scope: Scope, grounds: &Grounds) -> Denial {
        let detail = self.details.get(key).map(Box::as_ref);
        let denial = correlate::denial(key, tally, scope, detail, &self.rules);
        if !of_lsm(key.layer) {
            return denial;
        }
        let logged = self.logged.get(key).copied().unwrap_or_default();
        let mut denial = Denial {
            logged: Some(logged.count.min(denial.count)),
            ..denial
        };
        let leftover = if logged.contradicted {
            Some("log_says_allowed")
        } else {
            grounds.unlogged(&denial, self.has_like(key))
        };
        if let Some(clause) = leftover.and_then(leftover::clause) {
            let sentence = denial.explanation.trim_end_matches('.');
            denial.explanation = format!("{sentence}; {clause}.");
        }
        denial.leftover = leftover.map(str::to_owned);
        denial
    }

    /// Whether the log has a denial of the same profile and capability.
    pub(super) fn has_like(&self, key: &Row) -> bool {
        if self.likes.contains(key) {
            return true;
        }
        self.logged.keys().any(|other| {
            (other.layer, other.profile, other.capability)
                == (key.layer, key.profile, key.capability)
        })
    }

    /// A row that found no room: comm, executable and profile are not separate.
    fn inexact(&self, key: &Total, count: u64) -> Denial {
        let row = Row {
            owner: key.owner,
            capability: key.capability,
            layer: key.layer,
            audited: key.audited,
            own_credentials: true,
            ..Row::default()
        };
        let tally = Tally {
            count,
            first: Stamp::default(),
            last: Stamp::default(),
        };
        Denial {
            exact: false,
            ..correlate::denial(&row, tally, of_total(key), None, &self.rules)
        }
    }
}
