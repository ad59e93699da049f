//! Drops that may have been missed: where two mechanisms watch them, only what
//! both were skipped for.

use super::{info::misses, link::Attached, programs::Programs};

/// Programs that tell of a drop on their own, or by either of them: the
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
        let attached = |programs: &[&str]| {
            let mut links = links.iter();
            links.any(|link| programs.contains(&link.program.as_str()))
        };
        let lanes = LANES.into_iter().filter(|programs| attached(programs));
        Self {
            lanes: lanes.map(|programs| Lane { programs, seen: 0 }).collect(),
            missed: 0,
        }
    }

    /// Drops that may have been missed, so far: between two looks at most as many
    /// as the mechanism that was skipped least.
    pub(super) fn missed(&mut self, ebpf: &Programs) -> u64 {
        let grown = self.lanes.iter_mut().map(|lane| {
            let skipped = lane.programs.iter().map(|program| misses(ebpf, program));
            let skipped = skipped.max().unwrap_or_default();
            let grown = skipped.saturating_sub(lane.seen);
            lane.seen = lane.seen.max(skipped);
            grown
        });
        self.missed += grown.min().unwrap_or_default();
        self.missed
    }
}
