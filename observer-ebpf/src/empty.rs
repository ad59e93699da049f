//! The same programs on the same hooks, each of them empty: what
//! `cargo xtask bench` compares the real ones with. Feature `empty`.

use aya_ebpf::{
    macros::{btf_tracepoint, fentry, fexit, kprobe, kretprobe},
    programs::{BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};

// The loader wants these, whether or not a program uses them.
#[path = "programs/host.rs"]
#[expect(unused, reason = "empty programs read nothing")]
mod host;
#[path = "programs/maps/mod.rs"]
#[expect(unused, reason = "empty programs count nothing")]
mod maps;

macro_rules! empty {
    ($context:ident -> $result:ty: $($(#[$attribute:meta])* $name:ident)+) => {$(
        $(#[$attribute])*
        pub fn $name(_: $context) -> $result {
            0
        }
    )+};
}

empty! { FEntryContext -> i32: #[fentry] drop_entry }
empty! { FExitContext -> i32:
    #[fexit] security_capable_exit
    #[fexit] cap_capable_exit
    #[fexit] aa_capable_exit
    #[fexit] selinux_capable_exit
    #[fexit] drop_exit
    #[fexit] rule_file_caps_exit
    #[fexit] rule_exec_exit
    #[fexit] rule_capset_exit
    #[fexit] rule_capset_call_exit
    #[fexit] rule_uid_map_exit
    #[fexit] rule_gid_map_exit
    #[fexit] rule_setgroups_exit
    #[fexit] rule_userns_exit
}
empty! { ProbeContext -> u32:
    #[kprobe] security_capable_entry_kprobe
    #[kprobe] cap_capable_entry_kprobe
    #[kprobe] aa_capable_entry_kprobe
    #[kprobe] drop_entry_kprobe
    #[kprobe] rule_file_caps_entry_kprobe
    #[kprobe] rule_exec_entry_kprobe
    #[kprobe] rule_capset_entry_kprobe
    #[kprobe] rule_capset_call_entry_kprobe
    #[kprobe] rule_uid_map_entry_kprobe
    #[kprobe] rule_gid_map_entry_kprobe
    #[kprobe] tree_fork_kprobe
    #[kprobe] tree_exec_kprobe
    #[kprobe] tree_exit_kprobe
}
empty! { RetProbeContext -> u32:
    #[kretprobe] security_capable_exit_kprobe
    #[kretprobe] cap_capable_exit_kprobe
    #[kretprobe] aa_capable_exit_kprobe
    #[kretprobe] selinux_capable_exit_kprobe
    #[kretprobe] drop_exit_kprobe
    #[kretprobe] rule_file_caps_exit_kprobe
    #[kretprobe] rule_exec_exit_kprobe
    #[kretprobe] rule_capset_exit_kprobe
    #[kretprobe] rule_capset_call_exit_kprobe
    #[kretprobe] rule_uid_map_exit_kprobe
    #[kretprobe] rule_gid_map_exit_kprobe
    #[kretprobe] rule_setgroups_exit_kprobe
    #[kretprobe] rule_userns_exit_kprobe
}
empty! { BtfTracePointContext -> i32:
    #[btf_tracepoint(function = "cap_capable")] cap_capable_tracepoint
    #[btf_tracepoint(function = "sched_process_fork")] tree_fork
    #[btf_tracepoint(function = "sched_process_exec")] tree_exec
    #[btf_tracepoint(function = "sched_process_exit")] tree_exit
    #[btf_tracepoint(function = "cgroup_mkdir")] cgroup_made
}
