//! What no event reports and has to be polled: open episodes, losses, ended
//! workloads, the clocks.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{Agent, held::Item, workloads::Watch};
use crate::{
    correlate::{self, Finding},
    finding::{EventKind, LossEvent, Made},
    ledger::{Ledger, MISSED_RUNS, PROGRAM},
    memory,
    observation::{Episode, Open},
    sight::{DROPS_MISSED, reason_of_miss},
    sources::bpf::{Kernel, Runs, preempts_programs},
    time::{Clock, Stamp, monotonic},
    words::Loss,
};

/// Ticks between two checkpoints of a stream: what may be missing at the end of
/// one that is cut short.
const CHECKPOINT: u32 = 10;
/// Ticks between two looks at open episodes, which divide those above.
const OPEN: u32 = 2;
/// Ticks between two looks at what only grows where something was missed.
const SLOW: u32 = 60;
/// An open episode without a drop for this long is reported as running.
const SILENCE_NS: u64 = 2_000_000_000;

impl Agent {
    /// A workload that runs on with what was refused is watched until it ends.
    pub(super) fn follow_workload(&mut self, finding: &Finding) {
        let EventKind::Episode(episode) = &finding.event.kind else {
            return;
        };
        let Some((pid, _)) = episode.runs_on() else {
            return;
        };
        match self.workloads.watch(pid) {
            Watch::Watched => {}
            // It ended before we looked, or nobody would notice when it does.
            outcome => {
                let mut ledger = self.shared.ledger();
                if outcome == Watch::Full {
                    ledger.lose("agent", "workloads_full", 1);
                }
                ledger.supervisors.retain_workloads(|known| known != pid);
            }
        }
    }

    /// The tick of a clock. Where the kernel skips kprobes while a thread that reads a
    /// map is preempted, the kernel's counters of losses are read only now and then.
    pub(super) fn tick_now_and_then(&mut self) {
        self.look(!preempts_programs() || self.unchecked == 0);
    }

    /// Looks at what no event shows: open episodes, losses, ended workloads, the clock.
    pub fn tick(&mut self) {
        self.look(true);
    }

    fn look(&mut self, reads_counters: bool) {
        self.clock = Clock::sample();
        if let Some(kernel) = self.shared.kernel().as_ref().filter(|_| reads_counters) {
            kernel.watch();
        }
        let now = Stamp::now();
        if self.correlator.is_waiting() {
            self.shared.record_clock(now);
        }
        let expired = self.correlator.expire(now);
        self.settle(expired);
        self.settle_calls(Stamp::now());
        self.note_sources();
        self.note_calls();
        // With a thousand of them most of an idle agent's time.
        const { assert!(CHECKPOINT.is_multiple_of(OPEN)) };
        if self.unchecked.is_multiple_of(OPEN) {
            self.report_open(SILENCE_NS);
            self.count_breaches(false);
        }
        self.forget_supervisors();
        self.note_late();
        self.workloads.forget_ended();
        let workloads = &self.workloads;
        self.shared
            .ledger()
            .supervisors
            .retain_workloads(|pid| workloads.has(pid));
        self.shared.note_left_out();
        self.note_losses(reads_counters);
        self.unchecked += 1;
        if self.unchecked >= CHECKPOINT {
            self.unchecked = 0;
            self.shared.checkpoint_stream();
            if self.shared.is_crowded() {
                self.shared.refresh();
            }
        }
        self.slow += 1;
        if self.slow >= SLOW {
            self.slow = 0;
            self.shared.refresh();
            self.forget_gone();
            self.forget_breaches();
            self.shared.ledger().trim();
            memory::give_back();
        }
        self.keep_state(false);
    }

    fn note_losses(&self, reads_counters: bool) {
        let drops_are_hooked = drops_are_hooked(&self.shared.ledger());
        let runs = self.shared.runs();
        let counted = self.shared.kernel().as_ref().map(|kernel| {
            kernel.flush_diagnostics();
            let losses =
                reads_counters.then(|| Loss::ALL.map(|loss| (loss.reason(), kernel.loss(loss))));
            (losses, missed(kernel, &runs, drops_are_hooked))
        });
        let mut grown = Vec::new();
        {
            let mut ledger = self.shared.ledger();
            if let Some((losses, missed)) = counted {
                let losses = losses.into_iter().flatten().map(|(reason, total)| {
                    ("kernel", reason, ledger.set_loss("kernel", reason, total))
                });
                grown.extend(losses);
                grown.push((PROGRAM, MISSED_RUNS, ledger.set_missed(missed)));
            }
            ledger.look(Stamp::now());
        }
        for (stage, reason, grown) in grown {
            if grown > 0 {
                let loss = LossEvent {
                    stage: stage.to_owned(),
                    reason: reason.to_owned(),
                    count: grown,
                };
                self.shared.publish(Finding::lost(Stamp::now(), loss));
            }
        }
    }

