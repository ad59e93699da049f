//! Denials: the kernel's rows as they stand, and those that it has forgotten.

use std::{cmp::Ordering, collections::HashMap, hash::Hash, sync::Arc};

use observer_ebpf::{Audited, Layer, RowKey, TotalKey};

use super::{
    NONE,
    counters::{ByProfile, Counters, DenialSeries, LsmSeries, identity},
    kept::{Kept, Worth},
    leftover::{self, Grounds},
    limited::Limited,
    told::ToldRows,
};
use crate::{
    caps,
    config::Rules,
    correlate::{self, Detail, Tally},
    finding::{AuditEvent, Denial, DenialCounts},
    time::Stamp,
};

/// Rows whose detail is kept; the kernel has no room for more.
const MAX_DETAILS: usize = 16_384;
/// Rows that the kernel has forgotten and that are kept in full: of the recorded
/// tree, and of all others.
const MAX_FOLDED: usize = 1_000;

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
    counters: Counters,
    /// What the kernel has forgotten: of the recorded tree, and of all others.
    folded: [Folded; 2],
    told: ToldRows,
}

/// A row of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct KernelRow {
    /// Its name, by the key as the kernel has it.
    pub id: u64,
    /// Its key, with the owner as user space names it.
    pub key: RowKey,
    /// What it counts.
    pub tally: Tally,
}

impl KernelRow {
    /// A row whose owner is not renamed yet.
    pub fn new(key: RowKey, tally: Tally) -> Self {
        let id = identity(&key);
        Self { id, key, tally }
    }
}

/// A slot of the kernel that counts what found no row.
#[derive(Clone, Copy, Debug)]
pub struct KernelTotal {
    /// Its name, by the key as the kernel has it.
    pub id: u64,
    /// Its key, with the owner as user space names it.
    pub key: TotalKey,
    /// What it counts.
    pub count: u64,
}

impl KernelTotal {
    /// A slot whose owner is not renamed yet.
    pub fn new(key: TotalKey, count: u64) -> Self {
        let id = identity(&key);
        Self { id, key, count }
    }
}

/// Rows that count no more.
pub(super) struct Folded {
    counts: DenialCounts,
    by_lsm: u64,
    kept: Kept<Denial>,
    number: u64,
}

impl Folded {
    pub(super) fn new() -> Self {
        Self {
            counts: DenialCounts::default(),
            by_lsm: 0,
            kept: Kept::new(MAX_FOLDED),
            number: 0,
        }
    }

    /// Counts a row, and keeps it where it is worth it.
    pub(super) fn add(&mut self, name: &str, denial: Denial) {
        self.counts.add(&denial);
        if matches!(denial.layer.as_str(), "apparmor" | "selinux" | "lsm") {
            self.by_lsm += denial.count;
        }
        self.kept.put(name, self.number, denial);
        self.number += 1;
    }

    pub(super) const fn counts(&self) -> &DenialCounts {
        &self.counts
    }

    pub(super) const fn by_lsm(&self) -> u64 {
        self.by_lsm
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = &Denial> {
        self.kept.iter().map(|(_, denial)| denial)
    }
}

impl Worth for Denial {
    fn rank(&self) -> u8 {
        u8::from(self.is_telling()) * 2 + u8::from(self.supervisor.is_some())
    }

    fn kind(&self) -> impl Hash {
        let Self {
            supervisor,
            role,
            capability,
            layer,
            profile,
            ..
        } = self;
        (supervisor, role, capability, layer, profile)
    }
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
    format!("{:016x}", identity(key))
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
            counters: Counters::new(limit),
            folded: [Folded::new(), Folded::new()],
            told: ToldRows::new(),
        }
    }

    /// Takes the kernel's counts as they stand now.
    pub fn set(&mut self, rows: Vec<KernelRow>, totals: Vec<KernelTotal>) {
        let mut counters = std::mem::replace(&mut self.counters, Counters::new(0));
        let before = counters.begin();
        for KernelRow { id, key, tally } in &rows {
            let series = || self.series(key);
            counters.look(&before, *id, tally.count, series, || {
                self.by_profile_of(key)
            });
        }
        for KernelTotal { id, key, count } in &totals {
            let series = || self.total_series(key);
            // The overflow slots have no profile.
            counters.look(&before, *id, *count, series, || ByProfile::Never);
        }
        counters.end();
        self.counters = counters;
        self.rows = rows.iter().map(|row| (row.key, row.tally)).collect();
        self.totals = totals.iter().map(|slot| (slot.key, slot.count)).collect();
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

    /// Keeps what rows counted that the kernel is about to forget.
    pub fn fold(&mut self, rows: &[KernelRow], grounds: &Grounds) {
        for KernelRow { id, key, tally } in rows {
            let (series, by_profile) = (self.series(key), self.by_profile_of(key));
            self.counters
                .forget(*id, tally.count, || series, by_profile);
            let denial = self.row(key, *tally, grounds);
            let scope = usize::from(key.owner.in_tree != 1);
            self.folded[scope].add(&row_name(key), denial);
            self.details.remove(key);
            self.logged.remove(key);
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

    /// What the kernel has forgotten, of the recorded tree or of all.
    fn folded(&self, tree_only: bool) -> &[Folded] {
        &self.folded[..if tree_only { 1 } else { 2 }]
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
        let folded = self.folded(tree_only).iter().map(Folded::by_lsm);
        live + self.told.by_lsm() + folded.sum::<u64>()
    }

    /// How many denials have no series of their own.
    pub const fn overflowed(&self) -> u64 {
        self.counters.denials().overflowed()
    }

    /// Rows that a recorded stream tells.
    pub const fn told(&mut self) -> &mut ToldRows {
        &mut self.told
    }

    /// Rows for a report, most first, and exact counts of all there were.
    pub fn report(&self, tree_only: bool, grounds: &Grounds) -> (Vec<Denial>, DenialCounts) {
        let rows = self.rows(tree_only, grounds).map(|(_, denial)| denial);
        let mut denials: Vec<_> = rows.chain(self.told.listed().cloned()).collect();
        let mut counts = DenialCounts::default();
        for denial in &denials {
            counts.add(denial);
        }
        for folded in self.folded(tree_only).iter().chain([self.told.folded()]) {
            counts.join(folded.counts());
            denials.extend(folded.kept().cloned());
        }
        denials.sort_by(order);
        (denials, counts)
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

    fn by_profile_of(&self, key: &RowKey) -> ByProfile {
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
