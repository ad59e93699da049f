//! What the loader needs to know about the host.

use std::{path::Path, time::Duration};

pub use crate::host::kernel_release as release;
use crate::open;

/// How long calls may last that were under way when programs were attached or took
/// their turn.
pub(super) const IN_FLIGHT: Duration = Duration::from_millis(20);

/// The active LSMs in their order; empty where securityfs is not mounted.
pub fn active_lsms() -> Vec<String> {
    let list = open::text("/sys/kernel/security/lsm").unwrap_or_default();
    let names = list.trim().split(',').filter(|name| !name.is_empty());
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    if names.is_empty() && Path::new("/sys/module/apparmor/parameters/enabled").exists() {
        let enabled = open::text("/sys/module/apparmor/parameters/enabled");
        if enabled.is_ok_and(|word| word.trim() == "Y") {
            names.push("apparmor".to_owned());
        }
    }
    names
}

/// Whether `perf_event_open` can make kprobes (4.17). If not, their programs are not
/// loaded, which saves the verifier's time.
pub fn has_kprobes() -> bool {
    Path::new("/sys/bus/event_source/devices/kprobe/type").exists()
}

/// Whether the kernel preempts a thread within a program. Until the thread runs
/// again, the kernel skips the program for other threads on that processor. Since 7.0
/// there is only full and lazy preemption (commit 7dadeaa6e851).
pub fn preempts_programs() -> bool {
    release().is_some_and(|release| release >= (7, 0))
}

/// Whether the link of a kprobe can be pinned. Before 5.15 it is not a link of BPF
/// (`BPF_LINK_TYPE_PERF_EVENT`), and ends with its descriptor.
pub fn pins_kprobes() -> bool {
    release().is_some_and(|release| release >= (5, 15))
}

/// Whether maps count as locked memory: before 5.11, with a limit of 64 KiB by default
/// (`bpf_charge_memlock`, `kernel/bpf/syscall.c`).
pub fn counts_locked_memory() -> bool {
    release().is_some_and(|release| release < (5, 11))
}

/// Raises the limit of locked memory where maps count.
pub fn allow_locked_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    if !counts_locked_memory() {
        return;
    }
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::warn!("cannot raise the limit of locked memory: {error}; maps may not fit");
    }
}

/// The peak of loading on 6.12, which reads the kernel's types twice.
const TO_LOAD_MIB: u64 = 46;
/// Room above that for a kernel with more types.
const ROOM_MIB: u64 = 10;

/// Warns of a memory limit (of cgroup v2) that loading may exceed: the OOM killer
/// then ends this process without a message.
pub fn warn_of_memory_limit() {
    let own = open::text("/proc/self/cgroup").unwrap_or_default();
    let unified = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let Some(limit) = unified.and_then(|path| memory_limit(Path::new("/sys/fs/cgroup"), path))
    else {
        return;
    };
    let limit = limit >> 20;
    if limit < TO_LOAD_MIB + ROOM_MIB {
        tracing::warn!(
            "the memory limit of this cgroup is {limit} MiB, and loading takes {TO_LOAD_MIB} MiB \
             for a moment: if capwatch disappears now, the OOM killer ended it; raise MemoryMax= \
             or the container's limit"
        );
    }
}

/// The lowest limit from a cgroup up to the root, in bytes; none without any.
fn memory_limit(root: &Path, path: &str) -> Option<u64> {
    let own = root.join(path);
    let up = own
        .ancestors()
        .take_while(|folder| folder.starts_with(root));
    let limits = up.map(|folder| open::text(folder.join("memory.max")));
    limits
        .filter_map(|limit| limit.ok()?.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        fs::create_dir_all(&path).unwrap();
        assert_eq!(memory_limit(root.path(), "a/b"), None);
        fs::write(path.join("memory.max"), "max\n").unwrap();
        assert_eq!(memory_limit(root.path(), "a/b"), None);
        fs::write(root.path().join("a/memory.max"), "4096\n").unwrap();
        assert_eq!(memory_limit(root.path(), "a/b"), Some(4096));
        fs::write(path.join("memory.max"), "8192\n").unwrap();
        assert_eq!(memory_limit(root.path(), "a/b"), Some(4096));
    }
}
