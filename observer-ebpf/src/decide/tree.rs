//! Whose process is whose, after a fork and after an exec.

use crate::{Owner, Role, Rule, Task};

/// The entry of a child: its parent's, with its own start and parent.
#[inline(always)]
#[must_use]
pub const fn forked(parent: &Task, start: u64, ppid: u32) -> Task {
    Task {
        start,
        ppid,
        ..*parent
    }
}

/// The entry of a process after an exec; `None` where nothing follows it.
/// `namespace` is the inode number of the user namespace that it is in.
#[inline(always)]
#[must_use]
pub fn executed(
    before: Option<Task>,
    rule: Option<Rule>,
    tgid: u32,
    start: u64,
    ppid: u32,
    namespace: u32,
) -> Option<Task> {
    let Some(rule) = rule else {
        let mut entry = before?;
        if entry.owner.rule != 0 {
            entry.owner.role = Role::Workload as u8;
        }
        return Some(entry);
    };
    let mut entry = before.unwrap_or(Task {
        start,
        ppid,
        ..Task::default()
    });
    // A supervisor that a sandbox's workload runs is that workload's business;
    // in a container that a runtime started, it is one in its own right.
    let nested = entry.owner.role == Role::Workload as u8 && entry.runtime == 0;
    entry.owner = Owner {
        start,
        tgid,
        rule: rule.id,
        role: if nested {
            Role::Workload as u8
        } else {
            Role::Supervisor as u8
        },
        in_tree: entry.owner.in_tree,
    };
    entry.runtime = if nested { 0 } else { rule.runtime };
    entry.judged = if nested { 0 } else { rule.judged };
    entry.namespace = namespace;
    Some(entry)
}
