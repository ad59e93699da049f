//! What sources of audit records report.

use super::Agent;
use crate::{
    correlate,
    finding::Scope,
    observation::{AuditSeen, Observation, Owner},
    sources::{audit::SourceEvent, proc},
    time::Stamp,
};

impl Agent {
    pub(super) fn receive(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Record {
                source,
                record,
                received,
            } => {
                if self.log.wants_calls() {
                    self.calls.record(&record);
                }
                if !record.is_about_capability() {
                    return;
                }
                let task = record.pid.and_then(|pid| {
                    let task = self.shared.kernel().as_ref()?.task(pid)?;
                    // The end of the former owner of that number may have been missed.
                    proc::is_same(pid, task.start).then_some(task)
                });
                let mut owner = task.map(|task| task.owner).unwrap_or_default();
                let scope = self.scope_of_record(&owner, record.pid);
                self.shared.names().rename(&mut owner, 0);
                let seen = AuditSeen {
                    received: Stamp(received),
                    source: source.name().to_owned(),
                    record: *record,
                    supervisor: correlate::name(&self.rules, owner.rule),
                    scope,
                };
                let observation = Observation::Audit(Box::new(seen));
                self.shared.record(&observation);
                let findings = self.correlator.observe(observation);
                self.settle(findings);
            }
            SourceEvent::Aside { aside } => self.receive_aside(&aside),
            SourceEvent::Lost { reason, count, .. } => {
                self.shared.lose("audit", reason.name(), count.max(1));
            }
            SourceEvent::Malformed { source, why } => {
                tracing::debug!("malformed record from {}: {why}", source.name());
            }
            SourceEvent::Up { source } => tracing::info!("audit source {} is up", source.name()),
            SourceEvent::Down { source, reason } => {
                tracing::warn!("audit source {} is down: {reason}", source.name());
            }
        }
    }

    /// The scope of a record whose event is not known yet.
    fn scope_of_record(&self, owner: &Owner, pid: Option<u32>) -> Scope {
        let scopes = self.shared.scopes();
        if owner.in_tree || !scopes.has_begun() {
            return scopes.of(owner, 0);
        }
        let cgroup = pid.map_or(0, |pid| self.who.cgroup_id(pid));
        scopes.of(owner, cgroup)
    }
}
