//! What user space gives the programs at load time, as read-only data: the
//! verifier takes it for constants and prunes what a kernel has no use for.

/// The value of an offset that the running kernel's BTF does not name.
pub const NONE: u32 = u32::MAX;

/// Byte offsets of the fields that the programs read, from the running
/// kernel's BTF; [`NONE`] where a kernel has no such field.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.real_parent`
    pub task_real_parent: u32,
    /// `task_struct.group_leader`
    pub task_group_leader: u32,
    /// `task_struct.start_boottime`; `real_start_time` before 5.5
    pub task_start: u32,
    /// `task_struct.real_cred`
    pub task_real_cred: u32,
    /// `task_struct.cred`
    pub task_cred: u32,
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `task_struct.comm`
    pub task_comm: u32,
    /// `task_struct.cgroups`
    pub task_cgroups: u32,
    /// `css_set.dfl_cgrp`
    pub css_set_dfl_cgrp: u32,
    /// `cgroup.kn`
    pub cgroup_kn: u32,
    /// `kernfs_node.id`
    pub kernfs_node_id: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `task_struct.exit_code`
    pub task_exit_code: u32,
    /// `task_struct.thread_info.status` (x86) or `.flags` (arm64): shows a 32-bit task
    pub task_compat: u32,
    /// `mm_struct.arg_start`
    pub mm_arg_start: u32,
    /// `mm_struct.arg_end`
    pub mm_arg_end: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
    /// `signal_struct.group_exit_code`
    pub signal_group_exit_code: u32,
    /// `cred.cap_effective`
    pub cred_effective: u32,
    /// `cred.cap_bset`
    pub cred_bset: u32,
    /// `cred.user_ns`
    pub cred_user_ns: u32,
    /// `cred.euid`
    pub cred_euid: u32,
    /// `cred.uid`
    pub cred_uid: u32,
    /// `user_namespace.parent`
    pub ns_parent: u32,
    /// `user_namespace.level`
    pub ns_level: u32,
    /// `user_namespace.owner`
    pub ns_owner: u32,
    /// `user_namespace.ns.inum`
    pub ns_inum: u32,
    /// `mm_struct.exe_file`
    pub mm_exe_file: u32,
    /// `linux_binprm.file`
    pub bprm_file: u32,
    /// `file.f_inode`
    pub file_inode: u32,
    /// `file.f_path.dentry`
    pub file_dentry: u32,
    /// `inode.i_ino`
    pub inode_number: u32,
    /// `dentry.d_name.name`
    pub dentry_name: u32,
    /// `dentry.d_iname`, `d_shortname` since 6.14: short names stand inline
    pub dentry_inline: u32,
    /// `aa_label.hname`
    pub label_hname: u32,
    /// `task_struct.self_exec_id`
    pub task_exec_id: u32,
    /// `task_struct.thread_pid`
    pub task_thread_pid: u32,
    /// `pid.level`
    pub pid_level: u32,
    /// `pid.numbers`
    pub pid_numbers: u32,
    /// `cred.cap_permitted`
    pub cred_permitted: u32,
    /// `cred.cap_inheritable`
    pub cred_inheritable: u32,
    /// `cred.securebits`
    pub cred_securebits: u32,
    /// `linux_binprm.filename`
    pub bprm_filename: u32,
    /// `cpu_vfs_cap_data.magic_etc`
    pub file_caps_magic: u32,
    /// `cpu_vfs_cap_data.permitted`
    pub file_caps_permitted: u32,
    /// `cpu_vfs_cap_data.inheritable`
    pub file_caps_inheritable: u32,
    /// `dentry.d_inode`
    pub dentry_inode: u32,
    /// `file.private_data`
    pub file_private: u32,
    /// `file.f_cred`
    pub file_cred: u32,
    /// `seq_file.private`
    pub seq_private: u32,
    /// `user_namespace.uid_map.nr_extents`
    pub ns_uid_extents: u32,
    /// `user_namespace.gid_map.nr_extents`
    pub ns_gid_extents: u32,
    /// `user_namespace.uid_map.extent`
    pub ns_uid_extent: u32,
    /// `user_namespace.flags`
    pub ns_flags: u32,
    /// `user_namespace.parent_could_setfcap` (5.12)
    pub ns_could_setfcap: u32,
    /// `task_struct.fs`
    pub task_fs: u32,
    /// `fs_struct.root.dentry`
    pub fs_root_dentry: u32,
    /// `fs_struct.root.mnt`
    pub fs_root_mount: u32,
    /// `vfsmount.mnt_root`
    pub mount_root: u32,
    /// `linux_binprm.unsafe`
    pub bprm_unsafe: u32,
    /// `linux_binprm.cred`
    pub bprm_cred: u32,
    /// `inode.i_mode`
    pub inode_mode: u32,
    /// `inode.i_uid`
    pub inode_uid: u32,
    /// `file.f_path.mnt`
    pub file_mount: u32,
    /// `vfsmount.mnt_flags`
    pub mount_flags: u32,
    /// `cred.egid`
    pub cred_egid: u32,
    /// `user_namespace.gid_map.extent`
    pub ns_gid_extent: u32,
    /// `mount.mnt`
    pub mount_vfs: u32,
    /// `mount.mnt_parent`
    pub mount_parent: u32,
    /// `mount.mnt_mountpoint`
    pub mount_point: u32,
    /// `mount.mnt_ns`
    pub mount_ns: u32,
    /// `vfsmount.mnt_sb`
    pub mount_sb: u32,
    /// `super_block.s_user_ns`
    pub sb_user_ns: u32,
    /// `task_struct.nsproxy`
    pub task_nsproxy: u32,
    /// `nsproxy.mnt_ns`
    pub nsproxy_mount_ns: u32,
    /// `cgroup.root`
    pub cgroup_root: u32,
}

