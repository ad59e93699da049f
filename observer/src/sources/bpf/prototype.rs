//! The kernel prototypes that the programs rely on, compared with the running
//! kernel's BTF before a program is loaded: a mismatch means another mechanism
//! or a message, never garbage.

use std::collections::HashMap;

use super::{btf::Btf, mechanism::Mechanism};

const CRED: &str = "struct cred *";
const NAMESPACE: &str = "struct user_namespace *";
const TASK: &str = "struct task_struct *";
const LABEL: &str = "struct aa_label *";
const INT: &str = "int";
const UNSIGNED: &str = "unsigned int";
const LONG: &str = "long unsigned int";

/// A function or tracepoint, and the parameter lists that the programs can read.
struct Prototype {
    name: &'static str,
    known: &'static [&'static [&'static str]],
    /// Whether further parameters at the end are of no concern.
    open: bool,
}

const DENTRY: &str = "struct dentry *";
const FILE: &str = "struct file *";
const FILE_CAPS: &str = "struct cpu_vfs_cap_data *";
const CAPS: &str = "kernel_cap_t *";
const MAP_WRITE: &[&[&str]] = &[&[FILE, "char *", "size_t", "loff_t *"]];
const SYSTEM_CALL: &[&[&str]] = &[&["struct pt_regs *"]];

const CAPABLE: &[&[&str]] = &[&[CRED, NAMESPACE, INT, UNSIGNED]];

const FUNCTIONS: [Prototype; 16] = [
    // security/security.c: 5.1 to 7.3.
    Prototype {
        name: "security_capable",
        known: CAPABLE,
        open: false,
    },
    // security/commoncap.c: 5.1 to 7.3.
    Prototype {
        name: "cap_capable",
        known: CAPABLE,
        open: false,
    },
    // security/selinux/hooks.c: 5.1 to 7.3.
    Prototype {
        name: "selinux_capable",
        known: CAPABLE,
        open: false,
    },
    // security/apparmor/capability.c: up to 6.5, then with the subject's credential.
    Prototype {
        name: "aa_capable",
        known: &[&[LABEL, INT, UNSIGNED], &[CRED, LABEL, INT, UNSIGNED]],
        open: false,
    },
    // security/commoncap.c: 2.6.26 to 7.3.
    Prototype {
        name: "cap_task_prctl",
        known: &[&[INT, LONG, LONG, LONG, LONG]],
        open: false,
    },
    // kernel/sched/core.c: 2.6 to 7.3.
    Prototype {
        name: "wake_up_new_task",
        known: &[&[TASK]],
        open: false,
    },
    // drivers/connector/cn_proc.c, with CONFIG_PROC_EVENTS: 2.6 to 7.3.
    Prototype {
        name: "proc_exec_connector",
        known: &[&[TASK]],
        open: false,
    },
    Prototype {
        name: "proc_exit_connector",
        known: &[&[TASK]],
        open: false,
    },
    // security/commoncap.c: 5.9 to 7.3.
    Prototype {
        name: "cap_bprm_creds_from_file",
        known: &[&["struct linux_binprm *", FILE]],
        open: false,
    },
    // security/commoncap.c: up to 5.11, to 6.2, to 7.3.
    Prototype {
        name: "get_vfs_caps_from_disk",
        known: &[
            &[DENTRY, FILE_CAPS],
            &[NAMESPACE, DENTRY, FILE_CAPS],
            &["struct mnt_idmap *", DENTRY, FILE_CAPS],
        ],
        open: false,
    },
    // security/commoncap.c: 2.6.29 to 7.3.
    Prototype {
        name: "cap_capset",
        known: &[&[CRED, CRED, CAPS, CAPS, CAPS]],
        open: false,
    },
    // kernel/user_namespace.c: 3.5 to 7.3.
    Prototype {
        name: "proc_uid_map_write",
        known: MAP_WRITE,
        open: false,
    },
    Prototype {
        name: "proc_gid_map_write",
        known: MAP_WRITE,
        open: false,
    },
    // kernel/user_namespace.c: 3.9 to 7.3.
    Prototype {
        name: "create_user_ns",
        known: &[&[CRED]],
        open: false,
    },
    // kernel/groups.c, by the architecture's wrapper: 4.17 to 7.3.
    Prototype {
        name: super::rules::SETGROUPS,
        known: SYSTEM_CALL,
        open: false,
    },
    // kernel/capability.c, likewise.
    Prototype {
        name: super::rules::CAPSET,
        known: SYSTEM_CALL,
        open: false,
    },
];

const TRACEPOINTS: [Prototype; 5] = [
    // include/trace/events/capability.h: 6.14 to 7.3.
    Prototype {
        name: "cap_capable",
        known: &[&[CRED, NAMESPACE, NAMESPACE, INT, INT]],
        open: true,
    },
    // include/trace/events/sched.h; `exit` gained `bool group_dead` by 6.18.
    Prototype {
        name: "sched_process_fork",
        known: &[&[TASK, TASK]],
        open: true,
    },
    Prototype {
        name: "sched_process_exec",
        known: &[&[TASK, "pid_t", "struct linux_binprm *"]],
        open: true,
    },
    Prototype {
        name: "sched_process_exit",
        known: &[&[TASK]],
        open: true,
    },
    // include/trace/events/cgroup.h: 4.19 to 7.3.
    Prototype {
        name: "cgroup_mkdir",
        known: &[&["struct cgroup *", "char *"]],
        open: true,
    },
];

/// What the running kernel has of [`FUNCTIONS`] and [`TRACEPOINTS`]: a name's
/// parameters, so its BTF need not be kept.
pub struct Prototypes {
    functions: HashMap<&'static str, Vec<String>>,
    tracepoints: HashMap<&'static str, Vec<String>>,
}

impl Prototypes {
    /// Looks them up.
    pub fn of(btf: &Btf) -> Self {
        let look = |known: &[Prototype], look: &dyn Fn(&str) -> Option<Vec<String>>| {
            let names = known.iter().map(|prototype| prototype.name);
            names.filter_map(|name| Some((name, look(name)?))).collect()
        };
        Self {
            functions: look(&FUNCTIONS, &|name| btf.parameters(name)),
            tracepoints: look(&TRACEPOINTS, &|name| btf.tracepoint(name)),
        }
    }

