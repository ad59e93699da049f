//! Drops that may have been missed: where two mechanisms watch them, only what
//! both were skipped for.

use super::{info::Runs, link::Attached};

/// Programs that report a drop on their own, or by either of them: the
/// trampoline's; the return probe, which reads the call from the task's
/// registers, or else what the probe at the entry has kept.
const LANES: [&[&str]; 2] = [&["drop_exit"], &["drop_entry_kprobe", "drop_exit_kprobe"]];

/// The mechanisms that watch drops.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    missed: u64,
}

struct Lane {
    programs: &'static [&'static str],
    seen: u64,
}

impl Lanes {
    /// Those that are attached by these links.
    pub(super) fn new(links: &[Attached]) -> Self {
        Self::of(|program| links.iter().any(|link| link.program == program))
    }

    fn of(is_attached: impl Fn(&str) -> bool) -> Self {
        let lanes = LANES.into_iter();
        let lanes = lanes.filter(|programs| programs.iter().any(|program| is_attached(program)));
        Self {
            lanes: lanes.map(|programs| Lane { programs, seen: 0 }).collect(),
            missed: 0,
        }
    }

    /// Drops that may have been missed, so far: between two looks at most as many
    /// as the mechanism that was skipped least. What the first look finds was missed
    /// for an agent before.
    pub(super) fn missed(&mut self, runs: &[Runs]) -> u64 {
        let grown = self.lanes.iter_mut().map(|lane| {
            let runs = runs.iter();
            let runs = runs.filter(|run| lane.programs.contains(&run.program.as_str()));
            let skipped = runs.map(|run| run.misses).max().unwrap_or_default();
            let grown = skipped.saturating_sub(lane.seen);
            lane.seen = lane.seen.max(skipped);
            grown
        });
        self.missed += grown.min().unwrap_or_default();
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the programs were skipped for by now.
    fn runs(misses: &[(&str, u64)]) -> Vec<Runs> {
        let runs = misses.iter().map(|(program, misses)| Runs {
            program: (*program).to_owned(),
            runs: 0,
            seconds: 0.0,
            misses: *misses,
        });
        runs.collect()
    }

    #[test]
    fn a_drop_is_missed_by_every_mechanism_that_watches() {
        let mut both = Lanes::of(|_| true);
        let skipped = |exit, kprobe| runs(&[("drop_exit", exit), ("drop_exit_kprobe", kprobe)]);
        assert_eq!(both.missed(&skipped(5, 0)), 0);
        assert_eq!(both.missed(&skipped(5, 3)), 0);
        assert_eq!(both.missed(&skipped(9, 5)), 2);
        let mut one = Lanes::of(|program| program == "drop_exit");
        assert_eq!(one.missed(&skipped(5, 0)), 5);
        assert_eq!(one.missed(&skipped(6, 0)), 6);
    }

    #[test]
    fn what_an_agent_before_missed_counts_from_the_first_look() {
        let mut lanes = Lanes::of(|_| true);
        let mut look = |exit, kprobe| {
            lanes.missed(&runs(&[
                ("drop_exit", exit),
                ("drop_entry_kprobe", kprobe),
                ("cap_capable_exit", 1_000),
            ]))
        };
        assert_eq!(look(70, 40), 40);
        assert_eq!(look(70, 40), 40);
        assert_eq!(look(71, 42), 41);
    }
}
