//! The kernel side's tables as plain collections.

use std::{cell::RefCell, collections::BTreeMap};

use observer_ebpf::{
    Episode, EpisodeEnd, Member,
    decide::{self, Outcome, Tables},
};

use crate::{LAST_CAP, model::World};

/// Plain tables.
#[derive(Default)]
pub struct Plain {
    members: RefCell<BTreeMap<u32, Member>>,
    /// Boxed, so a pointer to one holds while others come.
    #[expect(clippy::vec_box, reason = "an episode must not move")]
    pub episodes: RefCell<Vec<Box<Episode>>>,
    pub closed: RefCell<Vec<(u64, EpisodeEnd)>>,
    sent: RefCell<Vec<u64>>,
}

impl Tables for Plain {
    fn any(&self) -> bool {
        !self.members.borrow().is_empty()
    }
    fn member(&self, tgid: u32) -> Option<Member> {
        self.members.borrow().get(&tgid).copied()
    }
    fn cover(&self, tgid: u32, member: &Member) -> bool {
        self.members.borrow_mut().insert(tgid, *member);
        true
    }
    fn leave_out(&self) {}
    fn uncover(&self, tgid: u32, _: &Member) -> bool {
        self.members.borrow_mut().remove(&tgid).is_some()
    }
    fn episode(&self, id: u64) -> Option<*mut Episode> {
        let mut episodes = self.episodes.borrow_mut();
        let closed = self.closed.borrow().iter().any(|(closed, _)| *closed == id);
        let found = episodes.iter_mut().find(|episode| episode.id == id);
        found.filter(|_| !closed).map(|episode| &raw mut **episode)
    }
    // SAFETY: asks no more of its caller than the trait does.
    unsafe fn add(&self, counter: *mut u32) {
        // SAFETY: the caller's: a counter of an episode that lives in `episodes`.
        unsafe { *counter += 1 };
    }
    // SAFETY: asks no more of its caller than the trait does.
    unsafe fn take(&self, counter: *mut u32) {
        // SAFETY: as `add`.
        unsafe { *counter -= 1 };
    }
    fn send(&self, id: u64, _: &EpisodeEnd) {
        self.sent.borrow_mut().push(id);
    }
    fn close(&self, id: u64, end: &EpisodeEnd) {
        self.closed.borrow_mut().push((id, *end));
    }
    fn now(&self) -> u64 {
        1
    }
}

impl Plain {
    /// As `programs/episode` opens one at a process's first drop, and adds to it.
    pub fn drop(&self, world: &World, tgid: u32, thread: usize, capability: u64, granted: bool) {
        let process = &world.processes[&tgid];
        let thread = &process.threads[thread];
        let own = decide::current(self, tgid, process.start);
        let id = own.map_or(0, |member| member.own);
        let id = if id == 0 {
            let id = self.episodes.borrow().len() as u64 + 1;
            let family = own.map_or(0, |member| member.family);
            let episode = Episode {
                id,
                outer: family,
                start: process.start,
                tgid,
                namespace: thread.namespace,
                alive: 1,
                ..Episode::BLANK
            };
            self.episodes.borrow_mut().push(Box::new(episode));
            let member = Member {
                start: process.start,
                own: id,
                family,
                ..Member::default()
            };
            self.members.borrow_mut().insert(tgid, member);
            id
        } else {
            id
        };
        let episode = self.episode(id).expect("its own episode is open");
        // SAFETY: a box of these tables.
        let episode = unsafe { &mut *episode };
        if episode.namespace != thread.namespace {
            episode.namespace = thread.namespace;
            episode.granted = [0; 64];
            episode.refused = [0; 64];
            episode.refilled += 1;
        }
        episode.drops += 1;
        episode.after = thread.bounding;
        let result = if granted { 0 } else { -1 };
        match decide::classify(capability, result, thread.bounding, LAST_CAP) {
            Outcome::Unknown => episode.unknown += 1,
            Outcome::Granted(number) => episode.granted[number as usize] = 1,
            Outcome::RefusedLowered => episode.refused_lowered += 1,
            Outcome::RefusedRaised(number) => {
                episode.refused[number as usize] = 1;
                episode.refused_raised += 1;
            }
        }
    }
}
