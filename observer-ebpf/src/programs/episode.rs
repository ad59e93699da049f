//! Episodes: opened at a process's first drop, added to by its threads, and
//! closed when the last process that they cover has executed or ended. Exec,
//! the end of a process, and nothing else, take a process out.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns},
    },
};
use observer_ebpf::{
    CAP_SETPCAP, Episode, EpisodeEnd, EpisodeEvent, EventKind, Layer, Loss, Member, NONE, Owner,
    Reason, Table,
    decide::{self, Outcome, Process, Tables},
    shares as most,
};

use super::{
    denial::owner,
    host::{config, off},
    maps::{
        BLANK, COVERED, EPISODES, MEMBERS, Refusal, STATES, add as add_to, bump, drop_one, lose,
    },
    marks,
    mem::{Mem, Ptr},
    ring, shares, task,
};

/// What came of one drop.
pub struct Drop {
    /// The argument, all 64 bits of it.
    pub capability: u64,
    /// 0 where it was granted, else negative.
    pub result: i64,
    /// Effective set at the drop.
    pub effective: u64,
    /// Bounding set after the drop.
    pub bounding: u64,
    /// Inode number and level of the user namespace that it was made in.
    pub namespace: (u32, u32),
}

/// An episode by its id.
#[inline(always)]
fn at(key: u64) -> Option<*mut Episode> {
    let event = EPISODES.get_ptr_mut(key)?;
    // SAFETY: a live map value; the pointer stays within it.
    Some(unsafe { &raw mut (*event).episode })
}

/// Opens the episode of the current process if it has none; `before` is its bounding set.
#[inline(always)]
pub fn open<M: Mem>(task: Ptr, before: u64) -> Option<*mut Episode> {
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    let start = task::start::<M>(task);
    // What stays the same from an exec to the next, for every thread.
    let exec = if off!(task_exec_id) == NONE {
        0
    } else {
        M::u32(task, off!(task_exec_id)) & 0xffff
    };
    let key = u64::from(tgid) << 32 | u64::from(exec) << 16 | (start >> 20 & 0xffff);
    if let Some(episode) = at(key) {
        return Some(episode);
    }
    let holder = task::answerable();
    let owner = owner(tgid);
    // SAFETY: the helper has no precondition.
    let cgroup = unsafe { bpf_get_current_cgroup_id() };
    let free = owner.in_tree == 1;
    if !free && !take(holder, cgroup, owner.rule) {
        lose(Loss::EpisodesShare);
        return None;
    }
    let blank = BLANK.get(0)?;
    if EPISODES.insert(key, blank, BPF_NOEXIST as u64).is_err() {
        // Another thread of this process may have been faster.
        if !free {
            give(holder, cgroup, owner.rule);
        }
        let episode = at(key);
        if episode.is_none() {
            lose(Loss::EpisodesFull);
        }
        return episode;
    }
    let episode = at(key)?;
    let (namespace, level) = task::namespace::<M>(task);
    let family = decide::current(&Maps, tgid, start).map_or(0, |member| member.family);
    // SAFETY: a live map value; every word has one writer, this opening.
    unsafe {
        (*episode).id = key;
        (*episode).outer = family;
        (*episode).start = start;
        (*episode).first = bpf_ktime_get_ns();
        (*episode).last = (*episode).first;
        (*episode).owner = owner;
        (*episode).cgroup = cgroup;
        (*episode).before = before;
        (*episode).after = before;
        (*episode).tgid = tgid;
        (*episode).tid = id as u32;
        (*episode).ppid = task::ppid::<M>(task);
        (*episode).uid = task::uid::<M>(task);
        (*episode).holder = holder;
        (*episode).namespace = namespace;
        (*episode).level = level;
        (*episode).alive = 1;
        (*episode).comm = bpf_get_current_comm().unwrap_or_default();
        task::basename::<M>(task::exe_file::<M>(task), &mut (*episode).exe);
        task::ancestors::<M>(task, &raw mut (*episode).ancestors);
    }
    let entry = Member {
        start,
        own: key,
        family,
        uid: holder,
        reserved: 0,
    };
    // Who cannot be entered is never seen to end, so its fate stays open.
    if !enter(tgid, &entry, family == 0) {
        lose(Loss::FollowersFull);
    }
    Some(episode)
}

#[inline(always)]
fn take(uid: u32, cgroup: u64, rule: u16) -> bool {
    let user = shares::user(Table::Episodes, uid, most::EPISODES_OF_USER);
    if !shares::take(user) {
        return false;
    }
    let group = shares::cgroup(Table::Episodes, cgroup, most::EPISODES_OF_CGROUP);
    if !shares::take(group) {
        shares::give(user);
        return false;
    }
    if rule == 0 && !shares::take(shares::nobody(Table::Episodes, most::EPISODES_OF_NOBODY)) {
        shares::give(user);
        shares::give(group);
        return false;
    }
    true
}

