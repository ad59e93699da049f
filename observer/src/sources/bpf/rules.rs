//! The functions at whose exit it is seen what the kernel refuses by a rule of its
//! own (`observer-ebpf/src/programs/rules.rs`).

use super::hook::{Hook, part};

pub(super) const SETGROUPS: &str = if cfg!(target_arch = "aarch64") {
    "__arm64_sys_setgroups"
} else {
    "__x64_sys_setgroups"
};

pub(super) const CAPSET: &str = if cfg!(target_arch = "aarch64") {
    "__arm64_sys_capset"
} else {
    "__x64_sys_capset"
};

/// Their own functions; `cap_task_prctl` is hooked for drops already.
pub(super) static HOOKS: [Hook; 7] = [
    Hook {
        name: "cap_bprm_creds_from_file",
        fexit: &[
            part("rule_file_caps_exit", "get_vfs_caps_from_disk"),
            part("rule_exec_exit", "cap_bprm_creds_from_file"),
        ],
        kprobe: &[
            part("rule_exec_exit_kprobe", "cap_bprm_creds_from_file"),
            part("rule_file_caps_exit_kprobe", "get_vfs_caps_from_disk"),
            part("rule_file_caps_entry_kprobe", "get_vfs_caps_from_disk"),
            part("rule_exec_entry_kprobe", "cap_bprm_creds_from_file"),
        ],
        tracepoint: &[],
    },
    Hook {
        name: "cap_capset",
        fexit: &[part("rule_capset_exit", "cap_capset")],
        kprobe: &[
            part("rule_capset_exit_kprobe", "cap_capset"),
            part("rule_capset_entry_kprobe", "cap_capset"),
        ],
        tracepoint: &[],
    },
    Hook {
        name: CAPSET,
        fexit: &[part("rule_capset_call_exit", CAPSET)],
        kprobe: &[
            part("rule_capset_call_exit_kprobe", CAPSET),
            part("rule_capset_call_entry_kprobe", CAPSET),
        ],
        tracepoint: &[],
    },
    Hook {
        name: "proc_uid_map_write",
        fexit: &[part("rule_uid_map_exit", "proc_uid_map_write")],
        kprobe: &[
            part("rule_uid_map_exit_kprobe", "proc_uid_map_write"),
            part("rule_uid_map_entry_kprobe", "proc_uid_map_write"),
        ],
        tracepoint: &[],
    },
    Hook {
        name: "proc_gid_map_write",
        fexit: &[part("rule_gid_map_exit", "proc_gid_map_write")],
        kprobe: &[
            part("rule_gid_map_exit_kprobe", "proc_gid_map_write"),
            part("rule_gid_map_entry_kprobe", "proc_gid_map_write"),
        ],
        tracepoint: &[],
    },
    Hook {
        name: SETGROUPS,
        fexit: &[part("rule_setgroups_exit", SETGROUPS)],
        kprobe: &[part("rule_setgroups_exit_kprobe", SETGROUPS)],
        tracepoint: &[],
    },
    Hook {
        name: "create_user_ns",
        fexit: &[part("rule_userns_exit", "create_user_ns")],
        kprobe: &[part("rule_userns_exit_kprobe", "create_user_ns")],
        tracepoint: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::HookReport;

    #[test]
    fn each_is_known_as_one_that_shows_refusals_by_rules() {
        for hook in &HOOKS {
            let report = HookReport {
                hook: hook.name.to_owned(),
                mechanism: None,
                attached: false,
                needed: false,
                reason: None,
            };
            assert!(report.watches_rules(), "{}", hook.name);
        }
    }
}
