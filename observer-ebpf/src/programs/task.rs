//! What is read of tasks, credentials and files.

use core::marker::PhantomData;

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_task, bpf_probe_read_kernel,
    bpf_probe_read_kernel_str_bytes,
    generated::{bpf_get_current_cgroup_id, bpf_get_current_task_btf},
};
use observer_ebpf::{
    ANCESTORS, Ancestor, COMM_LEN, NAME_LEN, NONE, Reason,
    decide::{self, Credentials, rules::Sets},
};

use super::{
    host::{config, off},
    mem::{Mem, Ptr},
};

/// What a program wants of the current task.
pub struct Current {
    /// Name of the thread.
    pub comm: [u8; COMM_LEN],
    /// Id of its cgroup on the default hierarchy.
    pub cgroup: u64,
    /// Inode number of the executable.
    pub exe_inode: u64,
    /// The task's own credential, as a number to compare.
    pub real_cred: u64,
}

/// Runs `$body` with the current task and the way to read it.
macro_rules! with_current {
    ($mem:ident, $task:ident => $body:expr) => {{
        if $crate::programs::host::config!(task_btf) == 1 {
            type $mem = $crate::programs::mem::Typed;
            let $task = $crate::programs::task::typed();
            $body
        } else {
            type $mem = $crate::programs::mem::Probed;
            let $task = $crate::programs::task::untyped();
            $body
        }
    }};
}
pub(crate) use with_current;

/// The current task, of a type that the verifier knows.
#[inline(always)]
pub fn typed() -> Ptr {
    // SAFETY: the helper has no precondition; the loader saw that it exists.
    unsafe { bpf_get_current_task_btf() as Ptr }
}

/// The current task, as an address.
#[inline(always)]
pub fn untyped() -> Ptr {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_get_current_task() as Ptr }
}

/// Start time of the process that a task belongs to.
#[inline(always)]
pub fn start<M: Mem>(task: Ptr) -> u64 {
    M::u64(M::ptr(task, off!(task_group_leader)), off!(task_start))
}

/// Process id of a task's parent.
#[inline(always)]
pub fn ppid<M: Mem>(task: Ptr) -> u32 {
    M::u32(M::ptr(task, off!(task_real_parent)), off!(task_tgid))
}

/// Writes the processes above a task, its parent first, up to the first one
/// (which is above all and says nothing); the rest of the room is zeroed.
///
/// Reported with a denial's detail and at an episode's opening alone: who lives
/// half a millisecond is gone before user space can look.
#[inline(always)]
pub fn ancestors<M: Mem>(task: Ptr, list: *mut [Ancestor; ANCESTORS]) {
    let mut task = task;
    for index in 0..ANCESTORS {
        task = M::ptr(
            M::ptr(task, off!(task_real_parent)),
            off!(task_group_leader),
        );
        let mut pid = M::u32(task, off!(task_tgid));
        if pid <= 1 {
            task = core::ptr::null();
            pid = 0;
        }
        let comm = [
            M::u64(task, off!(task_comm)),
            M::u64(task, off!(task_comm) + 8),
        ];
        // SAFETY: the caller's room is live, and the index is below its length.
        unsafe {
            let ancestor = list.cast::<Ancestor>().add(index);
            (*ancestor).pid = pid;
            (*ancestor).comm = core::mem::transmute::<[u64; 2], [u8; 16]>(comm);
        }
    }
}

/// The file that a task executes; null for a kernel thread.
#[inline(always)]
pub fn exe_file<M: Mem>(task: Ptr) -> Ptr {
    M::ptr(M::ptr(task, off!(task_mm)), off!(mm_exe_file))
}

/// Inode number of a file.
#[inline(always)]
pub fn inode<M: Mem>(file: Ptr) -> u64 {
    M::u64(M::ptr(file, off!(file_inode)), off!(inode_number))
}

