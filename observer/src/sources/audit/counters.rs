//! What a source has read and lost, for metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::event::LostReason;

/// Totals of one source, shared between its reader and the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) records: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) foreign: AtomicU64,
    pub(super) malformed: AtomicU64,
    lost: [AtomicU64; LostReason::ALL.len()],
    up: AtomicBool,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Lines and messages that held a record, those seen before included.
    pub records: u64,
    /// Of these, records that another source had reported first.
    pub duplicates: u64,
    /// Lines and messages that held something else.
    pub foreign: u64,
    /// Lines and messages that were broken.
    pub malformed: u64,
}

impl Snapshot {
    /// All lines and messages read.
    pub const fn read(&self) -> u64 {
        self.records + self.foreign + self.malformed
    }
}

impl Counters {
    /// The totals now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            records: self.records.load(Ordering::Relaxed),
            duplicates: self.duplicates.load(Ordering::Relaxed),
            foreign: self.foreign.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
        }
    }

    /// Records lost for `reason`.
    pub fn lost(&self, reason: LostReason) -> u64 {
        self.lost[reason.index()].load(Ordering::Relaxed)
    }

    /// Records lost for any reason. The same record may have been lost for two,
    /// such as a socket's overflow and a serial gap seen in another log.
    pub fn lost_total(&self) -> u64 {
        self.lost
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// Whether the source works; right even where the channel was too full for
    /// the event that said so.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    pub(super) fn add_lost(&self, reason: LostReason, count: u64) {
        self.lost[reason.index()].fetch_add(count, Ordering::Relaxed);
    }
}

/// Adds one.
pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
