//! A storm of checks, in which the kernel skips runs of trampolines.
//!
//! A trampoline's program counts itself in on its processor, and a thread that is
//! preempted within it keeps the place: until it runs again the kernel skips the
//! program for every other thread there (`__bpf_prog_enter_recur`,
//! `kernel/bpf/trampoline.c`). Linux 7 preempts within programs, so anybody
//! who loops on a refused check hides three of four. kprobes run with preemption
//! off and miss none of it, but cost twice as much. So trampolines give the
//! verdict until some of their runs are skipped, kprobes while that lasts, and
//! trampolines again once it has been quiet for a while.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use aya::maps::Array;
use observer_ebpf::Hook as Word;

use super::{
    hook::{APPARMOR, COMMONCAP, Hook, SELINUX, VERDICT},
    host::{has_kprobes, pins_kprobes},
    info::misses,
    link::{Attached, attach_part, detach, load_kprobe},
    mechanism::{HookStatus, Mechanism},
    pins::Pins,
    programs::Programs,
    written::verdict_word,
};

/// Skipped runs between two looks from which it is a storm: a few come of
/// interrupts.
const SKIPPED: u64 = 16;
/// A check that began before the kprobes were attached has returned by now.
const IN_FLIGHT: Duration = Duration::from_millis(10);
/// How long kprobes stay after the first storm; twice as long after each one more.
const QUIET: Duration = Duration::from_secs(30);
const MAX_QUIET: Duration = Duration::from_hours(1);

/// The mechanism that reports the verdict now.
pub(super) struct Storm {
    /// Programs that are attached by trampoline, or by kprobe while a storm lasts.
    links: Vec<Attached>,
    /// The turn of these programs.
    turn: u32,
    mode: Mode,
    seen: u64,
    quiet: Duration,
}

enum Mode {
    /// Trampolines, and kprobes can take over.
    Calm,
    /// Kprobes, until then.
    Storm(Instant),
    /// Trampolines, or none, and nothing to change to.
    Fixed,
}

impl Storm {
    /// Follows what is attached by these links, which outlive the agent or not.
    pub(super) fn new(links: Vec<Attached>, turn: u32, pinned: bool) -> Self {
        let part = VERDICT.parts(Mechanism::Fexit)[0].program;
        let by_trampoline = links.iter().any(|link| link.program == part);
        // Nobody would count any more once the agent ends.
        let would_end = pinned && !pins_kprobes();
        Self {
            mode: if by_trampoline && has_kprobes() && !would_end {
                Mode::Calm
            } else {
                Mode::Fixed
            },
            links,
            turn,
            seen: 0,
            quiet: QUIET,
        }
    }

    /// Goes on amid a storm, or amid a change to or from it, as an agent before left it:
    /// the word of the verdict says which mechanism counts, and what is attached besides
    /// goes.
    pub(super) fn resume(&mut self, ebpf: &mut Programs, hooks: &mut [HookStatus]) {
        let (to, from) = if verdict_word(ebpf, self.turn) == Word::BY_KPROBE {
            (Mechanism::Kprobe, Mechanism::Fexit)
        } else {
            (Mechanism::Fexit, Mechanism::Kprobe)
        };
        if !was_calm(hooks) {
            // It never was a trampoline's.
            return;
        }
        let counts = self.changing(to);
        let (old, kept) = std::mem::take(&mut self.links)
            .into_iter()
            .partition(|link| counts.iter().any(|hook| hook.has(link, from)));
        self.links = kept;
        let old: Vec<Attached> = old;
        for attached in old {
            if let Err(why) = detach(ebpf, attached) {
                tracing::warn!("two mechanisms are attached: {why}");
            }
        }
        if to == Mechanism::Kprobe {
            self.mode = Mode::Storm(Instant::now() + self.quiet);
            for status in hooks.iter_mut() {
                if counts.iter().any(|hook| hook.name == status.hook) {
                    status.mechanism = Some(to);
                }
            }
        }
        self.seen = misses(ebpf, VERDICT.parts(Mechanism::Fexit)[0].program);
    }

    /// Has kprobes count from the beginning, since a storm lasts already.
    pub(super) fn inherit(mut self, ebpf: &mut Programs, pins: &Pins) -> Vec<Attached> {
        // The caller that resumes it says so of the hooks.
        self.follow(ebpf, &mut [], Some(pins));
        self.links
    }

    /// Loads the programs that a storm would need, so it finds them ready.
    pub(super) fn prepare(&mut self, ebpf: &mut Programs) {
        let ready = self
            .changing(Mechanism::Fexit)
            .into_iter()
            .try_for_each(|hook| {
                let mut parts = hook.parts(Mechanism::Kprobe).iter();
                parts.try_for_each(|part| load_kprobe(ebpf, *part))
            });
        if let Err(why) = ready {
            tracing::info!("kprobes cannot count the checks of a storm: {why}");
            self.mode = Mode::Fixed;
        }
    }

    /// Whether there is anything to change to.
    pub(super) const fn may_come(&self) -> bool {
        !matches!(self.mode, Mode::Fixed)
    }

