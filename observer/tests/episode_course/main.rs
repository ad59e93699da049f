//! Random lives of processes, through the kernel side's steps on plain tables,
//! against a model that knows the rule alone: an episode is judged by who of its
//! process and of what was forked from it, with something that it tried to drop,
//! executes a program with any of it.
//!
//! Some forks and ends are lost, as the kernel may skip programs: what was not seen is
//! neither judged nor held against anybody.
//!
//! `CAPWATCH_FULL=1` drives a million lives, otherwise some thousands.

mod model;
mod tables;

use observer::{
    caps::CapSet,
    correlate::{Course, Now, verdict},
    finding::Verdict,
};
use observer_ebpf::{
    NAME_LEN,
    decide::{self, DEPTH, mask},
};

use model::World;
use tables::Plain;

const LAST_CAP: u64 = 3;
const FULL: u64 = 0b1111;

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
