//! Episodes: opened at a process's first drop, added to by its threads, and
//! closed when the last process that they cover has executed or ended. Exec,
//! the end of a process, and nothing else, take a process out.

mod drops;
mod limits;
mod open;
mod tables;

use observer_ebpf::{
    Episode,
    decide::{self, Process, Tables as _},
};

pub use drops::{Drop, add, refuse};
pub use open::open;
pub use tables::Maps;

use super::{
    maps::{EPISODES, MEMBERS},
    mem::{Mem, Ptr},
    task,
};

/// An episode by its id.
#[inline(always)]
fn at(key: u64) -> Option<*mut Episode> {
    let event = EPISODES.get_ptr_mut(key)?;
    // SAFETY: a live map value; the pointer stays within it.
    Some(unsafe { &raw mut (*event).episode })
}

/// The episode of the current process's own drops.
#[inline(always)]
pub fn own(tgid: u32) -> Option<*mut Episode> {
    // SAFETY: an entry is replaced as a whole.
    let member = unsafe { MEMBERS.get(tgid) }.copied()?;
    if member.own == 0 {
        return None;
    }
    at(member.own)
}

/// The id of the episode of a process's own drops; 0 for none.
#[inline(always)]
pub fn own_id(tgid: u32, start: u64) -> u64 {
    if Maps.any() {
        decide::current(&Maps, tgid, start).map_or(0, |member| member.own)
    } else {
        0
    }
}

/// A process, by one of its threads.
#[inline(always)]
pub fn process<M: Mem>(tgid: u32, task: Ptr) -> Process {
    Process {
        tgid,
        start: task::start::<M>(task),
        uid: task::answerable(),
        bounding: task::bounding::<M>(task),
        namespace: task::namespace::<M>(task).0,
    }
}