    /// Forgets live supervisors whose end was missed: the kernel has no such process.
    fn forget_gone(&self) {
        if self.shared.ledger().supervisors.live().is_empty() {
            return;
        }
        let Some(tasks) = self.shared.kernel().as_ref().and_then(Kernel::tasks) else {
            return;
        };
        let pids: HashSet<u32> = tasks.iter().map(|(pid, _)| *pid).collect();
        let mut ledger = self.shared.ledger();
        ledger.supervisors.retain_live(|pid| pids.contains(&pid));
    }

    /// Forgets supervisors of which no process is left, once many are known.
    fn forget_supervisors(&mut self) {
        if !self.who.is_crowded() {
            return;
        }
        let Some(tasks) = self.shared.kernel().as_ref().and_then(Kernel::tasks) else {
            return;
        };
        let owners: HashSet<_> = tasks
            .iter()
            .map(|(_, task)| (task.owner.tgid, task.owner.start))
            .collect();
        self.who.retain(|process| owners.contains(process));
    }

    pub(super) fn note_sources(&self) {
        let sources = self.log.report();
        self.shared.ledger().set_sources(sources);
    }

    /// Has what daemons make from now on count as beside the recorded tree.
    ///
    /// # Errors
    /// Why that can't be known on this host.
    pub fn begin_beside(&self) -> Result<(), &'static str> {
        self.who.begin_beside()
    }

    /// Containers and units beside the recorded tree in which something lives now.
    pub fn living_beside(&self) -> Vec<Made> {
        self.beside()()
    }

    /// The reporter of them, on whatever thread.
    pub fn beside(&self) -> impl Fn() -> Vec<Made> + Send + 'static {
        let who = Arc::clone(&self.who);
        let has_begun = self.shared.scopes().has_begun();
        move || {
            if has_begun {
                who.living_beside()
            } else {
                Vec::new()
            }
        }
    }

    /// Episodes that are open now; none where they can't be read.
    pub fn open_episodes(&self) -> Option<Vec<Episode>> {
        let kernel = self.shared.kernel();
        kernel
            .as_ref()
            .map_or_else(|| Some(Vec::new()), Kernel::open_episodes)
    }

    /// Reports open episodes that have been silent for so many nanoseconds, each
    /// once for its last drop, and once more when it has carried on in spite of
    /// a refusal; they stay open.
    pub fn report_open(&mut self, silence: u64) {
        let now = monotonic();
        let (mut open, mut unreported) = (HashSet::new(), Vec::new());
        let seen = self.shared.kernel().as_ref().map(|kernel| {
            kernel.each_open_episode(|episode, copy| {
                open.insert(episode.id);
                let silent = now.saturating_sub(episode.last) >= silence;
                let state = (episode.last, is_final(episode, now));
                let reported = self.reported.get(&episode.id);
                // What was final stays so, whatever it tries afterwards.
                let news = reported.is_none_or(|reported| !reported.1 && *reported != state);
                if silent && news {
                    unreported.push((copy(), state));
                }
            })
        });
        // What was not read is not over: it would be reported twice.
        if seen == Some(Some(())) {
            self.reported.retain(|id, _| open.contains(id));
            memory::trim(&mut self.reported);
        }
        for (episode, state) in unreported {
            self.reported.insert(episode.id, state);
            self.hold(Item::Open(Box::new(episode), now));
        }
    }
}

/// Whether a separate hook sees drops.
pub(super) fn drops_are_hooked(ledger: &Ledger) -> bool {
    let mut hooks = ledger.hooks.iter();
    hooks.any(|hook| hook.hook == "cap_task_prctl" && hook.attached)
}

/// Runs that the kernel skipped, by what they may have hidden.
pub(super) fn missed(
    kernel: &Kernel,
    runs: &[Runs],
    drops_are_hooked: bool,
) -> BTreeMap<&'static str, u64> {
    let mut missed = BTreeMap::from([(DROPS_MISSED, kernel.missed_drops(runs))]);
    // Drops are watched by two mechanisms where a host has both.
    let others = runs.iter();
    for run in others.filter(|run| !run.program.contains("drop")) {
        let reason = reason_of_miss(&run.program, drops_are_hooked);
        *missed.entry(reason).or_default() += run.misses;
    }
    missed
}

/// Whether the verdict of an open episode is known by now: a program runs with
/// what was refused, or the process has tolerated it.
const fn is_final(episode: &Open, now: u64) -> bool {
    let tolerated = episode.last_refused != 0
        && now.saturating_sub(episode.last_refused) >= correlate::CARRIED_ON_NS;
    episode.raised > 0 || tolerated
}