/// The name of the current task, which `task` is. The helper takes 35 ns, two loads take 2.
#[inline(always)]
pub fn comm<M: Mem>(task: Ptr) -> [u8; COMM_LEN] {
    let at = off!(task_comm);
    if !M::DIRECT || at == NONE {
        return bpf_get_current_comm().unwrap_or_default();
    }
    let mut comm = [0; COMM_LEN];
    let (low, high) = comm.split_at_mut(8);
    low.copy_from_slice(&M::u64(task, at).to_ne_bytes());
    high.copy_from_slice(&M::u64(task, at + 8).to_ne_bytes());
    comm
}

/// The cgroup of the current task, which `task` is, on the default hierarchy.
/// The helper takes 25 ns, four loads take 4.
#[inline(always)]
pub fn cgroup<M: Mem>(task: Ptr) -> u64 {
    if !M::DIRECT || off!(kernfs_node_id) == NONE {
        // SAFETY: the helper has no precondition.
        return unsafe { bpf_get_current_cgroup_id() };
    }
    let cgroup = default_cgroup::<M>(task);
    M::u64(M::ptr(cgroup, off!(cgroup_kn)), off!(kernfs_node_id))
}

/// The root of the default hierarchy, as a number.
#[inline(always)]
pub fn hierarchy<M: Mem>(task: Ptr) -> u64 {
    M::u64(default_cgroup::<M>(task), off!(cgroup_root))
}

/// The cgroup of a task on the default hierarchy, as the kernel's own.
#[inline(always)]
fn default_cgroup<M: Mem>(task: Ptr) -> Ptr {
    M::ptr(M::ptr(task, off!(task_cgroups)), off!(css_set_dfl_cgrp))
}

/// The current task's identity.
#[inline(always)]
pub fn current() -> Current {
    with_current!(M, task => Current {
        comm: comm::<M>(task),
        cgroup: cgroup::<M>(task),
        exe_inode: inode::<M>(exe_file::<M>(task)),
        real_cred: M::u64(task, off!(task_real_cred)),
    })
}

/// Writes a file's basename, cut to the room and closed with a zero.
///
/// A short name stands in the dentry itself; a longer one is behind a pointer
/// that only `bpf_probe_read_kernel_str` follows, which lockdown may forbid.
#[inline(always)]
pub fn basename<M: Mem>(file: Ptr, name: &mut [u8; NAME_LEN]) {
    dentry_name::<M>(M::ptr(file, off!(file_dentry)), name);
}

/// As [`basename`], of a dentry.
#[inline(always)]
pub fn dentry_name<M: Mem>(dentry: Ptr, name: &mut [u8; NAME_LEN]) {
    if config!(probe_read) == 1 {
        let text = M::u64(dentry, off!(dentry_name)) as Ptr;
        if !text.is_null() {
            // SAFETY: the helper checks the address.
            let _ = unsafe { bpf_probe_read_kernel_str_bytes(text, name) };
        }
        return;
    }
    let inline = off!(dentry_inline);
    if inline == NONE {
        return;
    }
    for word in 0..4u32 {
        let bytes = M::u64(dentry, inline + word * 8).to_ne_bytes();
        let at = word as usize * 8;
        for (index, byte) in bytes.iter().enumerate() {
            name[at + index] = *byte;
        }
    }
    name[31] = 0;
}

/// The first eight bytes of a file's basename, of which those after a zero are
/// anything; zeros where it can't be read.
#[inline(always)]
pub fn beginning<M: Mem>(file: Ptr) -> u64 {
    let dentry = M::ptr(file, off!(file_dentry));
    if config!(probe_read) == 0 {
        return M::u64(dentry, off!(dentry_inline));
    }
    let text = M::u64(dentry, off!(dentry_name)) as *const u64;
    // SAFETY: the helper checks the address; a name has room for more than this.
    unsafe { bpf_probe_read_kernel(text) }.unwrap_or(0)
}

/// Credentials and namespaces of the running kernel.
pub struct Kernel<M>(PhantomData<M>);

impl<M: Mem> Credentials for Kernel<M> {
    type Credential = Ptr;
    type Namespace = Ptr;

    #[inline(always)]
    fn is_none(&self, namespace: Ptr) -> bool {
        namespace.is_null()
    }

