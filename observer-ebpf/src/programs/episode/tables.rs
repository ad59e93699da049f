//! The course of episodes on the maps: whom they cover, and their end.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use observer_ebpf::{
    Episode, EpisodeEnd, EpisodeEvent, EventKind, Loss, Member, Owner, Table, decide::Tables,
    shares as most,
};

use super::{
    super::{
        maps::{COVERED, EPISODES, MEMBERS, STATES, add, bump, drop_one, lose},
        marks, ring, shares,
    },
    at,
    limits::give,
};

/// The maps, for the course of episodes.
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn any(&self) -> bool {
        COVERED.get(0).is_some_and(|covered| *covered != 0)
    }

    #[inline(always)]
    fn member(&self, tgid: u32) -> Option<Member> {
        // SAFETY: an entry is replaced as a whole.
        unsafe { MEMBERS.get(tgid) }.copied()
    }

    #[inline(always)]
    fn cover(&self, tgid: u32, member: &Member) -> bool {
        let share = shares::user(Table::Members, member.uid, most::MEMBERS_OF_USER);
        if !shares::take(share) {
            return false;
        }
        if !enter(tgid, member, true) {
            shares::give(share);
            return false;
        }
        true
    }

    #[inline(always)]
    fn leave_out(&self) {
        lose(Loss::FollowersFull);
    }

    #[inline(always)]
    fn uncover(&self, tgid: u32, member: &Member) -> bool {
        if MEMBERS.remove(tgid).is_err() {
            return false;
        }
        marks::clear(tgid);
        if let Some(covered) = COVERED.get_ptr_mut(0) {
            add(covered, u64::MAX);
        }
        if member.family != 0 {
            shares::give(shares::user(
                Table::Members,
                member.uid,
                most::MEMBERS_OF_USER,
            ));
        }
        true
    }

    #[inline(always)]
    fn episode(&self, id: u64) -> Option<*mut Episode> {
        at(id)
    }

    #[inline(always)]
    unsafe fn add(&self, counter: *mut u32) {
        bump(counter);
    }

    #[inline(always)]
    unsafe fn take(&self, counter: *mut u32) {
        drop_one(counter);
    }

    #[inline(always)]
    fn send(&self, id: u64, end: &EpisodeEnd) {
        let _ = send(id, end);
    }

    #[inline(always)]
    fn close(&self, id: u64, end: &EpisodeEnd) {
        close(id, end);
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper has no precondition.
        unsafe { bpf_ktime_get_ns() }
    }
}

/// Enters a process as covered; where there is no room, its fate is not known.
#[inline(always)]
pub fn enter(tgid: u32, entry: &Member, new: bool) -> bool {
    if new {
        marks::set(tgid);
    }
    if MEMBERS.insert(tgid, entry, 0).is_err() {
        if new {
            marks::clear(tgid);
        }
        return false;
    }
    if new && let Some(covered) = COVERED.get_ptr_mut(0) {
        add(covered, 1);
    }
    true
}

/// Closes an episode and sends it.
#[inline(always)]
fn close(key: u64, end: &EpisodeEnd) {
    let Some((holder, cgroup, owner)) = send(key, end) else {
        return;
    };
    if EPISODES.remove(key).is_ok() && owner.in_tree == 0 {
        give(holder, cgroup, owner.rule);
    }
}

/// Sends an episode as it stands; returns whose it is.
#[inline(always)]
fn send(key: u64, end: &EpisodeEnd) -> Option<(u32, u64, Owner)> {
    let event = EPISODES.get_ptr_mut(key)?;
    // SAFETY: a live map value, whose counters others may still add to.
    let whose = unsafe {
        (*event).kind = EventKind::Episode as u32;
        (*event).end = *end;
        (
            (*event).episode.holder,
            (*event).episode.cgroup,
            (*event).episode.owner,
        )
    };
    if !ring::room_for::<EpisodeEvent>() {
        return Some(whose);
    }
    // SAFETY: as above.
    if STATES
        .output::<EpisodeEvent>(unsafe { &*event }, 0)
        .is_err()
    {
        lose(Loss::StateRingFull);
    }
    Some(whose)
}
