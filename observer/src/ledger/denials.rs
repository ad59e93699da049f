//! Denials: the kernel's rows as they stand, and those that it has forgotten.

use std::{
    cmp::Ordering,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use observer_ebpf::{Audited, Layer, RowKey, TotalKey};

use super::{
    Limited, NONE, OVERFLOW,
    leftover::{self, Grounds},
    told::ToldRows,
};
use crate::{
    caps,
    config::Rules,
    correlate::{self, Detail, Tally},
    finding::{AuditEvent, Denial},
    time::Stamp,
};

/// Rows whose detail is kept; the kernel has no room for more.
const MAX_DETAILS: usize = 16_384;

/// Labels of `capwatch_denials_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DenialSeries {
    /// Name of the rule.
    pub supervisor: String,
    /// `supervisor`, `workload` or `none`.
    pub role: String,
    /// Capability.
    pub capability: String,
    /// Layer that refused.
    pub layer: &'static str,
    /// Whether an audit record was asked for.
    pub audited: &'static str,
    /// Whether a rule expects it.
    pub expected: bool,
}

/// Labels of `capwatch_lsm_denials_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LsmSeries {
    /// Name of the rule.
    pub supervisor: String,
    /// Layer that refused.
    pub layer: &'static str,
    /// Profile.
    pub profile: String,
    /// Capability.
    pub capability: String,
}

/// What the log has of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Logged {
    count: u64,
    /// Whether it says of one that it was allowed.
    contradicted: bool,
}

/// Every denial.
pub struct Denials {
    rules: Arc<Rules>,
    rows: Vec<(RowKey, Tally)>,
    totals: Vec<(TotalKey, u64)>,
    details: HashMap<RowKey, Detail>,
    logged: HashMap<RowKey, Logged>,
    folded: Limited<DenialSeries>,
    folded_lsm: Limited<LsmSeries>,
    told: ToldRows,
    limit: usize,
}

/// Whether a security module refused, which writes records.
fn of_lsm(layer: u8) -> bool {
    matches!(
        Layer::from_byte(layer),
        Layer::Apparmor | Layer::Selinux | Layer::Lsm
    )
}

