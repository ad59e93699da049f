//! Gaps in the serial numbers of the multicast group.
//!
//! A number is taken when a record is begun and the record is queued when it is
//! finished (`audit_log_start` and `audit_log_end`, `kernel/audit.c`, 6.12), so
//! that records of two processors may arrive out of order: a missing number is
//! a loss only once it has stayed away for a while.

use std::collections::VecDeque;

/// How long a number may be late, in nanoseconds.
const PATIENCE: u64 = 2_000_000_000;

/// Gaps that wait at one time; beyond, the oldest is lost at once.
const MAX_GAPS: usize = 4096;

/// Numbers that were passed over.
#[derive(Clone, Copy, Debug)]
struct Gap {
    first: u32,
    count: u32,
    since: u64,
}

/// Watches one stream of serial numbers.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    highest: Option<u32>,
    /// Oldest first.
    gaps: VecDeque<Gap>,
    lost: u64,
    /// Datagrams that the socket is known to have dropped: they leave gaps too.
    explained: u64,
    /// When that was last known.
    explained_at: u64,
    /// Whether a message arrived so long after that its gap, if any, was another.
    outlived: bool,
}

impl Sequence {
    /// A message with this serial number arrived at `now`.
    pub(super) fn arrived(&mut self, serial: u32, now: u64) {
        self.outlived = now.saturating_sub(self.explained_at) >= PATIENCE;
        let Some(highest) = self.highest else {
            self.highest = Some(serial);
            return;
        };
        let ahead = serial.wrapping_sub(highest);
        if ahead == 0 {
            return;
        }
        // The number is 32 bits wide and wraps: what seems far ahead is behind.
        if ahead > u32::MAX / 2 {
            self.fill(serial);
            return;
        }
        self.highest = Some(serial);
        if ahead > 1 {
            self.gaps.push_back(Gap {
                first: highest.wrapping_add(1),
                count: ahead - 1,
                since: now,
            });
            self.bound();
        }
    }

    /// Takes a late number out of its gap.
    fn fill(&mut self, serial: u32) {
        let place = |gap: &Gap| serial.wrapping_sub(gap.first) < gap.count;
        let Some(index) = self.gaps.iter().position(place) else {
            return;
        };
        let Some(gap) = self.gaps.remove(index) else {
            return;
        };
        let before = serial.wrapping_sub(gap.first);
        let parts = [
            (gap.first, before),
            (serial.wrapping_add(1), gap.count - before - 1),
        ];
        for (first, count) in parts.into_iter().rev().filter(|(_, count)| *count > 0) {
            let part = Gap {
                first,
                count,
                since: gap.since,
            };
            self.gaps.insert(index, part);
        }
        self.bound();
    }

    fn bound(&mut self) {
        if self.gaps.len() > MAX_GAPS
            && let Some(oldest) = self.gaps.pop_front()
        {
            self.lost += u64::from(oldest.count);
        }
    }

    /// The socket dropped so many until `now`: gaps that follow are theirs, and
    /// counted there. What is still in the socket comes before the gap, and what
    /// comes behind it may be long in coming.
    pub(super) const fn explain(&mut self, dropped: u64, now: u64) {
        self.explained += dropped;
        self.explained_at = now;
        self.outlived = false;
    }

    /// The numbers that have become losses by `now`, and have not been reported.
    pub(super) fn settle(&mut self, now: u64) -> u64 {
        while let Some(gap) = self
            .gaps
            .pop_front_if(|gap| now.saturating_sub(gap.since) >= PATIENCE)
        {
            self.lost += u64::from(gap.count);
        }
        let lost = std::mem::take(&mut self.lost);
        let unexplained = lost.saturating_sub(self.explained);
        self.explained = self.explained.saturating_sub(lost);
        // Several datagrams share a number, so more may have been dropped
        // than are missing: the rest explains nothing later.
        if self.outlived && self.gaps.is_empty() {
            self.explained = 0;
        }
        unexplained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(serials: &[u32]) -> Sequence {
        let mut sequence = Sequence::default();
        for &serial in serials {
            sequence.arrived(serial, 0);
        }
        sequence
    }

    #[test]
    fn records_of_one_event_and_disorder_are_no_loss() {
        assert_eq!(after(&[7, 7, 7, 9, 8, 10, 12, 11]).settle(PATIENCE), 0);
        assert_eq!(after(&[u32::MAX - 1, u32::MAX, 0, 1]).settle(PATIENCE), 0);
    }

    #[test]
    fn a_gap_is_a_loss_after_a_while() {
        let mut sequence = after(&[1, 5]);
        assert_eq!(sequence.settle(PATIENCE - 1), 0);
        assert_eq!(sequence.settle(PATIENCE), 3);
        assert_eq!(sequence.settle(PATIENCE), 0);
    }

    #[test]
    fn a_wide_gap_waits_too_and_late_numbers_come_out_of_its_midst() {
        let mut sequence = after(&[1, 100_002, 50_000, 50_000, 2, 100_001, 60_000]);
        assert_eq!(sequence.settle(PATIENCE - 1), 0);
        assert_eq!(sequence.settle(PATIENCE), 99_996);
    }

    #[test]
    fn gaps_beyond_number_are_lost_at_once() {
        let mut sequence = Sequence::default();
        for serial in 0..10_000 {
            sequence.arrived(serial * 3, 0);
        }
        assert!(sequence.gaps.len() <= MAX_GAPS);
        let at_once = sequence.settle(0);
        assert_eq!(at_once, 2 * (9_999 - MAX_GAPS as u64));
        assert_eq!(at_once + sequence.settle(PATIENCE), 2 * 9_999);
    }

    #[test]
    fn what_the_socket_dropped_is_not_counted_twice() {
        let mut sequence = after(&[1]);
        // Known before the gap is seen, and settled in between.
        sequence.explain(8, 0);
        assert_eq!(sequence.settle(0), 0);
        sequence.arrived(12, 0);
        assert_eq!(sequence.settle(PATIENCE), 2);
    }

    #[test]
    fn what_the_socket_dropped_explains_nothing_for_ever() {
        let mut sequence = after(&[1]);
        sequence.explain(50, 0);
        sequence.arrived(4, 0);
        assert_eq!(sequence.settle(PATIENCE), 0);
        sequence.arrived(5, PATIENCE);
        assert_eq!(sequence.settle(PATIENCE), 0);
        sequence.arrived(7, PATIENCE);
        assert_eq!(sequence.settle(2 * PATIENCE), 1);
    }
}
