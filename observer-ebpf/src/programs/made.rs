//! Cgroups that are made are noted with their paths: a unit may fail, and its cgroup
//! be gone, before anybody could look it up.

use aya_ebpf::{
    helpers::generated::bpf_probe_read_kernel_str, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use observer_ebpf::{CGROUP_PATH_LEN, decide};

use super::{
    host::{config, off},
    maps::{CGROUPS, CGROUPS_MADE},
    mem::{Mem, Ptr, Typed},
    task::{self, with_current},
};

/// `cgroup_mkdir(struct cgroup *cgrp, const char *path)`, under `cgroup_mutex`: one at
/// a time. Attached, it has the kernel work out the path.
#[btf_tracepoint(function = "cgroup_mkdir")]
pub fn cgroup_made(ctx: BtfTracePointContext) -> i32 {
    if config!(probe_read) == 1 {
        note(ctx.arg(0), ctx.arg(1));
    }
    0
}

#[inline(always)]
fn note(cgroup: Ptr, path: Ptr) {
    let (uid, hierarchy) = with_current!(C, task => (
        task::uid::<C>(task),
        task::hierarchy::<C>(task),
    ));
    // Ids of the older hierarchies are their own.
    if Typed::u64(cgroup, off!(cgroup_root)) != hierarchy {
        return;
    }
    let ring = decide::cgroup_ring(task::answerable());
    let Some(made) = CGROUPS_MADE.get_ptr_mut(ring) else {
        return;
    };
    // SAFETY: a live map value.
    let before = unsafe { made.read_volatile() };
    let Some(place) = CGROUPS.get_ptr_mut(decide::cgroup_place(ring, before as u32)) else {
        return;
    };
    // SAFETY: live map values, which have one writer at a time; a reader takes what it
    // read for nothing where the id changed meanwhile.
    unsafe {
        made.write_volatile(before + 1);
        (&raw mut (*place).id).write_volatile(0);
        (&raw mut (*place).uid).write_volatile(uid);
        let room = CGROUP_PATH_LEN as u32;
        let to = (&raw mut (*place).path).cast();
        let length = bpf_probe_read_kernel_str(to, room, path.cast());
        let whole = length > 0 && length < i64::from(room);
        (&raw mut (*place).length).write_volatile(if whole { length as u32 } else { 0 });
        let id = Typed::u64(Typed::ptr(cgroup, off!(cgroup_kn)), off!(kernfs_node_id));
        (&raw mut (*place).id).write_volatile(id);
    }
}
