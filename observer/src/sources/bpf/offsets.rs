//! Offsets and configuration for the programs, from the running kernel.

use observer_ebpf::{Config, NONE, Offsets};

use super::btf::Btf;

/// Looks up every field that the programs read.
pub fn resolve(btf: &Btf) -> Offsets {
    let at = |structure: &str, path: &str| btf.offset(structure, path).unwrap_or(NONE);
    let either = |structure: &str, path: &str, older: &str| {
        let offset = btf.offset(structure, path);
        offset
            .or_else(|| btf.offset(structure, older))
            .unwrap_or(NONE)
    };
    let compat = if cfg!(target_arch = "aarch64") {
        "thread_info.flags"
    } else {
        "thread_info.status"
    };
    Offsets {
        task_tgid: at("task_struct", "tgid"),
        task_real_parent: at("task_struct", "real_parent"),
        task_group_leader: at("task_struct", "group_leader"),
        task_start: either("task_struct", "start_boottime", "real_start_time"),
        task_real_cred: at("task_struct", "real_cred"),
        task_cred: at("task_struct", "cred"),
        task_mm: at("task_struct", "mm"),
        task_comm: at("task_struct", "comm"),
        task_cgroups: at("task_struct", "cgroups"),
        css_set_dfl_cgrp: at("css_set", "dfl_cgrp"),
        cgroup_kn: at("cgroup", "kn"),
        kernfs_node_id: at("kernfs_node", "id"),
        task_signal: at("task_struct", "signal"),
        task_exit_code: at("task_struct", "exit_code"),
        task_compat: at("task_struct", compat),
        mm_arg_start: at("mm_struct", "arg_start"),
        mm_arg_end: at("mm_struct", "arg_end"),
        signal_live: at("signal_struct", "live"),
        signal_group_exit_code: at("signal_struct", "group_exit_code"),
        cred_effective: at("cred", "cap_effective"),
        cred_bset: at("cred", "cap_bset"),
        cred_user_ns: at("cred", "user_ns"),
        cred_euid: at("cred", "euid"),
        cred_uid: at("cred", "uid"),
        ns_parent: at("user_namespace", "parent"),
        ns_level: at("user_namespace", "level"),
        ns_owner: at("user_namespace", "owner"),
        ns_inum: at("user_namespace", "ns.inum"),
        mm_exe_file: at("mm_struct", "exe_file"),
        bprm_file: at("linux_binprm", "file"),
        file_inode: at("file", "f_inode"),
        file_dentry: at("file", "f_path.dentry"),
        inode_number: at("inode", "i_ino"),
        dentry_name: at("dentry", "d_name.name"),
        dentry_inline: either("dentry", "d_shortname", "d_iname"),
        label_hname: at("aa_label", "hname"),
        task_exec_id: at("task_struct", "self_exec_id"),
        task_thread_pid: at("task_struct", "thread_pid"),
        pid_level: at("pid", "level"),
        pid_numbers: at("pid", "numbers"),
        cred_permitted: at("cred", "cap_permitted"),
        cred_inheritable: at("cred", "cap_inheritable"),
        cred_securebits: at("cred", "securebits"),
        bprm_filename: at("linux_binprm", "filename"),
        file_caps_magic: at("cpu_vfs_cap_data", "magic_etc"),
        file_caps_permitted: at("cpu_vfs_cap_data", "permitted"),
        file_caps_inheritable: at("cpu_vfs_cap_data", "inheritable"),
        dentry_inode: at("dentry", "d_inode"),
        file_private: at("file", "private_data"),
        file_cred: at("file", "f_cred"),
        seq_private: at("seq_file", "private"),
        ns_uid_extents: at("user_namespace", "uid_map.nr_extents"),
        ns_gid_extents: at("user_namespace", "gid_map.nr_extents"),
        ns_uid_extent: at("user_namespace", "uid_map.extent"),
        ns_flags: at("user_namespace", "flags"),
        ns_could_setfcap: at("user_namespace", "parent_could_setfcap"),
        task_fs: at("task_struct", "fs"),
        fs_root_dentry: at("fs_struct", "root.dentry"),
        fs_root_mount: at("fs_struct", "root.mnt"),
        mount_root: at("vfsmount", "mnt_root"),
        bprm_unsafe: at("linux_binprm", "unsafe"),
        bprm_cred: at("linux_binprm", "cred"),
        inode_mode: at("inode", "i_mode"),
        inode_uid: at("inode", "i_uid"),
        file_mount: at("file", "f_path.mnt"),
        mount_flags: at("vfsmount", "mnt_flags"),
        cred_egid: at("cred", "egid"),
        ns_gid_extent: at("user_namespace", "gid_map.extent"),
        mount_vfs: at("mount", "mnt"),
        mount_parent: at("mount", "mnt_parent"),
        mount_point: at("mount", "mnt_mountpoint"),
        mount_ns: at("mount", "mnt_ns"),
        mount_sb: at("vfsmount", "mnt_sb"),
        sb_user_ns: at("super_block", "s_user_ns"),
        task_nsproxy: at("task_struct", "nsproxy"),
        nsproxy_mount_ns: at("nsproxy", "mnt_ns"),
        cgroup_root: at("cgroup", "root"),
    }
}

/// The rest of the programs' settings of the host.
pub fn config(btf: &Btf) -> Config {
    Config {
        last_cap: u64::from(last_cap()),
        task_btf: u32::from(helper_exists(btf, "bpf_get_current_task_btf")),
        probe_read: 0,
        aa_label_arg: u32::from(btf.parameters("aa_capable").is_some_and(|p| p.len() == 4)),
        tick_ns: tick_ns(),
        task_regs: u32::from(helper_exists(btf, "bpf_task_pt_regs")),
        upid_size: upid_size(btf),
        turn: 0,
        vfs_caps_arg: vfs_caps_arg(btf),
    }
}

/// `get_vfs_caps_from_disk` (`security/commoncap.c`) knows whose mount it is since 5.12.
fn vfs_caps_arg(btf: &Btf) -> u32 {
    let older = btf
        .parameters("get_vfs_caps_from_disk")
        .is_some_and(|parameters| parameters.len() == 2);
    if older { 1 } else { 2 }
}

/// Bytes of `struct upid` (`include/linux/pid.h`): a number and a pointer; 0
/// where it is laid out in another way.
fn upid_size(btf: &Btf) -> u32 {
    match (btf.offset("upid", "nr"), btf.offset("upid", "ns")) {
        (Some(0), Some(8)) => 16,
        _ => 0,
    }
}

/// The last capability that the kernel knows; 40 (5.9 to 7.3) where it is not known.
pub fn last_cap() -> u32 {
    crate::open::text("/proc/sys/kernel/cap_last_cap")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(40)
}

/// Nanoseconds of a tick of the kernel's clock: what its coarse clocks step by.
pub fn tick_ns() -> u32 {
    let step = rustix::time::clock_getres(rustix::time::ClockId::MonotonicCoarse);
    u32::try_from(step.tv_nsec).unwrap_or(4_000_000)
}

/// Whether the kernel has a BPF helper: each is a function of that name.
fn helper_exists(btf: &Btf, helper: &str) -> bool {
    btf.parameters(helper).is_some()
}
