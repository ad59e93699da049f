//! Random lives of processes, through the kernel side's steps on plain tables,
//! against a model that knows the rule alone: an episode is judged by who of its
//! process and of what was forked from it, with something that it tried to drop,
//! executes a program with any of it.
//!
//! Some forks and ends are lost, as the kernel may skip programs: what was not seen is
//! neither judged nor held against anybody.
//!
//! `CAPWATCH_FULL=1` drives a million lives, otherwise some thousands.

use std::{cell::RefCell, collections::BTreeMap};

use observer::{
    caps::CapSet,
    correlate::{Course, Now, verdict},
    finding::Verdict,
};
use observer_ebpf::{
    Episode, EpisodeEnd, Member, NAME_LEN,
    decide::{self, DEPTH, Outcome, Process, Tables, mask},
};

const LAST_CAP: u64 = 3;
const FULL: u64 = 0b1111;

/// Plain tables.
#[derive(Default)]
struct Plain {
    members: RefCell<BTreeMap<u32, Member>>,
    /// Boxed, so a pointer to one holds while others come.
    #[expect(clippy::vec_box, reason = "an episode must not move")]
    episodes: RefCell<Vec<Box<Episode>>>,
    closed: RefCell<Vec<(u64, EpisodeEnd)>>,
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
    /// As `programs/episode.rs` opens one at a process's first drop, and adds to it.
    fn drop(&self, world: &World, tgid: u32, thread: usize, capability: u64, granted: bool) {
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

#[derive(Clone, Debug)]
struct Thread {
    bounding: u64,
    namespace: u32,
}

#[derive(Clone, Debug)]
struct Life {
    start: u64,
    threads: Vec<Thread>,
    /// Episodes of the model that this process is covered by, its own among them.
    covered: Vec<usize>,
    own: Option<usize>,
}

/// What the model knows of an episode.
#[derive(Clone, Debug, Default)]
struct Truth {
    tried: u64,
    refused: u64,
    namespace: u32,
    refused_lowered: bool,
    ran_raised: bool,
    ran_otherwise: bool,
    /// The set after the last drop.
    after: u64,
    /// Processes that it covers now.
    alive: usize,
}

/// Processes, and what is true of their episodes.
struct World {
    processes: BTreeMap<u32, Life>,
    truths: Vec<Truth>,
    next: u64,
    /// Numbers of processes whose end nobody learnt of, which others get.
    lost: Vec<u32>,
    namespaces: u32,
}

impl World {
    fn new() -> Self {
        let first = Life {
            start: 1,
            threads: vec![Thread {
                bounding: FULL,
                namespace: 1,
            }],
            covered: Vec::new(),
            own: None,
        };
        Self {
            processes: BTreeMap::from([(1, first)]),
            truths: Vec::new(),
            next: 1,
            lost: Vec::new(),
            namespaces: 1,
        }
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        if let Some(number) = self.lost.pop() {
            return number;
        }
        u32::try_from(self.next).expect("few processes")
    }

    fn process(&self, tgid: u32, thread: usize) -> Process {
        let life = &self.processes[&tgid];
        let thread = &life.threads[thread];
        Process {
            tgid,
            start: life.start,
            uid: 0,
            bounding: thread.bounding,
            namespace: thread.namespace,
        }
    }

    fn drop(&mut self, tgid: u32, thread: usize, capability: u64, granted: bool) {
        let life = self.processes.get_mut(&tgid).expect("it lives");
        let thread = &mut life.threads[thread];
        let raised = capability <= LAST_CAP && thread.bounding >> capability & 1 == 1;
        if granted && raised {
            thread.bounding &= !(1 << capability);
        }
        let thread = thread.clone();
        let own = *life.own.get_or_insert_with(|| {
            self.truths.push(Truth {
                namespace: thread.namespace,
                alive: 1,
                ..Truth::default()
            });
            life.covered.push(self.truths.len() - 1);
            self.truths.len() - 1
        });
        let truth = &mut self.truths[own];
        if truth.namespace != thread.namespace {
            truth.namespace = thread.namespace;
            (truth.tried, truth.refused) = (0, 0);
        }
        truth.after = thread.bounding;
        if capability > LAST_CAP {
            return;
        }
        if granted {
            truth.tried |= 1 << capability;
        } else if raised {
            truth.tried |= 1 << capability;
            truth.refused |= 1 << capability;
        } else {
            truth.refused_lowered = true;
        }
    }

    /// A fork that nobody learnt of: nothing covers the child.
    fn fork_unnoticed(&mut self, parent: u32, thread: usize) -> u32 {
        let child = self.number();
        let life = Life {
            start: self.next,
            threads: vec![self.processes[&parent].threads[thread].clone()],
            covered: Vec::new(),
            own: None,
        };
        self.processes.insert(child, life);
        child
    }

    /// An end that nobody learnt of: its episodes wait for it for ever, and the next
    /// process has its number.
    fn exit_unnoticed(&mut self, tgid: u32) {
        self.processes.remove(&tgid).expect("it lives");
        self.lost.push(tgid);
    }

    fn fork(&mut self, parent: u32, thread: usize) -> u32 {
        let child = self.number();
        let life = &self.processes[&parent];
        let thread = life.threads[thread].clone();
        // By the innermost episode of the parent's that covers it, and with it
        // by all that this one lies in.
        let covers = |episode: usize| {
            let truth = &self.truths[episode];
            truth.tried & thread.bounding != 0 && truth.namespace == thread.namespace
        };
        let mut covered = life.covered.clone();
        if let Some(own) = life.own
            && !covers(own)
        {
            covered.pop();
        }
        if life.own.is_none() || covered.len() < life.covered.len() {
            // Then the one that the parent itself was forked into decides.
            if covered.last().is_some_and(|nearest| !covers(*nearest)) {
                covered.clear();
            }
        }
        if let Some(nearest) = covered.last() {
            self.truths[*nearest].alive += 1;
        }
        let child_life = Life {
            start: self.next,
            threads: vec![thread],
            covered,
            own: None,
        };
        self.processes.insert(child, child_life);
        child
    }

    fn exec(&mut self, tgid: u32, thread: usize) {
        let life = self.processes.get_mut(&tgid).expect("it lives");
        let thread = life.threads[thread].clone();
        life.threads = vec![thread.clone()];
        let covered = std::mem::take(&mut life.covered);
        life.own = None;
        for episode in covered.iter().rev().take(DEPTH) {
            let truth = &mut self.truths[*episode];
            let raised = truth.tried & thread.bounding != 0;
            if raised && truth.namespace == thread.namespace {
                truth.ran_raised = true;
            } else {
                truth.ran_otherwise = true;
            }
        }
        self.leave(&covered);
    }

    fn exit(&mut self, tgid: u32) {
        let life = self.processes.remove(&tgid).expect("it lives");
        self.leave(&life.covered);
    }

    /// An episode is one of those that the episode it lies in covers, until all of its own are gone.
    fn leave(&mut self, covered: &[usize]) {
        for episode in covered.iter().rev() {
            let truth = &mut self.truths[*episode];
            truth.alive -= 1;
            if truth.alive > 0 {
                return;
            }
        }
    }

    fn verdict(&self, episode: usize) -> Verdict {
        let truth = &self.truths[episode];
        if truth.ran_raised {
            Verdict::Degraded
        } else if truth.refused == 0 {
            if truth.refused_lowered {
                Verdict::Harmless
            } else {
                Verdict::Ok
            }
        } else if truth.refused & truth.after == 0 {
            Verdict::Ok
        } else if truth.alive > 0 {
            Verdict::Pending
        } else if truth.ran_otherwise {
            Verdict::Ok
        } else {
            Verdict::Fatal
        }
    }
}

/// The verdict that user space gives.
fn judged(tables: &Plain, id: u64) -> Verdict {
    let episodes = tables.episodes.borrow();
    let episode = episodes.iter().find(|episode| episode.id == id).unwrap();
    let closed = tables.closed.borrow();
    let end = closed.iter().find(|(closed, _)| *closed == id);
    let refused = CapSet(mask(&episode.refused));
    let tried = refused.0 | mask(&episode.granted);
    let course = Course {
        refused,
        launched: (episode.raised > 0).then_some(CapSet(tried & episode.workload.bounding)),
        clean: episode.clean > 0 || end.is_some_and(|(_, end)| end.fate == 0),
        left: CapSet(refused.0 & episode.after),
        refused_lowered: episode.refused_lowered,
        now: if end.is_some() {
            Now::Over
        } else {
            Now::Running
        },
    };
    verdict(&course).0
}

/// xorshift64*: a seed repeats a life.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// One life of a tree of processes; what happened, for a failure.
fn live(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed | 1);
    let mut world = World::new();
    let tables = Plain::default();
    let mut happened = Vec::new();
    for _ in 0..dice.roll(24) {
        let living: Vec<u32> = world.processes.keys().copied().collect();
        if living.is_empty() {
            break;
        }
        let tgid = living[usize::try_from(dice.roll(living.len() as u64)).unwrap()];
        let threads = world.processes[&tgid].threads.len();
        let thread = usize::try_from(dice.roll(threads as u64)).unwrap();
        // No episode may lie deeper than the kernel side follows.
        let room = world.processes[&tgid].covered.len() < DEPTH;
        match dice.roll(14) {
            0..=3 if room || world.processes[&tgid].own.is_some() => {
                let (capability, granted) = (dice.roll(LAST_CAP + 2), dice.roll(2) == 0);
                happened.push(format!("{tgid}.{thread} drop {capability} {granted}"));
                world.drop(tgid, thread, capability, granted);
                tables.drop(&world, tgid, thread, capability, granted);
            }
            4..=5 => {
                let parent = (tgid, world.processes[&tgid].start);
                let child = world.fork(tgid, thread);
                happened.push(format!("{tgid}.{thread} fork {child}"));
                decide::forks(&tables, parent, &world.process(child, 0));
            }
            6..=7 => {
                happened.push(format!("{tgid}.{thread} exec"));
                let process = world.process(tgid, thread);
                decide::executes(&tables, &process, tgid, &[0; NAME_LEN]);
                world.exec(tgid, thread);
            }
            8 => {
                happened.push(format!("{tgid} exit"));
                decide::ends(&tables, &world.process(tgid, thread), 0);
                world.exit(tgid);
            }
            9 => {
                happened.push(format!("{tgid}.{thread} unshare"));
                world.namespaces += 1;
                let namespaces = world.namespaces;
                let life = world.processes.get_mut(&tgid).unwrap();
                // `unshare(CLONE_NEWUSER)` is for processes of one thread.
                if life.threads.len() == 1 {
                    life.threads[0].namespace = namespaces;
                    life.threads[0].bounding = FULL;
                }
            }
            10 => {
                happened.push(format!("{tgid}.{thread} thread"));
                let life = world.processes.get_mut(&tgid).unwrap();
                let same = life.threads[thread].clone();
                life.threads.push(same);
            }
            // What the kernel skipped.
            11 => {
                happened.push(format!("{tgid} exit, lost"));
                world.exit_unnoticed(tgid);
            }
            12 => {
                let child = world.fork_unnoticed(tgid, thread);
                happened.push(format!("{tgid}.{thread} fork {child}, lost"));
            }
            // A thread ends: its process goes on.
            _ => {
                let life = world.processes.get_mut(&tgid).unwrap();
                if life.threads.len() > 1 {
                    happened.push(format!("{tgid}.{thread} thread ends"));
                    life.threads.remove(thread);
                }
            }
        }
    }
    for episode in 0..world.truths.len() {
        let (expected, got) = (world.verdict(episode), judged(&tables, episode as u64 + 1));
        if expected != got {
            return Err(format!(
                "seed {seed}: episode {} is {expected}, was reported as {got}: {happened:#?}",
                episode + 1
            ));
        }
    }
    let open = world.truths.iter().filter(|truth| truth.alive > 0).count();
    let reported = tables.episodes.borrow().len() - tables.closed.borrow().len();
    if open != reported {
        return Err(format!(
            "seed {seed}: {reported} of {open} open: {happened:#?}"
        ));
    }
    Ok(())
}

#[test]
fn every_life_is_judged_as_the_rule_says() {
    let lives: u64 = if std::env::var_os("CAPWATCH_FULL").is_some() {
        1_000_000
    } else {
        30_000
    };
    for seed in 1..=lives {
        live(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)).unwrap_or_else(|why| panic!("{why}"));
    }
}
