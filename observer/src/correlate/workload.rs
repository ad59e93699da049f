//! What a supervisor's process became, until the episode that its exec closed
//! is reported: the two belong together.

use std::collections::VecDeque;

use crate::{
    observation::{EpisodeSeen, WorkloadSeen},
    time::Stamp,
};

/// Workloads that wait for their episode, which comes right after them.
const MAX_WAITING: usize = 256;
/// For so long.
const HOLD_NS: u64 = 1_000_000_000;

/// Workloads that wait for their episode.
#[derive(Default)]
pub struct Workloads {
    waiting: VecDeque<WorkloadSeen>,
}

impl Workloads {
    /// Takes in a workload. Gives back one that no episode is to come for, and
    /// what there is no room for.
    pub fn enter(&mut self, seen: WorkloadSeen) -> Option<WorkloadSeen> {
        if seen.event.episode == 0 {
            return Some(seen);
        }
        self.waiting.push_back(seen);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front()
        } else {
            None
        }
    }

    /// What the process of an episode became by the exec that closed it.
    pub fn take(&mut self, seen: &EpisodeSeen) -> Option<WorkloadSeen> {
        let closed = seen.end.is_some_and(|end| end.is_exec());
        let of_it = |waiting: &WorkloadSeen| waiting.event.episode == seen.episode.id;
        let at = self.waiting.iter().position(of_it).filter(|_| closed)?;
        self.waiting.remove(at)
    }

    /// Those whose episode goes on without them, or was lost.
    pub fn expire(&mut self, now: Stamp) -> Vec<WorkloadSeen> {
        let mut alone = Vec::new();
        while let Some(seen) = self
            .waiting
            .pop_front_if(|seen| now.since(seen.time) > HOLD_NS)
        {
            alone.push(seen);
        }
        alone
    }

    /// Whether anything waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Everyone who waits.
    pub fn finish(&mut self) -> Vec<WorkloadSeen> {
        self.waiting.drain(..).collect()
    }
}