    /// Looks whether a change is due.
    pub(super) fn is_due(&mut self, ebpf: &Programs) -> bool {
        match self.mode {
            Mode::Fixed => false,
            Mode::Calm => {
                let now = misses(ebpf, VERDICT.parts(Mechanism::Fexit)[0].program);
                let skipped = now.saturating_sub(self.seen);
                self.seen = now;
                skipped >= SKIPPED
            }
            Mode::Storm(until) => Instant::now() >= until,
        }
    }

    /// Changes; returns whether it did.
    pub(super) fn follow(
        &mut self,
        ebpf: &mut Programs,
        hooks: &mut [HookStatus],
        pins: Option<&Pins>,
    ) -> bool {
        match self.mode {
            Mode::Fixed => false,
            Mode::Calm => self.begin(ebpf, hooks, pins),
            Mode::Storm(_) => self.end(ebpf, hooks, pins),
        }
    }

    fn begin(
        &mut self,
        ebpf: &mut Programs,
        hooks: &mut [HookStatus],
        pins: Option<&Pins>,
    ) -> bool {
        let quiet = self.quiet;
        match self.change(ebpf, hooks, pins, (Mechanism::Kprobe, Word::BY_KPROBE)) {
            Ok(()) => {
                self.mode = Mode::Storm(Instant::now() + quiet);
                self.quiet = (quiet * 2).min(MAX_QUIET);
                tracing::info!(
                    "the kernel skips trampolines: kprobes count checks for {} s",
                    quiet.as_secs()
                );
                true
            }
            Err(why) => {
                tracing::warn!("kprobes cannot count the checks of a storm: {why}");
                self.mode = Mode::Fixed;
                false
            }
        }
    }

    fn end(&mut self, ebpf: &mut Programs, hooks: &mut [HookStatus], pins: Option<&Pins>) -> bool {
        match self.change(ebpf, hooks, pins, (Mechanism::Fexit, Word::BY_TRAMPOLINE)) {
            Ok(()) => {
                self.mode = Mode::Calm;
                self.seen = misses(ebpf, VERDICT.parts(Mechanism::Fexit)[0].program);
                true
            }
            Err(why) => {
                tracing::warn!("kprobes keep counting checks: {why}");
                self.mode = Mode::Storm(Instant::now() + MAX_QUIET);
                false
            }
        }
    }

    /// The hooks that are attached by a mechanism, the inner layers first: they
    /// give the verdict the layer that refused.
    fn changing(&self, from: Mechanism) -> Vec<&'static Hook> {
        static ALL: [&Hook; 4] = [&COMMONCAP, &APPARMOR, &SELINUX, &VERDICT];
        let hooks = ALL.into_iter();
        hooks
            .filter(|hook| self.links.iter().any(|link| hook.has(link, from)))
            .collect()
    }

    /// Attaches the programs of one mechanism beside those of the other, has them
    /// take over between two checks, and takes the others away.
    fn change(
        &mut self,
        ebpf: &mut Programs,
        hooks: &mut [HookStatus],
        pins: Option<&Pins>,
        (to, word): (Mechanism, u32),
    ) -> Result<(), String> {
        let from = if to == Mechanism::Kprobe {
            Mechanism::Fexit
        } else {
            Mechanism::Kprobe
        };
        let changing = self.changing(from);
        let mut new = Vec::new();
        for part in changing.iter().flat_map(|hook| hook.parts(to)) {
            let attached = match to {
                Mechanism::Kprobe => load_kprobe(ebpf, *part),
                _ => Ok(()),
            };
            let attached = attached.and_then(|()| attach_part(ebpf, *part));
            let kept = attached.and_then(|attached| {
                let (attached, unpinned) = match pins {
                    Some(pins) => pins.keep(ebpf, attached),
                    None => (attached, None),
                };
                new.push(attached);
                // It would end with the agent, and then nobody would count.
                unpinned.map_or(Ok(()), Err)
            });
            if let Err(why) = kept {
                for attached in new {
                    if let Err(why) = detach(ebpf, attached) {
                        tracing::warn!("two mechanisms are attached: {why}");
                    }
                }
                return Err(why);
            }
        }
        sleep(IN_FLIGHT);
        set_verdict(ebpf, self.turn, word)?;
        let (old, kept) = std::mem::take(&mut self.links)
            .into_iter()
            .partition(|link| changing.iter().any(|hook| hook.has(link, from)));
        self.links = kept;
        self.links.extend(new);
        let old: Vec<Attached> = old;
        for attached in old {
            detach(ebpf, attached)?;
        }
        for status in hooks.iter_mut() {
            if changing.iter().any(|hook| hook.name == status.hook) {
                status.mechanism = Some(to);
            }
        }
        Ok(())
    }
}

/// Whether trampolines give the verdict where there is no storm.
pub(super) fn was_calm(hooks: &[HookStatus]) -> bool {
    let mut hooks = hooks.iter();
    hooks.any(|hook| hook.hook == VERDICT.name && hook.mechanism == Some(Mechanism::Fexit))
}

fn set_verdict(ebpf: &mut Programs, turn: u32, word: u32) -> Result<(), String> {
    let map = ebpf.map_mut("HOOKS").ok_or("there is no map HOOKS")?;
    let mut map: Array<_, u32> = Array::try_from(map).map_err(|error| error.to_string())?;
    map.set(Word::Verdict.place(turn), word, 0)
        .map_err(|error| error.to_string())
}