/// The name of a row in a stream: the same for the same key in one run.
pub fn row_name(key: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The order of rows in a report: most first, and total over what is shown, so
/// that a replayed report has the same.
pub(super) fn order(a: &Denial, b: &Denial) -> Ordering {
    let shown = |denial: &Denial| serde_json::to_string(denial).unwrap_or_default();
    let micros = |denial: &Denial| denial.first.0 / 1_000;
    b.count
        .cmp(&a.count)
        .then_with(|| micros(a).cmp(&micros(b)))
        .then_with(|| shown(a).cmp(&shown(b)))
}

impl Denials {
    /// None yet.
    pub fn new(rules: Arc<Rules>, limit: usize) -> Self {
        Self {
            rules,
            rows: Vec::new(),
            totals: Vec::new(),
            details: HashMap::new(),
            logged: HashMap::new(),
            folded: Limited::new(limit),
            folded_lsm: Limited::new(limit),
            told: ToldRows::default(),
            limit,
        }
    }

    /// Takes the kernel's counts as they stand now.
    pub fn set(&mut self, rows: Vec<(RowKey, Tally)>, totals: Vec<(TotalKey, u64)>) {
        self.rows = rows;
        self.totals = totals;
    }

    /// Keeps what was told of a row.
    pub fn describe(&mut self, key: RowKey, detail: Detail) {
        if self.details.len() < MAX_DETAILS || self.details.contains_key(&key) {
            let old = self.details.remove(&key);
            let (namespace, profile) = old.map_or((None, None), |old| (old.namespace, old.profile));
            self.details.insert(
                key,
                Detail {
                    namespace: detail.namespace.or(namespace),
                    profile: detail.profile.or(profile),
                    ..detail
                },
            );
        }
    }

    /// Keeps what a joined record tells of its row: that the log has it, the policy
    /// namespace, and a profile that the hooks can't read (`SELinux`'s domain).
    pub fn join(&mut self, key: &RowKey, event: &AuditEvent) {
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

    /// Keeps the sums of rows that the kernel is about to forget.
    pub fn fold(&mut self, rows: &[(RowKey, Tally)]) {
        for (key, tally) in rows {
            let series = self.series(key);
            self.folded.add(series, tally.count, overflow);
            if let Some(series) = self.lsm_series(key) {
                self.folded_lsm.add(series, tally.count, overflow_lsm);
            }
            self.details.remove(key);
            self.logged.remove(key);
        }
    }

    /// The counters of `capwatch_denials_total`.
    pub fn by_series(&self) -> Limited<DenialSeries> {
        let mut all = Limited::new(self.limit);
        for (series, count) in self.folded.iter() {
            all.add(series.clone(), count, overflow);
        }
        for (key, tally) in &self.rows {
            all.add(self.series(key), tally.count, overflow);
        }
        for (key, count) in &self.totals {
            all.add(self.total_series(key), *count, overflow);
        }
        all
    }

    /// The counters of `capwatch_lsm_denials_total`.
    pub fn by_profile(&self) -> Limited<LsmSeries> {
        let mut all = Limited::new(self.limit);
        for (series, count) in self.folded_lsm.iter() {
            all.add(series.clone(), count, overflow_lsm);
        }
        for (key, tally) in &self.rows {
            if let Some(series) = self.lsm_series(key) {
                all.add(series, tally.count, overflow_lsm);
            }
        }
        all
    }

    /// How many denials by an LSM the kernel counted.
    pub fn by_lsm(&self, tree_only: bool) -> u64 {
        let rows = self
            .rows
            .iter()
            .map(|(key, tally)| (key.owner, key.layer, tally.count));
        let totals = self
            .totals
            .iter()
            .map(|(key, count)| (key.owner, key.layer, *count));
        let live: u64 = rows
            .chain(totals)
            .filter(|(owner, layer, _)| of_lsm(*layer) && (!tree_only || owner.in_tree == 1))
            .map(|(_, _, count)| count)
            .sum();
        let folded: u64 = self.folded_lsm.iter().map(|(_, count)| count).sum();
        live + self.told.by_lsm() + if tree_only { 0 } else { folded }
    }

    /// How much found no series.
    pub const fn overflowed(&self) -> u64 {
        self.folded.overflowed()
    }

    /// Rows that a recorded stream tells.
    pub const fn told(&mut self) -> &mut ToldRows {
        &mut self.told
    }

    /// Rows for a report, most first.
    pub fn report(&self, tree_only: bool, grounds: &Grounds) -> Vec<Denial> {
        let rows = self.rows(tree_only, grounds).map(|(_, denial)| denial);
        let mut denials: Vec<_> = rows.chain(self.told.listed().cloned()).collect();
        denials.sort_by(order);
        denials
    }

    /// The kernel's rows with their names in a stream.
    pub fn rows(
        &self,
        tree_only: bool,
        grounds: &Grounds,
    ) -> impl Iterator<Item = (String, Denial)> {
        let wanted = move |in_tree: u8| !tree_only || in_tree == 1;
        let rows = self.rows.iter();
        let rows = rows.filter(move |(key, _)| wanted(key.owner.in_tree));
        let totals = self.totals.iter();
        let totals = totals.filter(move |(key, _)| wanted(key.owner.in_tree));
        rows.map(|(key, tally)| (row_name(key), self.row(key, *tally, grounds)))
            .chain(totals.map(|(key, count)| (row_name(key), self.inexact(key, *count))))
    }

    /// A row of so many denials, as it is shown.
    pub fn row(&self, key: &RowKey, tally: Tally, grounds: &Grounds) -> Denial {
        let denial = correlate::denial(key, tally, self.details.get(key), &self.rules);
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
    fn has_like(&self, key: &RowKey) -> bool {
        self.logged.keys().any(|other| {
            (other.layer, other.profile, other.capability)
                == (key.layer, key.profile, key.capability)
        })
    }

    /// A row that found no room: comm, executable and profile are not told apart.
    fn inexact(&self, key: &TotalKey, count: u64) -> Denial {
        let row = RowKey {
            owner: key.owner,
            capability: key.capability,
            layer: key.layer,
            audited: key.audited,
            own_credentials: 1,
            ..RowKey::default()
        };
        let tally = Tally {
            count,
            first: Stamp::default(),
            last: Stamp::default(),
        };
        Denial {
            exact: false,
            ..correlate::denial(&row, tally, None, &self.rules)
        }
    }

    fn series(&self, key: &RowKey) -> DenialSeries {
        self.total_series(&TotalKey {
            owner: key.owner,
            capability: key.capability,
            layer: key.layer,
            audited: key.audited,
            reserved: [0; 5],
        })
    }

    fn total_series(&self, key: &TotalKey) -> DenialSeries {
        let number = u32::from(key.capability);
        let layer = Layer::from_byte(key.layer);
        let name = correlate::name(&self.rules, key.owner.rule);
        let expectation = self.rules.expected(key.owner.rule, number, layer);
        DenialSeries {
            supervisor: name.unwrap_or_else(|| NONE.to_owned()),
            role: correlate::role(key.owner.role).unwrap_or_else(|| NONE.to_owned()),
            capability: caps::name(number).into_owned(),
            layer: layer.as_str(),
            audited: Audited::from_byte(key.audited).as_str(),
            expected: expectation.is_some(),
        }
    }

    fn lsm_series(&self, key: &RowKey) -> Option<LsmSeries> {
        let layer = Layer::from_byte(key.layer);
        if !matches!(layer, Layer::Apparmor | Layer::Selinux | Layer::Lsm) {
            return None;
        }
        let DenialSeries {
            supervisor,
            capability,
            layer,
            ..
        } = self.series(key);
        let detail = self.details.get(key);
        let profile = detail.and_then(|detail| detail.profile.clone());
        Some(LsmSeries {
            supervisor,
            layer,
            profile: profile.unwrap_or_default(),
            capability,
        })
    }
}

fn overflow(series: &DenialSeries) -> DenialSeries {
    DenialSeries {
        supervisor: OVERFLOW.to_owned(),
        role: OVERFLOW.to_owned(),
        capability: OVERFLOW.to_owned(),
        ..series.clone()
    }
}

fn overflow_lsm(series: &LsmSeries) -> LsmSeries {
    LsmSeries {
        supervisor: OVERFLOW.to_owned(),
        profile: OVERFLOW.to_owned(),
        capability: OVERFLOW.to_owned(),
        layer: series.layer,
    }
}
