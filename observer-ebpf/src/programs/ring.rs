//! All users share the ring of states: a user who fills it loses that user's events alone.

use aya_ebpf::bindings::{BPF_ANY, BPF_RB_CONS_POS, BPF_RB_PROD_POS};
use observer_ebpf::{Loss, decide::Positions};

use super::{
    maps::{STATES, STATES_BYTES, UNREAD, lose},
    task::{self, with_current},
};

/// Bytes that the ring puts before each entry.
const HEADER: u32 = 8;
/// Above the ids of users: the holder is a cgroup.
const CGROUP: u64 = 1 << 63;

/// Whether the current process may add an entry of this type; where not, it is counted as
/// lost.
#[inline(always)]
pub fn room_for<T>() -> bool {
    states_admit(size_of::<T>() as u32) != 0
}

/// As [`room_for`]; global to the verifier, as [`task::answerable`] is. Root's processes
/// have a share by their cgroup. It is called from deep within `tree_exec`: its frame is 32
/// bytes, or the kernel would refuse that one, which uses all 512 of the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn states_admit(bytes: u32) -> u32 {
    let holder = match task::answerable() {
        0 => match with_current!(C, task => task::cgroup::<C>(task)) {
            // Where no cgroups are used all of root's are in the root of the hierarchy.
            0 | 1 => return 1,
            cgroup => cgroup | CGROUP,
        },
        user => u64::from(user),
    };
    let at = Positions {
        read: STATES.query(u64::from(BPF_RB_CONS_POS)),
        written: STATES.query(u64::from(BPF_RB_PROD_POS)),
    };
    // SAFETY: two at once of one holder may count a little too little.
    let known = unsafe { UNREAD.get(holder) };
    let mut unread = known.copied().unwrap_or_default();
    let admitted = unread.admits(at, STATES_BYTES, (bytes + HEADER + 7) & !7);
    if admitted {
        let _ = UNREAD.insert(holder, unread, u64::from(BPF_ANY));
    } else {
        lose(Loss::StateRingFull);
    }
    u32::from(admitted)
}
