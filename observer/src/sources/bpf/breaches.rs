//! What rules refused, as the kernel counts it: read now and then, and forgotten
//! once nothing is added any more.

use std::collections::{HashMap as Known, HashSet};

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use observer_ebpf::{Breach, BreachKey, Holder, Share, Table};

use super::{batch, error::KernelError, maps::take};
use crate::observation::{self, identity};

/// Keys from which on those that are idle are forgotten.
const CROWDED: usize = 512;
/// Idle: so many nanoseconds since the last refusal.
const IDLE_NS: u64 = 60_000_000_000;

/// The refusals of a key since it was looked at last.
#[derive(Clone, Copy, Debug)]
pub struct Grown {
    /// The name of the kernel's key.
    pub id: u64,
    /// Of what.
    pub key: observation::BreachKey,
    /// How many.
    pub count: u64,
    /// How many there are of it in all.
    pub total: u64,
    /// Time of the last, of `CLOCK_MONOTONIC`.
    pub last: u64,
}

/// The refusals, as far as they are known.
pub struct Breaches {
    map: HashMap<MapData, BreachKey, Breach>,
    /// What each key had counted when it was looked at last.
    seen: Known<BreachKey, u64>,
    /// What an agent before had counted of keys that were not looked at yet, by the
    /// keys' names.
    before: Known<u64, u64>,
}

impl Breaches {
    /// Takes the map.
    ///
    /// # Errors
    /// When the object lacks it.
    pub fn open(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            map: take(ebpf, "BREACHES")?,
            seen: Known::new(),
            before: Known::new(),
        })
    }

    /// The refusals of a key since it was looked at last, if there were any.
    pub fn grown_of(&mut self, key: &BreachKey) -> Option<Grown> {
        let breach = self.map.get(key, 0).ok()?;
        self.note(key, &breach)
    }

    /// How much of each key is counted, by the keys' names.
    pub fn counted(&self) -> Vec<(u64, u64)> {
        let seen = self.seen.iter();
        let seen = seen.map(|(key, count)| (identity(key), *count));
        let before = self.before.iter().map(|(name, count)| (*name, *count));
        seen.chain(before).collect()
    }

    /// Takes so much of each key as counted already.
    pub fn restore(&mut self, counted: impl IntoIterator<Item = (u64, u64)>) {
        self.before.extend(counted);
    }

    /// Everything that grew since it was looked at last, of the keys that `of` wants.
    pub fn grown(&mut self, mut of: impl FnMut(&BreachKey, &Breach) -> bool) -> Vec<Grown> {
        let mut all = Vec::new();
        let walked = batch::each_gently(&self.map, |key, breach| all.push((*key, *breach)));
        if let Err(error) = &walked {
            // What was read counts; the rest does the next time.
            tracing::warn!("cannot read the BPF map BREACHES: {error}");
        }
        if !self.before.is_empty() && walked.is_ok() {
            // What the kernel has no more is nobody's.
            let names: HashSet<_> = all.iter().map(|(key, _)| identity(key)).collect();
            self.before.retain(|name, _| names.contains(name));
        }
        all.retain(|(key, breach)| of(key, breach));
        let grown = all
            .iter()
            .filter_map(|(key, breach)| self.note(key, breach));
        grown.collect()
    }

    /// What grew of a key. One that has fewer than before is another in its place.
    fn note(&mut self, key: &BreachKey, breach: &Breach) -> Option<Grown> {
        let Self { seen, before, .. } = self;
        let seen = seen.entry(*key).or_insert_with(|| {
            let before = before.remove(&identity(key));
            before.unwrap_or_default()
        });
        let total = breach.count;
        let count = total.checked_sub(*seen).unwrap_or(total);
        *seen = total;
        (count > 0).then_some(Grown {
            id: identity(key),
            key: key.into(),
            count,
            total,
            last: breach.last,
        })
    }

    /// Forgets keys that nothing was added to for a while, where there are many;
    /// gives the shares that are held of those left.
    pub fn forget_idle(&mut self, now: u64) -> Option<Known<Share, u64>> {
        let mut all = Vec::new();
        batch::each(&self.map, |key, breach| all.push((*key, *breach))).ok()?;
        if all.len() <= CROWDED {
            return None;
        }
        let (gone, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|(key, breach)| {
            let known = self.seen.get(key) == Some(&breach.count);
            known && now.saturating_sub(breach.last) > IDLE_NS
        });
        if gone.is_empty() {
            return None;
        }
        for (key, _) in &gone {
            match self.map.remove(key) {
                Ok(()) | Err(MapError::KeyNotFound) => {
                    self.seen.remove(key);
                }
                Err(error) => tracing::warn!("cannot delete a refusal: {error}"),
            }
        }
        Some(held(&left))
    }

    /// How many keys the kernel has.
    pub fn len(&self) -> usize {
        self.map.keys().flatten().count()
    }
}

/// Who holds how many.
fn held(left: &[(BreachKey, Breach)]) -> Known<Share, u64> {
    let mut held: Known<Share, u64> = Known::new();
    for (key, breach) in left.iter().filter(|(_, breach)| breach.uid >> 32 == 1) {
        let mut hold = |holder, of| {
            let share = Share {
                of,
                table: Table::Breaches as u32,
                holder: holder as u32,
            };
            *held.entry(share).or_default() += 1;
        };
        hold(Holder::User, breach.uid & u64::from(u32::MAX));
        hold(Holder::Cgroup, key.cgroup);
        if key.owner.rule == 0 {
            hold(Holder::Nobody, 0);
        }
    }
    held
}
