//! Denials: the kernel's rows as they stand, and those that it has forgotten.

mod answers;
mod recorded;
mod shown;

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use answers::Answers;
use serde::{Deserialize, Serialize};

use super::{
    NONE,
    counters::{ByProfile, Counters, KernelRow, KernelTotal, of_tree},
    folded::Folded,
    leftover::Grounds,
    limited::Limited,
    saved::{Kernel, SavedDenials},
    series::{DenialSeries, LsmSeries},
};
use crate::{
    caps,
    config::{Release, Rules},
    correlate::{self, Detail, Tally},
    finding::{AuditEvent, Denial, DenialCounts, Scope},
    memory,
    observation::{Row, Total, identity},
    words::Layer,
};

/// Rows whose detail is kept; the kernel has no room for more.
const MAX_DETAILS: usize = 16_384;

/// What the log has of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Logged {
    count: u64,
    /// Whether it says of one that it was allowed.
    contradicted: bool,
}

/// A row that was folded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoldedRow {
    id: u64,
    count: u64,
    series: DenialSeries,
    profile: Option<LsmSeries>,
}

/// What counts no more, by its scope.
type Parts = [Folded; Scope::ALL.len()];

/// Every denial.
pub struct Denials {
    rules: Arc<Rules>,
    rows: Vec<(Row, Tally, Scope)>,
    totals: Vec<(Total, u64)>,
    details: HashMap<Row, Box<Detail>>,
    logged: HashMap<Row, Logged>,
    counters: Counters,
    /// What counts no more, by its scope.
    folded: Parts,
    /// What a stream of version 1 has in place of the kernel's rows.
    answers: Answers,
    /// Rows of which a recording says that the log has others like them.
    likes: HashSet<Row>,
}

/// Whether a security module refused, which writes records.
const fn of_lsm(layer: Layer) -> bool {
    matches!(layer, Layer::Apparmor | Layer::Selinux | Layer::Lsm)
}

/// The scope of what found no row: which cgroup it was in is not known then.
fn of_total(key: &Total) -> Scope {
    of_tree(key.owner.in_tree)
}

/// The name of a row in a stream: the same for the same key in one run.
pub fn row_name(key: &impl Hash) -> String {
    format!("{:016x}", identity(key))
}

/// The order of rows in a report: most first, and total over what is shown, so
/// that a replayed report has the same.
pub(super) fn sort(denials: &mut [Denial]) {
    let shown = |denial: &Denial| serde_json::to_string(denial).unwrap_or_default();
    let rough = |denial: &Denial| (Reverse(denial.count), denial.first.0 / 1_000);
    denials.sort_by_key(rough);
    // The text decides of those that are alike; made once for each of them.
    for alike in denials.chunk_by_mut(|a, b| rough(a) == rough(b)) {
        if alike.len() > 1 {
            alike.sort_by_cached_key(shown);
        }
    }
}

impl Denials {
    /// Names supervisors by other rules from now on.
    pub fn set_rules(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
    }

    /// The release of the host, which decides on some remedies.
    pub fn release(&self) -> Release {
        self.rules.release()
    }

    /// None yet.
    pub fn new(rules: Arc<Rules>, limit: usize) -> Self {
        Self {
            rules,
            rows: Vec::new(),
            totals: Vec::new(),
            details: HashMap::new(),
            logged: HashMap::new(),
            counters: Counters::new(limit),
            folded: Scope::ALL.map(|_| Folded::new()),
            answers: Answers::default(),
            likes: HashSet::new(),
        }
    }

