//! Workloads that began before the agent, and whose bounding set is not what
//! it should be.
//!
//! What it should be is known in two cases. A rule may say that its supervisor
//! empties the set (`empties = true`): then nothing may be raised. And where a
//! runtime's container has its configuration on disk, nothing may be raised
//! that this does not ask for. Of all others nothing is expected, and nothing
//! is reported. It looks at the first process of each workload; those below it
//! have the same set or a smaller one.

use std::collections::HashMap;

use super::held::Item;
use super::{Agent, workloads::Watch};
use crate::{
    caps::CapSet,
    correlate,
    finding::Workload,
    observation::{Owner, Task},
    sources::{bpf::Kernel, proc},
    time::Stamp,
    words::Role,
};

impl Agent {
    /// Looks for such workloads; they are then watched until they end.
    pub(super) fn find_residual(&mut self) {
        let tasks = self.shared.kernel().as_ref().and_then(Kernel::tasks);
        let tasks = tasks.unwrap_or_default();
        let owners: HashMap<u32, Owner> =
            tasks.iter().map(|(pid, task)| (*pid, task.owner)).collect();
        for (pid, task) in &tasks {
            let first = owners
                .get(&task.ppid)
                .is_none_or(|above| above.role != Role::Workload || above.tgid != task.owner.tgid);
            if task.owner.role == Role::Workload && first {
                self.hold(Item::Workload(*pid, Box::new(*task)));
            }
        }
    }

    pub(super) fn look_at_workload(&mut self, pid: u32, task: &Task) {
        let Some(rule) = self.rules.get(task.owner.rule).cloned() else {
            return;
        };
        let Some(status) = proc::status(pid) else {
            return;
        };
        let cgroup = self.who.cgroup_id(pid);
        let container = self.container(&task.owner, cgroup);
        let requested = container.as_ref().and_then(|c| c.requested.as_ref());
        let residual = if rule.empties {
            status.bounding
        } else if let Some(requested) = requested.filter(|_| rule.runtime) {
            let asked = requested.bounding.parse().unwrap_or(CapSet(u64::MAX));
            status.bounding.difference(asked)
        } else {
            CapSet::EMPTY
        };
        if residual.is_empty() {
            return;
        }
        let watch = self.workloads.watch(pid);
        // What was read is of the process that the kernel reported, if that is still
        // the one of this number.
        if watch != Watch::Watched || !proc::is_same(pid, task.start) {
            if watch == Watch::Full {
                self.shared.ledger().lose("agent", "workloads_full", 1);
            }
            return;
        }
        let names = residual.names().map(std::borrow::Cow::into_owned);
        let workload = Workload {
            pid,
            comm: status.comm,
            supervisor: correlate::name(&self.rules, task.owner.rule),
            version: self.who.identity(&task.owner).version,
            container,
            residual: names.collect(),
            found: "start".to_owned(),
            since: Stamp::now(),
        };
        tracing::warn!(
            "{} (pid {pid}), a workload of {} that began earlier, runs with {} capabilities \
             that should be gone",
            crate::clean::clean(&workload.comm),
            workload.supervisor.as_deref().unwrap_or("nobody"),
            workload.residual.len()
        );
        self.shared.ledger().supervisors.keep(workload);
    }
}
