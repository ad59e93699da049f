//! The counters of denials, as metrics show them. The kernel's rows come and go,
//! and what is known of them changes; these only grow.

use std::collections::HashMap;

use super::{
    limited::{Counted, Limited},
    series::{DenialSeries, LsmSeries},
};
use crate::{
    correlate::Tally,
    finding::Scope,
    observation::{Row, Total},
};

/// Times that a row's count waits for the name of its profile, which comes with
/// its own event.
const PATIENCE: u8 = 8;

/// The scope of what is known to be of the recorded tree, or not to be.
pub(super) const fn of_tree(in_tree: bool) -> Scope {
    if in_tree { Scope::Tree } else { Scope::Host }
}

/// A row of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct KernelRow {
    /// Its name, by the key as the kernel has it.
    pub id: u64,
    /// Its key, with the owner as user space names it.
    pub key: Row,
    /// What it counts.
    pub tally: Tally,
    /// How far from the recorded command it is.
    pub scope: Scope,
}

impl KernelRow {
    /// A row whose owner is not renamed yet, and of which it is not known yet
    /// whether it is beside the recorded tree.
    pub const fn new(id: u64, key: Row, tally: Tally) -> Self {
        Self {
            id,
            key,
            tally,
            scope: of_tree(key.owner.in_tree),
        }
    }
}

/// A slot of the kernel that counts what found no row.
#[derive(Clone, Copy, Debug)]
pub struct KernelTotal {
    /// Its name, by the key as the kernel has it.
    pub id: u64,
    /// Its key, with the owner as user space names it.
    pub key: Total,
    /// What it counts.
    pub count: u64,
}

impl KernelTotal {
    /// A slot whose owner is not renamed yet.
    pub const fn new(id: u64, key: Total, count: u64) -> Self {
        Self { id, key, count }
    }
}

/// The labels of a row by its profile: none of a layer that has none, and none
/// yet where its name is not known.
pub enum ByProfile {
    /// The layer is no security module.
    Never,
    /// The name of the profile is still to come.
    NotYet(LsmSeries),
    /// The labels.
    Known(LsmSeries),
}

/// What grew of a row that waits for the name of its profile.
#[derive(Default)]
struct Waiting {
    count: u64,
    waited: u8,
}

/// The counters.
pub struct Counters {
    denials: Limited<DenialSeries>,
    profiles: Limited<LsmSeries>,
    /// What each row had counted when it was last looked at.
    counted: HashMap<u64, u64>,
    waiting: HashMap<u64, Waiting>,
}

impl Counters {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self {
            denials: Limited::new(limit),
            profiles: Limited::new(limit),
            counted: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Begins a look at all rows; gives what the last one saw.
    pub fn begin(&mut self) -> HashMap<u64, u64> {
        std::mem::take(&mut self.counted)
    }

    /// Ends a look: rows that are gone wait for nothing.
    pub fn end(&mut self) {
        let counted = &self.counted;
        self.waiting.retain(|row, _| counted.contains_key(row));
    }

    /// Counts what grew of a row since the last look. One that has fewer than then
    /// is another one in its place.
    pub fn look(
        &mut self,
        before: &HashMap<u64, u64>,
        row: u64,
        count: u64,
        series: impl FnOnce() -> DenialSeries,
        by_profile: impl FnOnce() -> ByProfile,
    ) {
        self.counted.insert(row, count);
        let last = before.get(&row).copied().unwrap_or_default();
        let grown = count.checked_sub(last).unwrap_or(count);
        if grown > 0 {
            self.denials.add(series(), grown);
        }
        if grown > 0 || self.waiting.contains_key(&row) {
            self.look_profile(row, grown, by_profile(), PATIENCE);
        }
    }

    /// Counts the rest of a row that the kernel is about to forget.
    pub fn forget(
        &mut self,
        row: u64,
        count: u64,
        series: impl FnOnce() -> DenialSeries,
        by_profile: ByProfile,
    ) {
        let last = self.counted.remove(&row).unwrap_or_default();
        let grown = count.checked_sub(last).unwrap_or(count);
        if grown > 0 {
            self.denials.add(series(), grown);
        }
        self.look_profile(row, grown, by_profile, 0);
    }

    fn look_profile(&mut self, row: u64, grown: u64, by_profile: ByProfile, patience: u8) {
        let series = match by_profile {
            ByProfile::Never => return,
            ByProfile::Known(series) => series,
            ByProfile::NotYet(series) => {
                let waiting = self.waiting.entry(row).or_default();
                if waiting.waited < patience {
                    waiting.waited += 1;
                    waiting.count += grown;
                    return;
                }
                series
            }
        };
        let waited = self.waiting.remove(&row).unwrap_or_default();
        if grown + waited.count > 0 {
            self.profiles.add(series, grown + waited.count);
        }
    }

    /// The counters, as they are kept.
    pub fn save(&self) -> (Counted<DenialSeries>, Counted<LsmSeries>) {
        (Counted::of(&self.denials), Counted::of(&self.profiles))
    }

    /// What each row had counted.
    pub fn counted(&self) -> Vec<(u64, u64)> {
        let counted = self.counted.iter();
        counted.map(|(row, count)| (*row, *count)).collect()
    }

    /// What of rows waits for the name of its profile.
    pub fn waiting(&self) -> Vec<(u64, u64)> {
        let waiting = self.waiting.iter();
        waiting.map(|(row, it)| (*row, it.count)).collect()
    }