    /// Takes the kernel's counts as they stand now.
    pub fn set(&mut self, rows: &[KernelRow], totals: &[KernelTotal]) {
        let mut counters = std::mem::replace(&mut self.counters, Counters::new(0));
        let before = counters.begin();
        for KernelRow { id, key, tally, .. } in rows {
            let series = || self.series(key);
            counters.look(&before, *id, tally.count, series, || {
                self.by_profile_of(key)
            });
        }
        for KernelTotal { id, key, count } in totals {
            let series = || self.total_series(key);
            // The overflow slots have no profile.
            counters.look(&before, *id, *count, series, || ByProfile::Never);
        }
        counters.end();
        self.counters = counters;
        let rows = rows.iter();
        self.rows = rows.map(|row| (row.key, row.tally, row.scope)).collect();
        self.totals = totals.iter().map(|slot| (slot.key, slot.count)).collect();
    }

    /// Keeps what was reported of a row.
    pub fn describe(&mut self, key: Row, detail: Detail) {
        if self.details.len() < MAX_DETAILS || self.details.contains_key(&key) {
            let old = self.details.remove(&key);
            let (namespace, profile) = old.map_or((None, None), |old| (old.namespace, old.profile));
            self.details.insert(
                key,
                Box::new(Detail {
                    namespace: detail.namespace.or(namespace),
                    profile: detail.profile.or(profile),
                    ..detail
                }),
            );
        }
    }

    /// Keeps what a joined record shows of its row: that the log has it, the policy
    /// namespace, and a profile that the hooks can't read (`SELinux`'s domain).
    pub fn join(&mut self, key: &Row, event: &AuditEvent) {
        if self.logged.len() < MAX_DETAILS || self.logged.contains_key(key) {
            let logged = self.logged.entry(*key).or_default();
            logged.count += 1;
            logged.contradicted |= event.note.is_some();
        }
        if let Some(detail) = self.details.get_mut(key) {
            if event.namespace.is_some() {
                detail.namespace.clone_from(&event.namespace);
            }
            if detail.profile.is_none() {
                detail.profile.clone_from(&event.profile);
            }
        }
    }

    /// Keeps what rows counted that the kernel is about to forget.
    pub fn fold(&mut self, rows: &[KernelRow], grounds: &Grounds) {
        for row in rows {
            let KernelRow {
                id,
                key,
                tally,
                scope,
            } = row;
            let (series, by_profile) = (self.series(key), self.by_profile_of(key));
            self.counters
                .forget(*id, tally.count, || series, by_profile);
            let denial = self.row(key, *tally, *scope, grounds);
            self.folded[*scope as usize].add(&row_name(key), denial);
            self.details.remove(key);
            self.logged.remove(key);
        }
    }

    /// Gives the room back that a storm took.
    pub(super) fn trim(&mut self) {
        memory::trim(&mut self.details);
        memory::trim(&mut self.logged);
    }

    /// What is to be kept over a restart.
    pub fn save(&self) -> SavedDenials {
        let (denials, profiles) = self.counters.save();
        let mut folded = DenialCounts::default();
        let mut folded_by_lsm = 0;
        for part in &self.folded {
            folded.join(part.counts());
            folded_by_lsm += part.by_lsm();
        }
        SavedDenials {
            denials,
            profiles,
            counted: self.counters.counted(),
            waiting: self.counters.waiting(),
            folded,
            folded_by_lsm,
            live_by_lsm: self.by_lsm(Scope::Host).saturating_sub(folded_by_lsm),
        }
    }

    /// Goes on from what was kept.
    pub fn restore(&mut self, saved: SavedDenials, kernel: Kernel) {
        let SavedDenials {
            denials,
            profiles,
            counted,
            waiting,
            folded,
            folded_by_lsm,
            live_by_lsm,
        } = saved;
        self.counters.restore(denials, profiles);
        let host = &mut self.folded[Scope::Host as usize];
        host.restore(&folded, folded_by_lsm);
        match kernel {
            Kernel::Same => self.counters.restore_rows(counted, waiting),
            // Its rows are gone.
            Kernel::Other => host.restore(&DenialCounts::default(), live_by_lsm),
        }
    }

