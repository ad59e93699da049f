//! The report of what the ledger holds.

use std::{cmp::Reverse, collections::HashSet};

use super::{Ledger, kept};
use crate::{
    finding::{Command, Counts, Denial, REPORT_SCHEMA, Report, Scope, Scoped},
    observation::identity,
};

/// Rows of denials that a report lists.
const MAX_LISTED: usize = 4_096;

impl Ledger {
    /// A report of a scope and those within it.
    pub fn report(&self, scope: Scope, command: Option<Command>) -> Report {
        let grounds = self.grounds();
        let (mut denials, by_scope) = self.denials.report(scope, &grounds);
        let mut parts = by_scope.map(|denials| Counts {
            denials,
            ..Counts::default()
        });
        let logged = self.audit.report(scope, &grounds);
        for row in &logged {
            parts[row.scope as usize].denials.add(row);
        }
        denials.extend(logged);
        let mut audit = self.audit.tally(scope, self.denials.by_lsm(scope));
        for denial in &denials {
            if let (Some(reason), Some(logged)) = (&denial.leftover, denial.logged) {
                // A row of the log's alone, or one that it contradicts, is left over whole.
                let count = match denial.count - logged {
                    0 => denial.count,
                    unlogged => unlogged,
                };
                *audit.leftovers.entry(reason.clone()).or_default() += count;
            }
        }
        let denials = worthiest(denials);
        let episodes = self.episodes.report(scope);
        let mut counts = Counts::default();
        for part in scope.parts() {
            let of_part = &mut parts[part as usize];
            of_part.episodes = self.episodes.counts(part).clone();
            of_part.rules = self.refusals.counts(part);
            of_part.shows(
                episodes.iter().filter(|one| one.scope == part).count(),
                denials.iter().filter(|one| one.scope == part).count(),
            );
            counts.join(of_part);
        }
        counts.shows(episodes.len(), denials.len());
        Report {
            schema: REPORT_SCHEMA.to_owned(),
            host: self.host.clone(),
            hooks: self.hooks.clone(),
            sources: self.sources.clone(),
            lost: self.lost(),
            scope: command.is_some().then(|| self.scoped(scope, parts)),
            command,
            counts,
            denials,
            episodes,
            rule_refusals: self.refusals.report(scope),
            others: self.others.report(scope),
            log: None,
            notes: Vec::new(),
            failed_on: Vec::new(),
            audit,
            sight: self.sight.overall(),
        }
    }

    fn scoped(&self, chosen: Scope, parts: [Counts; Scope::ALL.len()]) -> Scoped {
        let [tree, beside, host] = parts;
        let is_asked = |scope: Scope| chosen.takes(scope);
        Scoped {
            chosen,
            tree,
            beside: is_asked(Scope::Beside).then_some(beside),
            host: is_asked(Scope::Host).then_some(host),
            made: self
                .made
                .iter()
                .filter(|_| is_asked(Scope::Beside))
                .collect(),
            made_unlisted: self.made.more,
            course: self.course.clone(),
        }
    }
}

/// The rows that a report lists, in the order given. No scope takes another's
/// room.
pub(super) fn worthiest(denials: Vec<Denial>) -> Vec<Denial> {
    if denials.len() <= MAX_LISTED {
        return denials;
    }
    let mut chosen = HashSet::new();
    for scope in Scope::ALL {
        chosen.extend(worthiest_of(scope, &denials));
    }
    let denials = denials.into_iter().enumerate();
    let chosen = denials.filter(|(place, _)| chosen.contains(place));
    chosen.map(|(_, denial)| denial).collect()
}

/// Places of the rows of a scope that are listed: those that may matter, of these
/// a supervisor's, then the first of each kind, then the newest.
fn worthiest_of(scope: Scope, denials: &[Denial]) -> impl Iterator<Item = usize> {
    use kept::Worth as _;

    let mut kinds = HashSet::new();
    let mut places: Vec<_> = denials
        .iter()
        .enumerate()
        .filter(|(_, denial)| denial.scope == scope)
        .map(|(place, denial)| {
            let first = kinds.insert(identity(&denial.kind()));
            // What JSON has of a time, so a replayed report chooses the same.
            let last = denial.last.0 / 1_000;
            (Reverse((denial.rank(), first, last)), place)
        })
        .collect();
    places.sort_unstable();
    let places = places.into_iter().take(MAX_LISTED);
    places.map(|(_, place)| place)
}