    /// Whether the kernel has such a tracepoint.
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.tracepoints.contains_key(name)
    }
}

/// Compares what a program relies on with what the kernel has.
///
/// # Errors
/// What differs. A function that BTF does not name is no error: kprobes find
/// functions by their symbol.
pub fn check(kernel: &Prototypes, mechanism: Mechanism, name: &str) -> Result<(), String> {
    let (prototypes, found) = match mechanism {
        Mechanism::Tracepoint => (&TRACEPOINTS[..], kernel.tracepoints.get(name)),
        Mechanism::Fexit | Mechanism::Kprobe => (&FUNCTIONS[..], kernel.functions.get(name)),
    };
    let Some(prototype) = prototypes.iter().find(|prototype| prototype.name == name) else {
        return Err(format!("capwatch knows no prototype of {name}"));
    };
    let Some(found) = found else {
        return match mechanism {
            Mechanism::Kprobe => Ok(()),
            Mechanism::Fexit => Err(format!("this kernel's BTF has no function {name}")),
            Mechanism::Tracepoint => Err(format!("this kernel has no tracepoint {name}")),
        };
    };
    let fits = |known: &&[&str]| {
        let same = known.iter().zip(found).all(|(known, found)| known == found);
        same && known.len() <= found.len() && (prototype.open || known.len() == found.len())
    };
    if prototype.known.iter().any(fits) {
        return Ok(());
    }
    Err(format!(
        "{name} takes ({}) in this kernel, which this version of capwatch does not know",
        found.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_has_the_prototypes() {
        let Ok(btf) = Btf::vmlinux() else {
            println!("skipped: this kernel shows no BTF");
            return;
        };
        let btf = Prototypes::of(&btf);
        for name in [
            "sched_process_fork",
            "sched_process_exec",
            "sched_process_exit",
            "cgroup_mkdir",
        ] {
            assert_eq!(check(&btf, Mechanism::Tracepoint, name), Ok(()), "{name}");
        }
        let rules = super::super::rules::HOOKS.iter().map(|hook| hook.name);
        let others = ["security_capable", "cap_capable", "cap_task_prctl"];
        for name in rules.chain(others).chain(["get_vfs_caps_from_disk"]) {
            assert_eq!(check(&btf, Mechanism::Fexit, name), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_nobody_knows_is_an_error() {
        let Ok(btf) = Btf::vmlinux() else {
            println!("skipped: this kernel shows no BTF");
            return;
        };
        let btf = Prototypes::of(&btf);
        assert!(check(&btf, Mechanism::Fexit, "vfs_read").is_err());
        assert!(check(&btf, Mechanism::Tracepoint, "no_such_tracepoint").is_err());
    }
}
