//! Rows of denials that count no more: their sums, and the worthiest in full.

use std::hash::Hash;

use super::kept::{Kept, Worth};
use crate::finding::{Denial, DenialCounts};

/// Rows that are kept in full.
const MAX_FOLDED: usize = 1_000;

/// Whether a security module refused, which writes records.
pub fn is_of_lsm(denial: &Denial) -> bool {
    matches!(denial.layer.as_str(), "apparmor" | "selinux" | "lsm")
}

/// Rows that count no more.
pub struct Folded {
    counts: DenialCounts,
    by_lsm: u64,
    kept: Kept<Denial>,
    number: u64,
}

impl Folded {
    /// None yet.
    pub fn new() -> Self {
        Self {
            counts: DenialCounts::default(),
            by_lsm: 0,
            kept: Kept::new(MAX_FOLDED),
            number: 0,
        }
    }

    /// Counts a row, and keeps it where it is worth it.
    pub fn add(&mut self, name: &str, denial: Denial) {
        self.counts.add(&denial);
        if is_of_lsm(&denial) {
            self.by_lsm += denial.count;
        }
        self.kept.put(name, self.number, denial);
        self.number += 1;
    }

    /// Counts what a row has grown by that was added before.
    pub fn grow(&mut self, by: &Denial) {
        self.counts.grow(by);
        if is_of_lsm(by) {
            self.by_lsm += by.count;
        }
    }

    /// Counts what an agent before had counted.
    pub fn restore(&mut self, counts: &DenialCounts, by_lsm: u64) {
        self.counts.join(counts);
        self.by_lsm += by_lsm;
    }

    /// Exact counts.
    pub const fn counts(&self) -> &DenialCounts {
        &self.counts
    }

    /// How many denials a security module gave.
    pub const fn by_lsm(&self) -> u64 {
        self.by_lsm
    }

    /// Those that are kept, in no order.
    pub fn kept(&self) -> impl Iterator<Item = &Denial> {
        self.kept.iter().map(|(_, denial)| denial)
    }
}

impl Worth for Denial {
    fn rank(&self) -> u8 {
        u8::from(self.is_notable()) * 2 + u8::from(self.supervisor.is_some())
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
