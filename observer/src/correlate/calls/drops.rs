//! The drops of one process in a log, and what came of it.

use std::borrow::Cow;

use super::{Alive, Blame, Host};
use crate::{
    caps::{self, CapSet},
    correlate::{
        episode::CARRIED_ON_NS,
        logged::{LoggedDrops, episode as logged_episode},
    },
    finding::{Episode, Fate, Launched},
    time::Stamp,
};

/// The drops of one process.
pub(super) struct Drops {
    pub(super) pid: u32,
    pub(super) ppid: u32,
    pub(super) comm: String,
    pub(super) exe: Option<String>,
    pub(super) serial: u64,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    pub(super) calls: u32,
    pub(super) refused: CapSet,
    pub(super) first_refused: Option<u32>,
    pub(super) refused_calls: u32,
    pub(super) dropped: CapSet,
    pub(super) unknown: u32,
    pub(super) blame: Option<Blame>,
    /// The effective set that its program was executed with.
    pub(super) effective: Option<u64>,
    pub(super) executed: bool,
    /// The program that it went on to.
    pub(super) went_on: Option<String>,
    pub(super) cgroup: u64,
    /// Calls at the time that it was reported as open.
    pub(super) reported: u32,
}

/// What has become of a process with drops.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) fate: Fate,
    /// Its bounding set now.
    pub(super) bounding: Option<CapSet>,
    /// The program that it runs now.
    pub(super) exe: Option<String>,
}

impl Drops {
    pub(super) fn outcome(&self, alive: Option<Alive>, silent: u64) -> Outcome {
        let is_alive = alive.is_some();
        let Alive { exe, bounding } = alive.unwrap_or_default();
        let differs = self.exe.is_some() && exe.is_some() && self.exe != exe;
        let fate = match is_alive {
            _ if self.executed => Fate::Exec,
            false => Fate::Exit,
            true if differs => Fate::Exec,
            true if silent >= CARRIED_ON_NS => Fate::CarriedOn,
            true => Fate::Running,
        };
        Outcome {
            fate,
            bounding,
            exe,
        }
    }

    pub(super) fn episode(&self, outcome: Outcome, shows_execs: bool, host: &impl Host) -> Episode {
        let Outcome {
            fate,
            bounding,
            exe,
        } = outcome;
        let kept = CapSet(self.refused.0 & !self.dropped.0);
        let left = CapSet(kept.0 & bounding.map_or(u64::MAX, |set| set.0));
        let names = |set: CapSet| set.names().map(Cow::into_owned).collect();
        let has_setpcap = self
            .effective
            .is_some_and(|set| CapSet(set).contains(caps::SETPCAP));
        let (layer, profile) = match &self.blame {
            Some(blame) => (Some(blame.layer), blame.profile.clone()),
            None if self.refused_calls == 0 => (None, None),
            // It was executed with SETPCAP, and no record names the module.
            None if has_setpcap => (Some("lsm"), None),
            None => (Some("commoncap"), None),
        };
        let went_on = || self.went_on.clone().or(exe);
        let workload = (fate == Fate::Exec && !left.is_empty()).then(|| Launched {
            pid: self.pid,
            exe: went_on(),
            count: 1,
        });
        let (container, scope) = host.place(self.cgroup);
        logged_episode(LoggedDrops {
            id: format!("log-{:x}-{}", self.serial, self.pid),
            supervisor: host.supervisor(&self.comm, self.exe.as_deref()),
            pid: self.pid,
            ppid: self.ppid,
            comm: self.comm.clone(),
            exe: self.exe.clone(),
            container,
            scope,
            effective: self.effective.map(|set| format!("{set:#x}")),
            layer: layer.map(str::to_owned),
            profile,
            drops: self.calls,
            refused: self.refused_calls,
            unknown: self.unknown,
            first_refused: self
                .first_refused
                .map(|number| caps::name(number).into_owned()),
            left: names(left),
            was_absent: left.is_empty() && !kept.is_empty(),
            fate,
            shows_execs,
            workload,
            seconds: self.last.seconds_since(self.first),
        })
    }
}