    /// What a fold is about to count of rows, for the next agent.
    pub fn to_fold(&self, rows: &[KernelRow]) -> Vec<FoldedRow> {
        let rows = rows.iter();
        rows.map(|row| FoldedRow {
            id: row.id,
            count: row.tally.count,
            series: self.series(&row.key),
            profile: match self.by_profile_of(&row.key) {
                ByProfile::Never => None,
                ByProfile::NotYet(series) | ByProfile::Known(series) => Some(series),
            },
        })
        .collect()
    }

    /// Folds rows as an agent before did.
    pub fn fold_again(&mut self, rows: Vec<FoldedRow>) {
        for FoldedRow {
            id,
            count,
            series,
            profile,
        } in rows
        {
            let by_profile = profile.map_or(ByProfile::Never, ByProfile::Known);
            self.counters.forget(id, count, || series, by_profile);
            // The kernel may have it still.
            self.counters.restore_rows(vec![(id, count)], Vec::new());
        }
    }

    /// The counters of `capwatch_denials_total`.
    pub const fn by_series(&self) -> &Limited<DenialSeries> {
        self.counters.denials()
    }

    /// The counters of `capwatch_lsm_denials_total`.
    pub const fn by_profile(&self) -> &Limited<LsmSeries> {
        self.counters.profiles()
    }

    /// What the kernel has forgotten, of a scope and those within it.
    fn folded(&self, scope: Scope) -> impl Iterator<Item = (Scope, &Folded)> {
        scope
            .parts()
            .map(|part| (part, &self.folded[part as usize]))
    }

    /// How many denials by an LSM the kernel counted.
    pub fn by_lsm(&self, scope: Scope) -> u64 {
        let rows = self
            .rows
            .iter()
            .map(|(key, tally, row)| (*row, key.layer, tally.count));
        let totals = self
            .totals
            .iter()
            .map(|(key, count)| (of_total(key), key.layer, *count));
        let live: u64 = rows
            .chain(totals)
            .filter(|(row, layer, _)| of_lsm(*layer) && scope.takes(*row))
            .map(|(_, _, count)| count)
            .sum();
        let folded = self.folded(scope).map(|(_, folded)| folded.by_lsm());
        live + self.answers.by_lsm(scope) + folded.sum::<u64>()
    }

    /// How many denials have no separate series.
    pub const fn overflowed(&self) -> u64 {
        self.counters.denials().overflowed()
    }

    fn series(&self, key: &Row) -> DenialSeries {
        self.total_series(&Total {
            owner: key.owner,
            capability: key.capability,
            layer: key.layer,
            audited: key.audited,
        })
    }

    fn total_series(&self, key: &Total) -> DenialSeries {
        let number = u32::from(key.capability);
        let name = correlate::name(&self.rules, key.owner.rule);
        let expectation = self.rules.expected(key.owner.rule, number, key.layer);
        DenialSeries {
            supervisor: name.unwrap_or_else(|| NONE.to_owned()),
            role: correlate::role(key.owner.role).unwrap_or_else(|| NONE.to_owned()),
            capability: caps::name(number).into_owned(),
            layer: key.layer.as_str(),
            audited: key.audited.as_str(),
            expected: expectation.is_some(),
        }
    }

    fn by_profile_of(&self, key: &Row) -> ByProfile {
        if !of_lsm(key.layer) {
            return ByProfile::Never;
        }
        let DenialSeries {
            supervisor,
            capability,
            layer,
            ..
        } = self.series(key);
        let detail = self.details.get(key);
        let profile = detail.and_then(|detail| detail.profile.clone());
        let series = LsmSeries {
            supervisor,
            layer,
            profile: profile.unwrap_or_default(),
            capability,
        };
        if detail.is_some() || self.details.len() >= MAX_DETAILS {
            ByProfile::Known(series)
        } else {
            ByProfile::NotYet(series)
        }
    }
}

#[cfg(test)]
mod tests;