    #[inline(always)]
    fn namespace(&self, credential: Ptr) -> Ptr {
        M::ptr(credential, off!(cred_user_ns))
    }

    #[inline(always)]
    fn effective(&self, credential: Ptr) -> u64 {
        M::u64(credential, off!(cred_effective))
    }

    #[inline(always)]
    fn euid(&self, credential: Ptr) -> u32 {
        M::u32(credential, off!(cred_euid))
    }

    #[inline(always)]
    fn level(&self, namespace: Ptr) -> u32 {
        M::u32(namespace, off!(ns_level))
    }

    #[inline(always)]
    fn parent(&self, namespace: Ptr) -> Ptr {
        M::ptr(namespace, off!(ns_parent))
    }

    #[inline(always)]
    fn owner(&self, namespace: Ptr) -> u32 {
        M::u32(namespace, off!(ns_owner))
    }

    #[inline(always)]
    fn inode(&self, namespace: Ptr) -> u32 {
        M::u32(namespace, off!(ns_inum))
    }
}

/// Why commoncap refuses a capability to a credential.
#[inline(always)]
pub fn commoncap<M: Mem>(cred: Ptr, target: Ptr, capability: u32) -> Reason {
    decide::commoncap(&Kernel::<M>(PhantomData), cred, target, capability)
}

/// Inode number and level of the user namespace of a task's credential.
#[inline(always)]
pub fn namespace<M: Mem>(task: Ptr) -> (u32, u32) {
    let namespace = M::ptr(M::ptr(task, off!(task_cred)), off!(cred_user_ns));
    (
        M::u32(namespace, off!(ns_inum)),
        M::u32(namespace, off!(ns_level)),
    )
}

/// The capability sets of a credential.
#[inline(always)]
pub fn sets<M: Mem>(cred: Ptr) -> Sets {
    Sets {
        permitted: M::u64(cred, off!(cred_permitted)),
        inheritable: M::u64(cred, off!(cred_inheritable)),
        effective: M::u64(cred, off!(cred_effective)),
        bounding: M::u64(cred, off!(cred_bset)),
    }
}

/// A task's effective set.
#[inline(always)]
pub fn effective<M: Mem>(task: Ptr) -> u64 {
    M::u64(M::ptr(task, off!(task_cred)), off!(cred_effective))
}

/// A task's bounding set.
#[inline(always)]
pub fn bounding<M: Mem>(task: Ptr) -> u64 {
    M::u64(M::ptr(task, off!(task_cred)), off!(cred_bset))
}

/// User id of a task, of the initial namespace.
#[inline(always)]
pub fn uid<M: Mem>(task: Ptr) -> u32 {
    M::u32(M::ptr(task, off!(task_cred)), off!(cred_uid))
}

/// Who answers for what the current process makes ([`decide::answerable`]).
///
/// Global to the verifier, which follows it once for each program and takes its answer for
/// any number. What is not global is followed again on each way that leads to a call: that
/// doubled `tree_exec`, and verifiers before 6.4 gave up.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn answerable() -> u32 {
    with_current!(M, task => {
        let namespace = M::ptr(M::ptr(task, off!(task_cred)), off!(cred_user_ns));
        decide::answerable(&Kernel::<M>(PhantomData), namespace, uid::<M>(task))
    })
}

/// Process id of the current task in its own pid namespace; 0 in the initial one.
#[inline(always)]
pub fn inner_pid<M: Mem>(task: Ptr) -> u32 {
    let size = config!(upid_size);
    let pid = M::ptr(task, off!(task_thread_pid));
    let level = M::u32(pid, off!(pid_level));
    if size == 0 || level == 0 || level > 32 || off!(pid_numbers) == NONE {
        return 0;
    }
    // Behind a number of bytes that the verifier can't bound only the helper reads.
    if config!(probe_read) == 0 {
        return 0;
    }
    let at = pid.wrapping_add((off!(pid_numbers) + level * size) as usize);
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(at.cast::<u32>()) }.unwrap_or(0)
}
