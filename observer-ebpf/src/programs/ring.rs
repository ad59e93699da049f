//! The ring of states is everybody's: whoever fills it loses his own.

use aya_ebpf::bindings::{BPF_ANY, BPF_RB_CONS_POS, BPF_RB_PROD_POS, BPF_RB_RING_SIZE};
use observer_ebpf::{Loss, decide::Positions};

use super::{
    maps::{STATES, UNREAD, lose},
    task::{self, with_current},
};

/// Bytes that the ring puts before each entry.
const HEADER: u64 = 8;
/// Above the ids of users: the holder is a cgroup.
const CGROUP: u64 = 1 << 63;

/// Whether the current process may add an entry of so many bytes; where not, it is
/// counted as lost. Root's processes have a share by their cgroup.
#[inline(never)]
pub fn admits(bytes: u64) -> bool {
    let (uid, cgroup) = with_current!(C, task => (
        task::answerable::<C>(task),
        task::cgroup::<C>(task),
    ));
    let holder = match uid {
        // Where no cgroups are used all of root's are in the root of the hierarchy.
        0 if cgroup <= 1 => return true,
        0 => cgroup | CGROUP,
        uid => u64::from(uid),
    };
    let at = Positions {
        read: STATES.query(u64::from(BPF_RB_CONS_POS)),
        written: STATES.query(u64::from(BPF_RB_PROD_POS)),
        size: STATES.query(u64::from(BPF_RB_RING_SIZE)),
    };
    // SAFETY: two at once of one holder may count a little too little.
    let known = unsafe { UNREAD.get(holder) };
    let mut unread = known.copied().unwrap_or_default();
    let admitted = unread.admits(at, (bytes + HEADER + 7) & !7);
    if admitted {
        let _ = UNREAD.insert(holder, unread, u64::from(BPF_ANY));
    } else {
        lose(Loss::StateRingFull);
    }
    admitted
}
