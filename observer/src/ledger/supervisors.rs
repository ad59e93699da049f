//! Supervisors that live now, and workloads that run on with capabilities that
//! a supervisor failed to drop.

use std::collections::BTreeMap;

use super::{NONE, OVERFLOW};
use crate::{
    finding::{Episode, Fate, SupervisorEvent, Verdict},
    time::Stamp,
};

/// Live supervisors that are kept; beyond, only their number is right.
const MAX_KEPT: usize = 16_384;

/// A live workload that runs with what should have been dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResidualWorkload {
    /// Name of the supervisor's rule.
    pub supervisor: String,
    /// Capabilities that are still raised.
    pub residual: Vec<String>,
}

/// Who lives now.
#[derive(Default)]
pub struct Supervisors {
    live: BTreeMap<u32, (SupervisorEvent, Stamp)>,
    residual: BTreeMap<u32, ResidualWorkload>,
}

impl Supervisors {
    /// Enters that a supervisor came or went.
    pub fn enter(&mut self, event: &SupervisorEvent, time: Stamp) {
        if event.change != "started" {
            self.live.remove(&event.pid);
        } else if self.live.len() < MAX_KEPT {
            self.live.insert(event.pid, (event.clone(), time));
        }
    }

    /// Enters a workload that runs on with what was refused.
    pub fn judge(&mut self, episode: &Episode) {
        if episode.verdict == Verdict::Degraded
            && episode.fate == Fate::Exec
            && self.residual.len() < MAX_KEPT
        {
            let workload = ResidualWorkload {
                supervisor: episode
                    .supervisor
                    .clone()
                    .unwrap_or_else(|| NONE.to_owned()),
                residual: episode.residual.clone(),
            };
            self.residual.insert(episode.pid, workload);
        }
    }

    /// Forgets workloads that no longer live.
    pub fn retain_workloads(&mut self, mut lives: impl FnMut(u32) -> bool) {
        self.residual.retain(|pid, _| lives(*pid));
    }

    /// Live supervisors by process id, and since when.
    pub const fn live(&self) -> &BTreeMap<u32, (SupervisorEvent, Stamp)> {
        &self.live
    }

    /// Workloads that run on with what was refused, by process id.
    pub const fn workloads(&self) -> &BTreeMap<u32, ResidualWorkload> {
        &self.residual
    }

    /// How many live supervisors each rule has.
    pub fn by_name(&self) -> BTreeMap<&str, u64> {
        let mut names = BTreeMap::new();
        for (event, _) in self.live.values() {
            *names.entry(event.supervisor.as_str()).or_default() += 1;
        }
        names
    }

    /// How many live workloads each supervisor has with a capability that should
    /// have been dropped; at most `limit` series.
    pub fn residual(&self, limit: usize) -> BTreeMap<(String, String), u64> {
        let mut series: BTreeMap<(String, String), u64> = BTreeMap::new();
        for workload in self.residual.values() {
            for capability in &workload.residual {
                let mut key = (workload.supervisor.clone(), capability.clone());
                if series.len() >= limit && !series.contains_key(&key) {
                    key = (OVERFLOW.to_owned(), OVERFLOW.to_owned());
                }
                *series.entry(key).or_default() += 1;
            }
        }
        series
    }
}
