//! The model: processes, and what is true of their episodes by the rule alone.

use std::collections::BTreeMap;

use observer::finding::Verdict;
use observer_ebpf::decide::{DEPTH, Process};

use crate::{FULL, LAST_CAP};

#[derive(Clone, Debug)]
pub struct Thread {
    pub bounding: u64,
    pub namespace: u32,
}

#[derive(Clone, Debug)]
pub struct Life {
    pub start: u64,
    pub threads: Vec<Thread>,
    /// Episodes of the model that this process is covered by, its own among them.
    pub covered: Vec<usize>,
    pub own: Option<usize>,
}

/// What the model knows of an episode.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub tried: u64,
    pub refused: u64,
    pub namespace: u32,
    pub refused_lowered: bool,
    pub ran_raised: bool,
    pub ran_otherwise: bool,
    /// The set after the last drop.
    pub after: u64,
    /// Processes that it covers now.
    pub alive: usize,
}

/// Processes, and what is true of their episodes.
pub struct World {
    pub processes: BTreeMap<u32, Life>,
    pub truths: Vec<Truth>,
    next: u64,
    /// Numbers of processes whose end nobody learnt of, which others get.
    lost: Vec<u32>,
    pub namespaces: u32,
}

impl World {
    pub fn new() -> Self {
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

    pub fn process(&self, tgid: u32, thread: usize) -> Process {
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

    pub fn drop(&mut self, tgid: u32, thread: usize, capability: u64, granted: bool) {
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
    pub fn fork_unnoticed(&mut self, parent: u32, thread: usize) -> u32 {
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
    pub fn exit_unnoticed(&mut self, tgid: u32) {
        self.processes.remove(&tgid).expect("it lives");
        self.lost.push(tgid);
    }

    pub fn fork(&mut self, parent: u32, thread: usize) -> u32 {
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

    pub fn exec(&mut self, tgid: u32, thread: usize) {
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

    pub fn exit(&mut self, tgid: u32) {
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

    pub fn verdict(&self, episode: usize) -> Verdict {
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
