//! Supervisors that live now, and workloads that run on with capabilities that
//! a supervisor failed to drop.

use std::collections::{BTreeMap, BTreeSet};

use super::{NONE, OVERFLOW};
use crate::{
    finding::{Episode, SupervisorEvent, Workload},
    time::Stamp,
};

/// Live supervisors and residual workloads that are kept.
const MAX_KEPT: usize = 16_384;
/// Series of gauges about live processes.
pub const MAX_SERIES: usize = 5_000;

/// Who lives now.
#[derive(Default)]
pub struct Supervisors {
    live: BTreeMap<u32, (SupervisorEvent, Stamp)>,
    /// Those that have a series, for as long as they live.
    placed: BTreeSet<u32>,
    residual: BTreeMap<u32, Workload>,
    overflowed: u64,
}

impl Supervisors {
    /// Enters that a supervisor came or went.
    pub fn enter(&mut self, event: &SupervisorEvent, time: Stamp) {
        if event.change != "started" {
            self.live.remove(&event.pid);
            self.placed.remove(&event.pid);
            return;
        }
        if self.live.len() < MAX_KEPT {
            self.live.insert(event.pid, (event.clone(), time));
        }
        if self.placed.len() < MAX_SERIES {
            self.placed.insert(event.pid);
        }
        self.overflowed += u64::from(!self.placed.contains(&event.pid));
    }

    /// Enters a workload that runs on with what was refused.
    pub fn judge(&mut self, episode: &Episode, time: Stamp) {
        if let Some((pid, comm)) = episode.runs_on() {
            self.keep(Workload {
                pid,
                comm: comm.to_owned(),
                supervisor: episode.supervisor.clone(),
                version: episode.version.clone(),
                container: episode.container.clone(),
                residual: episode.residual.clone(),
                found: "episode".to_owned(),
                since: time,
            });
        }
    }

    /// Keeps a workload whose bounding set is not what it should be.
    pub fn keep(&mut self, workload: Workload) {
        if self.residual.len() < MAX_KEPT {
            self.residual.insert(workload.pid, workload);
        }
    }

    /// Forgets supervisors that no longer live.
    pub fn retain_live(&mut self, mut lives: impl FnMut(u32) -> bool) {
        self.live.retain(|pid, _| lives(*pid));
    }

    /// Forgets workloads that no longer live.
    pub fn retain_workloads(&mut self, mut lives: impl FnMut(u32) -> bool) {
        self.residual.retain(|pid, _| lives(*pid));
    }

    /// Goes on from what an agent before had counted.
    pub const fn restore_overflowed(&mut self, overflowed: u64) {
        self.overflowed += overflowed;
    }

    /// How many supervisors came when no series was free for them.
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Live supervisors by process id, and since when.
    pub const fn live(&self) -> &BTreeMap<u32, (SupervisorEvent, Stamp)> {
        &self.live
    }

    /// Live supervisors that have their own series. One that found none when
    /// it came gets none later: series come and go with their process alone.
    pub fn placed(&self) -> impl Iterator<Item = &SupervisorEvent> {
        let placed = self.placed.iter();
        placed.filter_map(|pid| self.live.get(pid).map(|(event, _)| event))
    }

    /// Workloads that run on with what was refused, by process id.
    pub const fn workloads(&self) -> &BTreeMap<u32, Workload> {
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
                let supervisor = workload.supervisor.as_deref().unwrap_or(NONE);
                let mut key = (supervisor.to_owned(), capability.clone());
                if series.len() >= limit && !series.contains_key(&key) {
                    OVERFLOW.clone_into(&mut key.1);
                }
                *series.entry(key).or_default() += 1;
            }
        }
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_without_a_series_is_counted() {
        let mut supervisors = Supervisors::default();
        for pid in 1..=5_002 {
            let event = SupervisorEvent {
                pid,
                change: "started".to_owned(),
                ..SupervisorEvent::default()
            };
            supervisors.enter(&event, Stamp::default());
        }
        assert_eq!(supervisors.overflowed(), 2);
        assert_eq!(supervisors.live().len(), 5_002);
    }
}
