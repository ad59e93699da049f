//! Supervisors that ran before the hooks were attached, and the trees below them.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use observer_ebpf::{Task, decide};

use super::{
    bpf::{Kernel, KernelError},
    proc::{Process, is_same, read, status},
};
use crate::{config::Rules, observation};

/// A supervisor that ran before the hooks were attached.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// Its process.
    pub process: Process,
    /// The entry that it was given.
    pub task: observation::Task,
    /// The supervisor that its parent belongs to.
    pub above: observation::Owner,
}

/// Rounds of the scan: a process that forks meanwhile is found by the next one.
const ROUNDS: usize = 5;

/// Enters the trees of supervisors that run already. The hooks are attached by
/// now, so a process is entered by them or found here; what they entered stays.
///
/// Returns the supervisors found, each after those above it; where an agent before
/// left the trees, those that are in them too.
///
/// # Errors
/// When the kernel's map is full.
pub fn adopt(kernel: &mut Kernel, rules: &Rules) -> Result<Vec<Adopted>, KernelError> {
    let mut supervisors = Vec::new();
    let mut seen = HashSet::new();
    let mut processes = Vec::new();
    let left = match kernel.pinned() {
        Some(_) => kernel.tasks().unwrap_or_default(),
        None => Vec::new(),
    };
    for (pid, task) in left {
        if task.owner.tgid == pid
            && let Some(process) = read(pid)
            && is_same(pid, task.start)
        {
            let above = kernel.task(process.ppid);
            supervisors.push(Adopted {
                above: above.map(|above| above.owner).unwrap_or_default(),
                process,
                task,
            });
        }
    }
    supervisors.sort_by_key(|adopted| adopted.task.start);
    for _ in 0..ROUNDS {
        let mut grown = false;
        scan(&mut processes);
        for (process, task) in trees(&processes, rules) {
            if !seen.insert((process.pid, process.start))
                || kernel.task_entry(process.pid).is_some()
            {
                continue;
            }
            kernel.follow(process.pid, task)?;
            grown = true;
            let task = observation::Task::from(&task);
            if task.owner.tgid == process.pid {
                let above = kernel.task(process.ppid);
                supervisors.push(Adopted {
                    above: above.map(|above| above.owner).unwrap_or_default(),
                    process,
                    task,
                });
            }
        }
        if !grown {
            break;
        }
    }
    Ok(supervisors)
}

/// The entries of all processes that a rule matches, and of those below them.
pub fn trees(processes: &[Process], rules: &Rules) -> Vec<(Process, Task)> {
    let by_pid: HashMap<u32, &Process> = processes.iter().map(|p| (p.pid, p)).collect();
    let mut entries: HashMap<u32, Option<Task>> = HashMap::new();
    let mut found = Vec::new();
    for process in processes {
        // From the root down, so a parent is known before its child.
        let mut chain = vec![process];
        while let Some(parent) = chain.last().and_then(|last| by_pid.get(&last.ppid))
            && !entries.contains_key(&parent.pid)
            && chain.len() < 1_024
            && !chain.iter().any(|link| link.pid == parent.pid)
        {
            chain.push(parent);
        }
        for link in chain.into_iter().rev() {
            if entries.contains_key(&link.pid) {
                continue;
            }
            let parent = by_pid.get(&link.ppid);
            let above = entries.get(&link.ppid).copied().flatten();
            let entry = entry(link, parent.copied(), above, rules);
            entries.insert(link.pid, entry);
            if let Some(task) = entry {
                found.push((link.clone(), task));
            }
        }
    }
    found
}

/// The entry of one process, as the hooks would have made it: by the same decisions.
fn entry(
    process: &Process,
    parent: Option<&Process>,
    above: Option<Task>,
    rules: &Rules,
) -> Option<Task> {
    let inherited = above.map(|above| decide::forked(&above, process.start, process.ppid));
    let forked = parent.is_some_and(|parent| parent.exe == process.exe);
    if inherited.is_some() && forked {
        return inherited;
    }
    let exe = process.exe.as_deref();
    let rule = exe.and_then(|exe| rules.by_basename(exe)).map(Into::into);
    let mut task = decide::executed(
        inherited,
        rule,
        process.pid,
        process.start,
        process.ppid,
        user_namespace(process.pid),
    )?;
    if above.is_none() {
        task.uid = status(process.pid).map_or(0, |status| status.uid);
    }
    Some(task)
}

/// Inode number of a process's user namespace; 0 where it can't be read.
fn user_namespace(pid: u32) -> u32 {
    use std::os::unix::fs::MetadataExt;

    let inode = fs::metadata(format!("/proc/{pid}/ns/user")).map(|meta| meta.ino());
    inode
        .ok()
        .and_then(|inode| u32::try_from(inode).ok())
        .unwrap_or(0)
}

/// Leaves those that are gone out, and adds every other process that can be read.
fn scan(processes: &mut Vec<Process>) {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids: HashSet<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    processes.retain(|process| pids.contains(&process.pid));
    let known: HashSet<u32> = processes.iter().map(|process| process.pid).collect();
    let mut new: Vec<u32> = pids.difference(&known).copied().collect();
    new.sort_unstable();
    processes.extend(new.into_iter().filter_map(read));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Role;

    fn process(pid: u32, ppid: u32, exe: &str) -> Process {
        Process {
            pid,
            ppid,
            start: u64::from(pid) * 10,
            exe: Some(exe.as_bytes().to_vec()),
        }
    }

    fn found(processes: &[Process]) -> HashMap<u32, (u32, Role)> {
        let rules = Rules::load(None).unwrap();
        let trees = trees(processes, &rules).into_iter();
        trees
            .map(|(process, task)| {
                (
                    process.pid,
                    (task.owner.tgid, Role::from_byte(task.owner.role)),
                )
            })
            .collect()
    }

    #[test]
    fn the_nearest_supervisor_owns_what_is_below_it() {
        let found = found(&[
            process(1, 0, "systemd"),
            process(9, 8, "bwrap"),
            process(8, 7, "bash"),
            process(7, 6, "openshell-sandbox"),
            process(6, 5, "openshell-sandbox"),
            process(5, 1, "conmon"),
            process(10, 9, "ls"),
        ]);
        assert!(!found.contains_key(&1));
        assert_eq!(found[&5], (5, Role::Supervisor));
        assert_eq!(found[&6], (6, Role::Supervisor), "a container's supervisor");
        assert_eq!(found[&7], (6, Role::Supervisor), "its forked child");
        assert_eq!(found[&8], (6, Role::Workload));
        assert_eq!(found[&9], (9, Role::Workload), "a sandbox in a sandbox");
        assert_eq!(found[&10], (9, Role::Workload));
    }

    #[test]
    fn a_loop_of_parents_ends() {
        let found = found(&[process(2, 3, "crun"), process(3, 2, "ls")]);
        assert_eq!(found[&2].0, 2);
    }

    #[test]
    fn a_second_scan_forgets_those_that_are_gone_and_keeps_the_others() {
        let own = std::process::id();
        let mut processes = vec![process(u32::MAX, 1, "gone"), process(own, 7, "kept")];
        scan(&mut processes);
        assert!(processes.iter().all(|one| one.pid != u32::MAX));
        let kept: Vec<_> = processes.iter().filter(|one| one.pid == own).collect();
        assert_eq!(kept, [&process(own, 7, "kept")]);
        assert!(processes.len() > 1, "others run here too");
    }
}
