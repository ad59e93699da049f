//! *Sight*: whether capwatch sees everything now, and if not, since when, until
//! when and how much it may have missed.
//!
//! The promise is that silence means nothing happened; whatever can break it is
//! a *lapse* with a reason. Loss counters, hooks and sources feed [`Lapses`];
//! every output shows [`Sight`]. No I/O and no clock: stamps come in.

mod lapses;
mod reasons;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use lapses::Lapses;
pub use reasons::{
    AGENT_AWAY, CHECKS_MISSED, DROPS_MISSED, HOOK_DOWN, LINES_UNREAD, LINES_UNWRITTEN,
    PRIVILEGE_MISSING, REASONS, RECORDS_LOST, RULES_MISSED, SOURCE_DOWN, TREE_MISSED, advice,
    hides, reason_of, reason_of_miss,
};

use crate::time::{Stamp, optional};

/// Why sight is partial, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapse {
    /// Why: a word of [`REASONS`], or that of a loss.
    pub reason: String,
    /// When it began, at the earliest; null of a log that has no times.
    #[serde(with = "optional")]
    pub since: Stamp,
    /// When it ended; none while it lasts.
    pub until: Option<Stamp>,
    /// How much: events possibly missed; of hooks and sources, how many are down.
    pub count: u64,
}

impl fmt::Display for Lapse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            since,
            until,
            count,
        } = self;
        write!(formatter, "{reason}, {count}")?;
        // A log's lines may have no time.
        if !since.is_known() {
            return Ok(());
        }
        write!(formatter, " since {since}")?;
        match until {
            Some(until) => write!(formatter, " until {until}"),
            None => Ok(()),
        }
    }
}

/// What capwatch can say of its own sight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Of a report: whether nothing was missed in all the time that it covers.
    /// Of the agent's status: whether nothing is missed now.
    pub complete: bool,
    /// What was or is missed, the earliest first.
    pub reasons: Vec<Lapse>,
}

impl Default for Sight {
    fn default() -> Self {
        Self {
            complete: true,
            reasons: Vec::new(),
        }
    }
}

impl Sight {
    /// The lapses that last.
    pub fn lasting(&self) -> impl Iterator<Item = &Lapse> {
        self.reasons.iter().filter(|lapse| lapse.until.is_none())
    }

    /// The lapses that can hide a finding, over or not.
    pub fn hiding(&self) -> impl Iterator<Item = &Lapse> {
        self.reasons.iter().filter(|lapse| hides(&lapse.reason))
    }

    /// The word for it.
    pub const fn word(&self) -> &'static str {
        if self.complete { "complete" } else { "partial" }
    }
}