    /// Goes on from counters that were kept.
    pub fn restore(&mut self, denials: Counted<DenialSeries>, profiles: Counted<LsmSeries>) {
        self.denials.restore(denials);
        self.profiles.restore(profiles);
    }

    /// Takes so much of each row as counted already.
    pub fn restore_rows(&mut self, counted: Vec<(u64, u64)>, waiting: Vec<(u64, u64)>) {
        self.counted.extend(counted);
        let waiting = waiting.into_iter().map(|(row, count)| {
            let waiting = Waiting { count, waited: 0 };
            (row, waiting)
        });
        self.waiting.extend(waiting);
    }

    /// The counters of `capwatch_denials_total`.
    pub const fn denials(&self) -> &Limited<DenialSeries> {
        &self.denials
    }

    /// The counters of `capwatch_lsm_denials_total`.
    pub const fn profiles(&self) -> &Limited<LsmSeries> {
        &self.profiles
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(rule: u8, capability: u8) -> DenialSeries {
        DenialSeries {
            supervisor: format!("rule-{rule}"),
            role: "supervisor".to_owned(),
            capability: format!("cap_{capability}"),
            layer: "apparmor",
            audited: "yes",
            expected: false,
        }
    }

    fn by_profile(rule: u8, profile: Option<u8>) -> ByProfile {
        let series = LsmSeries {
            supervisor: format!("rule-{rule}"),
            layer: "apparmor",
            profile: profile.map_or_else(String::new, |number| format!("profile-{number}")),
            capability: "setpcap".to_owned(),
        };
        match profile {
            Some(_) => ByProfile::Known(series),
            None => ByProfile::NotYet(series),
        }
    }

    /// A row of the kernel at a scrape: the rule and the profile that are known by
    /// then, and how much it has counted, in all that there ever were of its name.
    #[derive(Clone, Debug)]
    struct Seen {
        row: u64,
        rule: u8,
        profile: Option<u8>,
        grown: u64,
        forgotten: bool,
    }

    fn seen() -> impl Strategy<Value = Seen> {
        let profile = prop::option::of(0..20_u8);
        (
            0..40_u64,
            0..20_u8,
            profile,
            0..5_u64,
            prop::bool::weighted(0.1),
        )
            .prop_map(|(row, rule, profile, grown, forgotten)| Seen {
                row,
                rule,
                profile,
                grown,
                forgotten,
            })
    }

    proptest! {
        #[test]
        fn no_counter_of_two_successive_scrapes_falls(
            scrapes in prop::collection::vec(prop::collection::vec(seen(), 0..30), 1..20),
        ) {
            let mut counters = Counters::new(8);
            let mut rows: HashMap<u64, u64> = HashMap::new();
            let mut last: HashMap<DenialSeries, u64> = HashMap::new();
            let mut last_profiles: HashMap<LsmSeries, u64> = HashMap::new();
            let mut truth = 0;
            for scrape in scrapes {
                let before = counters.begin();
                let mut looked = HashMap::new();
                for seen in &scrape {
                    looked.insert(seen.row, seen.clone());
                }
                for (row, seen) in &looked {
                    let count = rows.entry(*row).or_default();
                    *count += seen.grown;
                    truth += seen.grown;
                    counters.look(
                        &before,
                        *row,
                        *count,
                        || series(seen.rule, (seen.rule + 1) % 7),
                        || by_profile(seen.rule, seen.profile),
                    );
                }
                // Those that were not looked at are gone, and begin again.
                rows.retain(|row, _| looked.contains_key(row));
                counters.end();
                for seen in looked.values().filter(|seen| seen.forgotten) {
                    let count = rows.remove(&seen.row).unwrap_or_default();
                    let profile = by_profile(seen.rule, seen.profile);
                    counters.forget(seen.row, count, || series(seen.rule, 0), profile);
                }
                for (series, count) in last.drain() {
                    prop_assert!(counters.denials().get(&series) >= count, "{series:?}");
                }
                for (series, count) in last_profiles.drain() {
                    prop_assert!(counters.profiles().get(&series) >= count, "{series:?}");
                }
                last.extend(counters.denials().iter().map(|(series, count)| (series.clone(), count)));
                last_profiles
                    .extend(counters.profiles().iter().map(|(series, count)| (series.clone(), count)));
                prop_assert_eq!(last.values().sum::<u64>(), truth);
            }
        }
    }

    #[test]
    fn a_count_waits_for_the_name_of_its_profile_but_not_for_ever() {
        let mut counters = Counters::new(100);
        let look = |counters: &mut Counters, count, profile| {
            let before = counters.begin();
            counters.look(
                &before,
                1,
                count,
                || series(1, 1),
                || by_profile(1, profile),
            );
            counters.end();
        };
        look(&mut counters, 5, None);
        assert_eq!(counters.profiles().iter().count(), 0);
        look(&mut counters, 6, Some(3));
        let all: Vec<_> = counters.profiles().iter().collect();
        assert_eq!((all[0].0.profile.as_str(), all[0].1), ("profile-3", 6));
        for _ in 0..20 {
            let before = counters.begin();
            counters.look(&before, 2, 7, || series(1, 1), || by_profile(2, None));
            counters.end();
        }
        assert_eq!(
            counters
                .profiles()
                .iter()
                .map(|(_, count)| count)
                .sum::<u64>(),
            13
        );
    }
}
