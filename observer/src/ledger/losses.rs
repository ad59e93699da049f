//! What was lost or not seen, and what that means for sight.

use std::collections::BTreeMap;

use super::{AUDIT, LOOKUP, Ledger, MISSED_RUNS, PROGRAM};
use crate::{finding::SourceReport, sight, time::Stamp};

impl Ledger {
    /// Adds to the losses.
    pub fn lose(&mut self, stage: &str, reason: &str, count: u64) {
        *self
            .losses
            .entry((stage.to_owned(), reason.to_owned()))
            .or_default() += count;
    }

    /// Sets a loss that the kernel counts itself; returns by how much it grew.
    pub fn set_loss(&mut self, stage: &str, reason: &str, total: u64) -> u64 {
        let name = (stage.to_owned(), reason.to_owned());
        let total = total + self.loss_bases.get(&name).copied().unwrap_or_default();
        let entry = self.losses.entry(name).or_default();
        let grown = total.saturating_sub(*entry);
        *entry = total.max(*entry);
        grown
    }

    /// Sets how many runs of the programs the kernel skipped; returns by how many
    /// they grew.
    pub fn set_missed(&mut self, missed: BTreeMap<&'static str, u64>) -> u64 {
        self.missed = missed;
        let total = self.missed.values().sum();
        self.set_loss(PROGRAM, MISSED_RUNS, total)
    }

    /// Sets what sources report, beside what they reported to an agent before.
    pub fn set_sources(&mut self, mut sources: Vec<SourceReport>) {
        for source in &mut sources {
            if let Some(base) = self.source_bases.get(&source.name) {
                source.records += base.records;
                source.lost += base.lost;
                source.malformed += base.malformed;
            }
        }
        self.audit
            .set_malformed(sources.iter().map(|source| source.malformed).sum());
        self.sources = sources;
    }

    /// What is known by now is no news: sight begins at this time.
    pub fn begin_sight(&mut self, at: Stamp) {
        self.look(at);
        self.sight.forget();
    }

    /// Looks at what makes sight partial, as it is at this time.
    pub fn look(&mut self, now: Stamp) {
        let losses = self.losses.iter();
        let losses = losses.filter(|((stage, _), _)| stage != PROGRAM && stage != AUDIT);
        let losses = losses.map(|((stage, loss), total)| (sight::reason_of(stage, loss), *total));
        let of_stage = |wanted: &str| -> u64 {
            let losses = self.losses.iter();
            let losses = losses.filter(|((stage, _), _)| stage == wanted);
            losses.map(|(_, total)| total).sum()
        };
        let attributed: u64 = self.missed.values().sum();
        let unattributed = of_stage(PROGRAM).saturating_sub(attributed);
        let missed = self.missed.iter().map(|(reason, total)| (*reason, *total));
        let sources = self.sources.iter();
        let (lost, malformed) = sources.fold((0, 0), |(lost, malformed), source| {
            (lost + source.lost, malformed + source.malformed)
        });
        let others = [
            (sight::CHECKS_MISSED, unattributed),
            // A loss that finds no room in the channel is in the source's count alone.
            (sight::RECORDS_LOST, of_stage(AUDIT).max(lost)),
            (sight::LINES_UNREAD, malformed),
        ];
        let hooks = self.hooks.iter().filter(|hook| hook.is_missed()).count();
        let silent = self.sources.iter().filter(|source| !source.up).count();
        self.sight.look(
            now,
            losses.chain(missed).chain(others),
            [
                (sight::HOOK_DOWN, hooks as u64),
                (sight::SOURCE_DOWN, silent as u64),
                (sight::PRIVILEGE_MISSING, self.privileges_missing),
            ],
        );
    }

    /// Everything that was lost, by stage and reason.
    pub fn losses(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let losses = self.losses.iter();
        losses.map(|((stage, reason), count)| (stage.as_str(), reason.as_str(), *count))
    }

    /// Everything that was lost, by reason; `events` is the sum, but for
    /// `missed_runs` (a run on an allowed check would have counted nothing) and
    /// late look-ups (what they cost is a name).
    pub fn lost(&self) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::from([("events".to_owned(), 0)]);
        for (stage, reason, count) in self.losses().filter(|(_, _, count)| *count > 0) {
            if stage != PROGRAM && stage != LOOKUP {
                *lost.entry("events".to_owned()).or_default() += count;
            }
            *lost.entry(reason.to_owned()).or_default() += count;
        }
        lost
    }
}
