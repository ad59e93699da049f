//! What of the recorded tree lives.

use crate::{
    agent::Agent,
    finding::Running,
    observation::Task,
    open,
    sources::{bpf::Kernel, proc},
};

/// Processes that are named.
const MAX_NAMED: usize = 32;

/// The tree's processes that the kernel side knows, but for the agent itself.
pub fn tasks(agent: &Agent) -> Vec<(u32, Task)> {
    let own = std::process::id();
    let shared = agent.shared();
    let tasks = shared.kernel().as_ref().and_then(Kernel::tasks);
    let mut tree: Vec<_> = tasks.unwrap_or_default();
    tree.retain(|(pid, task)| task.owner.in_tree && *pid != own);
    tree.sort_unstable_by_key(|(pid, _)| *pid);
    tree
}

/// Those that run, and how many more there are.
pub fn running(agent: &Agent) -> (Vec<Running>, u64) {
    let mut running: Vec<_> = tasks(agent)
        .into_iter()
        .filter_map(|(pid, task)| {
            let comm = runs(pid)?;
            proc::is_same(pid, task.start).then_some(Running { pid, comm })
        })
        .collect();
    let more = running.len().saturating_sub(MAX_NAMED);
    running.truncate(MAX_NAMED);
    (running, more as u64)
}

/// The name of a process that runs: it is there, and nobody has only to wait for it.
fn runs(pid: u32) -> Option<String> {
    let stat = open::bytes(format!("/proc/{pid}/stat")).ok()?;
    parse(&String::from_utf8_lossy(&stat))
}

/// `PID (COMM) STATE …`; the name may contain brackets.
fn parse(stat: &str) -> Option<String> {
    let (before, after) = stat.rsplit_once(')')?;
    let comm = before.split_once('(')?.1;
    let state = after.trim_start().chars().next()?;
    (!matches!(state, 'Z' | 'X')).then(|| comm.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_does_not_run_whatever_its_name() {
        assert_eq!(parse("7 (a) b) S 1 7").as_deref(), Some("a) b"));
        assert_eq!(parse("7 (x) Z 1 7"), None);
        assert_eq!(parse("7 (x"), None);
        assert_eq!(runs(u32::MAX), None);
        assert!(runs(std::process::id()).is_some());
    }
}
