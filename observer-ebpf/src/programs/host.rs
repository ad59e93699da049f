//! What user space says about the host, as constants of the verifier.

use observer_ebpf::{Config, NONE, Offsets};

/// Offsets of the running kernel, set by the loader.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets {
    task_tgid: NONE,
    task_real_parent: NONE,
    task_group_leader: NONE,
    task_start: NONE,
    task_real_cred: NONE,
    task_cred: NONE,
    task_mm: NONE,
    task_comm: NONE,
    task_cgroups: NONE,
    css_set_dfl_cgrp: NONE,
    cgroup_kn: NONE,
    kernfs_node_id: NONE,
    task_signal: NONE,
    task_exit_code: NONE,
    task_compat: NONE,
    mm_arg_start: NONE,
    mm_arg_end: NONE,
    signal_live: NONE,
    signal_group_exit_code: NONE,
    cred_effective: NONE,
    cred_bset: NONE,
    cred_user_ns: NONE,
    cred_euid: NONE,
    cred_uid: NONE,
    ns_parent: NONE,
    ns_level: NONE,
    ns_owner: NONE,
    ns_inum: NONE,
    mm_exe_file: NONE,
    bprm_file: NONE,
    file_inode: NONE,
    file_dentry: NONE,
    inode_number: NONE,
    dentry_name: NONE,
    dentry_inline: NONE,
    label_hname: NONE,
    task_exec_id: NONE,
    task_thread_pid: NONE,
    pid_level: NONE,
    pid_numbers: NONE,
    cred_permitted: NONE,
    cred_inheritable: NONE,
    cred_securebits: NONE,
    bprm_filename: NONE,
    file_caps_magic: NONE,
    file_caps_permitted: NONE,
    file_caps_inheritable: NONE,
    dentry_inode: NONE,
    file_private: NONE,
    file_cred: NONE,
    seq_private: NONE,
    ns_uid_extents: NONE,
    ns_gid_extents: NONE,
    ns_uid_extent: NONE,
    ns_flags: NONE,
    ns_could_setfcap: NONE,
    task_fs: NONE,
    fs_root_dentry: NONE,
    fs_root_mount: NONE,
    mount_root: NONE,
    bprm_unsafe: NONE,
    bprm_cred: NONE,
    inode_mode: NONE,
    inode_uid: NONE,
    file_mount: NONE,
    mount_flags: NONE,
    cred_egid: NONE,
    ns_gid_extent: NONE,
    mount_vfs: NONE,
    mount_parent: NONE,
    mount_point: NONE,
    mount_ns: NONE,
    mount_sb: NONE,
    sb_user_ns: NONE,
    task_nsproxy: NONE,
    nsproxy_mount_ns: NONE,
    cgroup_root: NONE,
};

/// What the programs need to know of the host, set by the loader.
#[unsafe(no_mangle)]
pub static CONFIG: Config = Config {
    last_cap: 40,
    task_btf: 0,
    probe_read: 0,
    aa_label_arg: 0,
    tick_ns: 4_000_000,
    task_regs: 0,
    upid_size: 0,
    turn: 0,
    vfs_caps_arg: 2,
};

/// Reads a word that the loader sets. Volatile, since that happens behind the
/// compiler's back.
#[inline(always)]
pub fn word<T: Copy>(word: *const T) -> T {
    // SAFETY: the macros below hand in fields of this module's statics.
    unsafe { word.read_volatile() }
}

/// One offset.
macro_rules! off {
    ($field:ident) => {
        $crate::programs::host::word(&raw const $crate::programs::host::OFFSETS.$field)
    };
}

/// One word of the configuration.
macro_rules! config {
    ($field:ident) => {
        $crate::programs::host::word(&raw const $crate::programs::host::CONFIG.$field)
    };
}

pub(crate) use {config, off};
