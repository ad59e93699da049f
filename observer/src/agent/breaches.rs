//! Refusals by a rule: the kernel counts them and reports details now and then; here
//! both become observations, each refusal in one of them.

use std::collections::HashMap;

use super::Agent;
use crate::{
    correlate::Finding,
    finding::EventKind,
    observation::{BreachEvent, BreachKey, BreachSeen, Observation},
    sources::bpf::Grown,
    state::kept::Entry,
    time::monotonic,
};

/// Keys whose details are kept.
const MAX_KNOWN: usize = 4_096;
/// A key whose details did not come in this time has lost them.
const PATIENCE_NS: u64 = 2_000_000_000;

/// The last details of each key.
#[derive(Default)]
pub(super) struct Details {
    known: HashMap<BreachKey, BreachEvent>,
}

impl Details {
    fn keep(&mut self, event: &BreachEvent) {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&event.key) {
            self.known.clear();
        }
        self.known.insert(event.key, event.clone());
    }
}

impl Agent {
    /// A refusal was reported: it counts with those of its key since the last time.
    pub(super) fn breach(&mut self, event: &BreachEvent) {
        self.details.keep(event);
        let grown = {
            let kernel = self.shared.kernel();
            let kernel = kernel.as_ref();
            kernel.and_then(|kernel| kernel.breaches_of(&event.key))
        };
        // Where a look at all keys took its count, that waited for these details.
        if let Some(grown) = grown {
            let last = event.time;
            self.observe_breach(event.clone(), &Grown { last, ..grown });
        }
    }

    /// Takes over what was not reported one by one; at the end also that whose details may
    /// still come.
    pub(super) fn count_breaches(&mut self, is_end: bool) {
        let now = monotonic();
        let known = &self.details.known;
        let grown = self
            .shared
            .kernel()
            .as_ref()
            .map_or_else(Vec::new, |kernel| {
                kernel.breaches(|key, last| {
                    is_end || known.contains_key(key) || now.saturating_sub(last) > PATIENCE_NS
                })
            });
        for grown in grown {
            let event = self.details.known.get(&grown.key).cloned();
            let event = event.unwrap_or_else(|| BreachEvent {
                key: grown.key,
                ..BreachEvent::default()
            });
            self.observe_breach(event, &grown);
        }
    }

    /// Has the kernel forget what is long past, where it has much.
    pub(super) fn forget_breaches(&mut self) {
        if let Some(kernel) = self.shared.kernel().as_ref() {
            kernel.forget_breaches(monotonic());
        }
    }

    fn observe_breach(&mut self, mut event: BreachEvent, grown: &Grown) {
        let Grown { count, last, .. } = *grown;
        let (owner, cgroup) = (event.key.owner, event.key.cgroup);
        let container = self.container(&owner, cgroup);
        let version = self.who.identity(&owner).version;
        let scope = self.shared.scopes().of(&owner, cgroup);
        self.shared.names().rename(&mut event.key.owner, cgroup);
        let seen = BreachSeen {
            time: self.clock.stamp(last),
            event,
            container,
            version,
            count,
            scope,
        };
        for finding in self.found(last, Observation::Breach(Box::new(seen))) {
            self.note_refusal(&finding, grown);
            self.settle_noted(finding);
        }
        self.note_latency(last);
    }

    /// Writes down what is about to be counted, and how much of the kernel's count is
    /// in it.
    fn note_refusal(&self, finding: &Finding, grown: &Grown) {
        if let (Some(state), EventKind::RuleRefusal(refusal)) =
            (self.shared.state(), &finding.event.kind)
        {
            let counted = (grown.id, grown.total);
            state.note(&Entry::Refusal(refusal.clone(), finding.scope, counted));
        }
    }
}