// User space hands these bytes to the kernel as they are.
const _: () = assert!(size_of::<Offsets>() == 77 * 4);

/// Hooks that other programs ask for: words of the map `HOOKS`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `security_capable`: the tracepoint then leaves denials to it.
    Verdict,
    /// `cap_task_prctl`: the tracepoint then leaves drops to it.
    Drops,
    /// Whatever keeps checks under way: the end of a thread then looks for its last one.
    Checks,
    /// Whose turn it is: the [`Config::turn`] of the programs that count. Those of
    /// another version, which share the maps, do not
    /// ([`decide::turn`](crate::decide::turn)).
    Turn,
}

impl Hook {
    /// The value of a hook that is attached by trampolines.
    pub const BY_TRAMPOLINE: u32 = 1;
    /// The value of a hook that is attached by kprobes.
    pub const BY_KPROBE: u32 = 2;
    /// The value of a hook that is attached by both.
    pub const BY_BOTH: u32 = 3;
    /// How many words there are.
    pub const COUNT: u32 = 2 * Self::EACH + 1;
    /// Words of one turn. Those that hand over and those that take over have their own.
    const EACH: u32 = 3;

    /// Its index, for programs of a turn.
    #[inline]
    pub const fn place(self, turn: u32) -> u32 {
        match self {
            Self::Turn => 2 * Self::EACH,
            hook => hook as u32 + (turn & 1) * Self::EACH,
        }
    }
}

/// What the programs need to know of the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The last capability that the kernel knows (`/proc/sys/kernel/cap_last_cap`).
    pub last_cap: u64,
    /// 1 where `bpf_get_current_task_btf` exists (5.11): fields are read directly.
    pub task_btf: u32,
    /// 1 where `bpf_probe_read_kernel` may be called (lockdown below confidentiality).
    pub probe_read: u32,
    /// Index of the label among the arguments of `aa_capable`: 0 up to 6.5, then 1.
    pub aa_label_arg: u32,
    /// Nanoseconds of a tick of the kernel's clock (1/HZ).
    pub tick_ns: u32,
    /// 1 where `bpf_task_pt_regs` exists (5.15): a system call's registers can be read.
    pub task_regs: u32,
    /// Bytes of `struct upid`; 0 where it can't be read.
    pub upid_size: u32,
    /// The number of these programs: they count while [`Hook::Turn`] has it.
    pub turn: u32,
    /// Index of the file's capabilities among the arguments of
    /// `get_vfs_caps_from_disk`: 1 up to 5.11, then 2.
    pub vfs_caps_arg: u32,
}

const _: () = assert!(size_of::<Config>() == 40);
