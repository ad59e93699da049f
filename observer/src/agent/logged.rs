//! Drops that only the audit log reports, where no hook watches them.

use std::{collections::HashMap, sync::Arc};

use super::Agent;
use crate::{
    audit::Aside,
    correlate::{Alive, CallHost},
    finding::{Container, HookReport, Scope},
    observation::Owner,
    sources::proc,
    time::{Stamp, since_boot},
};

/// Start times are known to a tick, and a stamp to a millisecond.
const SLACK_NS: u64 = 20_000_000;

impl Agent {
    /// Makes the log report drops, unless a hook does: each would count twice.
    pub(super) fn note_calls(&self) {
        let hooks = &self.shared.ledger().hooks;
        let is_hooked = hooks.iter().any(HookReport::watches_drops);
        self.log.want_calls(!is_hooked);
    }

    /// Takes in what is beside a record.
    pub(super) fn receive_aside(&mut self, aside: &Aside) {
        let mut calls = std::mem::take(&mut self.calls);
        calls.aside(aside, &Looking::new(self));
        self.calls = calls;
    }

    /// Reports the drops in the log up to this time.
    pub(super) fn settle_calls(&mut self, now: Stamp) {
        if self.calls.is_empty() {
            return;
        }
        let mut calls = std::mem::take(&mut self.calls);
        let looking = Looking {
            ids: self.rules.comms(),
            ..Looking::new(self)
        };
        let (episodes, others) = calls.settle(now, &looking);
        let unlisted = std::mem::take(&mut calls.unlisted);
        self.calls = calls;
        let findings = episodes.into_iter();
        let findings = findings.map(|(time, episode)| {
            self.shared.record_logged(&episode, time);
            self.correlator.logged(episode, time)
        });
        let findings = findings.collect();
        self.settle(findings);
        let mut ledger = self.shared.ledger();
        for other in others {
            ledger.others.enter(other, Scope::Host);
        }
        if unlisted > 0 {
            ledger.lose("ledger", "episodes_full", unlisted);
        }
    }
}

/// Looks processes up that the log reports.
struct Looking<'a> {
    agent: &'a Agent,
    ids: HashMap<Vec<u8>, u16>,
}

impl<'a> Looking<'a> {
    fn new(agent: &'a Agent) -> Self {
        Self {
            agent,
            ids: HashMap::new(),
        }
    }
}

impl CallHost for Looking<'_> {
    fn supervisor(&self, comm: &str, exe: Option<&str>) -> Option<String> {
        let rules = &self.agent.rules;
        let by_exe = exe.and_then(|exe| rules.by_basename(exe.as_bytes()));
        let by_comm = || self.ids.get(comm.as_bytes()).copied();
        let id = by_exe.map(|rule| rule.id).or_else(by_comm)?;
        rules.get(id).map(|rule| rule.name.to_string())
    }

    fn alive(&self, pid: u32, since: Stamp) -> Option<Alive> {
        let age = since_boot().saturating_sub(proc::start(pid)?);
        let started = Stamp::now().0.saturating_sub(age);
        if started > since.0.saturating_add(SLACK_NS) {
            // Another one with its number.
            return None;
        }
        let exe = proc::read(pid).and_then(|process| process.exe);
        Some(Alive {
            exe: exe.map(|name| String::from_utf8_lossy(&name).into_owned()),
            bounding: proc::status(pid).map(|status| status.bounding),
        })
    }

    fn cgroup(&self, pid: u32, since: Stamp) -> u64 {
        if self.alive(pid, since).is_none() {
            return 0;
        }
        let cgroup = self.agent.who.cgroup_id(pid);
        // It is looked up until the episode is reported.
        let _ = self.agent.desk.cgroup(cgroup, pid);
        cgroup
    }

    fn place(&self, cgroup: u64) -> (Option<Arc<Container>>, Scope) {
        let owner = Owner::default();
        let container = self.agent.container(&owner, cgroup);
        (container, self.agent.shared.scopes().of(&owner, cgroup))
    }
}
