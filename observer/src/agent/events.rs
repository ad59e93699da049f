//! What the kernel side reports, as observations, with what is known of the process.

use std::sync::Arc;

use super::Agent;
use crate::{
    correlate::Finding,
    finding::{Container, EventKind},
    observation::{
        DenialSeen, Episode, EpisodeEnd, EpisodeSeen, Observation, Owner, ProcessEvent,
        ProcessSeen, WorkloadEvent, WorkloadSeen,
    },
    sources::bpf::{Kernel, KernelEvent},
    time::{Stamp, monotonic},
    who::Identity,
};

impl Agent {
    pub(super) fn handle(&mut self, kernel_event: KernelEvent) {
        match kernel_event {
            KernelEvent::Denial(mut event) => {
                let profile = self.profile(event.row.profile);
                let container = self.container(&event.row.owner, event.row.cgroup);
                let cgroup = event.row.cgroup;
                let scope = self.shared.scopes().of(&event.row.owner, cgroup);
                self.shared.names().rename(&mut event.row.owner, cgroup);
                let time = self.clock.stamp(event.time);
                self.enter(
                    event.time,
                    Observation::Denial(Box::new(DenialSeen {
                        time,
                        event: *event,
                        profile,
                        container,
                        count: 1,
                        scope,
                    })),
                );
            }
            KernelEvent::Episode(event) => {
                let id = event.episode.id;
                if event.end.open {
                    self.reported.insert(id, (event.episode.last, true));
                } else {
                    self.reported.remove(&id);
                }
                let until = self.clock.stamp(event.end.time);
                let seen = self.episode(&event.episode, Some(event.end), until);
                self.enter(event.end.time, Observation::Episode(Box::new(seen)));
            }
            KernelEvent::Process(event) => self.process(*event),
            // Its words were kept when it came.
            KernelEvent::Argv(_) => {}
            KernelEvent::Workload(event) => self.launched(*event),
            KernelEvent::Breach(event) => self.breach(&event),
        }
    }

    /// An episode with what is known of its process.
    pub(super) fn episode(
        &mut self,
        reported: &Episode,
        end: Option<EpisodeEnd>,
        until: Stamp,
    ) -> EpisodeSeen {
        let container = self.container(&reported.owner, reported.cgroup);
        let identity = self.who.identity(&reported.owner);
        let mut episode = reported.clone();
        self.shared
            .names()
            .rename(&mut episode.owner, reported.cgroup);
        let exe = reported.exe.as_deref();
        let own = exe.and_then(|exe| self.rules.by_basename(exe.as_bytes()));
        let own = own.is_some_and(|rule| rule.id == episode.owner.rule);
        self.shared.names().restore(&mut episode.owner, own);
        EpisodeSeen {
            first: self.clock.stamp(episode.first),
            until,
            end,
            profile: self.profile(episode.profile),
            container,
            version: identity.version,
            exe_uid: identity.exe_uid,
            scope: self.shared.scopes().of(&reported.owner, reported.cgroup),
            episode,
        }
    }

    pub(super) fn launched(&mut self, mut event: WorkloadEvent) {
        let container = self.container(&event.owner, event.cgroup);
        let Identity {
            version, exe_uid, ..
        } = self.who.identity(&event.owner);
        let scope = self.shared.scopes().of(&event.owner, event.cgroup);
        self.shared.names().rename(&mut event.owner, event.cgroup);
        let time = event.time;
        let seen = WorkloadSeen {
            time: self.clock.stamp(time),
            event,
            container,
            version,
            exe_uid,
            scope,
        };
        self.enter(time, Observation::Workload(Box::new(seen)));
    }

    pub(super) fn container(&self, owner: &Owner, cgroup: u64) -> Option<Arc<Container>> {
        self.who.container_now(owner, cgroup)
    }

    pub(super) fn process(&mut self, event: ProcessEvent) {
        let since = event.time;
        if let Some(seen) = self.supervisor(event, self.clock.stamp(since)) {
            self.enter(since, Observation::Process(Box::new(seen)));
        }
    }

    /// A process's event with what is known of it; none where it is no supervisor
    /// after all, by its path or its cgroup.
    pub(super) fn supervisor(&self, mut event: ProcessEvent, time: Stamp) -> Option<ProcessSeen> {
        let Identity {
            container, version, ..
        } = self.who.identity(&event.owner);
        let scope = self.shared.scopes().of(&event.owner, event.cgroup);
        self.shared.names().rename(&mut event.owner, 0);
        (event.owner.rule != 0).then_some(ProcessSeen {
            time,
            event,
            container,
            version,
            scope,
        })
    }

    pub(super) fn enter(&mut self, since: u64, observation: Observation) {
        let findings = self.found(since, observation);
        self.settle(findings);
        self.note_latency(since);
    }

    /// What an observation comes to, with whether nobody listened at that time,
    /// monotonic.
    pub(super) fn found(&mut self, since: u64, observation: Observation) -> Vec<Finding> {
        self.shared.record(&observation);
        let mut findings = self.correlator.observe(observation);
        if self.was_away(since) {
            for finding in &mut findings {
                match &mut finding.event.kind {
                    EventKind::Episode(episode) => episode.while_away = true,
                    EventKind::RuleRefusal(refusal) => refusal.while_away = true,
                    _ => {}
                }
            }
        }
        findings
    }

    pub(super) fn note_latency(&self, since: u64) {
        if since < self.began {
            // It waited for this agent.
            return;
        }
        self.shared
            .latency()
            .observe(monotonic().saturating_sub(since));
    }

    /// Whether nobody listened at this time, monotonic.
    pub(super) fn was_away(&self, time: u64) -> bool {
        let kernel = self.shared.kernel();
        let away = kernel.as_ref().and_then(Kernel::away);
        away.is_some_and(|away| (away.since_monotonic..away.until_monotonic).contains(&time))
    }

    pub(super) fn profile(&self, hash: u64) -> Option<String> {
        self.shared.kernel().as_ref()?.profile(hash)
    }
}
