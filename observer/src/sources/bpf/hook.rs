//! The hooks, and by which programs each mechanism has them.

use super::mechanism::Mechanism;

/// A program of the object and the kernel function that it goes to.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// The program.
    pub(super) program: &'static str,
    /// The kernel function.
    pub(super) function: &'static str,
}

/// A part.
pub(super) const fn part(program: &'static str, function: &'static str) -> Part {
    Part { program, function }
}

/// A hook: the parts of each mechanism; an empty list where it has no such one.
pub(super) struct Hook {
    /// The kernel function or tracepoint.
    pub(super) name: &'static str,
    pub(super) fexit: &'static [Part],
    pub(super) kprobe: &'static [Part],
    pub(super) tracepoint: &'static [Part],
}

impl Hook {
    pub(super) const fn parts(&self, mechanism: Mechanism) -> &'static [Part] {
        match mechanism {
            Mechanism::Fexit => self.fexit,
            Mechanism::Kprobe => self.kprobe,
            Mechanism::Tracepoint => self.tracepoint,
        }
    }
}

pub(super) static TREE: [Hook; 3] = [
    tree(
        "sched_process_fork",
        &[part("tree_fork", "sched_process_fork")],
        &[part("tree_fork_kprobe", "wake_up_new_task")],
    ),
    tree(
        "sched_process_exec",
        &[part("tree_exec", "sched_process_exec")],
        &[part("tree_exec_kprobe", "proc_exec_connector")],
    ),
    tree(
        "sched_process_exit",
        &[part("tree_exit", "sched_process_exit")],
        &[part("tree_exit_kprobe", "proc_exit_connector")],
    ),
];

/// What names a cgroup that is gone by now.
pub(super) static CGROUPS: Hook = Hook {
    name: "cgroup_mkdir",
    fexit: &[],
    kprobe: &[],
    tracepoint: &[part("cgroup_made", "cgroup_mkdir")],
};

/// A hook of the process tree, and the function right after it, which reports
/// the same where tracepoints may be skipped.
const fn tree(name: &'static str, tracepoint: &'static [Part], kprobe: &'static [Part]) -> Hook {
    Hook {
        name,
        fexit: &[],
        kprobe,
        tracepoint,
    }
}

pub(super) static VERDICT: Hook = Hook {
    name: "security_capable",
    fexit: &[part("security_capable_exit", "security_capable")],
    kprobe: &[
        part("security_capable_exit_kprobe", "security_capable"),
        part("security_capable_entry_kprobe", "security_capable"),
    ],
    tracepoint: &[],
};

pub(super) static COMMONCAP: Hook = Hook {
    name: "cap_capable",
    fexit: &[part("cap_capable_exit", "cap_capable")],
    kprobe: &[
        part("cap_capable_exit_kprobe", "cap_capable"),
        part("cap_capable_entry_kprobe", "cap_capable"),
    ],
    tracepoint: &[part("cap_capable_tracepoint", "cap_capable")],
};

pub(super) static APPARMOR: Hook = Hook {
    name: "aa_capable",
    fexit: &[part("aa_capable_exit", "aa_capable")],
    kprobe: &[
        part("aa_capable_exit_kprobe", "aa_capable"),
        part("aa_capable_entry_kprobe", "aa_capable"),
    ],
    tracepoint: &[],
};

pub(super) static SELINUX: Hook = Hook {
    name: "selinux_capable",
    fexit: &[part("selinux_capable_exit", "selinux_capable")],
    kprobe: &[part("selinux_capable_exit_kprobe", "selinux_capable")],
    tracepoint: &[],
};

pub(super) static DROPS: Hook = Hook {
    name: "cap_task_prctl",
    fexit: &[
        part("drop_entry", "cap_task_prctl"),
        part("drop_exit", "cap_task_prctl"),
    ],
    kprobe: &[
        part("drop_entry_kprobe", "cap_task_prctl"),
        part("drop_exit_kprobe", "cap_task_prctl"),
    ],
    tracepoint: &[],
};
