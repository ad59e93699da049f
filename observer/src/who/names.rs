//! Rules that say more than a basename. The kernel side knows supervisors by
//! the basename alone; where a rule names a path or a cgroup, user space says
//! which rule it is, or that it is none.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{observation::Owner, words::Role};

/// Entries of either table; the kernel's map has as many processes.
const MAX_KEPT: usize = 65_536;

/// Supervisors and cgroups whose rule is another than the kernel side reported.
#[derive(Default)]
pub struct Names {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    /// By process id and start time: the rule, 0 for none.
    owners: HashMap<(u32, u64), u16>,
    /// By id: the rule of those that nobody owns.
    cgroups: HashMap<u64, u16>,
    /// Supervisors that the kernel side takes for a workload of one above them,
    /// and that are the first in a runtime's container.
    again: HashSet<(u32, u64)>,
}

impl Names {
    /// Says which rule a supervisor is named by.
    pub fn set_owner(&self, owner: &Owner, rule: u16) {
        let mut tables = self.tables();
        if tables.owners.len() < MAX_KEPT {
            tables.owners.insert((owner.tgid, owner.start), rule);
        }
    }

    /// Says by which rule the processes of a cgroup are named that nobody owns.
    pub fn set_cgroup(&self, id: u64, rule: u16) {
        let mut tables = self.tables();
        if tables.cgroups.len() < MAX_KEPT {
            tables.cgroups.insert(id, rule);
        }
    }

    /// Says that a supervisor is one again, in a runtime's container, whatever
    /// runs above that.
    pub fn set_again(&self, owner: &Owner) {
        let mut tables = self.tables();
        if tables.again.len() < MAX_KEPT {
            tables.again.insert((owner.tgid, owner.start));
        }
    }

    /// Gives the role back to a supervisor's own program, given its owner.
    pub fn restore(&self, owner: &mut Owner, is_own_program: bool) {
        let is_workload = owner.role == Role::Workload;
        if is_workload && is_own_program && self.tables().again.contains(&(owner.tgid, owner.start))
        {
            owner.role = Role::Supervisor;
        }
    }

    /// Forgets supervisors that are gone.
    pub fn retain(&self, lives: impl Fn(&(u32, u64)) -> bool) {
        let mut tables = self.tables();
        tables.owners.retain(|process, _| lives(process));
        tables.again.retain(lives);
    }

    /// Names an owner, reported of a process in this cgroup.
    pub fn rename(&self, owner: &mut Owner, cgroup: u64) {
        let tables = self.tables();
        if let Some(rule) = tables.owners.get(&(owner.tgid, owner.start)) {
            owner.rule = *rule;
            if *rule == 0 {
                owner.role = Role::None;
            }
        }
        if owner.rule == 0
            && let Some(rule) = tables.cgroups.get(&cgroup)
        {
            owner.rule = *rule;
            owner.role = Role::Supervisor;
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_renamed_and_a_cgroup_names_what_nobody_owns() {
        let names = Names::default();
        let crun = Owner {
            start: 5,
            tgid: 7,
            rule: 2,
            role: Role::Supervisor,
            in_tree: true,
        };
        let renamed = |mut owner: Owner, cgroup| {
            names.rename(&mut owner, cgroup);
            (owner.rule, owner.role, owner.in_tree)
        };
        assert_eq!(renamed(crun, 9), (2, Role::Supervisor, true));
        names.set_owner(&crun, 0);
        assert_eq!(renamed(crun, 9), (0, Role::None, true));
        let reused = Owner { start: 6, ..crun };
        assert_eq!(renamed(reused, 9).0, 2, "another process of the same id");
        names.set_cgroup(9, 4);
        assert_eq!(renamed(crun, 9), (4, Role::Supervisor, true));
        assert_eq!(renamed(Owner::default(), 9).0, 4);
        assert_eq!(renamed(Owner::default(), 8).0, 0);
        names.retain(|_| false);
        assert_eq!(renamed(crun, 1).0, 2);
    }

    #[test]
    fn a_supervisor_in_a_container_is_one_again_and_its_workload_is_not() {
        let names = Names::default();
        let nested = Owner {
            start: 5,
            tgid: 7,
            rule: 1,
            role: Role::Workload,
            in_tree: false,
        };
        let restored = |own| {
            let mut owner = nested;
            names.restore(&mut owner, own);
            owner.role
        };
        assert_eq!(restored(true), Role::Workload);
        names.set_again(&nested);
        assert_eq!(restored(true), Role::Supervisor);
        assert_eq!(restored(false), Role::Workload, "what it executed");
        names.retain(|_| false);
        assert_eq!(restored(true), Role::Workload);
    }
}