#[inline(always)]
fn give(uid: u32, cgroup: u64, rule: u16) {
    shares::give(shares::user(Table::Episodes, uid, most::EPISODES_OF_USER));
    shares::give(shares::cgroup(
        Table::Episodes,
        cgroup,
        most::EPISODES_OF_CGROUP,
    ));
    if rule == 0 {
        shares::give(shares::nobody(Table::Episodes, most::EPISODES_OF_NOBODY));
    }
}

/// Enters a process as covered; where there is no room, its fate is not known.
#[inline(always)]
fn enter(tgid: u32, entry: &Member, new: bool) -> bool {
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
        add_to(covered, 1);
    }
    true
}

/// Adds a drop to its episode. Who refused follows from the effective set: a
/// thread that lacks SETPCAP was refused by commoncap, and no LSM was asked
/// (`cap_prctl_drop`, `security/commoncap.c`); a thread that has it, by an LSM.
#[inline(always)]
pub fn add(episode: *mut Episode, drop: &Drop) {
    let refusal = refusal(drop);
    let (namespace, level) = drop.namespace;
    // SAFETY: a live map value; threads of one process share it, so counters
    // are atomic and the rest is any writer's word.
    unsafe {
        bump(&raw mut (*episode).drops);
        (*episode).last = bpf_ktime_get_ns();
        (*episode).after = drop.bounding;
        (*episode).effective = drop.effective;
        (*episode).tid = bpf_get_current_pid_tgid() as u32;
        if (*episode).namespace != namespace {
            // Another namespace filled the set anew: what was tried before is
            // no longer what is asked now.
            (*episode).namespace = namespace;
            (*episode).level = level;
            (*episode).granted = [0; 64];
            (*episode).refused = [0; 64];
            bump(&raw mut (*episode).refilled);
        }
    }
    match decide::classify(
        drop.capability,
        drop.result,
        drop.bounding,
        config!(last_cap),
    ) {
        // SAFETY: as above.
        Outcome::Unknown => unsafe { bump(&raw mut (*episode).unknown) },
        // SAFETY: as above; the index is masked for the verifier.
        Outcome::Granted(number) => unsafe { (*episode).granted[(number & 63) as usize] = 1 },
        // SAFETY: as above.
        Outcome::RefusedLowered => unsafe {
            bump(&raw mut (*episode).refused_lowered);
            if (*episode).refused_raised == 0 {
                blame(episode, drop, refusal);
            }
        },
        // SAFETY: as above.
        Outcome::RefusedRaised(number) => unsafe {
            mark(episode, number);
            blame(episode, drop, refusal);
        },
    }
}

/// Marks a capability as refused while it was in the set.
///
/// # Safety
/// `episode` must be a live map value.
#[inline(always)]
unsafe fn mark(episode: *mut Episode, number: u32) {
    // SAFETY: the caller's; the index is masked for the verifier.
    unsafe {
        (*episode).refused[(number & 63) as usize] = 1;
        if (*episode).first_refused == 0 {
            (*episode).first_refused = number + 1;
        }
        bump(&raw mut (*episode).refused_raised);
        (*episode).last_refused = bpf_ktime_get_ns();
    }
}

#[inline(always)]
fn refusal(drop: &Drop) -> Refusal {
    if drop.effective >> CAP_SETPCAP & 1 == 0 || drop.result >= 0 {
        return Refusal::UNTOLD;
    }
    marks::take_refusal(bpf_get_current_pid_tgid())
}

/// # Safety
/// `episode` must be a live map value.
#[inline(always)]
unsafe fn blame(episode: *mut Episode, drop: &Drop, refusal: Refusal) {
    let (layer, reason, profile) = if drop.effective >> CAP_SETPCAP & 1 == 0 {
        (Layer::Commoncap as u32, Reason::NotEffective as u32, 0)
    } else {
        (refusal.layer as u32, Reason::None as u32, refusal.profile)
    };
    // SAFETY: the caller's.
    unsafe {
        (*episode).layer = layer;
        (*episode).reason = reason;
        (*episode).profile = profile;
    }
}

/// Adds a refusal of a raised bit that was first taken for granted.
///
/// # Safety
/// `episode` must be a live map value, `bit` below 64.
#[inline(always)]
pub unsafe fn refuse(episode: *mut Episode, bit: usize, layer: Layer) {
    // SAFETY: the caller's; the index is masked for the verifier.
    unsafe {
        (*episode).granted[bit & 63] = 0;
        mark(episode, bit as u32);
        (*episode).layer = layer as u32;
        (*episode).after |= 1 << (bit & 63);
    }
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
            add_to(covered, u64::MAX);
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
